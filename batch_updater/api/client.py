"""One way to send; the only user of aiohttp's client."""

import asyncio
import ssl
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from batch_updater.api.auth import Secret
from batch_updater.api.protocol import classify, update_body, update_url
from batch_updater.models import Answer, StatusUpdate, Verdict

MAX_BODY = 64 * 1024
_NEVER_LEFT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class _LostError(Exception):
    """The connection broke; aiohttp must not send the request a second time by itself."""


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except _NEVER_LEFT:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise _LostError from None


class OrderClient:
    """Sends status updates to one origin with one token; an async context manager."""

    def __init__(self, base_url: str, token: Secret, *, timeout: float, concurrency: int) -> None:
        self._base_url = base_url
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=concurrency),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout),
            auto_decompress=False,
            middlewares=(_send_once,),
            headers={
                "Authorization": f"Bearer {token.reveal()}",
                "Content-Type": "application/json; charset=utf-8",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def update_status(self, update: StatusUpdate) -> Answer:
        """Send one PUT, exactly once, and say what its answer means. Network failures are answers too."""
        url = URL(update_url(self._base_url, update.order_id), encoded=True)
        try:
            response = await self._session.put(url, data=update_body(update.status_id), allow_redirects=False)
            async with response:
                body = await response.content.read(MAX_BODY)
                while len(body) < MAX_BODY and (more := await response.content.read(MAX_BODY - len(body))):
                    body += more
                if not response.content.at_eof():
                    response.close()
                return classify(response.status, response.headers, body)
        except _NEVER_LEFT as error:
            return _not_sent(error)
        except TimeoutError:
            return Answer(Verdict.UNKNOWN, "timeout", "no answer in time")
        except (_LostError, aiohttp.ClientError, ssl.SSLError, OSError, asyncio.IncompleteReadError) as error:
            said = "the connection broke before the answer"
            kind = "unexpected_response" if isinstance(error, aiohttp.ClientResponseError) else "connection_error"
            return Answer(Verdict.UNKNOWN, kind, said)


def _not_sent(error: Exception) -> Answer:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Answer(Verdict.RETRY, "timeout", "no connection in time", left=False)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Answer(Verdict.RETRY, "connection_error", "the service's name can't be resolved", left=False)
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return Answer(Verdict.RETRY, "connection_error", "no trusted TLS connection", left=False)
    return Answer(Verdict.RETRY, "connection_error", "the service can't be reached", left=False)

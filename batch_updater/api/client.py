"""One way to send; the only user of aiohttp's client."""

import ssl
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from batch_updater.api.auth import Secret
from batch_updater.api.protocol import classify, order_url, read_order, update_body, update_url
from batch_updater.models import Answer, StatusUpdate, Verdict

MAX_BODY = 64 * 1024
Judge = Callable[[int, Mapping[str, str], bytes], Answer]
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
        url = update_url(self._base_url, update.order_id)
        return await self._exchange("PUT", url, update_body(update.status_id), classify)

    async def read_order(self, order_id: str) -> Answer:
        """Read one order; `status_id` of the answer is its present status."""
        return await self._exchange("GET", order_url(self._base_url, order_id), None, read_order)

    async def _exchange(self, method: str, url: str, data: bytes | None, judge: Judge) -> Answer:
        try:
            response = await self._session.request(method, URL(url, encoded=True), data=data, allow_redirects=False)
            try:
                return judge(response.status, response.headers, await _read_capped(response))
            finally:
                response.release() if response.content.at_eof() else response.close()
        except _NEVER_LEFT as error:
            return _not_sent(error)
        except TimeoutError:
            return Answer(Verdict.UNKNOWN, "timeout", "no answer in time")
        except (_LostError, aiohttp.ClientError, ssl.SSLError, OSError) as error:
            kind = "unexpected_response" if isinstance(error, aiohttp.ClientResponseError) else "connection_error"
            return Answer(Verdict.UNKNOWN, kind, "the connection broke before the answer")


async def _read_capped(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    while len(body) < MAX_BODY and (more := await response.content.read(MAX_BODY - len(body))):
        body += more
    return body


def _not_sent(error: Exception) -> Answer:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Answer(Verdict.RETRY, "timeout", "no connection in time", left=False)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Answer(Verdict.RETRY, "connection_error", "the service's name can't be resolved", left=False)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Answer(Verdict.STOP, "tls_error", "the service's certificate is not to be trusted", left=False)
    if isinstance(error, aiohttp.ClientSSLError):
        return Answer(Verdict.RETRY, "tls_error", "no TLS connection", left=False)
    return Answer(Verdict.RETRY, "connection_error", "the service can't be reached", left=False)

"""Send a request to the service and read its answer, over the connections that `connector.py` makes.

Two transports do the same. `SessionTransport` is aiohttp's session. `PreparedTransport` writes prepared bytes on
connections that aiohttp opens, secures and keeps, and reads answers with its parser: about a third of the work, but
it depends on parts of aiohttp that its documentation does not promise.
"""

import ssl
from collections.abc import Mapping
from typing import NamedTuple, Never, Protocol

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

from batch_updater.api.connection_errors import LATE, NoConnectionError
from batch_updater.api.connector import Connector, UnconnectedError
from batch_updater.common.models import Answer, Verdict

MAX_BODY = 64 * 1024


class Request(NamedTuple):
    """One request to the service's origin. At most `limit` bytes of the answer's body are read."""

    method: str
    url: str
    headers: dict[str, str]
    data: bytes | None = None
    limit: int = MAX_BODY

    def __repr__(self) -> str:  # the headers hold the token
        return f"Request({self.method} {self.url})"


class Reply(NamedTuple):
    """An answer as it arrived."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class LostError(Exception):
    """The connection broke; aiohttp must not send the request a second time by itself."""


FAILURES = (NoConnectionError, LostError, TimeoutError, aiohttp.ClientError, HttpProcessingError, ssl.SSLError, OSError)


class Transport(Protocol):
    """A way to send. Each request is sent at most once; no redirect is followed."""

    async def request(self, request: Request) -> Reply:
        """Send the request and return the answer. Raises one of FAILURES."""

    async def close(self) -> None:
        """Close all connections."""


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise LostError from None


class SessionTransport:
    """Sends through aiohttp's own session."""

    def __init__(self, connector: Connector) -> None:
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # `Deadlines` ends what lasts too long
            auto_decompress=False,
            middlewares=(_send_once,),
        )

    async def request(self, request: Request) -> Reply:
        response = await self._session.request(
            request.method, URL(request.url, encoded=True), data=request.data, headers=request.headers,
            allow_redirects=False,
        )  # fmt: skip
        try:
            return Reply(response.status, response.headers, await _read_capped(response.content, request.limit))
        finally:
            response.release() if response.content.at_eof() else response.close()

    async def close(self) -> None:
        await self._session.close()


class PreparedTransport:
    """Writes prepared bytes on aiohttp's connections. Every request's URL must begin with `base_url`."""

    def __init__(self, connector: Connector, base_url: str) -> None:
        url = URL(base_url, encoded=True)
        self._connector = connector
        self._opening = aiohttp.ClientRequest("GET", url)  # tells aiohttp where to connect, and is never sent
        self._timeout = aiohttp.ClientTimeout(total=None)
        self._base, self._path = base_url, url.raw_path.rstrip("/")
        self._host = self._opening.headers["Host"]
        self._headers: dict[str, str] = {}
        self._head = b""

    async def request(self, request: Request) -> Reply:
        data = self._bytes(request)
        connection = await self._connector.connect(self._opening, [], self._timeout)
        good = False
        try:
            protocol, transport = connection.protocol, connection.transport
            if protocol is None or transport is None:
                raise LostError
            protocol.set_response_params(read_until_eof=True, auto_decompress=False)
            transport.write(data)
            while True:
                message, content = await protocol.read()
                if not 100 <= message.code < 200 or message.code == 101:  # 1xx come before the answer, 101 is one
                    break
            body = await _read_capped(content, request.limit)
            good = content.at_eof()
            return Reply(message.code, message.headers, body)
        finally:
            connection.release() if good else connection.close()

    def _bytes(self, request: Request) -> bytes:
        """Return the request as HTTP/1.1 (RFC 9112)."""
        if request.headers is not self._headers:
            self._headers, self._head = request.headers, _head(self._host, request.headers)
        path = self._path + request.url[len(self._base) :]
        body = request.data or b""
        length = b"" if request.data is None else b"Content-Length: %d\r\n" % len(body)
        return b"%s %s HTTP/1.1\r\n%s%s\r\n%s" % (
            request.method.encode("ascii"), path.encode("ascii"), self._head, length, body,
        )  # fmt: skip

    async def close(self) -> None:
        await self._connector.close()


def _head(host: str, headers: Mapping[str, str]) -> bytes:
    """Return the header lines. Raises ValueError for a control character in one."""
    lines = [f"{name}: {value}" for name, value in {"Host": host, **headers}.items()]
    if any(not line.isprintable() for line in lines):
        raise ValueError("a header holds a control character")
    return "".join(f"{line}\r\n" for line in lines).encode()


async def _read_capped(content: aiohttp.StreamReader, limit: int) -> bytes:
    body = b""
    while len(body) < limit and (more := await content.read(limit - len(body))):
        body += more
    return body


def failure(error: Exception) -> Answer[Never]:
    """Return what one of FAILURES means for a row."""
    if isinstance(error, NoConnectionError):
        return error.answer
    if isinstance(error, TimeoutError):
        if isinstance(error.__cause__, UnconnectedError):
            return LATE
        return Answer(Verdict.UNKNOWN, "timeout", "no answer in time")
    unreadable = isinstance(error, aiohttp.ClientResponseError | HttpProcessingError)
    kind = "unexpected_response" if unreadable else "connection_error"
    return Answer(Verdict.UNKNOWN, kind, "the connection broke before the answer")

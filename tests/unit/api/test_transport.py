"""How a request is written and its answer read, on connections that a test makes up."""

import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.http import HttpProcessingError

from batch_updater.api.connection_errors import NoConnectionError
from batch_updater.api.transport import FAILURES, MAX_BODY, LostError, PreparedTransport, Reply, Request, failure
from batch_updater.common.models import Answer, Verdict

BASE = "https://api.test:8443/v1"
HEADERS = {"Authorization": "Bearer t0k-canary"}
NO_INFO: Any = SimpleNamespace(real_url="")


class Body:
    """The body of an answer, which comes in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._rest = list(pieces)
        self.asked: list[int] = []

    async def read(self, count: int) -> bytes:
        """At most so many bytes; nothing at the end."""
        self.asked.append(count)
        if not self._rest:
            return b""
        piece, self._rest[0] = self._rest[0][:count], self._rest[0][count:]
        if not self._rest[0]:
            del self._rest[0]
        return piece

    def at_eof(self) -> bool:
        """Whether all has been read."""
        return not self._rest


class Connection:
    """A connection that yields these answers; notes what is written and how it ends."""

    def __init__(self, *answers: tuple[int, Body]) -> None:
        self._answers = iter(answers)
        self.protocol: Any = self
        self.transport: Any = self
        self.written = b""
        self.words: dict[str, bool] = {}
        self.ends: list[str] = []

    def set_response_params(self, **words: bool) -> None:
        """How aiohttp is told to read."""
        self.words = words

    def write(self, data: bytes) -> None:
        """What goes over the wire."""
        self.written += data

    async def read(self) -> tuple[Any, Body]:
        """The next answer."""
        code, body = next(self._answers)
        return SimpleNamespace(code=code, headers={"X": str(code)}), body

    def release(self) -> None:
        """The connection may be used again."""
        self.ends.append("released")

    def close(self) -> None:
        """It may not."""
        self.ends.append("closed")


def transport_over(connection: Connection, base_url: str = BASE) -> PreparedTransport:
    async def connect(req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout) -> Connection:
        assert (req.method, req.host, traces, timeout.total) == ("GET", "api.test", [], None)
        return connection

    connector: Any = SimpleNamespace(connect=connect)
    return PreparedTransport(connector, base_url)


@pytest.mark.parametrize(
    ("base", "host", "path"),
    [
        (BASE, b"api.test:8443", b"/v1"),
        ("https://api.test", b"api.test", b""),
        ("https://api.test/%7EX", b"api.test", b"/%7EX"),
    ],
)
async def test_a_request_is_written_as_http_has_it(base: str, host: bytes, path: bytes) -> None:
    """Request line with the base URL's path, its host, the headers, a length only where there is a body, the body."""
    connection = Connection((200, Body()), (200, Body()), (200, Body()))
    transport = transport_over(connection, base)
    await transport.request(Request("PUT", f"{base}/orders/1", HEADERS, b'{"a": 1}'))
    await transport.request(Request("GET", f"{base}/orders/1?b=2", HEADERS))
    await transport.request(Request("POST", f"{base}/x", {"Accept": "*/*", "X-Trace": "7"}, b""))
    assert connection.written == (
        b"PUT %(path)s/orders/1 HTTP/1.1\r\nHost: %(host)s\r\nAuthorization: Bearer t0k-canary\r\n"
        b'Content-Length: 8\r\n\r\n{"a": 1}'
        b"GET %(path)s/orders/1?b=2 HTTP/1.1\r\nHost: %(host)s\r\nAuthorization: Bearer t0k-canary\r\n\r\n"
        b"POST %(path)s/x HTTP/1.1\r\nHost: %(host)s\r\nAccept: */*\r\nX-Trace: 7\r\nContent-Length: 0\r\n\r\n"
    ) % {b"path": path, b"host": host}
    assert connection.words == {"read_until_eof": True, "auto_decompress": False}


async def test_an_answer_is_status_headers_and_body() -> None:
    """The body is put together from its pieces, and the connection may be used again."""
    connection = Connection((404, Body(b"no ", b"such ", b"order")))
    assert await transport_over(connection).request(Request("GET", BASE, HEADERS)) == Reply(
        404, {"X": "404"}, b"no such order"
    )
    assert connection.ends == ["released"]


@pytest.mark.parametrize(("codes", "status"), [((100, 102, 199, 200), 200), ((101, 200), 101), ((99, 200), 99)])
async def test_what_comes_before_the_answer_is_left_out(codes: tuple[int, ...], status: int) -> None:
    """1xx announce an answer (RFC 9110, 15.2), except for 101, after which nothing of HTTP comes."""
    connection = Connection(*((code, Body()) for code in codes))
    assert (await transport_over(connection).request(Request("GET", BASE, HEADERS))).status == status


async def test_no_more_of_a_body_is_read_than_is_wanted() -> None:
    """A connection with an unread rest can't be used again."""
    body = Body(b"abc", b"defgh")
    connection = Connection((200, body))
    reply = await transport_over(connection).request(Request("GET", BASE, HEADERS, limit=5))
    assert (reply.body, body.asked, connection.ends) == (b"abcde", [5, 2], ["closed"])
    assert Request("GET", BASE, HEADERS).limit == MAX_BODY


@pytest.mark.parametrize("lost", ["protocol", "transport"])
async def test_a_connection_that_is_gone_is_lost(lost: str) -> None:
    """What aiohttp hands out may have broken already; nothing is written, and nothing is kept."""
    connection = Connection()
    setattr(connection, lost, None)
    with pytest.raises(LostError):
        await transport_over(connection).request(Request("GET", BASE, HEADERS))
    assert (connection.written, connection.ends) == (b"", ["closed"])


@pytest.mark.parametrize("value", ["a\r\nX: 1", "a\nb", "a\x00"])
async def test_no_header_holds_a_line_break(value: str) -> None:
    """A header that would hold another is an error, and nothing is sent."""
    connection = Connection()
    with pytest.raises(ValueError, match=r"^a header holds a control character$"):
        await transport_over(connection).request(Request("GET", BASE, {"X": value}))
    assert connection.written == b""


def test_a_request_does_not_show_its_headers() -> None:
    """The token is among them."""
    assert repr(Request("GET", BASE, HEADERS, b"body")) == f"Request(GET {BASE})"


LATE = Answer(Verdict.UNKNOWN, "timeout", "no answer in time")
UNREADABLE = Answer(Verdict.UNKNOWN, "unexpected_response", "the connection broke before the answer")
BROKEN = Answer(Verdict.UNKNOWN, "connection_error", "the connection broke before the answer")
NEVER_LEFT = Answer(Verdict.RETRY, "timeout", "no connection in time", was_sent=False)


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (NoConnectionError(NEVER_LEFT), NEVER_LEFT),
        (TimeoutError(), LATE),
        (aiohttp.ServerTimeoutError(), LATE),
        (aiohttp.ClientResponseError(NO_INFO, ()), UNREADABLE),
        (HttpProcessingError(), UNREADABLE),
        (LostError(), BROKEN),
        (aiohttp.ClientPayloadError(), BROKEN),
        (ssl.SSLError(), BROKEN),
        (ConnectionResetError(), BROKEN),
    ],
)
def test_what_a_failure_means_for_a_row(error: Exception, answer: Answer) -> None:
    """Only without a connection is it certain that the request never left; else nobody knows what it did."""
    assert isinstance(error, FAILURES)
    assert failure(error) == answer

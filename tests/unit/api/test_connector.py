"""What a failure to connect means, and which kept connections are used again; nothing here goes over a network."""

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from yarl import URL

from batch_updater.api.connection_errors import NoConnectionError
from batch_updater.api.connector import Connector
from batch_updater.api.network import DIRECT, Network, Proxy
from batch_updater.api.timeouts import Deadlines
from batch_updater.api.transport import failure
from batch_updater.common.models import Answer, Verdict
from batch_updater.common.secret import Secret

HOST, PROXY_HOST = "api.test", "proxy.test"
PROXY = Network(proxy=Proxy(f"http://{PROXY_HOST}:3128"))
SIGNED_IN = Network(proxy=Proxy(f"http://{PROXY_HOST}:3128", Secret("user"), Secret("pass")))
OWN_CA = Network(ca_file=Path("own.pem"))
NO_INFO: Any = SimpleNamespace(real_url="")
CLOCK = "check this machine's clock; if it is right, the certificate has to be renewed there"
AUTHORITY = "if it has, or a proxy uses, a certificate authority of its own, name its file with --ca-file"
NAMES = "BATCH_UPDATER_PROXY_USER and BATCH_UPDATER_PROXY_PASS"


def key(host: str, port: int) -> Any:
    return SimpleNamespace(host=host, port=port, ssl=True, is_ssl=True)


def certificate(code: int | None, host: str = HOST, port: int = 443) -> Exception:
    error: Any = ssl.SSLCertVerificationError() if code else OSError()
    if code:
        error.verify_code, error.verify_message = code, "says OpenSSL"
    return aiohttp.ClientConnectorCertificateError(key(host, port), error)


def no_tls(reason: str | None, host: str = HOST, port: int = 443) -> Exception:
    error: Any = ssl.SSLError() if reason else OSError()
    if reason:
        error.reason = reason
    return aiohttp.ClientConnectorSSLError(key(host, port), error)


def from_proxy(status: int) -> Exception:
    return aiohttp.ClientHttpProxyError(NO_INFO, (), status=status)


def request() -> aiohttp.ClientRequest:
    return aiohttp.ClientRequest("GET", URL(f"https://{HOST}/"))


async def outcome(network: Network, monkeypatch: pytest.MonkeyPatch, error: Exception) -> Answer:
    """What Connector says when aiohttp can't connect because of this."""

    async def fail(_: Any, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout) -> None:
        assert (req.host, traces, timeout) == (HOST, [], aiohttp.ClientTimeout())
        raise error

    monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", fail)
    async with Connector(network, limit=1) as connector:
        with pytest.raises(NoConnectionError) as failed:
            await connector.connect(request(), [], aiohttp.ClientTimeout())
    assert str(failed.value) == failed.value.answer.detail
    assert failed.value.__cause__ is None  # the library's own texts may hold headers
    return replace(failed.value.answer, hint=str(failed.value.answer.hint))


@pytest.mark.parametrize(
    ("network", "error", "code", "detail"),
    [
        (DIRECT, aiohttp.ClientConnectorDNSError(key(HOST, 443), OSError()), "connection_error",
         "the name of the service can't be resolved"),
        (DIRECT, aiohttp.ClientConnectorError(key(HOST, 443), OSError()), "connection_error",
         "the service can't be reached"),
        (PROXY, aiohttp.ClientConnectorDNSError(key(PROXY_HOST, 3128), OSError()), "proxy_error",
         "the name of the proxy can't be resolved"),
        (PROXY, aiohttp.ClientConnectorError(key(PROXY_HOST, 3128), OSError()), "proxy_error",
         "the proxy can't be reached"),
        (PROXY, aiohttp.ClientConnectorError(key(PROXY_HOST, 443), OSError()), "connection_error",
         "the service can't be reached"),
        (DIRECT, OSError(), "connection_error", "the connection broke while it was made"),
        (PROXY, aiohttp.ClientError(), "proxy_error", "the connection broke while it was made"),
        (DIRECT, TimeoutError(), "timeout", "no connection in time"),
        (DIRECT, no_tls("SOMETHING_ELSE"), "tls_error", "no TLS connection to the service"),
        (DIRECT, no_tls(None), "tls_error", "no TLS connection to the service"),
        (PROXY, no_tls(None, PROXY_HOST, 3128), "tls_error", "no TLS connection to the proxy"),
        (PROXY, from_proxy(500), "proxy_error", "the proxy can't connect to api.test (500)"),
        (PROXY, from_proxy(503), "proxy_error", "the proxy can't connect to api.test (503)"),
        (PROXY, from_proxy(408), "proxy_error", "the proxy can't connect to api.test (408)"),
        (PROXY, from_proxy(429), "proxy_error", "the proxy can't connect to api.test (429)"),
    ],
)  # fmt: skip
async def test_what_may_pass_is_tried_again(
    network: Network, error: Exception, code: str, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that can't be reached may be there soon; the request has certainly not left."""
    assert await outcome(network, monkeypatch, error) == Answer(Verdict.RETRY, code, detail, was_sent=False)


@pytest.mark.parametrize(
    ("network", "error", "detail", "hint"),
    [
        (DIRECT, certificate(10), "the certificate of api.test has expired", CLOCK),
        (DIRECT, certificate(9), "the certificate of api.test is not valid yet", CLOCK),
        (DIRECT, certificate(62), "the service has a certificate that is not made out for api.test",
         "check the base URL, then run again"),
        (PROXY, certificate(64, PROXY_HOST, 3128), "the proxy has a certificate that is not made out for proxy.test",
         "check --proxy, then run again"),
        (DIRECT, certificate(23), "the certificate of api.test is refused: says OpenSSL",
         "check it, then run again"),
        (DIRECT, certificate(None), "the certificate of api.test is refused: no reason given",
         "check it, then run again"),
        *((DIRECT, certificate(code),
           "the certificate of api.test is not signed by an authority that this machine trusts (says OpenSSL)",
           AUTHORITY)
          for code in (2, 18, 19, 20, 21, 24, 27)),
        (OWN_CA, certificate(20), "the certificate of api.test is not signed by an authority in own.pem (says OpenSSL)",
         "check that --ca-file holds the authority of api.test"),
        *((DIRECT, no_tls(reason), "the service does not speak TLS at this port", "check the base URL")
          for reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")),
        (PROXY, no_tls("HTTP_REQUEST", PROXY_HOST, 3128), "the proxy does not speak TLS at this port",
         "check --proxy"),
        *((DIRECT, no_tls(reason), "the service speaks no version of TLS that is safe", "check the base URL")
          for reason in ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE")),
    ],
)  # fmt: skip
async def test_bad_tls_stops_the_run(
    network: Network, error: Exception, detail: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying again does not make a peer trusted; what is said names who it is and what can be done."""
    assert await outcome(network, monkeypatch, error) == Answer(
        Verdict.STOP, "tls_error", detail, was_sent=False, hint=hint
    )


@pytest.mark.parametrize(
    ("network", "error", "detail", "hint"),
    [
        (PROXY, from_proxy(407), "the proxy http://proxy.test:3128 requires a user and a password",
         f"set {NAMES}, or these names with _FILE, then run again"),
        (SIGNED_IN, from_proxy(407), "the proxy http://proxy.test:3128 does not accept the credentials",
         f"check {NAMES}, then run again"),
        (PROXY, from_proxy(403), "the proxy http://proxy.test:3128 refuses to connect to api.test (403)",
         "ask those who run it to allow it, or check --proxy; then run again"),
        (SIGNED_IN, from_proxy(499), "the proxy http://proxy.test:3128 refuses to connect to api.test (499)",
         "ask those who run it to allow it, or check --proxy; then run again"),
        (PROXY, aiohttp.ClientResponseError(NO_INFO, ()),
         "http://proxy.test:3128 does not answer like a proxy", "check --proxy, then run again"),
    ],
)  # fmt: skip
async def test_a_proxy_that_refuses_stops_the_run(
    network: Network, error: Exception, detail: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has to be set or allowed at the proxy is said, and no row is tried before it is."""
    assert await outcome(network, monkeypatch, error) == Answer(
        Verdict.STOP, "proxy_error", detail, was_sent=False, hint=hint
    )


async def test_a_request_that_ends_before_it_has_a_connection_has_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the deadline comes while a connection is made, nothing was sent; it may be tried again."""

    async def wait(*_: Any) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", wait)
    deadlines = Deadlines(0.001)
    deadlines.start()
    async with Connector(DIRECT, limit=1) as connector:
        with pytest.raises(TimeoutError) as late, deadlines:
            await connector.connect(request(), [], aiohttp.ClientTimeout())
    deadlines.stop()
    assert failure(late.value) == Answer(Verdict.RETRY, "timeout", "no connection in time", was_sent=False)


async def test_a_request_that_ends_on_its_connection_may_have_left() -> None:
    """When the deadline comes later, nobody knows."""
    deadlines = Deadlines(0.001)
    deadlines.start()
    with pytest.raises(TimeoutError) as late, deadlines:
        await asyncio.sleep(60)
    deadlines.stop()
    assert failure(late.value) == Answer(Verdict.UNKNOWN, "timeout", "no answer in time")


class KeptProtocol:
    """What matters here of aiohttp's protocol; it can be kept in a set."""

    should_close = False


class Kept:
    """A connection as aiohttp hands it out, over a socket whose other end is `peer`."""

    def __init__(self) -> None:
        self.sock, self.peer = socket.socketpair()
        self.protocol: KeptProtocol | None = KeptProtocol()
        self.transport: Any = SimpleNamespace(get_extra_info=lambda name: self.sock if name == "socket" else None)
        self.is_closed = False

    def close(self) -> None:
        """Note that it was closed."""
        self.is_closed = True


@pytest.fixture
def kept() -> Iterator[list[Kept]]:
    """Two connections, the first of which aiohttp offers twice."""
    two = [Kept(), Kept()]
    yield two
    for one in two:
        one.sock.close()
        one.peer.close()


@pytest.fixture
async def connector(kept: list[Kept], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """One that gets these connections from aiohttp."""
    offers = iter([kept[0], *kept])

    async def offer(*_: Any) -> Kept:
        return next(offers)

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", offer)
    async with Connector(DIRECT, limit=7) as connector:
        yield connector


async def test_a_quiet_connection_is_used_again(kept: list[Kept], connector: Any) -> None:
    """A connection on which nothing waits to be read is as good as a new one."""
    for wanted in (kept[0], *kept):
        assert await connector.connect(request(), [], aiohttp.ClientTimeout()) is wanted
    assert not kept[0].is_closed
    assert connector.limit == 7


def speak(one: Kept) -> None:
    one.peer.send(b"HTTP/1.1 200 OK")


async def test_a_new_connection_may_speak_first(kept: list[Kept], connector: Any) -> None:
    """What a service says before it is asked, such as that it is full, is the answer to the first request."""
    speak(kept[0])
    assert await connector.connect(request(), [], aiohttp.ClientTimeout()) is kept[0]


def hang_up(one: Kept) -> None:
    one.peer.close()


def must_close(one: Kept) -> None:
    assert one.protocol is not None
    one.protocol.should_close = True


def lose_protocol(one: Kept) -> None:
    one.protocol = None


def lose_transport(one: Kept) -> None:
    one.transport = None


def lose_socket(one: Kept) -> None:
    one.transport = SimpleNamespace(get_extra_info=lambda _: None)


@pytest.mark.parametrize("spoil", [speak, hang_up, must_close, lose_protocol, lose_transport, lose_socket])
async def test_a_kept_connection_that_is_spoilt_is_closed(
    spoil: Callable[[Kept], None], kept: list[Kept], connector: Any
) -> None:
    """What came unasked would be taken for the next answer; the next connection is used instead."""
    first, second = kept
    assert await connector.connect(request(), [], aiohttp.ClientTimeout()) is first
    spoil(first)
    assert await connector.connect(request(), [], aiohttp.ClientTimeout()) is second
    assert (first.is_closed, second.is_closed) == (True, False)


@pytest.mark.parametrize(("network", "signs_in"), [(PROXY, False), (SIGNED_IN, True)])
async def test_the_proxy_gets_the_host_and_its_credentials(
    network: Network, signs_in: bool, kept: list[Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CONNECT names the service (RFC 9110, 9.3.6) and holds what the proxy wants; nothing of it is for the service."""
    asked = []

    async def offer(_: Any, req: aiohttp.ClientRequest, *__: Any) -> Kept:
        asked.append((req.proxy, dict(req.proxy_headers or {}), dict(req.headers)))
        return kept[0]

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", offer)
    async with Connector(network, limit=1) as connector:
        await connector.connect(request(), [], aiohttp.ClientTimeout())
    proxy, to_proxy, to_service = asked[0]
    basic = {"Proxy-Authorization": "Basic " + base64.b64encode(b"user:pass").decode()} if signs_in else {}
    assert (str(proxy), to_proxy) == (f"http://{PROXY_HOST}:3128", {"Host": HOST, **basic})
    assert "Proxy-Authorization" not in to_service

"""What the package uses of aiohttp beyond its documentation; an upgrade that changes any of it fails here first."""

import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError
from yarl import URL

import batch_updater

PROXY = URL("http://proxy:3128")
METHODS: list[tuple[type, str, list[str], bool]] = [
    (aiohttp.TCPConnector, "connect", ["self", "req", "traces", "timeout"], True),
    (aiohttp.TCPConnector, "_create_connection", ["self", "req", "traces", "timeout"], True),
    (aiohttp.ClientRequest, "update_proxy", ["self", "proxy", "proxy_auth", "proxy_headers"], False),
    (ResponseHandler, "__init__", ["self", "loop"], False),
    (ResponseHandler, "data_received", ["self", "data"], False),
    (ResponseHandler, "read", ["self"], True),
    (ResponseHandler, "__len__", ["self"], False),
    (ResponseHandler, "abort", ["self"], False),
    (ResponseHandler, "force_close", ["self"], False),
    (Connection, "release", ["self"], False),
    (Connection, "close", ["self"], False),
]


def test_nothing_else_is_imported_from_the_inside() -> None:
    """Every module of aiohttp that is imported is a documented one, or named in this file."""
    package = Path(batch_updater.__file__).parent
    found = {
        match for path in package.rglob("*.py") for match in re.findall(r"from (aiohttp\.\w+) import", path.read_text())
    }
    assert found == {ResponseHandler.__module__, "aiohttp.http"}


@pytest.mark.parametrize(("kind", "name", "parameters", "waits"), METHODS)
def test_a_method_that_is_called_or_replaced_has_its_shape(
    kind: type, name: str, parameters: list[str], waits: bool
) -> None:
    """It is there, takes these arguments, and is a coroutine or not."""
    method = getattr(kind, name)
    assert list(inspect.signature(method).parameters) == parameters
    assert inspect.iscoroutinefunction(method) is waits


@pytest.mark.parametrize(
    ("kind", "name"), [(Connection, "protocol"), (Connection, "transport"), (ResponseHandler, "should_close")]
)
def test_a_property_is_one(kind: type, name: str) -> None:
    """A connection has a protocol and a transport, and a protocol says whether it can be used again."""
    assert isinstance(getattr(kind, name), property)


async def test_a_protocol_reads_an_answer() -> None:
    """Told how to, it parses what arrives; len() counts unread answers, and each is a message and its body."""
    protocol = ResponseHandler(loop=asyncio.get_running_loop())
    protocol.connection_made(asyncio.Transport())
    protocol.set_response_params(read_until_eof=True, auto_decompress=False)
    assert len(protocol) == 0
    protocol.data_received(b"HTTP/1.1 202 Accepted\r\nContent-Length: 4\r\nX-A: b\r\n\r\nbody")
    assert len(protocol) == 1
    message, content = await protocol.read()
    assert (message.code, message.headers["x-a"]) == (202, "b")
    assert isinstance(content, aiohttp.StreamReader)
    assert (await content.read(9), content.at_eof()) == (b"body", True)
    assert issubclass(HttpProcessingError, Exception)


async def test_a_connection_that_is_to_be_closed_is_not_kept() -> None:
    """After `force_close` a protocol says that it should be closed, and that is what a connector goes by."""
    protocol = ResponseHandler(loop=asyncio.get_running_loop())
    protocol.connection_made(asyncio.Transport())
    assert not protocol.should_close
    protocol.force_close()
    assert protocol.should_close


async def test_a_connector_makes_its_protocols_by_a_factory_that_can_be_replaced() -> None:
    """`_factory` is set by the constructor and called without arguments; `_loop` is the running loop."""
    made: list[Any] = []
    async with aiohttp.TCPConnector() as connector:
        assert connector._loop is asyncio.get_running_loop()
        assert isinstance(connector._factory(), ResponseHandler)
        connector._factory = lambda: made.append(ResponseHandler(loop=connector._loop)) or made[-1]  # type: ignore
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            request = aiohttp.ClientRequest("GET", URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
            connection = await connector.connect(request, [], aiohttp.ClientTimeout())
            assert connection.protocol is made[0]
            connection.close()


async def test_a_request_that_is_never_sent_says_where_to_connect() -> None:
    """It is made of a method and a URL, names the host, and can be given a proxy and the headers for it."""
    request = aiohttp.ClientRequest("GET", URL("http://service:8080/x"))
    assert request.headers[hdrs.HOST] == "service:8080"
    request.update_proxy(PROXY, None, {hdrs.HOST: "service:8080"})
    assert request.proxy == PROXY
    assert dict(request.proxy_headers or {}) == {hdrs.HOST: "service:8080"}

"""Both ways to send: what they put on the wire, and how they read what comes back."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.fault_server import PUT, Exchange, Fault, FaultServer, answer

from batch_updater.api.auth import Tokens
from batch_updater.api.client import OrderClient
from batch_updater.api.connector import Connector
from batch_updater.api.credentials import Credentials
from batch_updater.api.network import DIRECT
from batch_updater.api.transport import PreparedTransport, Request
from batch_updater.common.models import StatusUpdate, Verdict
from batch_updater.common.secret import Secret

pytestmark = pytest.mark.usefixtures("wire")

ORDER, STATUS = str(uuid.UUID(int=7)), str(uuid.UUID(int=8))
UPDATE = StatusUpdate(2, ORDER, STATUS)


def client_for(base_url: str) -> OrderClient:
    return OrderClient(base_url, Tokens(Credentials(Secret("t0k-canary"))), timeout=5, concurrency=2)


@asynccontextmanager
async def listener(host: str, reply: bytes, heard: list[bytes]) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        heard.append(head + await reader.readexactly(int(length[1]) if length else 0))
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, host, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
async def test_the_put_is_on_the_wire_as_the_api_has_it(host: str, shown: str) -> None:
    """Request line with the base URL's own prefix, host, token, type and length, then the body, and no more."""
    heard: list[bytes] = []
    async with listener(host, answer(), heard) as port, client_for(f"http://{shown}:{port}/v1") as client:
        said = await client.update_status(UPDATE)
    assert said.verdict is Verdict.DONE
    head, _, body = heard[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert first == f"PUT /v1/engagement/orders/{ORDER}/status HTTP/1.1"
    assert body == b'{"status_id": "%s"}' % STATUS.encode()
    agent = headers.pop("user-agent")
    assert agent.startswith("batch-updater/")
    assert headers == {
        "host": f"{shown}:{port}", "accept": "application/json", "accept-encoding": "identity",
        "authorization": "Bearer t0k-canary", "content-type": "application/json; charset=utf-8",
        "content-length": str(len(body)),
    }  # fmt: skip


async def test_a_get_has_no_body() -> None:
    """Reading an order sends neither a body nor a length."""
    heard: list[bytes] = []
    async with (
        listener("127.0.0.1", answer(200, b"{}"), heard) as port,
        client_for(f"http://127.0.0.1:{port}") as client,
    ):
        await client.read_order(ORDER)
    assert heard[0].startswith(f"GET /engagement/orders/{ORDER} HTTP/1.1\r\n".encode())
    assert b"content-length" not in heard[0].lower()
    assert heard[0].endswith(b"\r\n\r\n")


REPLIES: dict[str, tuple[bytes, Verdict]] = {
    "two interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer(),
        Verdict.DONE,
    ),
    "another protocol": (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", Verdict.UNKNOWN),
    "chunks": (
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"detail": "Orde\r\n'
        b'1f\r\nr status updated successfully"}\r\n0\r\n\r\n',
        Verdict.DONE,
    ),
    "no length": (b'HTTP/1.1 200 OK\r\n\r\n{"detail": "Order status updated successfully"}', Verdict.DONE),
    "HTTP/1.0": (answer().replace(b"HTTP/1.1", b"HTTP/1.0"), Verdict.DONE),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", Verdict.UNKNOWN),
    "cut off": (answer()[:-5], Verdict.UNKNOWN),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", Verdict.UNKNOWN),
    "nothing": (b"", Verdict.UNKNOWN),
}  # fmt: skip


@pytest.mark.parametrize("name", REPLIES)
async def test_an_answer_means_the_same_both_ways(name: str) -> None:
    """Interim answers are passed over, every framing is read, and what is not whole is no yes."""
    reply, verdict = REPLIES[name]
    async with listener("127.0.0.1", reply, []) as port, client_for(f"http://127.0.0.1:{port}") as client:
        assert (await client.update_status(UPDATE)).verdict is verdict


async def answered_and_closed(exchange: Exchange) -> None:
    await exchange.read()
    exchange.apply()
    await exchange.send(answer())
    exchange.close()


async def test_a_connection_closed_while_idle_is_not_used() -> None:
    """A server that closes a kept connection costs no update: the next goes over a new one."""
    server = FaultServer({(PUT, 0): Fault(answered_and_closed)}, {ORDER: STATUS})
    async with server, client_for(server.base_url) as client:
        for _ in range(2):
            assert (await client.update_status(UPDATE)).verdict is Verdict.DONE
            await asyncio.sleep(0.05)
    assert len(server.puts) == 2


async def failed_and_closed_a_little_later(exchange: Exchange) -> None:
    await exchange.read()
    await exchange.send(answer(500, b"Internal Server Error"))
    await asyncio.sleep(0.02)
    exchange.close()


async def test_no_update_is_lost_with_a_connection_that_is_closed_after_an_error() -> None:
    """Some servers close after a 500 without saying so, a little later: the next update goes over another one."""
    orders = [str(uuid.UUID(int=number)) for number in range(30)]
    failing = Fault(failed_and_closed_a_little_later)
    server = FaultServer({(PUT, place): failing for place in range(0, 30, 3)}, dict.fromkeys(orders, ORDER))
    async with server, client_for(server.base_url) as client:
        said = [await client.update_status(StatusUpdate(2, order, STATUS)) for order in orders]
    assert [answer.http_status for answer in said] == [500, 200, 200] * 10
    assert len(server.puts) == 30


async def test_connections_are_kept() -> None:
    """Updates one after the other share a connection."""
    opened = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        while (await reader.readuntil(b"\r\n\r\n")) and (await reader.readuntil(b"}")):
            writer.write(answer())

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, client_for(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
        for _ in range(5):
            assert (await client.update_status(UPDATE)).verdict is Verdict.DONE
    assert opened == 1


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\x00"])
async def test_no_header_can_hold_another(value: str) -> None:
    """A header with a line break or another control is refused before a connection is opened."""
    transport = PreparedTransport(Connector(DIRECT, limit=1), "http://127.0.0.1:9")
    with pytest.raises(ValueError, match="control"):
        await transport.request(Request("GET", "http://127.0.0.1:9/", {"Authorization": value}))
    await transport.close()

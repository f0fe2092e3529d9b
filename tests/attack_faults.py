"""A raw TCP service with faults, independent of the sandbox, with its own ledger of what it received and applied."""

import asyncio
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

CONFIRMATION = b'{"detail": "Order status updated successfully"}'


@dataclass
class Received:
    """One PUT as the service saw it."""

    order: str
    status: str
    applied: bool = False


@dataclass
class Exchange:
    """What a fault may do to one request."""

    server: "FaultServer"
    entry: Received
    writer: asyncio.StreamWriter

    def apply(self) -> None:
        """Set the order's status."""
        self.server.orders[self.entry.order] = self.entry.status
        self.entry.applied = True

    def reset(self) -> None:
        """Break the connection with a RST."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Fault = Callable[[Exchange], Awaitable[None]]


def answer(status: int = 200, body: bytes = CONFIRMATION, *headers: str, length: int | None = None) -> bytes:
    """An HTTP answer as bytes; `length` may lie."""
    lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", *headers]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class FaultServer:
    """Serves on loopback; `faults` says by the PUT's place in order of arrival (from 0) what goes wrong with it."""

    faults: dict[int, Fault] = field(default_factory=dict)
    orders: dict[str, str] = field(default_factory=dict)
    ledger: list[Received] = field(default_factory=list)
    keep_alive: bool = True
    base_url: str = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = re.search(r"(?i)content-length: (\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                await self._answer(head, body, writer)
                await writer.drain()
                if not self.keep_alive:
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        method, path, _version = head.split("\r\n", 1)[0].split(" ")
        if path == "/engagement/orders/status":
            writer.write(answer(404, b"{}"))
            return
        order = path.split("/")[3]
        if method == "GET":
            found = b'{"status": {"id": "%s"}}' % self.orders[order].encode()
            writer.write(answer(200, found))
            return
        entry = Received(order, re.findall(rb'"status_id": "([^"]+)"', body)[0].decode())
        self.ledger.append(entry)
        exchange = Exchange(self, entry, writer)
        if fault := self.faults.get(len(self.ledger) - 1):
            await fault(exchange)
            return
        exchange.apply()
        writer.write(answer())

"""What may stand between the program and a service: a front that speaks TLS, and a proxy. All on loopback."""

import asyncio
import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import trustme

T = TypeVar("T")
HOST = "127.0.0.1"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@contextmanager
def loop_aside() -> Iterator[Callable[[Coroutine[Any, Any, T]], T]]:
    """A loop in a thread of its own, so that a test may block; gives what runs a coroutine in it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@dataclass
class Listener:
    """Listens on a port of loopback, keeps the connections, can cut them all."""

    tls: ssl.SSLContext | None = None
    accepted: int = 0
    port: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        """Listen; `port` is set afterwards."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more."""
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Break all connections."""
        for writer in list(self.open):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await self.serve(reader, writer)
        finally:
            self.open.discard(writer)
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What is done with one connection."""
        raise NotImplementedError


@dataclass
class Front(Listener):
    """Passes on to a port of loopback, with TLS when it has a context."""

    target: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on both ways."""
        await join(reader, writer, self.target)


@dataclass
class OldTls(Front):
    """Refuses every version of TLS that it is offered (alert 70, RFC 8446, 6.2)."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read the first record, refuse."""
        head = await reader.readexactly(5)
        await reader.readexactly(int.from_bytes(head[3:]))
        writer.write(bytes([21, 3, 1, 0, 2, 2, 70]))
        await writer.drain()


@dataclass
class Breaker(Front):
    """Breaks the connections whose numbers (from 1) are in `resets` as soon as their first byte is there."""

    resets: set[int] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Break or pass on."""
        if self.accepted in self.resets:
            await reader.read(1)
            reset(writer)
            return
        await join(reader, writer, self.target)


@dataclass
class Proxy(Listener):
    """Answers CONNECT by `answer`, which sees the request's head; passes on when it says that it is established.

    `heard` is all that it was told: heads and, in `passed`, the bytes that went through it from the client.
    """

    answer: Callable[[str], bytes] = lambda _head: ESTABLISHED
    heard: list[str] = field(default_factory=list)
    passed: bytearray = field(default_factory=bytearray)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect or refuse."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.heard.append(head)
        said = self.answer(head)
        writer.write(said)
        await writer.drain()
        if said == ESTABLISHED:
            port = urlsplit("//" + head.split(" ")[1]).port or 0
            await join(reader, writer, port, self.passed)

    @property
    def address(self) -> str:
        """What --proxy is given."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"


def refuse(status: int, *headers: str) -> bytes:
    """A proxy's refusal."""
    return "\r\n".join([f"HTTP/1.1 {status} No", *headers, "Content-Length: 0", "", ""]).encode()


def credentials_in(head: str) -> str | None:
    """What a request's head has as Proxy-Authorization."""
    found = re.search(r"(?im)^proxy-authorization: (.*?)\r$", head)
    return found[1] if found else None


async def join(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, passed: bytearray | None = None
) -> None:
    """Pass on between a connection and a port until one of them ends; keep what goes there in `passed`."""
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    there = asyncio.create_task(_pump(reader, far_writer, passed))
    back = asyncio.create_task(_pump(far_reader, writer, None))
    try:
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (there, back):
            task.cancel()
        await asyncio.gather(there, back, return_exceptions=True)
        far_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passed: bytearray | None) -> None:
    while data := await reader.read(65536):
        if passed is not None:
            passed += data
        writer.write(data)
        await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection with a RST."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


@dataclass
class Town:
    """Certificates, and a loop in which listeners run."""

    ca: trustme.CA
    stranger: trustme.CA
    ca_file: Path
    run: Callable[[Coroutine[Any, Any, Any]], Any]
    listeners: list[Listener] = field(default_factory=list)

    def context(self, kind: str = "good") -> ssl.SSLContext:
        """A server's context with a certificate of this kind."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.change(context, kind)
        return context

    def change(self, context: ssl.SSLContext, kind: str) -> None:
        """Give a server another certificate; connections that are open keep the old one."""
        ended = datetime.now(UTC) - timedelta(days=1)
        made = {
            "good": lambda: self.ca.issue_cert(HOST),
            "untrusted": lambda: self.stranger.issue_cert(HOST),
            "expired": lambda: self.ca.issue_cert(HOST, not_before=ended - timedelta(days=9), not_after=ended),
            "not yet valid": lambda: self.ca.issue_cert(HOST, not_before=ended + timedelta(days=9)),
            "wrong host": lambda: self.ca.issue_cert("elsewhere.example"),
        }
        made[kind]().configure_cert(context)

    def start(self, listener: Any) -> Any:
        """Let it listen."""
        self.run(listener.start())
        self.listeners.append(listener)
        return listener

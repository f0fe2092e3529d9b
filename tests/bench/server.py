"""A small HTTP server for benchmarks: it answers every PUT as the API does, as far as a limiter lets it."""

import asyncio
import sys
import time
from collections.abc import Callable

GOOD = b'{"detail":"Order status updated successfully"}'
BAD = b'{"detail":"Too many requests"}'
Answerer = Callable[[], bytes]
Latency = Callable[[], float]


def response(status: str, body: bytes, *headers: str) -> bytes:
    """One HTTP/1.1 response in bytes."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


ACCEPTED = response("200 OK", GOOD)
NOT_FOUND = response("404 Not Found", b'{"detail":"Not Found"}')


class Service(asyncio.Protocol):
    """One connection; `answer` gives the bytes for a PUT, which leave after `latency` seconds.

    `took` is told how many seconds it was until they left.
    """

    def __init__(self, answer: Answerer, latency: Latency, took: Callable[[float], object]) -> None:
        self._answer, self._latency, self._took = answer, latency, took
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]) if b"content-length:" in head else 0
            if len(self._received) < end + 4 + length:
                return
            self._received = self._received[end + 4 + length :]
            self._reply(self._answer() if head.startswith(b"put ") else NOT_FOUND)

    def _reply(self, reply: bytes) -> None:
        now, latency = time.monotonic(), self._latency()
        if latency:
            asyncio.get_running_loop().call_later(latency, self._write, reply, now)
        else:
            self._write(reply, now)

    def _write(self, reply: bytes, came: float) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(reply)
            self._took(time.monotonic() - came)


async def serve(
    answer: Answerer = lambda: ACCEPTED,
    latency: Latency = lambda: 0.0,
    port: int = 0,
    took: Callable[[float], object] = lambda _seconds: None,
) -> tuple[asyncio.Server, str]:
    """Listen on loopback, on a free port for 0; give the server and its base URL."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Service(answer, latency, took), "127.0.0.1", port)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def main(port: int) -> None:
    """Serve on this port until the process is ended."""
    server, _ = await serve(port=port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

"""A raw TCP service with faults, independent of the sandbox and of any HTTP library, with a ledger of its own.

It looks at a request before it reads it, so that a fault can break the connection before, within and after reading.
"""

import asyncio
import contextlib
import re
import socket
import struct
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from support.ledger import Request, Said, read_answer

CONFIRMATION = b'{"detail": "Order status updated successfully"}'
ESTABLISHED = 1  # of the states in the kernel's tcp_info
LONGEST_STALL = 10.0
LONGEST_ANSWER = 100_000  # bytes of an answer that are looked at afterwards
CLIENT, CLIENT_SECRET, USER, PASSWORD = "fault-client", "fault-s3cr3t", "fault-user", "fault-passw0rd"
ISSUED = "fault-t0k3n-"  # and a number
SIGN_IN = b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode()
PUT, GET, PAGE, STATUSES, TOKEN = "PUT", "GET", "page", "statuses", "token"
_KINDS = (
    (r"PUT /engagement/orders/([0-9a-f-]{36})/status", PUT),
    (r"GET /engagement/orders/([0-9a-f-]{36})", GET),
    (r"GET /engagement/orders\?page=([0-9]+)&.*", PAGE),
    (r"GET /engagement/orders/(status)", STATUSES),
    (r"POST /auth/oauth/(token)", TOKEN),
)


@dataclass(eq=False)
class Seen:
    """One request as the service saw it. `about` is mostly an order.

    `status` is what an update asks for, None when its body had not arrived; or what a reading showed. `said` is what
    the client could learn from the answer.
    """

    kind: str
    about: str
    status: str | None = None
    bearer: str = ""
    applied: bool = False
    ended: bool = False
    said: Said = field(default_factory=Said)

    @property
    def is_order(self) -> bool:
        """Whether it is one of those that `--concurrency` bounds."""
        return self.kind in {PUT, GET, PAGE}


Act = Callable[["Exchange"], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a request, and how its row ends by the API's rules if this happens to one attempt.

    `slow`: it lasts until the client gives up. `blind`: it happens to a fresh connection before there is a request.
    `refuses`: nobody listens for a while, so there is no connection at all. `lasting`: so it stays until it is ended.
    `signs_in`: the client must be able to get another token. `late`: it may be applied after the client has given up.
    """

    act: Act
    end: str = "updated"
    slow: bool = False
    blind: bool = False
    refuses: bool = False
    lasting: bool = False
    signs_in: bool = False
    late: bool = False


@dataclass
class Exchange:
    """One connection, and the request on it if there is one yet: what a fault may do."""

    server: "FaultServer"
    socket: socket.socket
    seen: Seen
    head: bytes = b""
    length: int = 0  # of the body, as the request's head says
    is_read: bool = False
    is_closed: bool = False
    said: bytes = b""  # the answer's beginning
    is_unforeseen: bool = False  # if it is closed now: the client has an answer, and may send its next request

    @property
    def yes(self) -> bytes:
        """The body of the right answer."""
        return self.server.right_answer(self.seen)

    @property
    def client_is_gone(self) -> bool:
        """Whether the other side has closed, whatever is left to be read."""
        if self.is_closed:
            return True
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        return info[0] != ESTABLISHED

    async def read_head(self) -> None:
        """Take the head, leave the body."""
        await self._take(len(self.head))

    async def read(self) -> None:
        """Take the whole request."""
        if not self.is_read:
            await self._take(len(self.head) + self.length)
            self.is_read = True

    async def _take(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        data = b""
        while len(data) < count:
            piece = await loop.sock_recv(self.socket, count - len(data))
            if not piece:
                raise ConnectionResetError
            data += piece
        if self.seen.kind == PUT:
            self.seen.status = _status_in(data) or self.seen.status

    def apply(self) -> None:
        """Do what the request asks for."""
        if self.seen.kind == PUT and self.seen.status:
            self.server.orders[self.seen.about] = self.seen.status
            self.seen.applied = True
        if self.seen.kind == TOKEN:
            self.server.tokens = (self.server.tokens or 0) + 1

    async def send(self, data: bytes) -> None:
        """Answer with these bytes; a client that has gone away is its own affair."""
        self.is_unforeseen = b"Connection: close" not in data
        self.said = (self.said + data)[:LONGEST_ANSWER]
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def stall(self, longest: float = LONGEST_STALL) -> None:
        """Do nothing until the client gives up."""
        for _ in range(int(longest / 0.01)):
            if self.client_is_gone:
                return
            await asyncio.sleep(0.01)

    def reset(self) -> None:
        """Break the connection with a RST."""
        if not self.is_closed:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close the connection. What was not read makes a RST of it."""
        self.is_closed = True
        self.socket.close()

    def shut(self) -> None:
        """Send the end (FIN), whatever is left unread."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)


def answer(status: int = 200, body: bytes = CONFIRMATION, *headers: str, length: int | None = None) -> bytes:
    """An HTTP answer as bytes; `length` may lie."""
    lines = [f"HTTP/1.1 {status} X", *headers]
    if not any(header.startswith("Content-Type:") for header in headers):
        lines.append("Content-Type: application/json")
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class FaultServer:
    """Serves on loopback; an async context manager.

    `faults` says what goes wrong: by a request's kind and its place among those of its kind (from 0, in order of
    arrival), by kind, order and attempt, or by kind and order for every attempt. `on_put` is told of every update
    when it arrives, `refusals` counts those that the client has met.
    What must never happen is noted in `wrongs`; the ledger is `seen`.
    """

    def __init__(
        self,
        faults: dict[tuple[object, ...], Fault],
        orders: dict[str, str],
        *,
        statuses: tuple[str, ...] = (),
        keep_alive: bool = True,
        concurrency: int = 1,
        signs_in: bool = False,
        on_put: Callable[[Seen], None] = lambda _seen: None,
        refusals: Callable[[], int] = lambda: 0,
    ) -> None:
        self.faults, self.orders, self.statuses = faults, orders, statuses
        self.seen: list[Seen] = []
        self.wrongs: list[str] = []
        self.unseen = 0  # requests that may have been sent on a connection which was closed before they arrived
        self.fired: list[Fault] = []
        self.concurrency, self.keep_alive = concurrency, keep_alive
        self.on_put, self.refusals = on_put, refusals
        self.tokens = 0 if signs_in else None  # how many have been given
        self._lasting: Fault | None = None
        self._places: dict[str, int] = {}
        self._attempts: dict[tuple[str, str], int] = {}
        self._open: dict[Seen, Exchange] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None

    async def __aenter__(self) -> Self:
        self._trap = _bound(0)
        self._trap.listen()
        self.elsewhere = _address(self._trap)
        self._holder = _bound(0)  # keeps the port while nobody listens on it
        self.base_url = _address(self._holder)
        self._start_listening()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_listening()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._holder.close()
        self._trap.close()

    @property
    def puts(self) -> list[Seen]:
        """The updates that have arrived, in order."""
        return [seen for seen in self.seen if seen.kind == PUT]

    @property
    def somebody_went_elsewhere(self) -> bool:
        """Whether a connection was made to where redirects point."""
        try:
            self._trap.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    @property
    def ledger(self) -> list[Request]:
        """The updates and readings of orders, in order."""
        return [
            Request(seen.about, seen.status, seen.kind == GET, seen.applied, seen.said)
            for seen in self.seen
            if seen.kind in {PUT, GET}
        ]

    def end_lasting(self) -> None:
        """Be well from now on."""
        self._lasting = None
        self.faults = {}

    def right_answer(self, seen: Seen) -> bytes:
        """The body that the API would answer with."""
        if seen.kind == PUT:
            return CONFIRMATION
        if seen.kind == GET:
            return b'{"id": "%s", "status": {"id": "%s"}}' % (seen.about.encode(), self.orders[seen.about].encode())
        if seen.kind == STATUSES:
            names = ", ".join(f'{{"id": "{one}", "name": "Status {n}"}}' for n, one in enumerate(self.statuses))
            return b'{"items": [%s]}' % names.encode()
        if seen.kind == PAGE:
            first = (int(seen.about) - 1) * 50
            found = list(self.orders.items())[first : first + 50]
            names = ", ".join(f'{{"id": "{order}", "name": "", "status_id": "{status}"}}' for order, status in found)
            return b'{"items": [%s]}' % names.encode()
        return b'{"access_token": "%s", "refresh_token": "fault-r3fresh"}' % self.token.encode()

    @property
    def token(self) -> str:
        """The token that is good now."""
        return f"{ISSUED}{self.tokens or 0}"

    # Connections

    def _start_listening(self) -> None:
        self._listener = _bound(self._holder.getsockname()[1])
        self._listener.listen(128)
        self._spawn(self._accept(self._listener))

    def _stop_listening(self) -> None:
        if self._listener:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        while self._listener is listener:
            await _readable(listener)
            with contextlib.suppress(BlockingIOError):
                client, _address = listener.accept()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._spawn(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        exchange = None
        try:
            with client, contextlib.suppress(OSError):
                if await self._blind(client):
                    return
                while data := await _peek_request(client):
                    exchange = self._arrive(client, data)
                    await self._handle(exchange)
                    self._leave(exchange)
                    if exchange.is_closed or not exchange.is_read or not self.keep_alive:
                        self.unseen += exchange.is_unforeseen
                        return
        finally:
            if exchange:
                self._leave(exchange)

    async def _blind(self, client: socket.socket) -> bool:
        """Act on a fresh connection for the update that would come on it; whether that has ended it."""
        place = self._places.get(PUT, 0)
        fault = self.faults.get((PUT, place))
        if fault is None or not fault.blind or STATUSES not in self._places:
            return False
        self._places[PUT] = place + 1
        self.unseen += 1
        self.fired.append(fault)
        self._refuse_next(Seen(PUT, ""))
        await fault.act(Exchange(self, client, Seen(PUT, "")))
        return True

    def _arrive(self, client: socket.socket, data: bytes) -> Exchange:
        """Enter the request in the ledger, with all that can be told about it before it is read."""
        head, end, body = data.partition(b"\r\n\r\n")
        head += end
        line = head.split(b" HTTP/1.1\r\n", 1)[0].decode("latin-1")
        kind, about = next(
            ((kind, found[1]) for pattern, kind in _KINDS if (found := re.fullmatch(pattern, line))), ("?", line)
        )
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", head)
        bearer = re.search(rb"(?i)\r\nauthorization: (?:Bearer )?([^\r]+)\r\n", head)
        seen = Seen(kind, about, _status_in(body) if kind == PUT else None, bearer[1].decode() if bearer else "")
        exchange = Exchange(self, client, seen, head, int(length[1]) if length else 0)
        self.seen.append(seen)
        self._check_arrival(seen)
        self._open[seen] = exchange
        return exchange

    def _check_arrival(self, seen: Seen) -> None:
        if seen.kind == "?":
            self.wrongs.append(f"an unheard-of request: {seen.about}")
        wanted = SIGN_IN if seen.kind == TOKEN else ISSUED
        if wanted not in seen.bearer:
            self.wrongs.append(f"{seen.kind} {seen.about} is not signed")
        open_now = [other for other, exchange in self._open.items() if not other.ended and not exchange.client_is_gone]
        if seen.kind == PUT and any(other.kind == PUT and other.about == seen.about for other in open_now):
            self.wrongs.append(f"two updates of {seen.about} at once")
        if seen.is_order and sum(other.is_order for other in open_now) >= self.concurrency:
            self.wrongs.append(f"more than {self.concurrency} requests at once")
        if seen.kind == PUT:
            self.on_put(seen)

    def _leave(self, exchange: Exchange) -> None:
        exchange.seen.ended = True
        self._open.pop(exchange.seen, None)

    # Requests

    async def _handle(self, exchange: Exchange) -> None:
        seen = exchange.seen
        fault = self._fault_for(seen)
        self._refuse_next(seen)
        if fault:
            self.fired.append(fault)
            if fault.lasting:
                self._lasting = fault
            await fault.act(exchange)
        else:
            await self._answer(exchange)
        if not (fault and fault.slow):  # the client has not given up
            seen.said = read_answer(exchange.said, exchange.yes)
        if seen.kind == GET and seen.said.is_right:
            seen.status = self.orders[seen.about]

    async def _answer(self, exchange: Exchange) -> None:
        await exchange.read()
        if self.tokens is not None and exchange.seen.kind != TOKEN and exchange.seen.bearer != self.token:
            await exchange.send(answer(401, b"{}"))
            return
        exchange.apply()
        await exchange.send(answer(200, exchange.yes, *([] if self.keep_alive else ["Connection: close"])))

    def _fault_for(self, seen: Seen) -> Fault | None:
        place = self._places.get(seen.kind, 0)
        attempt = self._attempts.get((seen.kind, seen.about), 0)
        self._places[seen.kind] = place + 1
        self._attempts[seen.kind, seen.about] = attempt + 1
        if self._lasting and seen.kind == PUT:
            return self._lasting
        keys = ((seen.kind, place), (seen.kind, seen.about, attempt), (seen.kind, seen.about))
        found = next((self.faults[key] for key in keys if key in self.faults), None)
        return None if found and (found.blind or found.refuses) else found

    def _refuse_next(self, seen: Seen) -> None:
        """Stop to listen when the next update, which needs a connection of its own, is to be refused."""
        while seen.kind in {PUT, STATUSES}:
            place = self._places.get(PUT, 0)
            fault = self.faults.get((PUT, place))
            if fault is None or not fault.refuses:
                return
            self._places[PUT] = place + 1
            self.fired.append(fault)
            if self._listener:
                self._stop_listening()
                self._spawn(self._listen_again())

    async def _listen_again(self) -> None:
        before, left = self.refusals(), 300
        while self.refusals() <= before and left:
            left -= 1
            await asyncio.sleep(0.01)
        self._start_listening()


def _bound(port: int) -> socket.socket:
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind(("127.0.0.1", port))
    found.setblocking(False)
    return found


def _address(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


async def _readable(found: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    arrived = loop.create_future()
    loop.add_reader(found, lambda: arrived.done() or arrived.set_result(None))
    try:
        await arrived
    finally:
        if found.fileno() >= 0:
            loop.remove_reader(found)


async def _peek_request(client: socket.socket) -> bytes:
    """What has arrived of the next request, at least its head; it stays unread. Empty when the client has closed."""
    while True:
        await _readable(client)
        data = client.recv(65536, socket.MSG_PEEK)
        if not data or b"\r\n\r\n" in data:
            return data
        await asyncio.sleep(0.001)


def _status_in(body: bytes) -> str | None:
    found = re.search(rb'"status_id": "([^"]+)"', body)
    return found[1].decode() if found else None

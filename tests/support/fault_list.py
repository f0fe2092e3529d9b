"""Every fault that the attacks use, by name. Each is written for any request: an update, a reading, a sign-in."""

import asyncio
import gzip
import uuid
from collections.abc import Callable
from typing import Any

from support.fault_server import GET, PUT, Act, Exchange, Fault, answer

HUGE = b"a" * 1_000_000
GZIPPED = gzip.compress(b"\0" * 40_000_000)  # some 40 KB, few enough to be read whole
STALLED = 0.1  # seconds after the client has given up, or the gateway
GATEWAY = b"<html><head><title>Gateway Time-out</title></head><body><h1>nginx</h1></body></html>"
HTML = "Content-Type: text/html"
OTHER_WORDS = '{"detail": "Sipariş durumu güncellendi"}'.encode()
OTHER_YES = (200, 201, 202, 203, 207, 299)
ALREADY = b'{"detail": "Order is already in this status"}'
Make = Callable[[Exchange], bytes]


def says(make: Make | bytes, *, applied: bool = True, then: str = "") -> Act:
    """Read the request, answer with bytes, and go on, or `then` close or reset the connection."""

    async def act(exchange: Exchange) -> None:
        await exchange.read()
        if applied:
            exchange.apply()
        await exchange.send(make if isinstance(make, bytes) else make(exchange))
        _end(exchange, then)

    return act


def breaks(then: str, *, after: str = "") -> Act:
    """Break the connection unanswered, before reading or `after` reading the `head`, the `body`, or `applying`."""

    async def act(exchange: Exchange) -> None:
        if after == "head":
            await exchange.read_head()
        elif after:
            await exchange.read()
        if after == "applying":
            exchange.apply()
        _end(exchange, then)

    return act


def stalls(after: str, *, applied: bool = False, part: Make = lambda _exchange: b"") -> Act:
    """Fall silent before reading, or after reading the `head` or the `body` and sending a part of the answer."""

    async def act(exchange: Exchange) -> None:
        if after == "head":
            await exchange.read_head()
        elif after:
            await exchange.read()
        if applied:
            exchange.apply()
        if data := part(exchange):
            await exchange.send(data)
        await exchange.stall()
        exchange.close()

    return act


def drips(make: Make, seconds: float) -> Act:
    """Answer byte by byte, until the client goes away."""

    async def act(exchange: Exchange) -> None:
        await exchange.read()
        exchange.apply()
        for byte in make(exchange):
            if exchange.client_is_gone:
                return
            await exchange.send(bytes([byte]))
            await asyncio.sleep(seconds)

    return act


def pours(first: bytes, more: bytes) -> Act:
    """Answer without an end, as fast as the client takes it."""

    async def act(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.send(first)
        while not exchange.client_is_gone:
            await exchange.send(more)
            await asyncio.sleep(0)
        exchange.close()

    return act


def _end(exchange: Exchange, then: str) -> None:
    if then == "reset":
        exchange.reset()
    elif then == "close":
        exchange.close()
    elif then == "shut":
        exchange.shut()


def _yes(*headers: str, status: int = 200, length: int | None = None) -> Make:
    return lambda exchange: answer(status, exchange.yes, *headers, length=length)


def _raw(head: bytes, tail: bytes = b"") -> Make:
    """The head as it stands here, then the right body."""
    return lambda exchange: head.replace(b"LENGTH", b"%d" % len(exchange.yes)) + exchange.yes + tail


def _chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n", more: bytes = b"") -> Make:
    head = b"HTTP/1.1 200 OK\r\n" + more + b"Transfer-Encoding: chunked\r\n\r\n"
    return lambda exchange: head + (b"".join(pieces) or b"%x\r\n%s\r\n" % (len(exchange.yes), exchange.yes)) + end


def _cut(make: Make, count: int) -> Make:
    return lambda exchange: make(exchange)[:count]


def _error(status: int, *headers: str, body: bytes = b"{}") -> Fault:
    end = "updated" if status in {401, 408, 425, 429} or status >= 500 else "failed"
    return Fault(says(answer(status, body, *headers), applied=False), end)


def _refusing_unread(exchange: Exchange) -> Any:
    async def act() -> None:
        await exchange.read_head()
        await exchange.send(answer(413, b"{}", "Connection: close"))
        exchange.close()

    return act()


def _redirect(status: int, *, to_itself: bool = False, where: str | None = None) -> Fault:
    def make(exchange: Exchange) -> bytes:
        path = exchange.head.split(b" ", 2)[1].decode()
        base = exchange.server.base_url if to_itself else exchange.server.elsewhere
        return answer(status, b"", f"Location: {base + path if where is None else where}")

    return Fault(says(make, applied=False), "stops")


async def _applied_late(exchange: Exchange) -> None:
    await exchange.read()
    await exchange.stall()
    await asyncio.sleep(STALLED)
    exchange.apply()
    exchange.close()


async def _given_up_on(exchange: Exchange) -> None:
    """Answer as a gateway that waits no longer, while the service behind it goes on."""
    await exchange.read()
    await exchange.send(answer(504, GATEWAY, HTML))
    exchange.seen.ended = True  # for the client
    await asyncio.sleep(STALLED)
    exchange.apply()


def _already(exchange: Exchange) -> bytes:
    """The answer of a slow service that refuses what it has done before."""
    seen = exchange.seen
    done = seen.kind == PUT and exchange.server.orders[seen.about] == seen.status
    return answer(400, ALREADY) if done else answer(504, GATEWAY, HTML)


async def _applied_once(exchange: Exchange) -> None:
    await exchange.read()
    said = _already(exchange)
    exchange.apply()
    await exchange.send(said)


def _about_another(exchange: Exchange) -> bytes:
    another = str(uuid.uuid4())
    if exchange.seen.kind != GET:
        return answer(400, b'{"detail": "Order (%s) not found"}' % another.encode())
    status = next((one for one in exchange.server.statuses if one != exchange.server.orders[exchange.seen.about]), "")
    return answer(200, b'{"id": "%s", "status": {"id": "%s"}}' % (another.encode(), status.encode()))


async def _closed_after_answering(exchange: Exchange) -> None:
    """Say that the connection stays, and close it so late that the next request may be on its way."""
    await exchange.read()
    exchange.apply()
    await exchange.send(answer(200, exchange.yes, "Connection: keep-alive"))
    await asyncio.sleep(0)
    exchange.close()


async def _repeats_what_it_got(exchange: Exchange) -> None:
    await exchange.read()
    said = exchange.head.decode("latin-1").replace("\r\n", " ").replace('"', "'")
    await exchange.send(answer(500, f'{{"detail": "{said}"}}'.encode()))


CONNECTION = {
    "refused": Fault(breaks(""), refuses=True),
    "reset when connected": Fault(breaks("reset"), blind=True),
    "closed when connected": Fault(breaks("close"), blind=True),
    "reset before reading": Fault(breaks("reset")),
    "closed before reading": Fault(breaks("close")),
    "shut before reading": Fault(breaks("shut")),
    "reset after the head": Fault(breaks("reset", after="head")),
    "closed after the head": Fault(breaks("close", after="head")),
    "reset after the body": Fault(breaks("reset", after="body")),
    "closed after the body": Fault(breaks("close", after="body")),
    "reset after applying": Fault(breaks("reset", after="applying")),
    "closed after applying": Fault(breaks("close", after="applying")),
    "refused after the head": Fault(_refusing_unread, "either"),
    "stall before reading": Fault(stalls(""), slow=True),
    "stall after the head": Fault(stalls("head"), slow=True),
    "stall before the answer": Fault(stalls("body"), slow=True),
    "stall after applying": Fault(stalls("body", applied=True), slow=True),
    "stall within the answer's head": Fault(stalls("body", part=_cut(_yes(), 30)), slow=True),
    "stall after the answer's head": Fault(
        stalls("body", part=lambda _exchange: answer(200, b"", length=47)), slow=True
    ),
    "stall within the answer's body": Fault(stalls("body", applied=True, part=lambda e: _yes()(e)[:-9]), slow=True),
    "applied late": Fault(_applied_late, slow=True, late=True),
    "drips its head": Fault(drips(_yes(), 0.05), slow=True),
    "drips its body": Fault(drips(_raw(b"HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\n\r\n"), 0.02), slow=True),
    "drips, but ends": Fault(drips(_yes(), 0.001)),
    "closed just after an answer": Fault(_closed_after_answering),
    "shut just after an answer": Fault(says(_yes("Connection: keep-alive"), then="shut")),
    "a second yes at once": Fault(says(lambda e: _yes()(e) * 2)),
    "an unasked yes after a no": Fault(says(lambda e: answer(400, b"{}") + _yes()(e), applied=False), "failed"),
    "half a second answer": Fault(says(lambda e: _yes()(e) + _yes()(e)[:40])),
    "blank lines after an answer": Fault(says(lambda e: _yes()(e) + b"\r\n\r\n")),
}

FRAMING = {
    "reset within the head": Fault(says(_cut(_yes(), 20), applied=False, then="reset")),
    "closed within the head": Fault(says(_cut(_yes(), 20), then="close")),
    "truncated": Fault(says(lambda e: _yes()(e)[:-10], applied=False, then="close")),
    "truncated after applying": Fault(says(lambda e: _yes()(e)[:-10], then="close")),
    "reset within the body": Fault(says(lambda e: _yes()(e)[:-10], then="reset")),
    "length too large": Fault(says(_yes(length=999), then="close")),
    "length too large, kept open": Fault(says(_yes(length=999)), slow=True),
    "length too small": Fault(says(_yes(length=10))),
    "length 0": Fault(says(_yes(length=0))),
    "length negative": Fault(says(_yes(length=-5), then="close")),
    "length enormous": Fault(says(_yes(length=10**30), then="close")),
    "length a word": Fault(says(_raw(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), then="close")),
    "length signed": Fault(says(_raw(b"HTTP/1.1 200 OK\r\nContent-Length: +LENGTH\r\n\r\n"), then="close")),
    "two lengths": Fault(says(_yes("Content-Length: 3"), then="close")),
    "two equal lengths": Fault(says(_raw(b"HTTP/1.1 200 OK\r\n" + b"Content-Length: LENGTH\r\n" * 2 + b"\r\n"))),
    "no length": Fault(says(_raw(b"HTTP/1.1 200 OK\r\n\r\n"), then="close")),
    "chunked": Fault(says(_chunked())),
    "chunked and a length": Fault(says(_chunked(more=b"Content-Length: 3\r\n"), then="close")),
    "chunked, cut": Fault(says(_chunked(end=b""), then="close")),
    "chunked, garbage": Fault(says(_chunked(b"zz\r\n{}\r\n"), then="close")),
    "chunked, enormous": Fault(says(_chunked(b"f" * 16 + b"\r\n{}"), then="close")),
    "chunked, with a trailer": Fault(says(_chunked(end=b"0\r\nX-Sum: 1\r\n\r\n"))),
    "garbage": Fault(says(b"\x00\xff garbage \r\n\r\n", then="close")),
    "another protocol": Fault(says(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9, then="close")),
    "nothing but blank lines": Fault(says(b"\r\n" * 999, then="close")),
    "line of garbage in the head": Fault(says(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", then="close")),
    "status a word": Fault(says(_raw(b"HTTP/1.1 fine OK\r\nContent-Length: LENGTH\r\n\r\n"), then="close")),
    "status of four digits": Fault(says(_raw(b"HTTP/1.1 2000 OK\r\nContent-Length: LENGTH\r\n\r\n"), then="close")),
    "status 0": Fault(says(_raw(b"HTTP/1.1 000 X\r\nContent-Length: LENGTH\r\n\r\n"), then="close")),
    "HTTP/1.0": Fault(says(_raw(b"HTTP/1.0 200 OK\r\nContent-Length: LENGTH\r\n\r\n"), then="close")),
    "HTTP/9.9": Fault(says(_raw(b"HTTP/9.9 200 OK\r\nContent-Length: LENGTH\r\n\r\n"), then="close")),
    "bare line feeds": Fault(says(_raw(b"HTTP/1.1 200 OK\nContent-Length: LENGTH\n\n"), then="close")),
    "NUL in the head": Fault(says(_yes("X: a\x00b"), then="close")),
    "folded header": Fault(says(_yes("X: a\r\n b"))),
    "headers twice": Fault(says(_yes("Content-Type: text/html", "Date: x", "Date: y", "Server: a", "Server: b"))),
    "cookies": Fault(says(_yes(*[f"Set-Cookie: a{n}={'b' * 99}" for n in range(50)]))),
    "a head of 1 MB": Fault(says(_yes("X: " + HUGE.decode()), then="close")),
    "10,000 headers": Fault(says(_yes(*[f"X-{n}: y" for n in range(10_000)]), then="close")),
    "an endless head": Fault(pours(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 10_000)),
    "100, then yes": Fault(says(lambda e: b"HTTP/1.1 100 Continue\r\n\r\n" + _yes()(e))),
    "100 a thousand times": Fault(says(lambda e: b"HTTP/1.1 100 Continue\r\n\r\n" * 1000 + _yes()(e))),
    "100 for ever": Fault(pours(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), slow=True),
    "100 and no more": Fault(says(b"HTTP/1.1 100 Continue\r\n\r\n", then="close")),
    "103, then yes": Fault(says(lambda e: b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + _yes()(e))),
    "101": Fault(says(answer(101, b"", "Upgrade: x", "Connection: Upgrade"), then="close")),
}

CONTENT = {
    "html": Fault(says(answer(200, b"<html>welcome"))),
    "html, so called": Fault(says(answer(200, b"<html>welcome", HTML))),
    "yes, called html": Fault(says(_raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: LENGTH\r\n\r\n"))),  # noqa: E501 - a table
    "yes of no type": Fault(says(_raw(b"HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\n\r\n"))),
    "type of garbage": Fault(says(_raw(b"HTTP/1.1 200 OK\r\nContent-Type: ;;=\xff\r\nContent-Length: LENGTH\r\n\r\n"))),
    "no such charset": Fault(says(answer(200, b"\xff\xfe\x00{", "Content-Type: text/html; charset=none"))),
    "charset UTF-16": Fault(says(lambda e: answer(200, e.yes.decode().encode("utf-16")))),
    "byte order mark": Fault(says(lambda e: answer(200, b"\xef\xbb\xbf" + e.yes))),
    "empty": Fault(says(answer(200, b""))),
    "empty json": Fault(says(answer(200, b"{}"))),
    "json of null": Fault(says(answer(200, b"null"))),
    "cut json": Fault(says(answer(200, b'{"detail": "Order sta'))),
    "nested json": Fault(says(answer(200, b"[" * 60_000))),
    "a number of 60,000 digits": Fault(says(answer(200, b"9" * 60_000))),
    "detail of another kind": Fault(says(answer(200, b'{"detail": {"a": [1, null]}}'))),
    "lone surrogates": Fault(says(answer(200, b'{"detail": "\\ud800 \\udfff"}'))),
    "enormous json": Fault(says(answer(200, b'{"detail": "' + HUGE * 2 + b'"}'))),
    "endless json": Fault(pours(b"HTTP/1.1 200 OK\r\n\r\n" + b'{"detail": "', HUGE[:100_000])),
    "endless chunks": Fault(pours(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"186a0\r\n" + HUGE[:100_000] + b"\r\n")),  # noqa: E501 - a table
    "gzip of rubbish": Fault(says(answer(200, b"\x1f\x8b\x08\x00rubbish", "Content-Encoding: gzip"))),
    "gzip bomb": Fault(says(answer(200, GZIPPED, "Content-Encoding: gzip"))),
    "gzip bomb in a gzip bomb": Fault(says(answer(200, gzip.compress(GZIPPED), "Content-Encoding: gzip, gzip"))),
    "gzip bomb as transfer": Fault(says(answer(200, GZIPPED, "Transfer-Encoding: gzip"), then="close")),
    "yes in gzip": Fault(says(lambda e: answer(200, gzip.compress(e.yes), "Content-Encoding: gzip"))),
    "unheard-of encoding": Fault(says(_yes("Content-Encoding: zstd, br, x"))),
    "about another order": Fault(says(_about_another, applied=False), "failed"),
    "repeats the token": Fault(_repeats_what_it_got),
    "201": Fault(says(_yes(status=201))),
    "202": Fault(says(_yes(status=202))),
    "204": Fault(says(b"HTTP/1.1 204 No Content\r\n\r\n")),
    "204, not applied": Fault(says(b"HTTP/1.1 204 No Content\r\n\r\n", applied=False)),
    "206": Fault(says(_yes("Content-Range: bytes 0-46/99", status=206))),
    **{f"{code} in other words": Fault(says(answer(code, OTHER_WORDS))) for code in OTHER_YES},
    **{f"{code} in other words, not applied": Fault(says(answer(code, OTHER_WORDS), applied=False)) for code in OTHER_YES},  # noqa: E501 - a table
    "202 with Retry-After": Fault(says(answer(202, OTHER_WORDS, "Retry-After: 0"))),
    "html, not applied": Fault(says(answer(200, b"<html>welcome", HTML), applied=False)),
    "empty, not applied": Fault(says(answer(200, b""), applied=False)),
}  # fmt: skip

CODES = (400, 402, 403, 404, 405, 406, 407, 408, 409, 410, 412, 413, 415, 417, 421, 422, 423, 424, 425, 426, 428, 429,
         431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 525, 599)  # fmt: skip
WAITS = {
    "0": "0", "negative": "-1", "empty": "", "text": "soon", "1e99": "1e99", "digits": "9" * 400, "fraction": "0.001",
    "past date": "Thu, 01 Jan 1970 00:00:00 GMT", "far date": "Fri, 31 Dec 9999 23:59:59 GMT",
    "bad date": "Mon, 32 Foo 2026 99:99:99 +9999", "twice": "0\r\nRetry-After: 1e9",
    "date by a fast clock": "Sat, 01 Jan 2050 00:00:01 GMT\r\nDate: Sat, 01 Jan 2050 00:00:00 GMT",
    "date by a slow clock": "Thu, 01 Jan 1970 00:00:01 GMT\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT",
    "date by no clock": "Sat, 01 Jan 2050 00:00:01 GMT\r\nDate: now",
}  # fmt: skip

STATUS = {
    **{str(code): _error(code) for code in CODES},
    "400 in html": _error(400, body=b"<html>bad request"),
    "400 not found, but another order": _error(400, body=b'{"detail": "Order (x) not found"}'),
    "422 with a list": _error(422, body=b'{"detail": [{"loc": ["body"], "msg": "bad"}, 7, null]}'),
    "400 already in this status": _error(400, body=ALREADY),
    **{f"{code} after applying": Fault(says(answer(code, GATEWAY, HTML))) for code in (408, 500, 502, 503, 504, 520)},
    "504 after applying, then already": Fault(_applied_once),
    "504, applied a little later": Fault(_given_up_on, late=True),
    "504 in html": _error(504, body=GATEWAY),
    "401": _error(401),
    "401, another token to be had": Fault(says(answer(401, b"{}"), applied=False), signs_in=True),
    "401 for ever": Fault(says(answer(401, b"{}"), applied=False), "stops", lasting=True),
    "401 for ever, whatever token": Fault(
        says(answer(401, b"{}"), applied=False), "stops", lasting=True, signs_in=True
    ),
    **{f"{code}, {name}": _error(code, f"Retry-After: {wait}") for name, wait in WAITS.items() for code in (429, 503)},
    "500 with Retry-After": _error(500, "Retry-After: 1"),
    "200 with Retry-After": Fault(says(_yes("Retry-After: 300"))),
    **{f"{code} elsewhere": _redirect(code) for code in (301, 302, 303, 307, 308)},
    **{f"{code} to itself": _redirect(code, to_itself=True) for code in (302, 307)},
    "302 to nowhere": _redirect(302, where=""),
    "302 to garbage": _redirect(302, where="http://[::"),
    "300": _redirect(300),
    "304": Fault(says(b"HTTP/1.1 304 Not Modified\r\n\r\n", applied=False), "stops"),
}

FAULTS: dict[str, Fault] = {**CONNECTION, **FRAMING, **CONTENT, **STATUS}
ALL_CODES: dict[str, Fault] = {f"{code}": _error(code) for code in range(400, 600) if code not in CODES and code != 401}

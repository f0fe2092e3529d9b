"""A local Evreka360-like API with switchable faults. Imports nothing of the package, to be an independent check."""

import asyncio
import random
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import encode_basic_auth, web

_ENTRY: web.RequestKey[dict[str, Any]] = web.RequestKey("entry", dict)
STATUSES = ("Planned", "Assigned", "In Progress", "Completed", "Cancelled", "Postponed")
_GATEWAY_TIMEOUT = "<html><head><title>504 Gateway Time-out</title></head><body>nginx</body></html>"
CLIENT_ID, CLIENT_SECRET, USER, PASSWORD = "sandbox-client", "sandbox-secret", "sandbox-user", "sandbox-pass"


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """Faults and seeds. Times are seconds, rates are shares (0 to 1) or requests per second."""

    host: str = "127.0.0.1"
    port: int = 0
    latency: float = 0.0
    error_rate: float = 0.0
    read_errors: float = 0.0  # share of orders' details answered 503
    rate_limit: float = 0.0
    lose_answers: float = 0.0
    gateway_timeouts: float = 0.0  # share of updates that are applied and answered 504, in HTML
    answer_with: int | None = None  # the status (200 to 299) of the answers to updates that are applied
    orders: int = 10_000
    seed: int = 1
    token_ttl: float = 0.0
    tell_ttl: bool = True  # whether `expires_in` is in the answer
    token: str = "sandbox-token"  # noqa: S105 - worth nothing elsewhere
    refuse_refresh: bool = False
    statuses: tuple[str, ...] = STATUSES
    refuse_statuses: int = 0  # the HTTP status that the list of statuses answers
    refuse_list: int = 0  # the HTTP status that the list of orders answers
    moving: int = 0  # by how many places the list of orders shifts from one page to the next
    ignore_exact: bool = False  # list all orders whatever `name__exact` asks for
    loose_exact: bool = False  # let `name__exact` ignore case, as some databases do
    deaf: float = 0.0  # share of updates confirmed but not applied


def order_id(number: int) -> str:
    """Return the id of the nth seeded order, from 1."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"order/{number}"))


def status_id(name: str) -> str:
    """Return the id of a status."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"status/{name}"))


class Sandbox:
    """The server. `ledger` has every request, `orders` the present state; an async context manager."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.ledger: list[dict[str, Any]] = []
        self.statuses = {status_id(name): name for name in options.statuses}
        planned = {"id": status_id("Planned"), "name": "Planned"}
        self.orders: dict[str, dict[str, Any]] = {
            order_id(n): {"id": order_id(n), "name": f"WO-{n:05}", "status": planned}
            for n in range(1, options.orders + 1)
        }
        self._random = random.Random(options.seed)  # noqa: S311 - repeatable faults, no secret
        self.tokens: dict[str, float] = {}  # issued, with the time when each expires
        self.refresh_tokens: set[str] = set()
        self.refuse_sign_in = False
        self.unreadable: dict[str, int] = {}  # orders that can't be read, with the HTTP status answered
        self.on_update: Callable[[str], None] = lambda _order: None  # called with the order's id before it changes
        self._in_flight = 0
        self._shift = 0
        self._level = 0.0
        self._seen = 0.0
        self._runner: web.AppRunner | None = None
        self.base_url = ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start to listen; `base_url` is set afterwards."""
        app = web.Application(middlewares=[self._account])
        app.router.add_get("/engagement/orders/status", self._list_statuses)
        app.router.add_get("/engagement/orders/{order}", self._detail)
        app.router.add_put("/engagement/orders/{order}/status", self._update)
        app.router.add_get("/engagement/orders", self._list_orders)
        app.router.add_post("/auth/oauth/token", self._token)
        app.router.add_get("/_sandbox/ledger", self._show_ledger)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.options.host, self.options.port)
        await site.start()
        port = self._runner.addresses[0][1]
        host = f"[{self.options.host}]" if ":" in self.options.host else self.options.host
        self.base_url = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    @web.middleware
    async def _account(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path.startswith("/_sandbox"):
            return await handler(request)  # type: ignore[no-any-return]  # aiohttp's Handler is loosely typed
        self._in_flight += 1
        entry: dict[str, Any] = {
            "t": time.monotonic(), "method": request.method, "path": request.path,
            "order_id": request.match_info.get("order"), "status_id": None, "answer": None, "applied": False,
            "in_flight": self._in_flight,
        }  # fmt: skip
        self.ledger.append(entry)
        request[_ENTRY] = entry
        try:
            await request.read()  # what has arrived is done, even when the client goes away meanwhile
            await asyncio.sleep(self.options.latency)
            response: web.StreamResponse = self._gate(request) or await handler(request)
            if not entry.get("lost"):
                entry["answer"] = response.status
            return response
        finally:
            self._in_flight -= 1

    def _gate(self, request: web.Request) -> web.Response | None:
        if request.path == "/auth/oauth/token":
            return None
        if not self._is_valid(request.headers.get("Authorization", "").removeprefix("Bearer ")):
            return web.json_response({"detail": "Could not validate credentials"}, status=401)
        if self.options.rate_limit and not self._within_limit():
            return web.json_response({"detail": "Too many requests"}, status=429, headers={"Retry-After": "1"})
        if request.method == "PUT" and self._random.random() < self.options.error_rate:
            return web.json_response({"detail": "Service unavailable"}, status=503)
        return None

    def _is_valid(self, token: str) -> bool:
        return token == self.options.token or self.tokens.get(token, 0.0) > time.monotonic()

    def _within_limit(self) -> bool:
        now, limit = time.monotonic(), self.options.rate_limit
        self._level = max(self._level - (now - self._seen) * limit, 0.0)
        self._seen = now
        if self._level + 1 > max(1.0, limit / 10):
            return False
        self._level += 1
        return True

    async def _update(self, request: web.Request) -> web.StreamResponse:
        order, entry = request.match_info["order"], request[_ENTRY]
        try:
            wanted = (await request.json())["status_id"]
        except (ValueError, KeyError, TypeError):
            wanted = None
        entry["status_id"] = wanted
        self.on_update(order)
        if wanted not in self.statuses:
            problem = {"loc": ["body", "status_id"], "msg": "unknown status", "type": "value_error"}
            return web.json_response({"detail": [problem]}, status=422)
        if order not in self.orders:
            return web.json_response({"detail": f"Order ({order}) not found"}, status=400)
        if not self.options.deaf or self._random.random() >= self.options.deaf:
            self.set_status(order, wanted)
            entry["applied"] = True
        if self._random.random() < self.options.lose_answers and request.transport:
            entry["lost"] = True
            request.transport.abort()
        return self._answer_to_applied()

    def _answer_to_applied(self) -> web.Response:
        if self.options.gateway_timeouts and self._random.random() < self.options.gateway_timeouts:
            return web.Response(status=504, text=_GATEWAY_TIMEOUT, content_type="text/html")
        status = self.options.answer_with
        if status is None:
            return web.json_response({"detail": "Order status updated successfully"})
        if status in {204, 205}:  # which have no body (RFC 9110, 15.3.5 and 15.3.6)
            return web.Response(status=status)
        return web.json_response({"detail": "Saved"}, status=status)

    def set_status(self, order: str, wanted: str) -> None:
        """Set an order's status, as a dispatcher in the service would; not in the ledger."""
        self.orders[order] = {**self.orders[order], "status": {"id": wanted, "name": self.statuses[wanted]}}

    def set_name(self, order: str, name: str) -> None:
        """Rename an order."""
        self.orders[order] = {**self.orders[order], "name": name}

    async def _detail(self, request: web.Request) -> web.StreamResponse:
        order = request.match_info["order"]
        if self.options.read_errors and self._random.random() < self.options.read_errors:
            return web.json_response({"detail": "Service unavailable"}, status=503)
        if order in self.unreadable:
            return web.json_response({"detail": "Internal error"}, status=self.unreadable[order])
        if order not in self.orders:
            return web.json_response({"detail": f"Order ({order}) not found"}, status=404)
        return web.json_response(self.orders[order])

    async def _list_orders(self, request: web.Request) -> web.StreamResponse:
        if self.options.refuse_list:
            return web.json_response({"detail": "Not served"}, status=self.options.refuse_list)
        asked, spelled = request.query, str.casefold if self.options.loose_exact else str
        exact = None if self.options.ignore_exact else asked.get("name__exact")
        try:
            page, limit = int(asked.get("page", "1")), int(asked.get("limit", "10"))
        except ValueError:
            page = limit = 0
        if page < 1 or not 1 <= limit <= 50:
            return web.json_response({"detail": [{"loc": ["query"], "msg": "page or limit", "type": "x"}]}, status=422)
        found = [
            {"id": order["id"], "name": order["name"], "status_id": order["status"]["id"]}
            for order in self.orders.values()
            if asked.get("status_id", order["status"]["id"]) == order["status"]["id"]
            and asked.get("name", "").casefold() in order["name"].casefold()
            and (exact is None or spelled(order["name"]) == spelled(exact))
        ]
        self._shift = (self._shift + self.options.moving) % max(len(found), 1)
        found = found[self._shift :] + found[: self._shift]
        if key := asked.get("sort_key"):
            found.sort(key=lambda order: str(order.get(key)), reverse=asked.get("sort_order") == "desc")
        return web.json_response({"items": found[(page - 1) * limit : page * limit]})

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        request[_ENTRY]["grant"] = form.get("grant_type")
        known = request.headers.get("Authorization") == encode_basic_auth(CLIENT_ID, CLIENT_SECRET)
        if form.get("grant_type") == "refresh_token":
            known = known and form.get("refresh_token") in self.refresh_tokens and not self.options.refuse_refresh
        else:
            known = known and (form.get("username"), form.get("password")) == (USER, PASSWORD)
        if not known or self.refuse_sign_in:
            return web.json_response({"detail": "Invalid credentials"}, status=401)
        self.refresh_tokens.discard(str(form.get("refresh_token")))
        token, refresh = f"access-{uuid.uuid4()}", f"refresh-{uuid.uuid4()}"
        self.tokens[token] = time.monotonic() + (self.options.token_ttl or 1e9)
        self.refresh_tokens.add(refresh)
        answer: dict[str, Any] = {"access_token": token, "refresh_token": refresh, "token_type": "bearer"}
        if self.options.token_ttl and self.options.tell_ttl:
            answer["expires_in"] = self.options.token_ttl
        return web.json_response(answer)

    async def _list_statuses(self, _request: web.Request) -> web.StreamResponse:
        if self.options.refuse_statuses:
            return web.json_response({"detail": "Not served"}, status=self.options.refuse_statuses)
        items = [{"id": key, "name": name, "color": "#808080"} for key, name in self.statuses.items()]
        return web.json_response({"items": items})

    async def _show_ledger(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(self.ledger)


async def serve(options: SandboxOptions, announce: Callable[[str], None]) -> None:
    """Serve until cancelled; `announce` is called with the base URL."""
    if not re.fullmatch(r"127\.0\.0\.1|localhost|::1", options.host):
        raise ValueError("the sandbox serves this machine only")
    async with Sandbox(options) as sandbox:
        announce(sandbox.base_url)
        await asyncio.Event().wait()

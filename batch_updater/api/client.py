"""One way to send, over the connections that `connector.py` makes."""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from batch_updater.api.auth import Grant, Granted, Tokens
from batch_updater.api.connector import Connector, NoConnectionError
from batch_updater.api.protocol import (
    classify,
    order_url,
    orders_url,
    read_order,
    read_orders,
    read_statuses,
    read_token,
    update_body,
    update_url,
)
from batch_updater.api.route import DIRECT, Route
from batch_updater.models import Answer, ListedOrder, StatusUpdate, Verdict
from batch_updater.statuses import OrderStatus

PATIENCE = 0.9  # of an attempt's time for its connection: the deadline could not tell that nothing has left
MAX_BODY = 64 * 1024
MAX_LIST = 8 * 1024 * 1024
JSON = "application/json; charset=utf-8"
T = TypeVar("T")
Judge = Callable[[int, Mapping[str, str], bytes], Answer]
ReadList = Callable[[int, Mapping[str, str], bytes], tuple[Answer, list[T]]]


class _LostError(Exception):
    """The connection broke; aiohttp must not send the request a second time by itself."""


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise _LostError from None


class Deadlines:
    """Ends requests that last too long, without a timer for each: one look-out for all, a few times a second.

    `with deadlines:` around a request raises TimeoutError in it when it has lasted `timeout` seconds or a little more.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._until: dict[asyncio.Task[Any], float] = {}
        self._overdue: set[asyncio.Task[Any]] = set()
        self._look_out: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look out, in the running loop."""
        self._look_out = asyncio.create_task(self._watch())

    def stop(self) -> None:
        """Look out no more."""
        if self._look_out:
            self._look_out.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._until[task] = time.monotonic() + self._timeout

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._until.pop(task, None)
        if task in self._overdue:
            self._overdue.discard(task)
            if task.uncancel() == 0 and kind is asyncio.CancelledError:
                raise TimeoutError from None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(min(self._timeout / 4, 0.25))
            now = time.monotonic()
            for task, until in self._until.items():
                if now >= until and task not in self._overdue:
                    self._overdue.add(task)
                    task.cancel()


class OrderClient:
    """Speaks to one origin as one account; an async context manager.

    Its calls raise CredentialsError or StoppedError only when no token is to be had; all else is in the answer.
    """

    def __init__(
        self, base_url: str, tokens: Tokens, *, timeout: float, concurrency: int, route: Route = DIRECT
    ) -> None:
        self._base_url = base_url
        self._tokens = tokens
        self._session = aiohttp.ClientSession(
            connector=Connector(route, patience=PATIENCE * timeout, limit=concurrency + 1),  # one more for the token
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # the deadlines' work, and the connector's
            auto_decompress=False,
            middlewares=(_send_once,),
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )
        self._deadlines = Deadlines(timeout)
        tokens.attach(self._ask_for_token)

    async def __aenter__(self) -> Self:
        self._deadlines.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.stop()
        await self._session.close()

    async def update_status(self, update: StatusUpdate) -> Answer:
        """Send one PUT, exactly once, and say what its answer means. Network failures are answers too."""
        url = update_url(self._base_url, update.order_id)
        return await self._signed("PUT", url, update_body(update.status_id), classify)

    async def read_order(self, order_id: str) -> Answer:
        """Read one order; `status_id` of the answer is its present status."""
        return await self._signed("GET", order_url(self._base_url, order_id), None, read_order)

    async def list_statuses(self) -> tuple[Answer, list[OrderStatus]]:
        """Read the tenant's order statuses; the list is empty unless the answer is DONE."""
        return await self._list(f"{self._base_url}/engagement/orders/status", read_statuses)

    async def list_orders(self, page: int, name: str | None = None) -> tuple[Answer, list[ListedOrder]]:
        """Read one page (from 1) of the orders, or of those called exactly `name`; an empty page is past the end."""
        return await self._list(orders_url(self._base_url, page, name=name), read_orders)

    async def _list(self, url: str, read: ReadList[T]) -> tuple[Answer, list[T]]:
        found: list[T] = []

        def judge(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
            answer, items = read(status, headers, body)
            found[:] = items
            return answer

        return await self._signed("GET", url, None, judge, limit=MAX_LIST), found

    async def renew(self, refused: int) -> bool:
        """Get a newer token than generation `refused`, for everybody; False when there is no way to."""
        return await self._tokens.renew(refused)

    @property
    def token_requests(self) -> int:
        """Requests to the token endpoint so far."""
        return self._tokens.requests

    async def _signed(self, method: str, url: str, data: bytes | None, judge: Judge, limit: int = MAX_BODY) -> Answer:
        token = await self._tokens.current()
        generation = self._tokens.generation
        headers = {"Authorization": f"Bearer {token.reveal()}", "Content-Type": JSON}
        answer = await self._exchange(method, url, data, headers, judge, limit)
        if answer.verdict is Verdict.DONE:
            return answer
        if token.reveal() in answer.detail:  # a service that repeats what it was sent
            answer = replace(answer, detail=answer.detail.replace(token.reveal(), "***"))
        return replace(answer, signed=generation) if answer.verdict is Verdict.UNAUTHORIZED else answer

    async def _ask_for_token(self, form: dict[str, str], grant: Grant) -> tuple[Answer, Granted | None]:
        granted: Granted | None = None

        def judge(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
            nonlocal granted
            answer, granted = read_token(status, headers, body)
            return answer

        basic = aiohttp.encode_basic_auth(grant.client_id.reveal(), grant.client_secret.reveal())
        headers = {"Authorization": basic, "Content-Type": "application/x-www-form-urlencoded"}
        data = urlencode(form).encode("ascii")
        answer = await self._exchange("POST", f"{self._base_url}/auth/oauth/token", data, headers, judge, MAX_BODY)
        return answer, granted

    async def _exchange(  # noqa: PLR0917 - private, and called in two places
        self, method: str, url: str, data: bytes | None, headers: dict[str, str], judge: Judge, limit: int
    ) -> Answer:
        try:
            with self._deadlines:
                response = await self._session.request(
                    method, URL(url, encoded=True), data=data, headers=headers, allow_redirects=False
                )
                try:
                    return judge(response.status, response.headers, await _read_capped(response, limit))
                finally:
                    response.release() if response.content.at_eof() else response.close()
        except NoConnectionError as error:
            return error.answer
        except TimeoutError:
            return Answer(Verdict.UNKNOWN, "timeout", "no answer in time")
        except (_LostError, aiohttp.ClientError, ssl.SSLError, OSError) as error:
            kind = "unexpected_response" if isinstance(error, aiohttp.ClientResponseError) else "connection_error"
            return Answer(Verdict.UNKNOWN, kind, "the connection broke before the answer")


async def _read_capped(response: aiohttp.ClientResponse, limit: int) -> bytes:
    if (length := response.content_length) is not None and length <= limit:
        return await response.read()
    body = b""
    while len(body) < limit and (more := await response.content.read(limit - len(body))):
        body += more
    return body

"""The service's requests, signed and judged."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlencode

from aiohttp import encode_basic_auth

from batch_updater.api.auth import Tokens
from batch_updater.api.connector import Connector
from batch_updater.api.credentials import Grant, Granted
from batch_updater.api.network import DIRECT, Network
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
from batch_updater.api.timeouts import Deadlines
from batch_updater.api.transport import (
    FAILURES,
    MAX_BODY,
    PreparedTransport,
    Request,
    SessionTransport,
    Transport,
    failure,
)
from batch_updater.common.models import Answer, ListedOrder, OrderStatus, StatusUpdate, Verdict
from batch_updater.common.secret import without

MAX_LIST = 2 * 1024 * 1024
JSON = "application/json; charset=utf-8"
ALWAYS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"batch-updater/{version('batch-updater')}",
}
T = TypeVar("T")
Judge = Callable[[int, Mapping[str, str], bytes], Answer]
ReadList = Callable[[int, Mapping[str, str], bytes], tuple[Answer, list[T]]]


class OrderClient:
    """Speaks to one origin as one account; an async context manager.

    Its calls raise CredentialsError or StoppedError only when no token is to be had; all else is in the answer.
    """

    def __init__(
        self,
        base_url: str,
        tokens: Tokens,
        *,
        timeout: float,
        concurrency: int,
        prepared: bool = False,
        network: Network = DIRECT,
    ) -> None:
        self._base_url = base_url
        self._tokens = tokens
        self._signed_as = -1  # the generation of the token in the headers
        self._headers: dict[str, str] = {}
        connector = Connector(network, limit=concurrency + 1)  # one more for the token
        self._transport: Transport = PreparedTransport(connector, base_url) if prepared else SessionTransport(connector)
        self._deadlines = Deadlines(timeout)
        tokens.attach(self._ask_for_token)

    async def __aenter__(self) -> Self:
        self._deadlines.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.stop()
        await self._transport.close()

    async def update_status(self, update: StatusUpdate) -> Answer:
        """Send one PUT, exactly once, and say what its answer means. Network failures are answers too."""
        url = update_url(self._base_url, update.order_id)
        return await self._signed("PUT", url, update_body(update.status_id), classify)

    async def read_order(self, order_id: str) -> Answer:
        """Read one order; `status_id` of the answer is its present status."""
        return await self._signed("GET", order_url(self._base_url, order_id), None, partial(read_order, order_id))

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
        token = (await self._tokens.current()).reveal()
        generation = self._tokens.generation
        if generation != self._signed_as:
            self._headers = {**ALWAYS, "Authorization": f"Bearer {token}", "Content-Type": JSON}
            self._signed_as = generation
        request = Request(method, url, self._headers, data, limit)

        def look(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
            return judge(status, headers, without(body, (token,)))  # a service may repeat what it was sent

        answer = await self._exchange(request, look)
        return replace(answer, token_generation=generation) if answer.verdict is Verdict.UNAUTHORIZED else answer

    async def _ask_for_token(self, form: dict[str, str], grant: Grant) -> tuple[Answer, Granted | None]:
        granted: Granted | None = None

        def judge(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
            nonlocal granted
            answer, granted = read_token(status, headers, body)
            return answer

        basic = encode_basic_auth(grant.client_id.reveal(), grant.client_secret.reveal())
        headers = {**ALWAYS, "Authorization": basic, "Content-Type": "application/x-www-form-urlencoded"}
        data = urlencode(form).encode("ascii")
        answer = await self._exchange(Request("POST", f"{self._base_url}/auth/oauth/token", headers, data), judge)
        return answer, granted

    async def _exchange(self, request: Request, judge: Judge) -> Answer:
        try:
            with self._deadlines:
                return judge(*await self._transport.request(request))
        except FAILURES as error:
            return failure(error)

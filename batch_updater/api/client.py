"""The service's requests: signed, sent once, and their answers read."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any, Never, Self, TypeVar
from urllib.parse import urlencode

from aiohttp import encode_basic_auth

from batch_updater.api import protocol, token_answer, transport
from batch_updater.api.auth import Tokens
from batch_updater.api.connector import Connector
from batch_updater.api.credentials import Grant, Granted
from batch_updater.api.network import DIRECT, Network
from batch_updater.api.rate_limit_headers import with_quota
from batch_updater.api.timeouts import Deadlines
from batch_updater.common.models import Answer, ListedOrder, OrderStatus, StatusUpdate, Verdict
from batch_updater.common.secret import masked
from batch_updater.common.text import shortened

MAX_LIST = 2 * 1024 * 1024
JSON = "application/json; charset=utf-8"
AGENT = f"batch-updater/{version('batch-updater')}"
ALWAYS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": AGENT}
T = TypeVar("T")
ResponseReader = Callable[[int, Mapping[str, str], bytes], Answer[T]]


class OrderClient:
    """Sends requests to one origin as one account; an async context manager.

    `confirmations` are wordings of a 200 or 201 that mean yes, besides the one that the API documents.

    Its methods raise CredentialsError or StoppedError only when there is no token; all else is in the answer.
    """

    def __init__(
        self, base_url: str, tokens: Tokens, *, timeout: float, concurrency: int,
        prepared: bool = False, network: Network = DIRECT, confirmations: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self._base_url, self._tokens = base_url, tokens
        accepted = frozenset(" ".join(words.split()).casefold() for words in confirmations)
        self._read_update = partial(protocol.classify, confirmations=accepted)
        self._signed_as = -1  # the generation of the token in the headers
        self._headers: dict[str, str] = {}
        connector = Connector(network, limit=concurrency + 1)  # one more for the token
        self._transport: transport.Transport = (
            transport.PreparedTransport(connector, base_url) if prepared else transport.SessionTransport(connector)
        )
        self._deadlines, self._ignored_proxy = Deadlines(timeout), network.ignored_proxy
        tokens.attach(self._ask_for_token)

    async def __aenter__(self) -> Self:
        self._deadlines.start()
        return self

    async def __aexit__(self, *_raised: object) -> None:
        self._deadlines.stop()
        await self._transport.close()

    def obey(self, stopping: asyncio.Event, saw_sign_in: Callable[[Answer[Any]], None]) -> None:
        """Ask for no token any more once `stopping` is set; tell `saw_sign_in` what the token endpoint answers."""
        self._tokens.obey(stopping, saw_sign_in)

    async def sign_in(self) -> None:
        """Get a token, unless there is a good one: what is cancelled here has certainly not been sent."""
        await self._tokens.current()

    async def update_status(self, update: StatusUpdate) -> Answer[Never]:
        """Send one PUT, exactly once, and return what its answer means. Network failures are answers too."""
        url = protocol.update_url(self._base_url, update.order_id)
        return await self._signed("PUT", url, protocol.update_body(update.status_id), self._read_update)

    async def read_order(self, order_id: str) -> Answer[str]:
        """Read one order; the payload is the id of its present status."""
        url = protocol.order_url(self._base_url, order_id)
        return await self._signed("GET", url, None, partial(protocol.parse_order, order_id))

    async def list_statuses(self) -> Answer[list[OrderStatus]]:
        """Read the tenant's order statuses."""
        url = f"{self._base_url}/engagement/orders/status"
        return await self._signed("GET", url, None, protocol.parse_statuses, MAX_LIST)

    async def list_orders(self, page: int, name: str | None = None) -> Answer[list[ListedOrder]]:
        """Read one page (from 1) of the orders, or of those whose name is exactly `name`; past the end it is empty."""
        url = protocol.orders_url(self._base_url, page, name=name)
        return await self._signed("GET", url, None, protocol.parse_orders, MAX_LIST)

    async def renew(self, refused: int) -> bool:
        """Get a newer token than generation `refused`, for all requests; False when that is not possible."""
        return await self._tokens.renew(refused)

    @property
    def token_requests(self) -> int:
        """Requests to the token endpoint so far."""
        return self._tokens.requests

    async def _signed(
        self, method: str, url: str, data: bytes | None, read: ResponseReader[T], limit: int = transport.MAX_BODY
    ) -> Answer[T]:
        token = (await self._tokens.current()).reveal()
        generation = self._tokens.generation
        if generation != self._signed_as:
            self._headers = {**ALWAYS, "Authorization": f"Bearer {token}", "Content-Type": JSON}
            self._signed_as = generation
        answer = await self._exchange(transport.Request(method, url, self._headers, data, limit), read)
        if answer.verdict is Verdict.DONE:
            return answer
        refused = generation if answer.verdict is Verdict.UNAUTHORIZED else 0
        detail, wording = (shortened(masked(text), protocol.MAX_DETAIL) for text in (answer.detail, answer.wording))
        return replace(answer, detail=detail, wording=wording, token_generation=refused)  # it may repeat what was sent

    async def _ask_for_token(self, form: dict[str, str], grant: Grant) -> Answer[Granted]:
        basic = encode_basic_auth(grant.client_id.reveal(), grant.client_secret.reveal())
        headers = {**ALWAYS, "Authorization": basic, "Content-Type": "application/x-www-form-urlencoded"}
        url, data = f"{self._base_url}/auth/oauth/token", urlencode(form).encode("ascii")
        answer = await self._exchange(transport.Request("POST", url, headers, data), token_answer.parse_token)
        return replace(answer, detail=_without(answer.detail, basic, *grant.values))  # it may repeat what was sent

    async def _exchange(self, request: transport.Request, read: ResponseReader[T]) -> Answer[T]:
        try:
            with self._deadlines:
                reply = await self._transport.request(request)
                return with_quota(read(*reply), reply.headers)
        except transport.FAILURES as error:
            return self._with_proxy(transport.failure(error))

    def _with_proxy(self, answer: Answer[T]) -> Answer[T]:
        """Return the answer; where nobody can be reached, it says which proxy of the environment is not used."""
        if answer.was_sent or answer.code not in {"connection_error", "timeout"} or not self._ignored_proxy:
            return answer
        said = f"{answer.detail}; the proxy of {self._ignored_proxy} is not used, only the one of the setting `proxy`"
        return replace(answer, detail=said)


def _without(text: str, basic: str, *values: str) -> str:
    """Return what the token endpoint says without the values of the sign-in, which may be too short to be masked."""
    for secret in sorted((basic.partition(" ")[2], *values), key=len, reverse=True):
        text = text.replace(secret, "***") if secret else text
    return shortened(masked(text), protocol.MAX_DETAIL)

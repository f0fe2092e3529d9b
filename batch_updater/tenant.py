"""What is known of the service before anything is sent: whether it lets us in, and its statuses."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from batch_updater.api.auth import Credentials, Tokens
from batch_updater.api.client import OrderClient
from batch_updater.api.retry import attempt_again
from batch_updater.errors import CredentialsError, StoppedError
from batch_updater.models import Answer, Verdict
from batch_updater.settings import Settings
from batch_updater.statuses import OrderStatus, StatusBook

ATTEMPTS = 4
LONGEST = 10.0  # seconds; a service that is silent about its statuses must not hold the run up


@dataclass(frozen=True, slots=True)
class Tenant:
    """A service, how to sign in, and its statuses.

    `book` is None when the service does not serve the list, and `unchecked` then says why.
    `latency` is seconds for one answer; `account` tells one user from another without naming them.
    """

    base_url: str
    tokens: Tokens | None = None
    book: StatusBook | None = None
    unchecked: str = ""
    latency: float | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    account: str | None = None


def unmet(base_url: str) -> Tenant:
    """A service that nobody has spoken to, for want of a token."""
    return Tenant(base_url, unchecked="statuses are not checked: there is no token to ask the service with")


async def meet(base_url: str, credentials: Credentials, settings: Settings) -> Tenant:
    """Sign in and read the statuses; no update is sent.

    Raises CredentialsError, or StoppedError when the service can't be reached or redirects.
    """
    tokens = Tokens(credentials)
    async with OrderClient(base_url, tokens, timeout=min(settings.timeout, LONGEST), concurrency=1) as client:
        began = time.monotonic()
        answer, statuses = await _read_statuses(client)
        if answer.verdict is Verdict.UNAUTHORIZED and await client.renew(answer.signed):
            answer, statuses = await _read_statuses(client)
    latency = time.monotonic() - began
    if answer.verdict is Verdict.UNAUTHORIZED:
        raise CredentialsError("The service did not accept the token; nothing was sent.", "get a new one")
    if not answer.left or answer.verdict is Verdict.STOP:
        raise StoppedError(
            f"{base_url}: {answer.detail}; nothing was sent.", "check EVREKA360_BASE_URL and the network"
        )
    if not statuses:
        why = f"answered {answer.http_status}" if answer.http_status else answer.detail
        unchecked = f"statuses are not checked: the service does not list them ({why})"
        return Tenant(base_url, tokens, None, unchecked, latency, account=credentials.account)
    book = StatusBook(statuses, settings.status_map)
    return Tenant(base_url, tokens, book, "", latency, book.names, credentials.account)


async def _read_statuses(client: OrderClient) -> tuple[Answer, list[OrderStatus]]:
    statuses: list[OrderStatus] = []
    tries, until = 0, time.monotonic() + LONGEST

    async def attempt() -> Answer:
        nonlocal statuses, tries
        tries += 1
        answer, statuses = await client.list_statuses()
        return answer

    answer = await attempt_again(
        attempt, await attempt(), lambda: tries >= ATTEMPTS or time.monotonic() >= until, asyncio.sleep
    )
    return answer, statuses

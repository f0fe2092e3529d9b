"""What is known of the service before anything is sent: whether it lets us in, and its statuses."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from batch_updater.api.auth import Tokens
from batch_updater.api.client import OrderClient
from batch_updater.api.credential_sources import find_credentials
from batch_updater.api.credentials import Credentials
from batch_updater.api.network import DIRECT, Network, find_network
from batch_updater.api.protocol import check_base_url
from batch_updater.api.retry import RETRIED_VERDICTS, attempt_again
from batch_updater.common.errors import BatchUpdaterError, BlockedError, CredentialsError, SettingsError, StoppedError
from batch_updater.common.models import Answer, OrderStatus, Verdict
from batch_updater.common.settings import Settings
from batch_updater.planning.statuses import StatusBook

ATTEMPTS = 4
LONGEST = 10.0  # seconds; a service that is silent about its statuses must not hold the run up


@dataclass(frozen=True, slots=True)
class Tenant:
    """A service, the way to it, how to sign in, and its statuses as far as they are known.

    `book` is None while statuses are not known, and `unchecked` then says why. `latency` is seconds for one answer;
    `account` tells one user from another without naming them. `failure` is what sending would end with, as it looks.
    """

    base_url: str
    network: Network = DIRECT
    tokens: Tokens | None = None
    account: str | None = None
    book: StatusBook | None = None
    unchecked: str = ""
    latency: float | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    failure: BatchUpdaterError | None = None

    @property
    def refused(self) -> BatchUpdaterError | None:
        """Set when the service does not let us in, or the way to it is barred: then there is no point in sending."""
        return self.failure if isinstance(self.failure, CredentialsError | BlockedError) else None


def find_tenant(settings: Settings, environment: Mapping[str, str], *, needs_token: bool = True) -> Tenant:
    """The service that the settings name and the credentials for it; nobody is asked yet.

    Raises SettingsError when there is no usable address, or no credentials and `needs_token`.
    """
    tenant = resolve_service(settings, environment)
    try:
        return with_credentials(tenant, find_credentials(environment, tenant.base_url))
    except SettingsError:
        if needs_token:
            raise
        return tenant


def resolve_service(settings: Settings, environment: Mapping[str, str]) -> Tenant:
    """The service that the settings name and the way to it, checked. Raises SettingsError."""
    if not settings.base_url:
        raise SettingsError("No service address.", "set EVREKA360_BASE_URL to your tenant's https:// address")
    base_url = check_base_url(settings.base_url)
    return Tenant(base_url, find_network(base_url, settings, environment))


def with_credentials(tenant: Tenant, credentials: Credentials) -> Tenant:
    """The tenant, to be signed in to with these; nobody is asked yet."""
    return replace(tenant, tokens=Tokens(credentials), account=credentials.account)


async def probe_service(tenant: Tenant, settings: Settings) -> Tenant:
    """Sign in and read the statuses; no update is sent. Trouble is told by `unchecked` and `failure`."""
    if tenant.tokens is None:
        return replace(tenant, unchecked="statuses are not checked: there is no token to ask the service with")
    began = time.monotonic()
    try:
        async with OrderClient(
            tenant.base_url,
            tenant.tokens,
            timeout=min(settings.timeout, LONGEST),
            concurrency=1,
            network=tenant.network,
        ) as client:
            answer, statuses = await _read_statuses(client)
            if answer.verdict is Verdict.UNAUTHORIZED and await client.renew(answer.token_generation):
                answer, statuses = await _read_statuses(client)
    except BatchUpdaterError as error:
        return replace(tenant, unchecked=f"statuses are not checked: {error.message}", failure=error)
    latency = time.monotonic() - began
    if statuses:
        book = StatusBook(statuses, settings.status_map)
        return replace(tenant, book=book, latency=latency, names=book.names)
    why = f"answered {answer.http_status}" if answer.http_status else answer.detail
    unlisted = answer.detail if answer.needs_human else f"the service does not list them ({why})"
    unchecked = f"statuses are not checked: {unlisted}"
    return replace(tenant, unchecked=unchecked, failure=_failure(tenant.base_url, answer))


def _failure(base_url: str, answer: Answer) -> BatchUpdaterError | None:
    if answer.verdict is Verdict.UNAUTHORIZED:
        return CredentialsError("The service did not accept the token; nothing was sent.", "get a new one")
    if answer.needs_human:
        return BlockedError(f"No connection to {base_url}: {answer.detail}.", answer.hint)
    if not answer.was_sent or answer.verdict is Verdict.STOP:
        return StoppedError(f"{base_url}: {answer.detail}.", "check EVREKA360_BASE_URL and the network")
    if answer.verdict in RETRIED_VERDICTS:
        return StoppedError(f"{base_url} does not serve its statuses now: {answer.detail}.", "run again later")
    return None


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

"""Check the service before anything is sent: whether it accepts the credentials, and its statuses."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from batch_updater.api.auth import Tokens
from batch_updater.api.client import OrderClient
from batch_updater.api.credentials import Credentials
from batch_updater.api.network import DIRECT, Network
from batch_updater.api.protocol import CHECK_ADDRESS
from batch_updater.api.retry import RETRIED_VERDICTS, Attempts
from batch_updater.common.errors import (
    AddressError,
    BatchUpdaterError,
    BlockedError,
    CredentialsError,
    StoppedError,
)
from batch_updater.common.models import Answer, Verdict
from batch_updater.planning.statuses import AnyStatus, StatusBook

ATTEMPTS = 4
WRONG = "wrong_address"
LONGEST = 10.0  # seconds; a slow list of statuses must not delay the run


@dataclass(frozen=True, slots=True)
class Tenant:
    """A service, the network to it, the credentials, and its statuses when they are known.

    Without an address, which is empty then, or without `tokens` nobody can be asked: such a tenant is for looking at a
    plan only. `book` is None while statuses are not known, and `unchecked` then says why. `latency` is seconds for one
    answer; `account` identifies the user without a name. `failure` is what sending would probably fail with.
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
    def nobody(self) -> str:
        """What was seen last, when nobody served the list of statuses; "" when somebody answered."""
        is_silent = isinstance(self.failure, StoppedError) and not isinstance(self.failure, BlockedError | AddressError)
        return self.failure.message if self.failure and is_silent else ""

    @property
    def refused(self) -> BatchUpdaterError | None:
        """A failure that makes sending pointless: refused credentials, or no possible connection."""
        return self.failure if isinstance(self.failure, CredentialsError | BlockedError) else None


def with_credentials(tenant: Tenant, credentials: Credentials) -> Tenant:
    """Return the tenant with these credentials, without a request."""
    return replace(tenant, tokens=Tokens(credentials), account=credentials.account)


async def probe_service(tenant: Tenant, timeout: float, status_map: Mapping[str, str]) -> Tenant:  # noqa: ASYNC109 - of one request
    """Sign in and read the statuses; no update is sent. `unchecked` and `failure` say what went wrong."""
    if tenant.tokens is None:
        lacking = "token to ask the service with" if tenant.base_url else "address of the service (EVREKA360_BASE_URL)"
        anything = AnyStatus(status_map)
        unchecked = f"statuses and orders are not checked: there is no {lacking}"
        return replace(tenant, book=anything, names=anything.names, unchecked=unchecked)
    began = time.monotonic()
    try:
        async with OrderClient(
            tenant.base_url, tenant.tokens,
            timeout=min(timeout, LONGEST), concurrency=1, network=tenant.network,
        ) as client:  # fmt: skip

            async def list_statuses() -> Answer[Any]:
                listed = await client.list_statuses()
                return replace(listed, wait=min(listed.wait or 0.0, LONGEST / ATTEMPTS))  # so that all attempts fit in

            answer = await Attempts(ATTEMPTS, until=began + LONGEST).run(list_statuses, client.renew)
            is_elsewhere = answer.code == WRONG and (await client.list_orders(1)).code == WRONG
    except BatchUpdaterError as error:
        return replace(tenant, unchecked=f"statuses are not checked: {error.message}", failure=error)
    latency = time.monotonic() - began
    if answer.payload:
        book = StatusBook(answer.payload, status_map)
        return replace(tenant, book=book, latency=latency, names=book.names)
    why = f"answered {answer.http_status}" if answer.http_status else answer.detail
    unlisted = answer.detail if answer.needs_human else f"the service does not list them ({why})"
    failure = explain_failure(answer, tenant.base_url)
    if is_elsewhere:  # a service may list no statuses, but every one lists orders
        failure = AddressError(
            f"{tenant.base_url} does not answer as the service does: {answer.detail}.", CHECK_ADDRESS
        )
        unlisted = f"the service does not list them ({why}); {CHECK_ADDRESS}"
    return replace(tenant, unchecked=f"statuses are not checked: {unlisted}", failure=failure)


def explain_failure(answer: Answer[Any], base_url: str) -> BatchUpdaterError | None:
    """Return why the service did not list its statuses; None when it just does not offer the list."""
    if answer.verdict is Verdict.UNAUTHORIZED:
        return CredentialsError("The service did not accept the token; nothing was sent.", "get a new one")
    if answer.needs_human:
        return BlockedError(f"No connection to {base_url}: {answer.detail}.", answer.hint)
    if not answer.was_sent or answer.verdict is Verdict.STOP:
        return StoppedError(f"{base_url}: {answer.detail}.", "check EVREKA360_BASE_URL and the network")
    if answer.verdict in RETRIED_VERDICTS:
        return StoppedError(f"{base_url} does not serve its statuses now: {answer.detail}.", "run again later")
    return None

"""Look orders up by name at the service while the plan is made."""

import asyncio
import unicodedata
import uuid
from collections.abc import Iterable
from functools import partial

from batch_updater.api.client import OrderClient
from batch_updater.api.pacing.pacer import pacer_for
from batch_updater.api.protocol import PAGE_LENGTH
from batch_updater.api.retry import Attempts
from batch_updater.common.errors import InputError, SettingsError, StoppedError
from batch_updater.common.models import ListedOrder, Verdict
from batch_updater.common.secret import masked
from batch_updater.common.settings import SendOptions
from batch_updater.common.text import shown
from batch_updater.planning.preflight import Tenant, explain_failure
from batch_updater.planning.statuses import folded
from batch_updater.planning.validate import RejectedOrder

MOST_KNOWN = 100_000
NOT_OFFERED = frozenset({403, 404, 405, 422})  # what services answer that don't list orders by name
LONGEST_NAME = 2000  # bytes, which percent-encoding makes 6,000: servers refuse addresses of 8,190 and more
NOT_FOUND = "order_not_found"
_NO_NAME = RejectedOrder("missing_value", "the order name is empty")


class AnyOrder(dict[str, str | RejectedOrder]):
    """Takes every name for that of an order, with a made-up id: for a plan to look at while nobody can be asked."""

    def __missing__(self, name: str) -> str | RejectedOrder:
        if why := _why_not_askable(name):
            return RejectedOrder(NOT_FOUND, why)
        return str(uuid.uuid5(uuid.NAMESPACE_OID, unicodedata.normalize("NFC", name)))


class OrderNames:
    """The ids of orders by their exact names; `known` is for `RowValidator.orders`."""

    def __init__(self, tenant: Tenant, options: SendOptions) -> None:
        if tenant.tokens is None:
            raise SettingsError("Orders can't be looked up by name without a token.", "set EVREKA360_ACCESS_TOKEN")
        self._tenant, self._tokens, self._options = tenant, tenant.tokens, options
        self.known: dict[str, str | RejectedOrder] = {"": _NO_NAME}

    def learn(self, names: Iterable[str]) -> None:
        """Look up names that are not known yet; must not be called from a running event loop.

        Raises InputError when the service does not serve the list, CredentialsError or StoppedError.
        """
        if len(self.known) > MOST_KNOWN:
            self.known.clear()
            self.known[""] = _NO_NAME
        missing = dict.fromkeys(name for name in names if name not in self.known)
        refused = ((name, _why_not_askable(name)) for name in missing)
        self.known |= {name: RejectedOrder(NOT_FOUND, why) for name, why in refused if why}
        if wanted := [name for name in missing if name not in self.known]:
            asyncio.run(self._look_up(wanted))

    async def _look_up(self, names: list[str]) -> None:
        options, waiting = self._options, iter(names)
        attempts = Attempts(options.retries + 1, pace=pacer_for(options), charges_all=True)
        async with OrderClient(
            self._tenant.base_url, self._tokens, timeout=options.timeout, concurrency=options.concurrency,
            network=self._tenant.network,
        ) as client:  # fmt: skip

            async def work() -> None:
                for name in waiting:
                    self.known[name] = await self._ask(client, attempts, name)

            await asyncio.gather(*(work() for _ in range(min(options.concurrency, len(names)))))

    async def _ask(self, client: OrderClient, attempts: Attempts, name: str) -> str | RejectedOrder:
        """Return the id of the order of this name, or why there is none: as it is written, else in composed letters.

        Names from macOS have letters and accents apart, and look the same.
        """
        answer = _only(name, await self._find(client, attempts, name))
        composed = unicodedata.normalize("NFC", name)
        if composed == name or isinstance(answer, str) or answer.code != NOT_FOUND:
            return answer
        return _only(composed, await self._find(client, attempts, composed))

    async def _find(self, client: OrderClient, attempts: Attempts, name: str) -> list[ListedOrder]:
        answer = await attempts.run(partial(client.list_orders, 1, name), client.renew)
        if answer.payload is not None:
            if any(folded(order.name) != folded(name) for order in answer.payload):
                raise InputError(
                    "The service lists other orders when it is asked for one by name, so it can't be relied on to tell"
                    " orders by name.",
                    "use a sheet of order ids",
                )
            return answer.payload
        if answer.http_status in NOT_OFFERED:
            raise InputError(
                f"Orders can't be looked up by name: the service answered {answer.http_status}.",
                "use a sheet of order ids",
            )
        is_general = answer.verdict is Verdict.UNAUTHORIZED or answer.needs_human
        raise (explain_failure(answer, self._tenant.base_url) if is_general else None) or StoppedError(
            f"Order '{shown(name)}' can't be looked up: {answer.detail}; nothing was sent.",
            answer.hint or "run again later",
        )


def _why_not_askable(name: str) -> str:
    """Return why this name can't be looked up; empty when it can."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return f"no order is called '{shown(name)}': it holds half a character"
    return f"no order is called '{shown(name)}': it is too long to be asked for" if size > LONGEST_NAME else ""


def _only(name: str, found: list[ListedOrder]) -> str | RejectedOrder:
    """Return the id of the one order with exactly this name, or why there is none."""
    ids = sorted({order.id for order in found if order.name == name})
    if len(ids) == 1 and len(found) < PAGE_LENGTH:
        return ids[0]
    if ids:
        many = f"{len(ids)} or more" if len(ids) == PAGE_LENGTH else str(len(ids))
        what = f"{many} orders are called '{shown(name)}'"
        others = " or another" if len(ids) > 3 else ""
        if len(ids) == 1:
            what, others = f"more orders are called like '{shown(name)}' than a page lists", " or another"
        detail = f"{what}; write the id instead: {' or '.join(ids[:3])}{others}"
        return RejectedOrder("ambiguous_order", detail)
    near = "".join(f"; there is '{shown(masked(order.name))}'" for order in found[:1])
    return RejectedOrder(NOT_FOUND, f"no order is called '{shown(name)}'{near}")

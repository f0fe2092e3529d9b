"""Look orders up by name at the service while the plan is made."""

import asyncio
from collections.abc import Iterable
from functools import partial

from batch_updater.api.client import OrderClient
from batch_updater.api.pacing.pacer import Pacer
from batch_updater.api.protocol import PAGE_LENGTH
from batch_updater.api.retry import Attempts
from batch_updater.common.errors import InputError, SettingsError
from batch_updater.common.models import ListedOrder
from batch_updater.common.settings import SendOptions
from batch_updater.common.text import shown
from batch_updater.planning.preflight import Tenant, explain_failure
from batch_updater.planning.statuses import folded
from batch_updater.planning.validate import RejectedOrder

KEPT = 100_000
LONGEST_NAME = 2000  # bytes, which percent-encoding makes 6,000: servers refuse addresses of 8,190 and more
_NO_NAME = RejectedOrder("missing_value", "the order name is empty")


class OrderNames:
    """The ids of orders by their exact names; `known` is what `RowValidator.orders` needs."""

    def __init__(self, tenant: Tenant, options: SendOptions) -> None:
        if tenant.tokens is None:
            raise SettingsError("Orders can't be looked up by name without a token.", "set EVREKA360_ACCESS_TOKEN")
        self._tenant, self._tokens, self._options = tenant, tenant.tokens, options
        self.known: dict[str, str | RejectedOrder] = {"": _NO_NAME}

    def learn(self, names: Iterable[str]) -> None:
        """Look up those that are not known yet; must not be called from a running event loop.

        Raises InputError when the service does not serve the list, CredentialsError or StoppedError.
        """
        if len(self.known) > KEPT:
            self.known.clear()
            self.known[""] = _NO_NAME
        missing = dict.fromkeys(name for name in names if name not in self.known)
        self.known |= {name: RejectedOrder("order_not_found", why) for name in missing if (why := _unaskable(name))}
        if wanted := [name for name in missing if name not in self.known]:
            asyncio.run(self._look_up(wanted))

    async def _look_up(self, names: list[str]) -> None:
        options, waiting = self._options, iter(names)
        attempts = Attempts(options.retries + 1, pace=Pacer(options.rate, adapt=options.adapt))
        async with OrderClient(
            self._tenant.base_url, self._tokens, timeout=options.timeout, concurrency=options.concurrency,
            network=self._tenant.network,
        ) as client:  # fmt: skip

            async def work() -> None:
                for name in waiting:
                    found = await self._find(client, attempts, name)
                    if any(folded(order.name) != folded(name) for order in found):
                        raise InputError(
                            "The service lists other orders when it is asked for one by name, so it can't be relied on"
                            " to tell orders by name.",
                            "use a sheet of order ids",
                        )
                    self.known[name] = _only(name, found)

            await asyncio.gather(*(work() for _ in range(min(options.concurrency, len(names)))))

    async def _find(self, client: OrderClient, attempts: Attempts, name: str) -> list[ListedOrder]:
        answer = await attempts.run(partial(client.list_orders, 1, name), client.renew)
        if answer.payload is not None:
            return answer.payload
        raise explain_failure(answer, self._tenant.base_url, f"the order '{shown(name)}'") or InputError(
            f"Orders can't be looked up by name: the service answered {answer.http_status}.", "use a sheet of order ids"
        )


def _unaskable(name: str) -> str:
    """Return why no address can hold this name; empty when one can."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return f"no order is called '{shown(name)}': it holds half a character"
    return f"no order is called '{shown(name)}': it is too long to be asked for" if size > LONGEST_NAME else ""


def _only(name: str, found: list[ListedOrder]) -> str | RejectedOrder:
    """Return the id of the one order that is called exactly so, or why there is none."""
    ids = sorted({order.id for order in found if order.name == name})
    if len(ids) == 1 and len(found) < PAGE_LENGTH:
        return ids[0]
    if len(ids) == 1:
        return RejectedOrder(
            "ambiguous_order",
            f"more orders are called like '{shown(name)}' than a page lists; write the id instead: {ids[0]} or another",
        )
    if ids:
        return RejectedOrder(
            "ambiguous_order",
            f"{_several(len(ids))} orders are called '{shown(name)}'; write the id instead: {' or '.join(ids[:3])}"
            f"{' or another' if len(ids) > 3 else ''}",
        )
    near = "".join(f"; there is '{shown(order.name)}'" for order in found[:1])
    return RejectedOrder("order_not_found", f"no order is called '{shown(name)}'{near}")


def _several(count: int) -> str:
    return f"{count} or more" if count == PAGE_LENGTH else str(count)

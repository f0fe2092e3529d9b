"""What the requests of all rows share: one pace, one retry loop, one stop, and what their answers show together."""

import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from batch_updater.api.client import OrderClient
from batch_updater.api.pacing.pacer import Pacer
from batch_updater.api.pacing.rate_log import PaceLog
from batch_updater.api.retry import RETRIED_VERDICTS, STOPPED, Attempts, Observer, SendOnce
from batch_updater.common.errors import BatchUpdaterError, CredentialsError, StoppedError
from batch_updater.common.log import event
from batch_updater.common.models import Answer, Checkpoint, Counters, ListedOrder, Verdict
from batch_updater.common.settings import SendOptions
from batch_updater.common.text import duration
from batch_updater.sending.brake import Brake
from batch_updater.sending.control import Control
from batch_updater.sending.health import Health
from batch_updater.sending.readings import Readings

KINDS = 100  # wordings that are counted
T = TypeVar("T")


@dataclass
class Exchange:
    """What the requests of all rows share. Stops the run after an answer that concerns all rows.

    `checkpoint` makes one durable; False when the journal can't be written. `options` say how often a request is
    repeated, and how long it waits for a service that is down. `find_updated` is as in `Readings`; `rest` sleeps
    between the attempts of one row.
    """

    client: OrderClient
    pacer: Pacer
    control: Control
    counters: Counters
    checkpoint: Callable[[Checkpoint], Awaitable[bool]]
    options: SendOptions
    find_updated: Callable[[], Awaitable[str]]
    rest: Callable[[float], Awaitable[None]]
    brake: Brake = field(default_factory=Brake)

    def __post_init__(self) -> None:
        self.pace_log = PaceLog(self.pacer)
        self.readings = Readings(self.read, self.find_updated, self.control.stopping.is_set)
        self.wordings: Counter[tuple[int | None, str]] = Counter()  # of 2xx that are not the API's confirmation
        self.health = Health(self.pacer, self.control, self._list_statuses, self.options.outage_budget)
        stopping, most = self.control.stopping, self.options.retries + 1
        self._attempts = Attempts(
            most, pace=self.pacer, stopping=stopping.is_set, sleep=self.rest, counters=self.counters
        )
        self.client.obey(stopping, self._saw_sign_in)

    async def run(self, request: SendOnce[T], observer: "AnswerLog") -> Answer[T]:
        """Return the last answer to all attempts of a request."""
        try:
            answer = await self._attempts.run(request, partial(self._renew, observer.order_id), observer)
            if answer.verdict is Verdict.UNAUTHORIZED and not await self.health.is_token_refused(observer.order_id):
                return replace(answer, verdict=Verdict.REFUSED)
        except BatchUpdaterError as error:  # there is no token
            self._fail(error)
            return STOPPED
        if answer.wait is not None and answer.wait > self.options.outage_budget:
            answer = replace(answer, detail=f"{answer.detail}; it asks to wait for {duration(answer.wait)}")
        if answer.verdict is Verdict.UNAUTHORIZED:
            self.control.fail(CredentialsError("The service did not accept the token.", "get a new one, run again"))
        elif answer.verdict is Verdict.STOP and answer is not STOPPED:
            hint = answer.hint or "check the base URL, then run again"
            self.control.fail(StoppedError(f"Stopped: {answer.detail}.", hint))
        return answer

    def _fail(self, error: BatchUpdaterError) -> None:
        if not self.control.stopping.is_set():  # else it is the stop that has ended the wait for a token
            self.control.fail(error)

    async def _renew(self, order_id: str, refused: int) -> bool:
        """Return whether to send again what was refused with this token: with a newer one, or as the only one."""
        return await self.client.renew(refused) or not await self.health.is_token_refused(order_id)

    async def _list_statuses(self) -> Answer[Any]:
        self.counters.get += 1
        answer = await self.client.list_statuses()
        if answer.verdict is Verdict.UNAUTHORIZED and await self.client.renew(answer.token_generation):
            self.counters.get += 1
            answer = await self.client.list_statuses()
        self.pace_log.log_changes(answer.code)
        return answer

    def _saw_sign_in(self, answer: Answer[Any]) -> None:
        """Take an answer of the token endpoint into account: without a token nothing can be sent."""
        if answer.verdict in RETRIED_VERDICTS:
            self.health.saw(answer, "sign-in", is_load=False)
            self.pacer.sign_in_failed(answer.detail)
            self.pace_log.log_changes(answer.code)
        else:
            self.pacer.probed(answer)

    async def read_page(self, page: int) -> Answer[list[ListedOrder]]:
        """Read one page (from 1) of the order list."""

        def read() -> Awaitable[Answer[list[ListedOrder]]]:
            self.counters.get += 1
            return self.client.list_orders(page)

        return await self.run(read, AnswerLog(self))

    async def read(self, order_id: str, row: int = 0) -> Answer[str]:
        """Read an order; return the last answer, whose payload is the id of the order's present status."""

        def read() -> Awaitable[Answer[str]]:
            self.counters.get += 1
            return self.client.read_order(order_id)

        return await self.run(read, AnswerLog(self, row, order_id))

    def brake_for(self, answer: Answer[Any]) -> None:
        """Count the first answer to a row, an error; stop when nothing but this has come from the start."""
        if stop := self.brake.refuse(answer.code, answer.http_status, answer.detail):
            self.control.fail(stop)

    def count_wording(self, answer: Answer[Any]) -> None:
        """Count a 2xx that is not the API's confirmation by what it says."""
        kind = answer.http_status, answer.wording
        if 200 <= (answer.http_status or 0) < 300 and (kind in self.wordings or len(self.wordings) < KINDS):
            self.wordings[kind] += 1

    def notes(self) -> list[str]:
        """Return sentences on readings that were refused and on confirmations that are not the API's."""
        said = [describe_wording(*kind, number) for kind, number in self.wordings.most_common(3)]
        refused = self.readings.describe()
        return [*([refused] if refused else []), *chain.from_iterable(said)]


@dataclass(slots=True)
class AnswerLog(Observer):
    """Logs the answers to one request, and that it is made again."""

    exchange: Exchange
    row: int = 0
    order_id: str = ""

    def answered(self, answer: Answer[Any], *, is_load: bool) -> None:
        """Log an answer and the changes that it causes."""
        event("answer", logging.DEBUG, row=self.row, reason=answer.code, http_status=answer.http_status)
        self.exchange.health.saw(answer, self.order_id, is_load=is_load)
        if answer.verdict is not Verdict.DONE:
            self.exchange.pace_log.log_changes(answer.code, self.row)

    async def before_next(self, answer: Answer[Any], number: int) -> bool:
        """Log the next attempt."""
        if answer.verdict is not Verdict.UNAUTHORIZED:
            event(
                "retry", row=self.row, order_id=self.order_id, attempt=number, reason=answer.code,
                http_status=answer.http_status, detail=answer.detail,
            )  # fmt: skip
        return True


def describe_wording(http_status: int | None, wording: str, number: int) -> list[str]:
    """Return a sentence on answers that say yes in other words, and the setting that accepts them, if one can."""
    updates = "1 update was" if number == 1 else f"{number:,} updates were"
    words = f' "{wording}"' if wording else " without the API's confirmation"
    said = f"{updates} answered {http_status}{words}, so the order was read back each time."
    if not wording or http_status not in {200, 201}:
        return [said]
    setting = f"confirmations = [{json.dumps(wording, ensure_ascii=False)}]"
    return [f"{said} If that means yes, say so in the config file:", setting]

"""One row's requests: sent, tried again, counted, and made durable in between."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Never, TypeVar

from batch_updater.api.client import OrderClient
from batch_updater.api.pacing.pacer import Pacer
from batch_updater.api.pacing.rate_log import PaceLog
from batch_updater.api.retry import STOPPED, Attempts, Observer, SendOnce
from batch_updater.common.errors import BatchUpdaterError, CredentialsError, StoppedError
from batch_updater.common.log import event
from batch_updater.common.models import Answer, Checkpoint, Counters, ListedOrder, StatusUpdate, Verdict
from batch_updater.sending.control import Control
from batch_updater.sending.outcome import CUT

T = TypeVar("T")


@dataclass
class Exchange:
    """What the requests of all rows share. Stops the run after an answer that concerns all rows.

    `checkpoint` makes one durable; False when the journal can't be written. `retries` are the attempts after the first.
    """

    client: OrderClient
    pacer: Pacer
    control: Control
    counters: Counters
    checkpoint: Callable[[Checkpoint], Awaitable[bool]]
    retries: int
    silence: str = ""  # why the last unanswered request had no answer

    def __post_init__(self) -> None:
        self.pace_log = PaceLog(self.pacer)
        self._attempts = Attempts(
            self.retries + 1, pace=self.pacer, waits_out_outages=True,
            stopping=self.control.stopping.is_set, sleep=self.control.sleep, counters=self.counters,
        )  # fmt: skip

    async def run(self, request: SendOnce[T], row: "RowAttempts") -> Answer[T]:
        """Return the last answer to all attempts of a request."""
        try:
            answer = await self._attempts.run(request, self._renew, row)
        except BatchUpdaterError as error:  # there is no token
            self.control.fail(error)
            return STOPPED
        if answer.verdict is Verdict.UNAUTHORIZED:
            self.control.fail(CredentialsError("The service did not accept the token.", "get a new one, run again"))
        elif answer.verdict is Verdict.STOP and answer is not STOPPED:
            hint = answer.hint or "check the base URL, then run again"
            self.control.fail(StoppedError(f"Stopped: {answer.detail}.", hint))
        return answer

    async def _renew(self, refused: int) -> bool:
        try:
            return await self.client.renew(refused)
        except BatchUpdaterError as error:
            self.control.fail(error)
            return False

    async def read_page(self, page: int) -> Answer[list[ListedOrder]]:
        """Read one page (from 1) of the order list."""

        def read() -> Awaitable[Answer[list[ListedOrder]]]:
            self.counters.get += 1
            return self.client.list_orders(page)

        return await self.run(read, RowAttempts(StatusUpdate(0, "", ""), self))


@dataclass(slots=True)
class RowAttempts(Observer):
    """A row's attempts so far, and the requests that make more of them."""

    update: StatusUpdate
    exchange: Exchange
    sent: int = 0  # updates that were sent
    checkpointed: int = 0  # updates that are in the journal
    previous: str | None = None  # the order's previous status, when it was read
    doubtful: bool = False  # an update may have been applied without a confirmation
    sent_at: float | None = None  # seconds since the epoch
    began: float = field(default_factory=time.monotonic)

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds since the row's turn began; None when nothing was sent."""
        return None if self.sent_at is None else round((time.monotonic() - self.began) * 1000)

    def put(self) -> Awaitable[Answer[Never]]:
        """Send the update; return the last answer."""
        return self.exchange.run(self._put, self)

    async def _put(self) -> Answer[Never]:
        self.sent_at = self.sent_at or time.time()
        try:
            answer = await self.exchange.client.update_status(self.update)
        except asyncio.CancelledError:
            if not (task := asyncio.current_task()) or not task.cancelling():
                raise
            answer = CUT  # its time is over, but it was sent, which must be recorded
        if answer.was_sent:
            self.sent += 1
            self.doubtful = self.doubtful or answer.verdict is Verdict.UNKNOWN
            self.exchange.counters.put += 1
        return answer

    def get(self) -> Awaitable[Answer[str]]:
        """Read the order; return the last answer, whose payload is the id of the order's present status."""
        return self.exchange.run(self._get, self)

    def _get(self) -> Awaitable[Answer[str]]:
        self.exchange.counters.get += 1
        return self.exchange.client.read_order(self.update.order_id)

    def answered(self, answer: Answer[Any]) -> None:
        """Log an answer and the changes that it causes."""
        event("answer", logging.DEBUG, row=self.update.row, reason=answer.code, http_status=answer.http_status)
        if answer.verdict is not Verdict.DONE:
            self.exchange.pace_log.log_changes(answer.code, self.update.row, answer.detail)
            if answer.http_status is None:
                self.exchange.silence = answer.detail

    async def before_next(self, answer: Answer[Any], number: int) -> bool:
        """Make the updates so far durable before the next one is sent; False when the journal can't be written."""
        if self.sent != self.checkpointed and not await self.checkpoint():
            return False
        if answer.verdict is not Verdict.UNAUTHORIZED:
            event(
                "retry", row=self.update.row, order_id=self.update.order_id, attempt=number, reason=answer.code,
                http_status=answer.http_status, detail=answer.detail,
            )  # fmt: skip
        return True

    async def checkpoint(self) -> bool:
        """Make what is known of the row durable; False when the journal can't be written."""
        attempts = self.sent - self.checkpointed
        if not await self.exchange.checkpoint(Checkpoint(self.update.row, attempts, self.sent_at, self.previous)):
            return False
        self.checkpointed += attempts
        return True

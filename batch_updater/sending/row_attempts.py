"""The updates of one row: sent, read back before they are sent again, and made durable in between."""

import asyncio
import time
from typing import Any, Never

from batch_updater.api.connector import UnconnectedError
from batch_updater.api.retry import STOPPED
from batch_updater.common.models import Answer, Checkpoint, StatusUpdate, Verdict
from batch_updater.sending.exchange import AnswerLog, Exchange
from batch_updater.sending.outcome import Doubt, is_wrong, may_be_late
from batch_updater.sending.readings import Reading, Seen

LOST: Answer[Never] = Answer(Verdict.UNKNOWN, "stopped", "the run ended while this row was under way")


class RowAttempts(AnswerLog):
    """The updates of one row so far, and the requests that make more of them.

    `previous` is the last status other than the wanted one that the order was seen with. `ended_by` is the reading
    after which the update is not sent again. A row of an interrupted start is `in_doubt` from the beginning.
    """

    __slots__ = (
        "_answered",
        "_began",
        "_checkpoint",
        "answer",
        "ended_by",
        "ever_in_doubt",
        "in_doubt",
        "last_reading",
        "late",
        "previous",
        "sent",
        "sent_at",
        "update",
    )  # fmt: skip

    def __init__(self, update: StatusUpdate, exchange: Exchange, *, in_doubt: bool = False) -> None:
        super().__init__(exchange, update.row, update.order_id)
        self.update = update
        self.sent = 0
        self.in_doubt = in_doubt  # the last update may have been applied, and the order was not read since
        self.ever_in_doubt = in_doubt
        self.late = in_doubt  # an update in doubt may be applied after it was read
        self.previous: str | None = None
        self.ended_by: Reading | None = None
        self.last_reading: Reading | None = None  # after the last update; None when that was not read
        self.answer: Answer[Any] = STOPPED  # to the last update
        self.sent_at: float | None = None  # of the first update, in seconds since the epoch
        self._began = self._answered = 0.0  # first update and last answer, by the monotonic clock
        self._checkpoint: tuple[int, str | None] = (0, None)  # `sent` and `previous` as the journal has them

    @property
    def doubt(self) -> Doubt:
        """What is known of the updates."""
        return Doubt(self.sent, self.in_doubt, self.ever_in_doubt, self.late)

    @property
    def unrecorded(self) -> int:
        """Updates that no checkpoint holds."""
        return self.sent - self._checkpoint[0]

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from the first update to the last answer; None when nothing was sent."""
        return round((self._answered - self._began) * 1000) if self.sent else None

    async def put(self) -> Answer[Any]:
        """Send the update; return its last answer, or STOPPED when the run stopped before there was one."""
        answer = await self.exchange.run(self._put, self)
        return self.answer if self.ended_by or (answer is STOPPED and self.sent) else answer

    async def _put(self) -> Answer[Never]:
        client = self.exchange.client
        await client.sign_in()  # before anything is counted as sent
        self.last_reading = None
        if not self.sent:
            self.sent_at, self._began = time.time(), time.monotonic()
        try:
            answer = await client.update_status(self.update)
        except UnconnectedError:
            raise
        except asyncio.CancelledError:
            self._count(LOST)
            self._note_doubt(LOST)
            raise
        self._count(answer)
        return answer

    def _count(self, answer: Answer[Never]) -> None:
        self.answer = answer
        if answer.was_sent:
            self._answered = time.monotonic()
            self.sent += 1
            self.exchange.counters.put += 1

    def answered(self, answer: Answer[Any], *, is_load: bool) -> None:
        """Note whether the update may have been applied."""
        if answer.verdict is not Verdict.DONE and self.exchange.health.is_doubtful(answer):
            self._note_doubt(answer)
        super().answered(answer, is_load=is_load)
        if self.sent == 1 and not is_load and is_wrong(answer):
            self.exchange.brake_for(answer)

    def _note_doubt(self, answer: Answer[Any]) -> None:
        self.in_doubt = self.ever_in_doubt = True
        self.late |= may_be_late(answer)
        self.exchange.count_wording(answer)

    async def get(self) -> Answer[str]:
        """Read the order before its first update; return the last answer."""
        answer = await self.exchange.read(self.order_id, self.row)
        if answer.payload is not None and answer.payload != self.update.status_id:
            self.previous = answer.payload
        return answer

    async def read_back(self) -> Reading:
        """Read the order after an update that may have been applied."""
        reading = await self.exchange.readings.read(self.update)
        if reading.seen in {Seen.OTHER, Seen.RIGHT}:
            self.in_doubt = False
        if reading.seen is Seen.OTHER:
            self.previous = reading.status_id
        return reading

    async def before_next(self, answer: Answer[Any], number: int) -> bool:
        """Read what may have been applied, and make durable what was sent; False when nothing more is to be sent."""
        if self.in_doubt and not await self.is_to_be_sent_again():
            return False
        if (self.sent, self.previous) != self._checkpoint and not await self.checkpoint():
            return False
        return await super().before_next(answer, number)

    async def is_to_be_sent_again(self) -> bool:
        """Read the order of an update in doubt; when nothing more is to be sent, `ended_by` says why."""
        reading = self.last_reading = await self.read_back()
        if reading.seen is Seen.OTHER and self.update.expects(reading.status_id):
            return True
        if reading.seen is Seen.NOT_READABLE and not (self.exchange.options.compares or self.update.expected_id):
            return True
        self.ended_by = reading
        return False

    async def checkpoint(self) -> bool:
        """Make what is known of the row durable; False when the journal can't be written."""
        made = Checkpoint(self.row, self.unrecorded, self.sent_at if self.sent else None, self.previous)
        before, self._checkpoint = self._checkpoint, (self.sent, self.previous)  # it is written even when cancelled
        if await self.exchange.checkpoint(made):
            return True
        self._checkpoint = before
        return False

"""Handle one row until it ends: compare, send, read back."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from batch_updater.api.retry import STOPPED
from batch_updater.common.errors import StoppedError
from batch_updater.common.models import Answer, Checkpoint, ReadBack, Result, RowOutcome, State, StatusUpdate, Verdict
from batch_updater.sending import outcome
from batch_updater.sending.exchange import Exchange
from batch_updater.sending.outcome import End, already_set
from batch_updater.sending.readings import Reading, Seen
from batch_updater.sending.row_attempts import RowAttempts

ReadFirst = Callable[[RowAttempts], Awaitable[RowOutcome | None]]


class Delivery:
    """Handles rows; each method returns the outcome of one row. `names` are the names of statuses by id."""

    def __init__(self, exchange: Exchange, *, names: Mapping[str, str]) -> None:
        self.exchange, self._control, self._names = exchange, exchange.control, names
        self.canary_failure: StoppedError | None = None
        self.last_silence: float | None = None  # when an update last ended that may still be applied, monotonic

    async def send(self, update: StatusUpdate) -> RowOutcome:
        """Send a claimed row until it has ended, is to be read later, or the run stops."""
        reads_first = self.exchange.options.compares or update.expected_id
        return await self._send(RowAttempts(update, self.exchange), self._compare_first if reads_first else None)

    async def _send(self, row: RowAttempts, read_first: ReadFirst | None) -> RowOutcome:
        """Send a row, unless reading its order first ends it."""
        try:
            ended = await read_first(row) if read_first else None
            return ended or self._outcome(row, await self._end(row, await row.put()))
        except asyncio.CancelledError:
            if not (task := asyncio.current_task()) or not task.cancelling():
                raise
            return self._outcome(row, outcome.decide_outcome(row.answer, row.doubt, stopping=True))

    async def _end(self, row: RowAttempts, answer: Answer[str]) -> End:
        """Return how a row stands after its last update, read back where that is needed."""
        stopping = self._control.stopping.is_set() or answer.verdict in {Verdict.STOP, Verdict.UNAUTHORIZED}
        reading = row.ended_by or (None if stopping else row.last_reading)
        if reading is None and (stopping or not outcome.needs_reading(answer, row.doubt)):
            return outcome.decide_outcome(answer, row.doubt, stopping=stopping)
        if row.doubt.late and (reading is None or reading.seen is Seen.OTHER) and not self.exchange.readings.refused:
            self.last_silence = time.monotonic()
            return outcome.leave_in_doubt(answer)
        if reading is None:
            reading = await row.read_back()
        return outcome.decide_by_reading(answer, reading, row.update, row.doubt, self._named(reading.status_id))

    async def send_canary(self, update: StatusUpdate) -> RowOutcome:
        """Send a row and read it back; set `canary_failure` for anything but the wanted status.

        Rows in flight are then still read back, so that none is reported as right that is not; no other is sent.
        """
        if self.canary_failure:
            return RowOutcome(update.row, State.PLANNED, Result.NOT_SENT, STOPPED.code, STOPPED.detail)
        sent = await self.send(update)
        stopped = sent.state is not State.ENDED and self._control.stopping.is_set()
        if stopped or sent.result is Result.UNCHANGED:
            return sent
        seen = f"{sent.result}, {sent.detail}"
        if sent.result is Result.UPDATED:
            answer = await self._read(update)
            if answer.payload == update.status_id or (not answer.payload and self._control.stopping.is_set()):
                return sent
            if answer.payload:
                seen = f"confirmed, but read back it is {self._named(answer.payload)}"
                sent = sent._replace(result=Result.FAILED, code="not_applied", detail=seen)
            else:
                seen = f"confirmed, but could not be read back: {answer.detail}"
        self.canary_failure = self.canary_failure or StoppedError(
            f"The canary failed: row {update.row} is {seen}.", "check this order, then run again"
        )
        return sent

    async def settle(self, update: StatusUpdate) -> RowOutcome | None:
        """Read a row in doubt back; where it was not applied, send it again. None when the run stops."""
        row = RowAttempts(update, self.exchange, in_doubt=True)
        if not await row.is_to_be_sent_again():
            return self._settled(row, row.ended_by, interrupted=True)
        sent = await self._send(row, self._announce)
        if why := self.exchange.readings.why_refused:
            remark = f"sent again after an interruption, for it could not be read back: {why}"
            return sent._replace(remark=remark)
        return sent

    async def _announce(self, row: RowAttempts) -> RowOutcome | None:
        """Make durable that an update is about to leave, and what status its order has."""
        return None if await row.checkpoint() else self._outcome(row, outcome.decide_outcome(STOPPED, row.doubt))

    async def read_doubt(self, update: StatusUpdate) -> RowOutcome | None:
        """Read a row in doubt back; None when it is still to be sent, or the run stops."""
        row = RowAttempts(update, self.exchange, in_doubt=True)
        return None if await row.is_to_be_sent_again() else self._settled(row, row.ended_by, interrupted=True)

    async def plan_doubt(self, update: StatusUpdate) -> RowOutcome | None:
        """Read a row in doubt back and plan it again where it was not applied; None where that can't be told."""
        row = RowAttempts(update, self.exchange, in_doubt=True)
        reading = await row.read_back()
        if reading.seen is Seen.OTHER:
            detail = f"the previous start was interrupted; read back, the order is {self._named(reading.status_id)}"
            return self._outcome(row, End(State.PLANNED, Result.FAILED, "not_applied", detail))
        return None if reading.seen is Seen.NOT_READABLE else self._settled(row, reading, interrupted=True)

    async def read_later(self, update: StatusUpdate) -> RowOutcome | None:
        """Read a row back whose update may have been applied late; None when the run stops."""
        row = RowAttempts(update, self.exchange, in_doubt=True)
        return self._settled(row, await row.read_back(), interrupted=False)

    def _settled(self, row: RowAttempts, reading: Reading | None, *, interrupted: bool) -> RowOutcome | None:
        if reading is None or reading.seen is Seen.STOPPED:
            return None
        found = self._named(reading.status_id)
        return self._outcome(row, outcome.decide_later(reading, found, row.update, interrupted=interrupted))

    async def recheck(self, update: StatusUpdate) -> RowOutcome | None:
        """Check whether a late answer to an earlier row of the order has undone this one."""
        answer = await self._read(update)
        if answer is STOPPED:
            return None
        if answer.payload is None or answer.payload == update.status_id:
            seen = "could not be read back" if answer.payload is None else "was right when read back"
            remark = f"an earlier update of this order was not confirmed at once; this one {seen} at the end"
            await self.exchange.checkpoint(Checkpoint(update.row, remark=remark))
            return None
        detail = f"confirmed, but read back the order is {self._named(answer.payload)}"
        return RowOutcome(update.row, State.ENDED, Result.FAILED, "overtaken", detail)

    async def verify(self, update: StatusUpdate) -> ReadBack | None:
        """Read an order and compare it with the plan; None when the run stops."""
        answer = await self._read(update)
        if answer.verdict in {Verdict.STOP, Verdict.UNAUTHORIZED}:
            return None
        if answer.payload is not None:
            symbol = "=" if answer.payload == update.status_id else "*"
            return ReadBack(update.row, symbol, answer.payload, "")
        return ReadBack(update.row, "-" if answer.code == "order_not_found" else "!", "", answer.detail)

    async def _compare_first(self, row: RowAttempts) -> RowOutcome | None:
        """Read the order; None when the update is to be sent and the previous status is in the journal."""
        wanted = row.update
        answer = await row.get()
        found = answer.payload
        if found is None:
            end = outcome.decide_outcome(answer, row.doubt, stopping=self._control.stopping.is_set())
            unread = "" if answer.code == "order_not_found" else "the order can't be read, "
            return self._outcome(
                row, end._replace(detail=f"{end.detail}; {unread}nothing was sent"), answer.http_status
            )
        if found == wanted.status_id:
            return already_set(wanted)
        if not wanted.expects(found):
            expected = " or ".join(map(self._named, wanted.expected_id.split()))
            detail = f"not sent, for the order is {self._named(found)}, and {expected} was expected"
            return self._outcome(row, End(State.ENDED, Result.CONFLICT, "status_moved", detail), 200)
        return await self._announce(row)

    def _read(self, update: StatusUpdate) -> Awaitable[Answer[str]]:
        return self.exchange.read(update.order_id, update.row)

    def _named(self, status_id: str | None) -> str:
        """Return a status by its name, or by its id when the service listed no names."""
        name = self._names.get(status_id or "")
        return f"'{name}'" if name else status_id or ""

    def _outcome(self, row: RowAttempts, end: End, http_status: int | None = None) -> RowOutcome:
        """Return the outcome of a row that stands like this."""
        sent = row.sent > 0
        return RowOutcome(
            row.row, end.state, end.result, end.code, end.detail, row.answer.http_status if sent else http_status,
            row.unrecorded, row.sent_at if sent else None, row.duration_ms, row.previous, end.remark,
        )  # fmt: skip

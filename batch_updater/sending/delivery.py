"""Handle one row until it ends: compare, send, read back."""

from collections.abc import Awaitable, Mapping
from typing import Any

from batch_updater.api.retry import STOPPED
from batch_updater.common.errors import StoppedError
from batch_updater.common.models import Answer, Checkpoint, ReadBack, Result, RowOutcome, State, StatusUpdate, Verdict
from batch_updater.sending.exchange import Exchange, RowAttempts
from batch_updater.sending.outcome import already_set, decide_outcome

CANNOT_READ = frozenset({403, 404, 405})


class Delivery:
    """Handles rows; each method returns the outcome of one row. `names` are the names of statuses by id."""

    def __init__(self, exchange: Exchange, *, compare: bool, sequenced: bool, names: Mapping[str, str]) -> None:
        self.exchange, self._control = exchange, exchange.control
        self._compare, self._sequenced, self._names = compare, sequenced, names
        self.canary_failure: StoppedError | None = None

    async def send(self, update: StatusUpdate) -> RowOutcome:
        """Send a claimed row until it has ended, or the run stops."""
        row = RowAttempts(update, self.exchange)
        outcome = await self._compare_first(row) if self._compare or update.expected_id else None
        if outcome is None:
            outcome = self._outcome(row, await row.put())
        if self._sequenced and outcome.state is State.ENDED and outcome.result is Result.UNKNOWN:
            if read := await self.read_back(update):
                return outcome._replace(state=read.state, result=read.result, code=read.code, detail=read.detail)
            return outcome._replace(state=State.CLAIMED)  # rows queued behind it wait for a later start
        return outcome

    async def send_canary(self, update: StatusUpdate) -> RowOutcome:
        """Send a row and read it back; set `canary_failure` for anything but the wanted status.

        Rows in flight are then still read back, so that none is reported as right that is not; no other is sent.
        """
        if self.canary_failure:
            return self._outcome(RowAttempts(update, self.exchange), STOPPED)
        outcome = await self.send(update)
        stopped = outcome.state is not State.ENDED and self._control.stopping.is_set()
        if stopped or outcome.result is Result.UNCHANGED:
            return outcome
        seen = f"{outcome.result}, {outcome.detail}"
        if outcome.result is Result.UPDATED:
            answer = await self._read(update)
            if answer.payload == update.status_id or (not answer.payload and self._control.stopping.is_set()):
                return outcome
            if answer.payload:
                seen = f"confirmed, but read back it is {self._named(answer.payload)}"
                outcome = outcome._replace(result=Result.FAILED, code="not_applied", detail=seen)
            else:
                seen = f"confirmed, but could not be read back: {answer.detail}"
        self.canary_failure = self.canary_failure or StoppedError(
            f"The canary failed: row {update.row} is {seen}.", "check this order, then run again"
        )
        return outcome

    async def settle(self, update: StatusUpdate) -> RowOutcome | None:
        """Read a row in doubt back: right already, or to be sent (again); None when that can't be known now."""
        answer = await self._read(update)
        if answer.payload == update.status_id:
            detail = "the previous start was interrupted; read back, the order has the status"
            return RowOutcome(update.row, State.ENDED, Result.UPDATED, "confirmed_after_interruption", detail)
        if answer.payload is not None:
            remark = "in doubt after an interruption, then sent" if self._sequenced else ""  # a late answer may come
            return RowOutcome(update.row, State.PLANNED, Result.NOT_SENT, "stopped", "", remark=remark)
        if answer.http_status in CANNOT_READ:
            remark = f"sent again after an interruption, for it could not be read back ({answer.http_status})"
            return RowOutcome(update.row, State.PLANNED, Result.NOT_SENT, "stopped", "", remark=remark)
        return None

    async def read_back(self, update: StatusUpdate) -> RowOutcome | None:
        """Settle a row that ended unknown; None when the order can't be read."""
        answer = await self._read(update)
        if answer.payload is None:
            return None
        if answer.payload == update.status_id:
            detail = "no answer confirmed it; read back, the order has the status"
            return RowOutcome(update.row, State.ENDED, Result.UPDATED, "confirmed_by_reading", detail)
        detail = f"never confirmed; read back, the order is {self._named(answer.payload)}"
        return RowOutcome(update.row, State.ENDED, Result.FAILED, "not_applied", detail)

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
            outcome = self._outcome(row, answer)
            unread = "" if answer.code == "order_not_found" else "the order can't be read, "
            return outcome._replace(detail=f"{outcome.detail}; {unread}nothing was sent")
        if found == wanted.status_id:
            return already_set(wanted)
        if wanted.expected_id and found != wanted.expected_id:
            expected = self._named(wanted.expected_id)
            detail = f"not sent, for the order is {self._named(found)}, and {expected} was expected"
            return RowOutcome(
                wanted.row, State.ENDED, Result.CONFLICT, "status_moved", detail, 200, previous_status_id=found
            )
        row.previous = found
        return None if await row.checkpoint() else self._outcome(row, STOPPED)

    def _read(self, update: StatusUpdate) -> Awaitable[Answer[str]]:
        return RowAttempts(update, self.exchange).get()

    def _named(self, status_id: str | None) -> str:
        """Return a status by its name, or by its id when the service listed no names."""
        name = self._names.get(status_id or "")
        return f"'{name}'" if name else status_id or ""

    def _outcome(self, row: RowAttempts, answer: Answer[Any]) -> RowOutcome:
        """Return the outcome of a row whose last answer is this."""
        stopping = self._control.stopping.is_set()
        state, result, detail, remark = decide_outcome(answer, doubtful=row.doubtful, stopping=stopping)
        sent = row.sent > 0
        return RowOutcome(
            row.update.row, state, result, answer.code, detail, answer.http_status, row.sent - row.checkpointed,
            row.sent_at if sent else None, row.duration_ms if sent else None, row.previous, remark,
        )  # fmt: skip

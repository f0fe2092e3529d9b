"""One row's way to its end: compare, send, try again, read back. Every request of a run leaves from here."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from batch_updater.api.pacing.pacer import Pacer
from batch_updater.api.pacing.rate_log import PaceWatch
from batch_updater.api.retry import attempt_again
from batch_updater.common.errors import BatchUpdaterError, CredentialsError, StoppedError
from batch_updater.common.log import event
from batch_updater.common.models import (
    Answer,
    Counters,
    ListedOrder,
    Note,
    Reading,
    Result,
    RowOutcome,
    State,
    StatusUpdate,
    Verdict,
)
from batch_updater.sending.control import Control
from batch_updater.sending.exchange import RENEWALS, Request, Sender, _log_retry, _Way
from batch_updater.sending.outcome import CUT, STOPPED, already_set, judge

CANNOT_READ = frozenset({403, 404, 405})


class Delivery:
    """Handles rows; each method is one row from its turn to its outcome. `keep` makes a note durable."""

    def __init__(
        self,
        client: Sender,
        pacer: Pacer,
        control: Control,
        counters: Counters,
        keep: Callable[[Note], Awaitable[bool]],
        *,
        retries: int,
        compare: bool,
        sequenced: bool,
        names: Mapping[str, str],
    ) -> None:
        self._client, self._pacer, self._control, self._counters, self._keep = client, pacer, control, counters, keep
        self._retries, self._compare, self._sequenced, self._names = retries, compare, sequenced, names
        self.watch = PaceWatch(pacer)
        self.canary_failure: StoppedError | None = None
        self.silence = ""  # why the last request without an answer had none

    async def send(self, update: StatusUpdate) -> RowOutcome:
        """Send a claimed row until it has ended, or the run stops."""
        way = _Way(update)
        outcome = await self._compare_first(way) if self._compare or update.expected_id else None
        if outcome is None:
            outcome = self._outcome(way, await self._exchange(way, self._put))
        if self._sequenced and outcome.state is State.ENDED and outcome.result is Result.UNKNOWN:
            settled = await self.read_back(update)
            outcome = (
                settled._replace(attempts=outcome.attempts, sent_at=outcome.sent_at)
                if settled
                else outcome._replace(state=State.CLAIMED)  # rows queued behind it wait for a later start
            )
        return outcome

    async def send_canary(self, update: StatusUpdate) -> RowOutcome:
        """Send a row and read it back; for anything but the wanted status `canary_failure` is set.

        Those under way are then still read back, so that none is called right that is not; no other is sent.
        """
        if self.canary_failure:
            return self._outcome(_Way(update), STOPPED)
        outcome = await self.send(update)
        stopped = outcome.state is not State.ENDED and self._control.stopping.is_set()
        if stopped or outcome.result is Result.UNCHANGED:
            return outcome
        seen = f"{outcome.result}, {outcome.detail}"
        if outcome.result is Result.UPDATED:
            answer = await self._exchange(_Way(update), self._get)
            if answer.status_id == update.status_id or (not answer.status_id and self._control.stopping.is_set()):
                return outcome
            if answer.status_id:
                seen = f"confirmed, but read back it is {self._named(answer.status_id)}"
                outcome = outcome._replace(result=Result.FAILED, code="not_applied", detail=seen)
            else:
                seen = f"confirmed, but could not be read back: {answer.detail}"
        self.canary_failure = self.canary_failure or StoppedError(
            f"The canary failed: row {update.row} is {seen}.", "look at this order, then run again"
        )
        return outcome

    async def settle(self, update: StatusUpdate) -> RowOutcome | None:
        """Read a row in doubt back: right already, or to be sent (again); None when nobody can tell now."""
        answer = await self._exchange(_Way(update), self._get)
        if answer.status_id == update.status_id:
            detail = "the start before was interrupted; read back, the order has the status"
            return RowOutcome(update.row, State.ENDED, Result.UPDATED, "confirmed_after_interruption", detail)
        if answer.status_id is not None:
            remark = "in doubt after an interruption, then sent" if self._sequenced else ""  # a late answer may come
            return RowOutcome(update.row, State.PLANNED, Result.NOT_SENT, "stopped", "", remark=remark)
        if answer.http_status in CANNOT_READ:
            remark = f"sent again after an interruption, for it could not be read back ({answer.http_status})"
            return RowOutcome(update.row, State.PLANNED, Result.NOT_SENT, "stopped", "", remark=remark)
        return None

    async def read_back(self, update: StatusUpdate) -> RowOutcome | None:
        """Settle a row whose end is unknown; None when the order can't be read."""
        answer = await self._exchange(_Way(update), self._get)
        if answer.status_id is None:
            return None
        if answer.status_id == update.status_id:
            detail = "no answer confirmed it; read back, the order has the status"
            return RowOutcome(update.row, State.ENDED, Result.UPDATED, "confirmed_by_reading", detail)
        detail = f"never confirmed; read back, the order is {self._named(answer.status_id)}"
        return RowOutcome(update.row, State.ENDED, Result.FAILED, "not_applied", detail)

    async def recheck(self, update: StatusUpdate) -> RowOutcome | None:
        """Look whether a late answer to an earlier row of the order has undone this one."""
        answer = await self._exchange(_Way(update), self._get)
        if answer is STOPPED:
            return None
        if answer.status_id is None or answer.status_id == update.status_id:
            seen = "could not be read back" if answer.status_id is None else "was right when read back"
            remark = f"an earlier update of this order was not confirmed at once; this one {seen} at the end"
            await self._keep(Note(update.row, remark=remark))
            return None
        detail = f"confirmed, but read back the order is {self._named(answer.status_id)}"
        return RowOutcome(update.row, State.ENDED, Result.FAILED, "overtaken", detail)

    async def verify(self, update: StatusUpdate) -> Reading | None:
        """Read an order and say how it stands to the plan; None when the run stops."""
        answer = await self._exchange(_Way(update), self._get)
        if answer.verdict in {Verdict.STOP, Verdict.UNAUTHORIZED}:
            return None
        if answer.status_id is not None:
            symbol = "=" if answer.status_id == update.status_id else "*"
            return Reading(update.row, symbol, answer.status_id, "")
        return Reading(update.row, "-" if answer.code == "order_not_found" else "!", "", answer.detail)

    async def read_page(self, page: int) -> tuple[Answer, list[ListedOrder]]:
        """Read one page of the order list."""
        found: list[ListedOrder] = []

        async def get(_way: _Way) -> Answer:
            nonlocal found
            self._counters.get += 1
            answer, found = await self._client.list_orders(page)
            return answer

        return await self._exchange(_Way(StatusUpdate(0, "", "")), get), found

    async def _compare_first(self, way: _Way) -> RowOutcome | None:
        """Read the order; None when the update is to be sent and the status before is in the journal."""
        wanted = way.update
        answer = await self._exchange(way, self._get)
        found = answer.status_id
        if found is None:
            outcome = self._outcome(way, answer)
            why = (
                "nothing was sent" if answer.code == "order_not_found" else "the order can't be read, nothing was sent"
            )
            return outcome._replace(detail=f"{outcome.detail}; {why}")
        if found == wanted.status_id:
            return already_set(wanted)
        if wanted.expected_id and found != wanted.expected_id:
            expected = self._named(wanted.expected_id)
            detail = f"not sent, for the order is {self._named(found)}, and {expected} was expected"
            return RowOutcome(
                wanted.row, State.ENDED, Result.CONFLICT, "status_moved", detail, 200, previous_status_id=found
            )
        way.previous, way.tried = found, 0
        return None if await self._note(way) else self._outcome(way, STOPPED)

    def _named(self, status_id: str | None) -> str:
        """A status as a person knows it: by its name, or by its id when the service gave no names."""
        name = self._names.get(status_id or "")
        return f"'{name}'" if name else status_id or ""

    # Requests

    async def _exchange(self, way: _Way, request: "Request") -> Answer:
        """All attempts of one row; gives the last answer. A refused token is renewed up to twice."""
        answer = await self._attempts(way, request)
        for _ in range(RENEWALS):
            if answer.verdict is not Verdict.UNAUTHORIZED or not await self._renew(answer):
                break
            answer = await self._attempts(way, request) if await self._note_attempts(way) else STOPPED
        if answer.verdict is Verdict.UNAUTHORIZED:
            self._control.fail(
                CredentialsError("The service did not accept the token.", "get a new one, then run again")
            )
        elif answer.verdict is Verdict.STOP and answer is not STOPPED:
            hint = answer.hint or "check the base URL, then run again"
            self._control.fail(StoppedError(f"Stopped: {answer.detail}.", hint))
        return answer

    async def _attempts(self, way: _Way, request: "Request") -> Answer:
        first = await self._attempt(way, request)
        if first.verdict in {Verdict.DONE, Verdict.REFUSED}:
            return first

        async def again() -> Answer:
            if not await self._note_attempts(way):
                return STOPPED
            self._counters.retried += 1
            _log_retry(way)
            return await self._attempt(way, request)

        return await attempt_again(again, first, lambda: self._exhausted(way), self._control.sleep)

    def _exhausted(self, way: _Way) -> bool:
        return self._control.stopping.is_set() or (way.tried > self._retries and not self._pacer.outage_for)

    async def _renew(self, answer: Answer) -> bool:
        try:
            return await self._client.renew(answer.signed)
        except BatchUpdaterError as error:
            self._control.fail(error)
            return False

    async def _attempt(self, way: _Way, request: "Request") -> Answer:
        if not await self._pacer.acquire(self._control.stopping.is_set):
            return STOPPED
        self._counters.in_flight += 1
        try:
            answer = await request(way)
        except BatchUpdaterError as error:  # no token is to be had
            self._control.fail(error)
            return STOPPED
        finally:
            self._counters.in_flight -= 1
        self._pacer.answered(answer)
        event("answer", logging.DEBUG, row=way.update.row, reason=answer.code, http_status=answer.http_status)
        if answer.verdict is not Verdict.DONE:
            self._counters.throttled += answer.told
            self.watch.log_changes(answer.code, way.update.row, answer.detail)
            way.last = answer
            self.silence = answer.detail if answer.http_status is None else self.silence
            way.tried += not self._pacer.outage_for
        return answer

    async def _put(self, way: _Way) -> Answer:
        way.sent_at = way.sent_at or time.time()
        try:
            answer = await self._client.update_status(way.update)
        except asyncio.CancelledError:
            if not (task := asyncio.current_task()) or not task.cancelling():
                raise
            answer = CUT  # its time is over; that it has left must be said
        if answer.left:
            way.left += 1
            way.doubtful = way.doubtful or answer.verdict is Verdict.UNKNOWN
            self._counters.put += 1
        return answer

    async def _get(self, way: _Way) -> Answer:
        self._counters.get += 1
        return await self._client.read_order(way.update.order_id)

    async def _note_attempts(self, way: _Way) -> bool:
        """Make failed attempts durable before the next one leaves; False when the journal can't."""
        return way.left == way.noted or await self._note(way)

    async def _note(self, way: _Way) -> bool:
        attempts = way.left - way.noted
        if not await self._keep(Note(way.update.row, attempts, way.sent_at, way.previous)):
            return False
        way.noted += attempts
        return True

    def _outcome(self, way: _Way, answer: Answer) -> RowOutcome:
        """The result of a row whose attempts have ended with this answer."""
        state, result, detail, remark = judge(answer, doubtful=way.doubtful, stopping=self._control.stopping.is_set())
        sent = way.left > 0
        return RowOutcome(
            way.update.row, state, result, answer.code, detail, answer.http_status, way.left - way.noted,
            way.sent_at if sent else None, way.duration_ms if sent else None, way.previous, remark,
        )  # fmt: skip

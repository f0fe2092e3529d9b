"""The worker pool: takes claimed rows from a bounded queue, sends them, hands outcomes to the journal.

A run has three phases: rows in doubt from an earlier start are read back, planned rows are sent, and rows whose
end is unknown are read back. All use the same pool, pace and journal thread.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from batch_updater.api.pace import Pacer
from batch_updater.api.retry import attempt_again
from batch_updater.errors import BatchUpdaterError, CredentialsError, JournalError, StoppedError
from batch_updater.journal import Journal
from batch_updater.models import Answer, Result, RowOutcome, State, StatusUpdate, Verdict

CLAIM_BLOCK = 256
FLUSH_SECONDS = 0.1
DRAIN_SECONDS = 25.0
CANNOT_READ = frozenset({403, 404, 405})

T = TypeVar("T")
Handler = Callable[[StatusUpdate], Awaitable[RowOutcome | None]]


class Sender(Protocol):
    """Anything that can send one status update, or read one order, once."""

    async def update_status(self, update: StatusUpdate) -> Answer:
        """Send one PUT and classify its answer."""

    async def read_order(self, order_id: str) -> Answer:
        """Read one order; the answer's `status_id` is its present status."""


@dataclass(slots=True)
class Counters:
    """What has happened so far in this start of the run."""

    ended: int = 0
    failed: int = 0
    in_flight: int = 0
    put: int = 0
    get: int = 0
    retried: int = 0
    throttled: int = 0


@dataclass(slots=True)
class _Way:
    """One row's way through its attempts."""

    update: StatusUpdate
    left: int = 0  # attempts that left this machine
    tried: int = 0  # attempts that count against the retries
    noted: int = 0  # attempts the journal knows of already
    doubtful: bool = False  # an attempt may have been applied although nobody said so
    sent_at: float | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from the first send to now; None when nothing was sent."""
        return None if self.sent_at is None else round((time.monotonic() - self.began) * 1000)


class Runner:
    """Brings every open row of a journal to its end. `stop()` lets requests under way finish and claims no more."""

    def __init__(
        self,
        journal: Journal,
        client: Sender,
        pacer: Pacer,
        *,
        concurrency: int = 20,
        retries: int = 5,
        max_failures: int | None = None,
        outage_budget: float = 300.0,
        on_tick: Callable[[Counters, Pacer], None] = lambda _counters, _pacer: None,
    ) -> None:
        self._journal, self._client, self._pacer = journal, client, pacer
        self._concurrency, self._retries = concurrency, retries
        self._max_failures, self._outage_budget, self._on_tick = max_failures, outage_budget, on_tick
        self.counters = Counters()
        self._failure: BatchUpdaterError | None = None
        self._stopping = asyncio.Event()
        self._drain_until: float | None = None
        self._records: list[RowOutcome | _Way] = []  # a _Way asks for its attempt to be noted
        self._flushed = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._ended = asyncio.Event()
        self._queue: asyncio.Queue[StatusUpdate | None] = asyncio.Queue(2 * CLAIM_BLOCK)
        self._under_way = 0
        self._thread = ThreadPoolExecutor(1, "journal")

    def stop(self) -> None:
        """Send nothing that is not under way yet; what is under way has 25 s."""
        if not self._stopping.is_set():
            self._drain_until = time.monotonic() + DRAIN_SECONDS
            self._stopping.set()

    async def run(self) -> None:
        """Run all phases until every row has ended or the run is stopped.

        Raises StoppedError or CredentialsError after what was under way has been recorded.
        """
        flusher = asyncio.create_task(self._flush_regularly())
        try:
            await self._phase(self._pages(self._journal.in_doubt), self._settle)
            await self._phase(self._claims, self._send)
            await self._phase(self._pages(self._journal.unknown), self._read_back)
            await self._phase(self._pages(self._journal.overtaken), self._recheck)
        finally:
            self._ended.set()
            await flusher
            await self._end()
        if self._failure:
            raise self._failure

    async def _end(self) -> None:
        try:
            await self._flush()
        except JournalError as error:
            self._fail(error)
        finally:
            self._thread.shutdown()
            self._on_tick(self.counters, self._pacer)

    # The pool

    async def _phase(self, next_block: Callable[[], Awaitable[list[StatusUpdate]]], handle: Handler) -> None:
        """Hand every row that `next_block` gives to `handle`, by `concurrency` workers; an empty block is the end."""
        if self._stopping.is_set():
            return
        tasks = [asyncio.create_task(self._work(handle)) for _ in range(self._concurrency)]
        tasks.append(asyncio.create_task(self._feed(next_block)))
        try:
            await self._until_ended(set(tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._give_back()

    async def _until_ended(self, tasks: set[asyncio.Task[None]]) -> None:
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            while tasks:
                left = None if self._drain_until is None else max(self._drain_until - time.monotonic(), 0.0)
                watched = tasks if stopped.done() else {*tasks, stopped}
                done, _ = await asyncio.wait(watched, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                for task in done & tasks:
                    task.result()
                tasks = tasks - done
                if left == 0.0:
                    return
        finally:
            stopped.cancel()

    async def _feed(self, next_block: Callable[[], Awaitable[list[StatusUpdate]]]) -> None:
        try:
            while not self._stopping.is_set() and (block := await next_block()):
                for update in block:
                    await self._queue.put(update)
        except JournalError as error:
            self._fail(error)
        for _ in range(self._concurrency):
            await self._queue.put(None)

    async def _work(self, handle: Handler) -> None:
        while (update := await self._queue.get()) is not None:
            self._under_way += 1
            try:
                outcome = await handle(update)
            finally:
                self._under_way -= 1
            if outcome is not None:
                self._records.append(outcome)

    def _count(self, outcome: RowOutcome) -> None:
        if outcome.state is State.ENDED:
            self.counters.ended += 1
            self.counters.failed += outcome.result in {Result.FAILED, Result.UNKNOWN}
        limit = self._max_failures
        if limit is not None and self.counters.failed > limit:
            self._fail(
                StoppedError(f"More than {limit:,} rows have failed.", "see the result file; run again to go on")
            )

    def _claims(self) -> Awaitable[list[StatusUpdate]]:
        return self._claim_next()

    async def _claim_next(self) -> list[StatusUpdate]:
        """The next block; waits while rows are queued behind others that are under way."""
        while not self._stopping.is_set():
            if block := await self._in_thread(lambda: self._journal.claim(CLAIM_BLOCK)):
                return block
            self._flushed.clear()
            idle = not self._under_way and self._queue.empty() and not self._records
            if idle or not await self._in_thread(self._journal.has_queued):
                return []
            await self._flushed.wait()
        return []

    def _pages(self, read: Callable[[int, int], list[StatusUpdate]]) -> Callable[[], Awaitable[list[StatusUpdate]]]:
        after = 0

        async def next_page() -> list[StatusUpdate]:
            nonlocal after
            await self._flush()
            page = await self._in_thread(lambda: read(after, CLAIM_BLOCK))
            after = page[-1].row if page else after
            return page

        return next_page

    async def _give_back(self) -> None:
        """Rows that were claimed but taken by no worker are planned again."""
        unsent = []
        while not self._queue.empty():
            if (update := self._queue.get_nowait()) is not None:
                unsent.append(update.row)
        try:
            await self._flush()
            if unsent:
                await self._in_thread(lambda: self._journal.unclaim(unsent))
        except JournalError as error:
            self._fail(error)

    def _fail(self, error: BatchUpdaterError) -> None:
        self._failure = self._failure or error
        self.stop()

    # One row

    async def _send(self, update: StatusUpdate) -> RowOutcome:
        way = _Way(update)
        outcome = _outcome(way, await self._exchange(way, "put"), stopping=self._stopping.is_set())
        if outcome.state is State.ENDED and outcome.result is Result.UNKNOWN and self._journal.sequenced:
            settled = await self._read_back(update)
            outcome = (
                replace(settled, attempts=outcome.attempts, sent_at=outcome.sent_at)
                if settled
                else replace(outcome, state=State.CLAIMED)  # rows queued behind it wait for a later start
            )
        self._count(outcome)
        return outcome

    async def _settle(self, update: StatusUpdate) -> RowOutcome | None:
        """Read a row in doubt back: right already, or to be sent (again)."""
        answer = await self._exchange(_Way(update), "get")
        if answer.status_id == update.status_id:
            detail = "the start before was interrupted; read back, the order has the status"
            outcome = RowOutcome(update.row, State.ENDED, Result.UPDATED, "confirmed_after_interruption", detail)
            self._count(outcome)
            return outcome
        if answer.status_id is not None:
            return RowOutcome(update.row, State.PLANNED, Result.NOT_SENT, "stopped", "")
        if answer.http_status in CANNOT_READ:
            detail = f"could not be read back after an interruption ({answer.http_status}); sent again"
            return RowOutcome(update.row, State.PLANNED, Result.NOT_SENT, "stopped", detail)
        return None

    async def _read_back(self, update: StatusUpdate) -> RowOutcome | None:
        """Settle a row whose end is unknown; None when the order can't be read."""
        answer = await self._exchange(_Way(update), "get")
        if answer.status_id is None:
            return None
        if answer.status_id == update.status_id:
            detail = "no answer confirmed it; read back, the order has the status"
            return RowOutcome(update.row, State.ENDED, Result.UPDATED, "confirmed_by_reading", detail)
        detail = f"never confirmed; read back, the order has another status ({answer.status_id})"
        return RowOutcome(update.row, State.ENDED, Result.FAILED, "not_applied", detail)

    async def _recheck(self, update: StatusUpdate) -> RowOutcome | None:
        """Look whether a late answer to an earlier row of the order has undone this one."""
        answer = await self._exchange(_Way(update), "get")
        if answer.status_id in {None, update.status_id}:
            return None
        detail = f"confirmed, but read back the order has another status ({answer.status_id})"
        return RowOutcome(update.row, State.ENDED, Result.FAILED, "overtaken", detail)

    async def _exchange(self, way: _Way, kind: str) -> Answer:
        """All attempts of one row; gives the last answer."""

        async def again() -> Answer:
            if kind == "put" and not await self._note_attempt(way):
                return _STOPPED
            self.counters.retried += 1
            return await self._attempt(way, kind)

        first = await self._attempt(way, kind)
        answer = await attempt_again(again, first, lambda: self._exhausted(way), self._sleep)
        if answer.verdict is Verdict.UNAUTHORIZED:
            self._fail(CredentialsError("The service did not accept the token.", "get a new one, then run again"))
        elif answer.verdict is Verdict.STOP and answer is not _STOPPED:
            self._fail(StoppedError(f"Stopped: {answer.detail}.", "check the base URL, then run again"))
        return answer

    def _exhausted(self, way: _Way) -> bool:
        return self._stopping.is_set() or (way.tried > self._retries and not self._pacer.outage_for)

    async def _attempt(self, way: _Way, kind: str) -> Answer:
        if not await self._pacer.acquire(self._stopping.is_set):
            return _STOPPED
        way.sent_at = way.sent_at or (time.time() if kind == "put" else None)
        self.counters.in_flight += 1
        try:
            if kind == "put":
                answer = await self._client.update_status(way.update)
            else:
                answer = await self._client.read_order(way.update.order_id)
        finally:
            self.counters.in_flight -= 1
        if answer.left and kind == "put":
            way.left += 1
            self.counters.put += 1
        self.counters.get += kind == "get"
        self._learn(way, answer)
        return answer

    def _learn(self, way: _Way, answer: Answer) -> None:
        way.doubtful = way.doubtful or answer.verdict is Verdict.UNKNOWN
        self.counters.throttled += answer.told
        self._pacer.answered(answer)
        way.tried += not self._pacer.outage_for

    async def _note_attempt(self, way: _Way) -> bool:
        """Make the failed attempt durable before the next one leaves; False when the journal can't."""
        if way.left > way.noted:
            self._records.append(way)
            while way.left > way.noted and not self._stopping.is_set():
                self._flushed.clear()
                await self._flushed.wait()
        return way.left == way.noted

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    # The journal

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _flush_regularly(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), FLUSH_SECONDS)
            try:
                await self._flush()
            except JournalError as error:
                self._fail(error)
            finally:
                self._flushed.set()
            if self._pacer.outage_for > self._outage_budget:
                budget = f"{self._outage_budget:g} s"
                self._fail(StoppedError(f"The service has not answered for {budget}.", "run again when it is back"))
            self._on_tick(self.counters, self._pacer)

    async def _flush(self) -> None:
        """Write what has happened. Goes on to its end when the caller is cancelled. Raises JournalError."""
        await asyncio.shield(asyncio.ensure_future(self._write_records()))

    async def _write_records(self) -> None:
        async with self._flushing:
            records, self._records = self._records, []
            outcomes = [record for record in records if isinstance(record, RowOutcome)]
            ways = [record for record in records if isinstance(record, _Way)]
            try:
                if ways:
                    noted = [(way.update.row, way.sent_at) for way in ways]
                    await self._in_thread(lambda: self._journal.note_attempts(noted))
                    for way in ways:
                        way.noted += 1
                if outcomes:
                    await self._in_thread(lambda: self._journal.record(outcomes))
            except JournalError:
                self._records = [*outcomes, *(way for way in ways if way.left > way.noted), *self._records]
                raise


_STOPPED = Answer(Verdict.STOP, "stopped", "the run stopped before this row", left=False)


def _outcome(way: _Way, answer: Answer, *, stopping: bool) -> RowOutcome:
    """The result of a row whose attempts have ended with this answer."""
    state, detail = State.ENDED, answer.detail
    if answer.verdict is Verdict.DONE:
        result = Result.UPDATED
    elif answer.verdict is Verdict.REFUSED:
        result = Result.FAILED
    elif way.doubtful:
        result = Result.UNKNOWN
        state = State.CLAIMED if stopping else State.ENDED
        if answer.verdict is not Verdict.UNKNOWN:
            detail = f"an earlier attempt was never answered; then: {detail}"
    elif answer.code == "redirect":
        result = Result.FAILED
    elif stopping or answer.verdict in {Verdict.STOP, Verdict.UNAUTHORIZED}:
        result, state = Result.NOT_SENT, State.PLANNED
    else:
        result = Result.FAILED
    return RowOutcome(
        way.update.row, state, result, answer.code, detail, answer.http_status, way.left - way.noted,
        way.sent_at if way.left else None, way.duration_ms if way.left else None,
    )  # fmt: skip

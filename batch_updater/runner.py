"""The worker pool: takes claimed rows from a bounded queue, sends them, hands outcomes to the journal.

A run has three phases: rows in doubt from an earlier start are read back, planned rows are sent, and rows whose
end is unknown are read back. All use the same pool, pace and journal thread.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from batch_updater.api.pace import Pacer
from batch_updater.api.retry import attempt_again
from batch_updater.errors import BatchUpdaterError, CredentialsError, JournalError, StoppedError
from batch_updater.journal import Journal
from batch_updater.models import Answer, Reading, Result, RowOutcome, State, StatusUpdate, Verdict

CLAIM_BLOCK = 256
FLUSH_SECONDS = 0.1
DRAIN_SECONDS = 25.0
RENEWALS = 2
CANNOT_READ = frozenset({403, 404, 405})

T = TypeVar("T")
Handler = Callable[[StatusUpdate], Awaitable[RowOutcome | Reading | None]]


class Sender(Protocol):
    """Anything that can send one status update, or read one order, once."""

    async def update_status(self, update: StatusUpdate) -> Answer:
        """Send one PUT and classify its answer."""

    async def read_order(self, order_id: str) -> Answer:
        """Read one order; the answer's `status_id` is its present status."""

    async def renew(self, refused: int) -> bool:
        """Get a newer token than generation `refused`; False when there is no way to."""

    @property
    def token_requests(self) -> int:
        """Requests to the token endpoint so far."""


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
    token: int = 0


@dataclass(slots=True)
class _Way:
    """One row's way through its attempts."""

    update: StatusUpdate
    left: int = 0  # attempts that left this machine
    tried: int = 0  # attempts that count against the retries
    noted: int = 0  # attempts the journal knows of already
    previous: str | None = None  # the order's status before, when it was read
    doubtful: bool = False  # an attempt may have been applied although nobody said so
    sent_at: float | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from the first send to now; None when nothing was sent."""
        return None if self.sent_at is None else round((time.monotonic() - self.began) * 1000)


@dataclass(slots=True)
class _Note:
    """Asks the journal to keep something of a row before its next request leaves; `kept` says whether it did."""

    row: int
    attempts: int
    sent_at: float | None
    previous: str | None
    kept: asyncio.Future[bool]


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
        compare: bool = False,
        canary: int = 0,
        max_failures: int | None = None,
        outage_budget: float = 300.0,
        on_tick: Callable[[Counters, Pacer], None] = lambda _counters, _pacer: None,
    ) -> None:
        self._journal, self._client, self._pacer = journal, client, pacer
        self._concurrency, self._retries = concurrency, retries
        self._compare, self._canary = compare, canary
        self._max_failures, self._outage_budget, self._on_tick = max_failures, outage_budget, on_tick
        self.counters = Counters()
        self._failure: BatchUpdaterError | None = None
        self._stopping = asyncio.Event()
        self._drain_until: float | None = None
        self._records: list[RowOutcome | Reading | _Note] = []
        self._wake = asyncio.Event()
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
        async with self._journal_writing():
            await self._phase(self._pages(self._journal.in_doubt), self._settle)
            if self._canary:
                await self._phase(self._once(lambda: self._journal.claim_canary(self._canary)), self._send_and_check)
            await self._phase(self._claim_next, self._send)
            await self._phase(self._pages(self._journal.unknown), self._read_back)
            await self._phase(self._pages(self._journal.overtaken), self._recheck)

    async def verify(self) -> None:
        """Read every order of the run and keep what was found as readings. Raises as `run` does."""
        async with self._journal_writing():
            await self._phase(self._pages(self._journal.to_verify), self._verify)

    @contextlib.asynccontextmanager
    async def _journal_writing(self) -> AsyncIterator[None]:
        """Write what happens within to the journal; raise afterwards what made the run stop."""
        flusher = asyncio.create_task(self._flush_regularly())
        try:
            yield
        finally:
            self._ended.set()
            self._wake.set()
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
            self.counters.token = self._client.token_requests
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

    def _once(self, read: Callable[[], list[StatusUpdate]]) -> Callable[[], Awaitable[list[StatusUpdate]]]:
        """One block, then the end."""
        blocks = [read]

        async def next_block() -> list[StatusUpdate]:
            return await self._in_thread(blocks.pop()) if blocks else []

        return next_block

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
        outcome = await self._compare_first(way) if self._compare or update.expected_id else None
        if outcome is None:
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

    async def _compare_first(self, way: _Way) -> RowOutcome | None:
        """Read the order; None when the update is to be sent and the status before is in the journal."""
        wanted = way.update
        answer = await self._exchange(way, "get")
        found = answer.status_id
        if found is None:
            outcome = _outcome(way, answer, stopping=self._stopping.is_set())
            return replace(outcome, detail=f"not sent, for the order can't be read: {outcome.detail}")
        if found == wanted.status_id:
            detail = "the order has this status already"
            return RowOutcome(
                wanted.row, State.ENDED, Result.UNCHANGED, "already_set", detail, 200, previous_status_id=found
            )
        if wanted.expected_id and found != wanted.expected_id:
            detail = f"not sent, for the order has another status ({found}) than expected ({wanted.expected_id})"
            return RowOutcome(
                wanted.row, State.ENDED, Result.CONFLICT, "status_moved", detail, 200, previous_status_id=found
            )
        way.previous, way.tried = found, 0
        return None if await self._keep(way) else _outcome(way, _STOPPED, stopping=True)

    async def _send_and_check(self, update: StatusUpdate) -> RowOutcome:
        """Send a row of the canary and read it back; anything but the wanted status stops the run."""
        outcome = await self._send(update)
        if outcome.state is not State.ENDED or outcome.result is Result.UNCHANGED:
            return outcome
        seen = f"{outcome.result}, {outcome.detail}"
        if outcome.result is Result.UPDATED:
            answer = await self._exchange(_Way(update), "get")
            if answer.status_id == update.status_id:
                return outcome
            seen = f"confirmed, but read back it has {answer.status_id or f'not been found: {answer.detail}'}"
            if answer.status_id:
                outcome = replace(outcome, result=Result.FAILED, code="not_applied", detail=seen)
        self._fail(
            StoppedError(f"The canary failed: row {update.row} is {seen}.", "look at this order, then run again")
        )
        return outcome

    async def _verify(self, update: StatusUpdate) -> Reading | None:
        answer = await self._exchange(_Way(update), "get")
        self.counters.ended += 1
        if answer is _STOPPED:
            return None
        if answer.status_id is not None:
            symbol = "=" if answer.status_id == update.status_id else "*"
            self.counters.failed += symbol == "*"
            return Reading(update.row, symbol, answer.status_id, "")
        self.counters.failed += 1
        return Reading(update.row, "-" if answer.code == "order_not_found" else "!", "", answer.detail)

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
        """All attempts of one row; gives the last answer. A refused token is renewed up to twice."""
        answer = await self._attempts(way, kind)
        for _ in range(RENEWALS):
            if answer.verdict is not Verdict.UNAUTHORIZED or not await self._renew(answer):
                break
            answer = await self._attempts(way, kind) if await self._note_attempt(way) else _STOPPED
        if answer.verdict is Verdict.UNAUTHORIZED:
            self._fail(CredentialsError("The service did not accept the token.", "get a new one, then run again"))
        elif answer.verdict is Verdict.STOP and answer is not _STOPPED:
            self._fail(StoppedError(f"Stopped: {answer.detail}.", "check the base URL, then run again"))
        return answer

    async def _attempts(self, way: _Way, kind: str) -> Answer:
        async def again() -> Answer:
            if not await self._note_attempt(way):
                return _STOPPED
            self.counters.retried += 1
            return await self._attempt(way, kind)

        first = await self._attempt(way, kind)
        return await attempt_again(again, first, lambda: self._exhausted(way), self._sleep)

    async def _renew(self, answer: Answer) -> bool:
        try:
            return await self._client.renew(answer.signed)
        except BatchUpdaterError as error:
            self._fail(error)
            return False

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
        except BatchUpdaterError as error:  # no token is to be had
            self._fail(error)
            return _STOPPED
        finally:
            self.counters.in_flight -= 1
        if answer.left and kind == "put":
            way.left += 1
            way.doubtful = way.doubtful or answer.verdict is Verdict.UNKNOWN
            self.counters.put += 1
        self.counters.get += kind == "get"
        self._learn(way, answer)
        return answer

    def _learn(self, way: _Way, answer: Answer) -> None:
        self.counters.throttled += answer.told
        self._pacer.answered(answer)
        way.tried += not self._pacer.outage_for

    async def _note_attempt(self, way: _Way) -> bool:
        """Make failed attempts durable before the next one leaves; False when the journal can't."""
        return way.left == way.noted or await self._keep(way)

    async def _keep(self, way: _Way) -> bool:
        kept = asyncio.get_running_loop().create_future()
        attempts = way.left - way.noted
        self._records.append(_Note(way.update.row, attempts, way.sent_at, way.previous, kept))
        self._wake.set()
        if not await kept:
            return False
        way.noted += attempts
        return True

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
                await asyncio.wait_for(self._wake.wait(), FLUSH_SECONDS)
            self._wake.clear()
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
            try:
                await self._in_thread(lambda: _write(self._journal, records))
            except JournalError:
                self._records = [*(record for record in records if not isinstance(record, _Note)), *self._records]
                _answer_notes(records, kept=False)
                raise
            _answer_notes(records, kept=True)


def _write(journal: Journal, records: list[RowOutcome | Reading | _Note]) -> None:
    if notes := [(n.row, n.attempts, n.sent_at, n.previous) for n in records if isinstance(n, _Note)]:
        journal.note(notes)
    if outcomes := [record for record in records if isinstance(record, RowOutcome)]:
        journal.record(outcomes)
    if readings := [record for record in records if isinstance(record, Reading)]:
        journal.record_readings(readings)


def _answer_notes(records: list[RowOutcome | Reading | _Note], *, kept: bool) -> None:
    for record in records:
        if isinstance(record, _Note) and not record.kept.done():
            record.kept.set_result(kept)


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
        way.sent_at if way.left else None, way.duration_ms if way.left else None, way.previous,
    )  # fmt: skip

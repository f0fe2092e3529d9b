"""The worker pool: takes claimed rows from a bounded queue, sends them, hands outcomes to the journal."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from batch_updater.api.pace import Pacer
from batch_updater.api.retry import attempt_again
from batch_updater.errors import BatchUpdaterError, CredentialsError, StoppedError
from batch_updater.journal import Journal
from batch_updater.models import Answer, Result, RowOutcome, StatusUpdate, Verdict

CLAIM_BLOCK = 256
FLUSH_SECONDS = 0.1
FLUSH_ROWS = 500
DRAIN_SECONDS = 25.0

T = TypeVar("T")


class Sender(Protocol):
    """Anything that can send one status update, once."""

    async def update_status(self, update: StatusUpdate) -> Answer:
        """Send one PUT and classify its answer."""


@dataclass(slots=True)
class Counters:
    """What has happened so far in this start of the run."""

    ended: int = 0
    failed: int = 0
    in_flight: int = 0
    put: int = 0
    retried: int = 0
    throttled: int = 0


@dataclass(slots=True)
class _Way:
    """One row's way through its attempts."""

    update: StatusUpdate
    attempts: int = 0
    doubtful: bool = False  # an attempt may have been applied although nobody said so
    sent_at: float | None = None
    began: float | None = None


@dataclass
class Runner:
    """Sends every planned row of a journal. `stop()` lets requests under way finish and claims no more."""

    journal: Journal
    client: Sender
    pacer: Pacer
    concurrency: int
    retries: int
    on_tick: Callable[[Counters, float], None] = lambda _counters, _paused: None
    counters: Counters = field(default_factory=Counters)
    failure: BatchUpdaterError | None = None

    def __post_init__(self) -> None:
        self._stopping = asyncio.Event()
        self._outcomes: list[RowOutcome] = []
        self._queue: asyncio.Queue[StatusUpdate | None] = asyncio.Queue(2 * CLAIM_BLOCK)
        self._thread = ThreadPoolExecutor(1, "journal")

    def stop(self) -> None:
        """Send nothing that is not under way yet."""
        self._stopping.set()

    async def run(self) -> Counters:
        """Send until every planned row has ended or the run is stopped.

        Raises StoppedError or CredentialsError after everything under way has been recorded.
        """
        workers = [asyncio.create_task(self._work()) for _ in range(self.concurrency)]
        tasks = {asyncio.create_task(self._feed()), *workers}
        flusher = asyncio.create_task(self._flush_regularly())
        try:
            await self._until_ended(tasks)
        finally:
            for task in (*tasks, flusher):
                task.cancel()
            await asyncio.gather(*tasks, flusher, return_exceptions=True)
            await self._release_unsent()
            self._thread.shutdown()
        if self.failure:
            raise self.failure
        return self.counters

    async def _until_ended(self, tasks: set[asyncio.Task[None]]) -> None:
        """Wait for all tasks; a failing one ends the others, and after a stop they have 25 s."""
        stopped = asyncio.create_task(self._stopping.wait())
        deadline = None
        try:
            while pending := {task for task in tasks if not task.done()}:
                left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
                watched = pending if stopped.done() else {*pending, stopped}
                await asyncio.wait(watched, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    if task.done():
                        task.result()
                if left == 0.0:
                    return
                if deadline is None and stopped.done():
                    deadline = time.monotonic() + DRAIN_SECONDS
        finally:
            stopped.cancel()

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _feed(self) -> None:
        try:
            while not self._stopping.is_set():
                block = await self._in_thread(lambda: self.journal.claim(CLAIM_BLOCK))
                if not block:
                    break
                for update in block:
                    await self._queue.put(update)
        except StoppedError as error:
            self._fail(error)
        for _ in range(self.concurrency):
            await self._queue.put(None)

    async def _work(self) -> None:
        while (update := await self._queue.get()) is not None:
            if self._stopping.is_set():
                self._outcomes.append(_outcome(_Way(update), Answer(Verdict.STOP, "stopped", "the run stopped")))
                continue
            way = _Way(update)
            answer = await self._send(way)
            outcome = _outcome(way, answer)
            if answer.verdict is Verdict.UNAUTHORIZED:
                self._fail(CredentialsError("The service did not accept the token.", "get a new one and run again"))
            elif answer.code == "redirect":
                self._fail(StoppedError("The service answered with a redirect.", "check the base URL"))
            self.counters.ended += outcome.result is not Result.NOT_SENT
            self.counters.failed += outcome.result in {Result.FAILED, Result.UNKNOWN}
            self._outcomes.append(outcome)

    async def _send(self, way: _Way) -> Answer:
        first = await self._attempt(way)
        return await attempt_again(lambda: self._attempt(way), first, self.retries, self._sleep)

    async def _attempt(self, way: _Way) -> Answer:
        if not await self.pacer.acquire(self._stopping.is_set):
            return Answer(Verdict.STOP, "stopped", "the run stopped before this row")
        way.sent_at = way.sent_at or time.time()
        way.began = way.began or time.monotonic()
        way.attempts += 1
        self.counters.put += 1
        self.counters.retried += way.attempts > 1
        self.counters.in_flight += 1
        try:
            answer = await self.client.update_status(way.update)
        finally:
            self.counters.in_flight -= 1
        way.doubtful = way.doubtful or answer.verdict is Verdict.UNKNOWN
        if not answer.left:
            way.attempts -= 1
            self.counters.put -= 1
        if answer.verdict is Verdict.THROTTLED:
            self.counters.throttled += 1
            self.pacer.throttled(answer.wait, told=answer.wait is not None or answer.http_status == 429)
        elif answer.http_status is not None:
            self.pacer.succeeded()
        return answer

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    def _fail(self, error: BatchUpdaterError) -> None:
        self.failure = self.failure or error
        self.stop()

    async def _flush_regularly(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self._flush()
            except StoppedError as error:
                self._fail(error)
            self.on_tick(self.counters, self.pacer.paused_for)

    async def _flush(self) -> None:
        while self._outcomes:
            block = self._outcomes[:FLUSH_ROWS]
            await asyncio.shield(self._in_thread(lambda b=block: self.journal.record(b)))  # type: ignore[misc]  # mypy can't type a lambda's default
            del self._outcomes[: len(block)]

    async def _release_unsent(self) -> None:
        unsent = []
        while not self._queue.empty():
            if (update := self._queue.get_nowait()) is not None:
                unsent.append(update.row)
        try:
            await self._flush()
            await self._in_thread(lambda: self.journal.unclaim(unsent))
        except StoppedError as error:
            self._fail(error)
        self.on_tick(self.counters, 0.0)


def _outcome(way: _Way, answer: Answer) -> RowOutcome:
    """The result of a row whose attempts have ended with this answer."""
    if answer.verdict is Verdict.DONE:
        result = Result.UPDATED
    elif answer.verdict is Verdict.REFUSED or answer.code == "redirect":
        result = Result.FAILED
    elif way.doubtful:
        result = Result.UNKNOWN
    elif answer.verdict in {Verdict.STOP, Verdict.UNAUTHORIZED}:
        result = Result.NOT_SENT
    else:
        result = Result.FAILED
    detail, code = answer.detail, answer.code
    if result is Result.UNKNOWN and answer.verdict is not Verdict.UNKNOWN:
        detail = f"an earlier attempt was never answered; then: {detail}"
    duration = None if way.began is None else round((time.monotonic() - way.began) * 1000)
    return RowOutcome(way.update.row, result, code, detail, answer.http_status, way.attempts, way.sent_at, duration)

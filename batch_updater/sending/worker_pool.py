"""The worker pool: bounded, fed from the journal, drained on a stop.

A run has up to five phases: settle what is in doubt, try the canary, send what is planned, read back what ended
unknown, look again at sequences whose answers were lost. All use the same pool, pace and journal thread.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from batch_updater.api.pacing.pacer import Pacer
from batch_updater.common.errors import JournalError, StoppedError
from batch_updater.common.log import event
from batch_updater.common.models import Counters, ListedOrder, Reading, Result, RowOutcome, State, StatusUpdate
from batch_updater.journal.journal import Journal
from batch_updater.journal.recorder import Recorder
from batch_updater.sending.control import Control
from batch_updater.sending.delivery import Delivery
from batch_updater.sending.exchange import Exchange, Sender
from batch_updater.sending.list_comparison import Listing
from batch_updater.sending.outcome import already_set

CLAIM_BLOCK = 500
DRAIN_SECONDS = 25.0
Record = RowOutcome | Reading
T = TypeVar("T", StatusUpdate, int)
Handler = Callable[[T], Awaitable[Record | list[RowOutcome] | None]]
NextBlock = Callable[[], Awaitable[list[T]]]
Page = Callable[[int, int], list[StatusUpdate]]


class Runner:
    """Brings every open row of a journal to its end. `stop()` lets requests under way finish and claims no more.

    `concurrency` is the most requests in flight, `outage_budget` seconds without an answer until the run stops,
    `names` are the statuses' names by their ids.
    """

    def __init__(
        self,
        journal: Journal,
        client: Sender,
        pacer: Pacer,
        *,
        concurrency: int = 20,
        retries: int = 5,
        compare: bool = False,
        by_list: bool = False,
        canary: int = 0,
        max_failures: int | None = None,
        outage_budget: float = 300.0,
        names: Mapping[str, str] | None = None,
        on_tick: Callable[[Counters, Pacer], None] = lambda _counters, _pacer: None,
        on_record: Callable[[RowOutcome], None] = lambda _outcome: None,
    ) -> None:
        self._journal, self._client, self._pacer = journal, client, pacer
        self._concurrency, self._canary, self._max_failures = concurrency, canary, max_failures
        self._outage_budget, self._on_tick, self._by_list = outage_budget, on_tick, by_list
        self._on_record = on_record
        self.notes: list[str] = []  # what a person should know of how it was done
        self.counters = Counters()
        self._control = Control(DRAIN_SECONDS)
        self._recorder = Recorder(journal, self._control.fail, self._tick)
        self._exchange = Exchange(client, pacer, self._control, self.counters, self._recorder.checkpoint, retries)
        self._delivery = Delivery(self._exchange, compare=compare, sequenced=journal.sequenced, names=names or {})
        self._queue: asyncio.Queue[Any] = asyncio.Queue(2 * CLAIM_BLOCK)
        self._under_way = 0
        self._all_counted = False  # what ends from now on is a second word about rows that ended before
        self._unhandled: list[Any] = []  # what the last phase left in the queue

    def stop(self) -> None:
        """Send nothing that is not under way yet; what is under way has 25 s."""
        self._control.stop()

    async def run(self) -> None:
        """Run all phases until every row has ended or the run is stopped.

        Raises StoppedError or CredentialsError after what was under way has been recorded.
        """
        journal, delivery = self._journal, self._delivery
        async with self._recorder:
            await self._phase(self._pages(journal.in_doubt), delivery.settle)
            if self._by_list:
                await self._compare_by_list()
            if self._canary:
                await self._try_canary()
            await self._send_phase(self._claim_next, delivery.send)
            self._all_counted = True
            await self._phase(self._pages(journal.unknown), delivery.read_back)
            await self._phase(self._pages(journal.possibly_overwritten), delivery.recheck)
        self._raise_failure()

    async def verify(self) -> None:
        """Read every order of the run and keep what was found as readings. Raises as `run` does."""
        async with self._recorder:
            await self._phase(self._pages(self._journal.to_verify), self._delivery.verify)
        self._raise_failure()

    async def _try_canary(self) -> None:
        """Send and read back a few rows, unless an earlier start of the run has done so and all were right."""
        journal, recorder = self._journal, self._recorder
        if (await recorder.call(journal.facts)).canary_passed:
            return
        await self._send_phase(self._once(lambda: journal.claim_canary(self._canary)), self._delivery.send_canary)
        if self._delivery.canary_failure:
            self._control.fail(self._delivery.canary_failure)
        if not self._control.stopping.is_set():
            try:
                await recorder.call(lambda: journal.update_facts(canary_passed=True))
            except JournalError as error:
                self._control.fail(error)

    async def _compare_by_list(self) -> None:
        """Read the paged list instead of single orders, where that is fewer requests.

        Rows whose order is listed with the wanted status are `unchanged`; all others are still read one by one.
        """
        rows = await self._recorder.call(lambda: self._journal.states().get(State.PLANNED, 0))
        listing = Listing(self._exchange.read_page, self._settle_listed, rows)
        why = await listing.why_not()
        if self._control.stopping.is_set():
            return
        if why:
            self.notes.append(f"Compared by reading {rows:,} orders one by one, not by the list: {why}.")
            return
        await self._phase(listing.next_page, listing.read)
        try:
            await self._recorder.flush()
        except JournalError as error:
            self._control.fail(error)
        self.notes.append(listing.describe())

    async def _settle_listed(self, orders: list[ListedOrder]) -> list[RowOutcome]:
        return [already_set(row) for row in await self._recorder.call(lambda: self._journal.planned_for(orders))]

    def _raise_failure(self) -> None:
        if self._control.failure:
            raise self._control.failure

    def _tick(self) -> None:
        try:
            self._look()
        except Exception as error:  # it would end the recorder's task, on which the workers wait
            self._control.crash(error)

    def _look(self) -> None:
        self.counters.token = self._client.token_requests
        if self._pacer.outage_for > self._outage_budget:
            why = f" ({self._exchange.silence})" if self._exchange.silence else ""
            what = f"The service has not answered for {self._outage_budget:g} s{why}."
            self._control.fail(StoppedError(what, "run again when it is back"))
        self._exchange.watch.look()
        self._on_tick(self.counters, self._pacer)

    async def _phase(self, next_block: NextBlock[T], handle: Handler[T]) -> None:
        """Hand every row that `next_block` gives to `handle`, by `concurrency` workers; an empty block is the end."""
        self._unhandled = []
        if self._control.stopping.is_set():
            return
        self._control.cut = False
        tasks = [asyncio.create_task(self._work(handle)) for _ in range(self._concurrency)]
        tasks.append(asyncio.create_task(self._feed(next_block)))
        try:
            await self._until_ended(set(tasks))
        except asyncio.CancelledError:
            self._control.stop()
            raise
        finally:
            self._control.cut = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._unhandled += self._left_in_queue()

    async def _send_phase(self, next_block: NextBlock[T], handle: Handler[T]) -> None:
        """A phase over claimed rows: those that no worker took are planned again."""
        try:
            await self._recorder.flush()  # rows that the phase before has found to be sent (again) can be claimed
        except JournalError as error:
            self._control.fail(error)
        try:
            await self._phase(next_block, handle)
        finally:
            await self._give_back()

    async def _until_ended(self, tasks: set[asyncio.Task[None]]) -> None:
        stopped = asyncio.create_task(self._control.stopping.wait())
        try:
            while tasks:
                until = self._control.drain_until
                left = None if until is None else max(until - time.monotonic(), 0.0)
                watched = tasks if stopped.done() else {*tasks, stopped}
                done, _ = await asyncio.wait(watched, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                for task in done & tasks:
                    task.result()
                tasks = tasks - done
                if left == 0.0:
                    return
        finally:
            stopped.cancel()

    async def _feed(self, next_block: NextBlock[T]) -> None:
        try:
            while not self._control.stopping.is_set() and (block := await next_block()):
                await self._hand_out(block)
        except JournalError as error:
            self._control.fail(error)
        except Exception as error:  # what is under way shall be let finish and be recorded
            self._control.crash(error)
        for _ in range(self._concurrency):
            await self._queue.put(None)

    async def _hand_out(self, block: list[T]) -> None:
        for place, update in enumerate(block):
            try:
                await self._queue.put(update)
            except asyncio.CancelledError:
                self._unhandled = list(block[place:])
                raise

    async def _work(self, handle: Handler[T]) -> None:
        while (update := await self._queue.get()) is not None:
            self._under_way += 1
            try:
                record = await handle(update)
            except Exception as error:  # the others shall be let finish and be recorded
                self._control.crash(error)
                record = None
            finally:
                self._under_way -= 1
            if isinstance(record, list):
                for one in record:
                    self._keep(one)
            elif record is not None:
                self._keep(record)
            if self._control.cut:
                return

    def _keep(self, record: Record) -> None:
        self._count(record)
        self._recorder.add(record)

    def _count(self, record: Record) -> None:
        if isinstance(record, Reading):
            self.counters.ended += 1
            self.counters.failed += record.symbol != "="
        elif self._all_counted:
            settled = record.result is Result.UPDATED  # counted as failed when it ended unknown
            self.counters.failed = max(self.counters.failed - settled, 0)
        elif record.state is State.ENDED:
            self.counters.ended += 1
            self._on_record(record)
            if record.result is Result.FAILED or record.result is Result.UNKNOWN:
                event("row", row=record.row, result=record.result, reason=record.code, detail=record.detail)
                self._count_failure()

    def _count_failure(self) -> None:
        self.counters.failed += 1
        limit = self._max_failures
        if limit is not None and self.counters.failed > limit:
            self._control.fail(
                StoppedError(f"More than {limit:,} rows have failed.", "see the result file for the reasons")
            )

    async def _claim_next(self) -> list[StatusUpdate]:
        """The next block; waits while rows are queued behind others that are under way."""
        while not self._control.stopping.is_set():
            self._recorder.flushed.clear()
            idle = not self._under_way and self._queue.empty() and self._recorder.is_idle  # before the claim is tried
            if block := await self._recorder.call(lambda: self._journal.claim(CLAIM_BLOCK)):
                return block
            if idle or not await self._recorder.call(self._journal.has_open):
                return []
            await self._recorder.flushed.wait()
        return []

    def _pages(self, read: Page) -> NextBlock[StatusUpdate]:
        after = 0

        async def next_page() -> list[StatusUpdate]:
            nonlocal after
            await self._recorder.flush()
            page = await self._recorder.call(lambda: read(after, CLAIM_BLOCK))
            after = page[-1].row if page else after
            return page

        return next_page

    def _once(self, read: Callable[[], list[StatusUpdate]]) -> NextBlock[StatusUpdate]:
        """One block, then the end."""
        blocks = [read]

        async def next_block() -> list[StatusUpdate]:
            return await self._recorder.call(blocks.pop()) if blocks else []

        return next_block

    def _left_in_queue(self) -> list[Any]:
        found = [self._queue.get_nowait() for _ in range(self._queue.qsize())]
        return [item for item in found if item is not None]

    async def _give_back(self) -> None:
        try:
            await self._recorder.flush()
            if self._unhandled:
                await self._recorder.call(lambda: self._journal.unclaim([update.row for update in self._unhandled]))
        except JournalError as error:
            self._control.fail(error)

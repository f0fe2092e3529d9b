"""The stages of a run, each one run of the pool over the same pace and journal.

Settle what is in doubt, compare by the order list, try the canary, send what is planned, read back what no answer
has confirmed, recheck sequences whose answers were lost. A verification has one stage.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batch_updater.api.client import OrderClient
from batch_updater.api.pacing.pacer import Pacer
from batch_updater.common.errors import JournalError, StoppedError
from batch_updater.common.log import event
from batch_updater.common.models import Counters, ListedOrder, ReadBack, Result, RowOutcome, State, StatusUpdate
from batch_updater.common.progress import OnProgress, Stop
from batch_updater.common.settings import SendOptions
from batch_updater.common.text import count
from batch_updater.journal.journal import Journal
from batch_updater.journal.recorder import Recorder
from batch_updater.sending.brake import Brake
from batch_updater.sending.control import Control
from batch_updater.sending.delivery import Delivery
from batch_updater.sending.exchange import Exchange
from batch_updater.sending.list_comparison import Listing
from batch_updater.sending.outcome import already_set
from batch_updater.sending.tally import Tally
from batch_updater.sending.worker_pool import Handler, NextBlock, Pool

CLAIM_BLOCK = 500
DRAIN_SECONDS = 25.0
Recorded = RowOutcome | ReadBack
Page = Callable[[int, int], list[StatusUpdate]]


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of the pool: its name in `Progress`, where its rows come from, and what handles each.

    `claimed`: its rows are announced as about to be sent; those that were not handled are planned again. `before`: its
    rows were counted with this result, which the new one replaces. `then` is called at its end, also after a stop.
    """

    name: str
    source: NextBlock[Any]
    handler: Handler[Any]
    claimed: bool = False
    before: Result | None = None
    then: Callable[[], Awaitable[None]] | None = None


class Runner:
    """Handles all open rows of a journal. When `stop` is requested, what is in flight has 25 s to finish.

    `rows` is the number of rows in `Progress`, `failed_before` that of failures in earlier starts, `brake` knows what
    was refused in those, `names` are names of statuses by id. `on_progress` is called about ten times a second,
    `on_record` for each row that ends, both from the event loop.

    `exchange` and `pool` tell afterwards what the service asked for, and how often rows waited.
    """

    def __init__(
        self, journal: Journal, client: OrderClient, pacer: Pacer, options: SendOptions | None = None, *,
        rows: int = 0, max_failures: int | None = None, failed_before: int = 0, brake: Brake | None = None,
        names: Mapping[str, str] | None = None, stop: Stop | None = None, on_progress: OnProgress | None = None,
        on_record: Callable[[RowOutcome], None] | None = None,
    ) -> None:  # fmt: skip
        self._journal, self._client, self._pacer = journal, client, pacer
        options, self._failed = options or SendOptions(), failed_before
        self._canary, self._max_failures = options.canary, max_failures
        self._stop, self._on_progress, self._on_record = stop or Stop(), on_progress, on_record
        self.counters = Counters()
        self._control = Control(DRAIN_SECONDS)
        self._recorder = Recorder(journal, self._control.fail, self._tick)
        self.exchange = Exchange(
            client, pacer, self._control, self.counters, self._recorder.checkpoint, options,
            self._find_updated, self._rest, brake or Brake(),
        )  # fmt: skip
        self._delivery = Delivery(self.exchange, names=names or {})
        listing = Listing(
            self._count_planned, self.exchange.read_page, self._settle_listed, self._control.stopping.is_set
        )
        self._listing = listing if options.compare_list else None
        self._tally = Tally(rows, self.counters, pacer, self.exchange.pace_log)
        self.pool = Pool(options.concurrency, self._record, ahead=2 * CLAIM_BLOCK)
        self._timeout = options.timeout
        self._stage: Stage | None = None
        self._has_looked = False  # for an updated order in the journal

    @property
    def notes(self) -> list[str]:
        """Sentences on how the rows were handled."""
        listed = [note] if self._listing and (note := self._listing.describe()) else []
        return [*listed, *self.exchange.notes()]

    async def run(self) -> None:
        """Handle every row until it ends or the run is stopped.

        Raises StoppedError or CredentialsError after what was in flight has been recorded.
        """
        await self._run(self._stages())

    async def verify(self) -> None:
        """Read every order of the run and store the readings. Raises as `run` does."""

        async def one() -> AsyncIterator[Stage]:
            yield Stage("verifying", self._pages(self._journal.to_verify), self._delivery.verify)

        await self._run(one())

    async def _stages(self) -> AsyncIterator[Stage]:
        journal, delivery = self._journal, self._delivery
        settle = delivery.read_doubt if self._canary else delivery.settle  # nothing is sent before the canary
        yield Stage("settling", self._pages(journal.in_doubt), settle)
        if listing := self._listing:
            yield Stage("comparing", listing.next_page, listing.read)
        if self._canary:
            yield Stage("canary", self._claim_canary, delivery.send_canary, claimed=True, then=self._end_canary)
            yield Stage("settling", self._pages(journal.in_doubt), delivery.settle)
        to_send = True
        while to_send:
            yield Stage("sending", self._claim, delivery.send, claimed=True)
            doubts = self._after_silence(self._pages(journal.in_doubt))
            yield Stage("reading back", doubts, delivery.read_later, before=Result.UNKNOWN)
            with self._stopping_without_journal():
                await self._recorder.flush()
            to_send = await self._recorder.call(journal.has_planned)  # rows that were queued behind those read back
        yield Stage("rechecking", self._pages(journal.possibly_overwritten), delivery.recheck, before=Result.UPDATED)

    async def _run(self, stages: AsyncIterator[Stage]) -> None:
        with self._control.obeying(self._stop):
            async with self._recorder:
                probing = asyncio.create_task(self.exchange.health.probe())
                try:
                    async for stage in stages:
                        if self._control.stopping.is_set():
                            break
                        self._stage = stage
                        await self._run_stage(stage)
                finally:
                    probing.cancel()
                    await asyncio.gather(probing, return_exceptions=True)
        if self._control.failure:
            raise self._control.failure

    async def _rest(self, seconds: float) -> None:
        """Wait between two attempts of a row, which holds no place meanwhile."""
        if self.pool.is_handling:
            async with self.pool.parked():
                await self._control.sleep(seconds)
        else:  # a page of the order list
            await self._control.sleep(seconds)

    async def _run_stage(self, stage: Stage) -> None:
        if not stage.claimed:
            await self.pool.run(stage.source, stage.handler, self._control)
            return
        with self._stopping_without_journal():
            await self._recorder.flush()  # rows that the previous stage found to be sent can be claimed
        giving_back = asyncio.create_task(self._give_back_at_stop())
        try:
            await self.pool.run(stage.source, stage.handler, self._control)
        finally:
            giving_back.cancel()
            with self._stopping_without_journal():
                await asyncio.gather(giving_back, return_exceptions=True)
                await self._recorder.flush()
                await self._unclaim(self.pool.left)
        if stage.then:
            await stage.then()

    async def _give_back_at_stop(self) -> None:
        """Plan the rows in line again as soon as the run stops: a second signal may end it before the others end."""
        await self._control.stopping.wait()
        with self._stopping_without_journal():
            await self._unclaim(self.pool.left)

    async def _unclaim(self, updates: Sequence[StatusUpdate]) -> None:
        if rows := [update.row for update in updates]:
            await self._recorder.call(lambda: self._journal.unclaim(rows))

    @contextlib.contextmanager
    def _stopping_without_journal(self) -> Iterator[None]:
        try:
            yield
        except JournalError as error:
            self._control.fail(error)

    # Sources

    async def _claim(self) -> list[StatusUpdate]:
        """Claim the next block; wait while rows are queued behind others that have not ended."""
        while not self._control.stopping.is_set():
            self._recorder.flushed.clear()
            idle = not self.pool.unfinished and self._recorder.is_idle  # before the claim is tried
            if block := await self._recorder.call(lambda: self._journal.claim(CLAIM_BLOCK)):
                if not self._control.stopping.is_set():
                    return block
                await self._unclaim(block)
            if idle or not await self._recorder.call(self._journal.has_open):
                return []
            await self._recorder.flushed.wait()
        return []

    async def _claim_canary(self) -> list[StatusUpdate]:
        """Claim one block, once; none when the canary of an earlier start has passed."""
        count, self._canary = self._canary, 0
        if not count or (await self._recorder.call(self._journal.facts)).canary_passed:
            return []
        return await self._recorder.call(lambda: self._journal.claim_canary(count))

    def _pages(self, read: Page) -> NextBlock[StatusUpdate]:
        after = 0

        async def next_page() -> list[StatusUpdate]:
            nonlocal after
            await self._recorder.flush()
            page = await self._recorder.call(lambda: read(after, CLAIM_BLOCK))
            after = page[-1].row if page else after
            return page

        return next_page

    def _after_silence(self, source: NextBlock[StatusUpdate]) -> NextBlock[StatusUpdate]:
        """Wait until the last update that was not answered is as old as the time limit: it may be applied late."""

        async def next_page() -> Sequence[StatusUpdate]:
            if (last := self._delivery.last_silence) is not None:
                await self._control.sleep(max(last + self._timeout - time.monotonic(), 0.0))
            return await source()

        return next_page

    async def _find_updated(self) -> str:
        """Return an order that this run has updated; "" when there is none yet."""
        if self._has_looked and not self.counters.results[Result.UPDATED]:
            return ""
        self._has_looked = True
        await self._recorder.flush()
        return await self._recorder.call(self._journal.an_updated_order)

    async def _count_planned(self) -> int:
        return await self._recorder.call(lambda: self._journal.states().get(State.PLANNED, 0))

    async def _settle_listed(self, orders: list[ListedOrder]) -> list[RowOutcome]:
        return [already_set(row) for row in await self._recorder.call(lambda: self._journal.planned_for(orders))]

    # Outcomes

    async def _end_canary(self) -> None:
        if failure := self._delivery.canary_failure:
            self._control.fail(failure)
        if not self._control.stopping.is_set():
            with self._stopping_without_journal():
                await self._recorder.call(lambda: self._journal.update_facts(canary_passed=True))

    def _record(self, found: Recorded | list[RowOutcome]) -> None:
        for record in found if isinstance(found, list) else (found,):
            self._count(record)
            self._recorder.add(record)

    def _count(self, record: Recorded) -> None:
        before = self._stage.before if self._stage else None
        if isinstance(record, ReadBack) or before is None:
            self._tally.add(record)
        else:
            self._tally.restate(before, record.result)
        if isinstance(record, RowOutcome) and before is not Result.UPDATED:
            if self._on_record and record.state is State.ENDED:
                self._on_record(record)
            if record.result in {Result.FAILED, Result.UNKNOWN} and record.state is not State.PLANNED:
                event("row", row=record.row, result=record.result, reason=record.code, detail=record.detail)
                self._failed += record.state is State.ENDED
                self._check_failures()
            if stop := self.exchange.brake.add(record):
                self._control.fail(stop)

    def _check_failures(self) -> None:
        is_over = self._max_failures is not None and self._failed > self._max_failures
        if is_over and not self._control.stopping.is_set():
            what = f"More than {count(self._max_failures or 0, 'row', 'has', 'have')} failed."
            self._control.fail(StoppedError(what, "see the result file for the reasons"))

    def _tick(self) -> None:
        try:
            self._check_limits()
        except Exception as error:  # it would end the recorder's task, on which the workers wait
            self._control.fail(error)

    def _check_limits(self) -> None:
        self.counters.token = self._client.token_requests
        self.exchange.health.check()
        self.exchange.pace_log.log_changes()
        if self._on_progress and self._stage:
            self._on_progress(self._tally.progress(self._stage.name))

"""The stages of a run, each one run of the pool over the same pace and journal.

Settle what is in doubt, compare by the order list, try the canary, send what is planned, read back what ended
unknown, recheck sequences whose answers were lost. A verification has one stage.
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from batch_updater.api.client import OrderClient
from batch_updater.api.pacing.pacer import Pacer
from batch_updater.common.errors import JournalError, StoppedError
from batch_updater.common.log import event
from batch_updater.common.models import Counters, ListedOrder, ReadBack, Result, RowOutcome, State, StatusUpdate
from batch_updater.common.progress import OnProgress, Stop
from batch_updater.common.settings import SendOptions
from batch_updater.journal.journal import Journal
from batch_updater.journal.recorder import Recorder
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
    rows ended earlier with this result, which the new one replaces. `then` is called at its end, also after a stop.
    """

    name: str
    source: NextBlock[Any]
    handler: Handler[Any]
    claimed: bool = False
    before: Result | None = None
    then: Callable[[], Awaitable[None]] | None = None


class Runner:
    """Handles all open rows of a journal. When `stop` is requested, what is in flight has 25 s to finish.

    `rows` is the number of rows in `Progress`, `failed_before` that of failures in earlier starts, `names` are names of
    statuses by id. `on_progress` is called about ten times a second, `on_record` for each row that ends, both from the
    event loop.
    """

    def __init__(
        self, journal: Journal, client: OrderClient, pacer: Pacer, options: SendOptions | None = None, *,
        rows: int = 0, max_failures: int | None = None, failed_before: int = 0, names: Mapping[str, str] | None = None,
        stop: Stop | None = None, on_progress: OnProgress | None = None,
        on_record: Callable[[RowOutcome], None] | None = None,
    ) -> None:  # fmt: skip
        self._journal, self._client, self._pacer = journal, client, pacer
        options, self._failed_before = options or SendOptions(), failed_before
        self._canary, self._max_failures, self._outage_budget = options.canary, max_failures, options.outage_budget
        self._stop, self._on_progress, self._on_record = stop or Stop(), on_progress, on_record
        self.counters = Counters()
        self._control = Control(DRAIN_SECONDS)
        self._recorder = Recorder(journal, self._control.fail, self._tick)
        self._exchange = Exchange(
            client, pacer, self._control, self.counters, self._recorder.checkpoint, options.retries
        )
        self._delivery = Delivery(
            self._exchange, compare=options.compares, sequenced=journal.sequenced, names=names or {}
        )
        listing = Listing(
            self._count_planned, self._exchange.read_page, self._settle_listed, self._control.stopping.is_set
        )
        self._listing = listing if options.compare_list else None
        self._tally = Tally(rows, self.counters, pacer, self._exchange.pace_log)
        self._pool = Pool(options.concurrency, self._record, ahead=2 * CLAIM_BLOCK)
        self._stage: Stage | None = None

    @property
    def notes(self) -> list[str]:
        """Sentences on how the rows were handled."""
        return [note] if self._listing and (note := self._listing.describe()) else []

    async def run(self) -> None:
        """Handle every row until it ends or the run is stopped.

        Raises StoppedError or CredentialsError after what was in flight has been recorded.
        """
        journal, delivery = self._journal, self._delivery
        stages = [Stage("settling", self._pages(journal.in_doubt), delivery.settle)]
        if listing := self._listing:
            stages.append(Stage("comparing", listing.next_page, listing.read))
        if self._canary:
            handler, then = delivery.send_canary, self._end_canary
            stages.append(Stage("canary", self._claim_canary, handler, claimed=True, then=then))
        stages += [
            Stage("sending", self._claim, delivery.send, claimed=True),
            Stage("reading back", self._pages(journal.unknown), delivery.read_back, before=Result.UNKNOWN),
            Stage("rechecking", self._pages(journal.possibly_overwritten), delivery.recheck, before=Result.UPDATED),
        ]
        await self._run(stages)

    async def verify(self) -> None:
        """Read every order of the run and store the readings. Raises as `run` does."""
        await self._run([Stage("verifying", self._pages(self._journal.to_verify), self._delivery.verify)])

    async def _run(self, stages: list[Stage]) -> None:
        self._stage = stages[0]
        with self._control.obeying(self._stop):
            async with self._recorder:
                for stage in stages:
                    if self._control.stopping.is_set():
                        break
                    self._stage = stage
                    await self._run_stage(stage)
        if self._control.failure:
            raise self._control.failure

    async def _run_stage(self, stage: Stage) -> None:
        if stage.claimed:
            with self._stopping_without_journal():
                await self._recorder.flush()  # rows that the previous stage found to be sent can be claimed
        try:
            await self._pool.run(stage.source, stage.handler, self._control)
        finally:
            if stage.claimed:
                with self._stopping_without_journal():
                    await self._recorder.flush()
                    if rows := [update.row for update in self._pool.left]:
                        await self._recorder.call(lambda: self._journal.unclaim(rows))
        if stage.then:
            await stage.then()

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
            idle = not self._pool.unfinished and self._recorder.is_idle  # before the claim is tried
            if block := await self._recorder.call(lambda: self._journal.claim(CLAIM_BLOCK)):
                return block
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
        if before and isinstance(record, RowOutcome):
            self._tally.restate(before, record.result)
            return
        self._tally.add(record)
        if isinstance(record, RowOutcome) and record.state is State.ENDED:
            if self._on_record:
                self._on_record(record)
            if record.result is Result.FAILED or record.result is Result.UNKNOWN:
                event("row", row=record.row, result=record.result, reason=record.code, detail=record.detail)
                self._check_failures()

    def _check_failures(self) -> None:
        failed = self._failed_before + self.counters.results[Result.FAILED] + self.counters.results[Result.UNKNOWN]
        if self._max_failures is not None and failed > self._max_failures:
            what = f"More than {self._max_failures:,} rows have failed."
            self._control.fail(StoppedError(what, "see the result file for the reasons"))

    def _tick(self) -> None:
        try:
            self._check_limits()
        except Exception as error:  # it would end the recorder's task, on which the workers wait
            self._control.fail(error)

    def _check_limits(self) -> None:
        self.counters.token = self._client.token_requests
        if self._pacer.outage_for > self._outage_budget:
            why = f" ({self._exchange.silence})" if self._exchange.silence else ""
            what = f"The service has not answered for {self._outage_budget:g} s{why}."
            self._control.fail(StoppedError(what, "run again when it is back"))
        self._exchange.pace_log.log_changes()
        if self._on_progress and self._stage:
            self._on_progress(self._tally.progress(self._stage.name))

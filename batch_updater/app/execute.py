"""The use cases: send a planned run, make its results, verify it, undo it; the library's `run_batch`."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from batch_updater.api.client import OrderClient
from batch_updater.api.pacing.learned_rate import forget, remember
from batch_updater.api.pacing.pacer import Pacer
from batch_updater.app.run import Run
from batch_updater.app.signals import drive, handled_signals
from batch_updater.common.errors import ExitCode, JournalError, SettingsError
from batch_updater.common.log import LOG, event, log_to_file
from batch_updater.common.models import Counters, RowOutcome, RunSummary
from batch_updater.common.settings import Settings
from batch_updater.journal.facts import Phase
from batch_updater.reports.metrics import Meter, metered
from batch_updater.reports.provenance import add_rates, start_facts
from batch_updater.sending.worker_pool import Runner

if TYPE_CHECKING:
    pass
from batch_updater.app.outputs import finish

PREPARED_FROM = 1000  # rows of a run from which the quicker way to send is worth it
T = TypeVar("T")
OnTick = Callable[[Counters, Pacer], None]


def ignore_tick(_counters: Counters, _pacer: Pacer) -> None:
    """An `on_tick` for those who do not watch."""


def ignore_record(_outcome: RowOutcome) -> None:
    """An `on_record` for those who do not count."""


def _both(on_tick: OnTick, meter: Meter | None) -> OnTick:
    def tick(counters: Counters, pacer: Pacer) -> None:
        on_tick(counters, pacer)
        if meter:
            meter.tick(counters, pacer)

    return tick


async def execute(run: Run, settings: Settings, on_tick: OnTick, *, catch_signals: bool = True) -> RunSummary:
    """Send what is open, write the result files, give the summary. Its `exit_code` says how it ended.

    Raises JournalError when the journal can't be written at all; then nothing was sent.
    """
    with log_to_file(run.folder.path / LOG, settings.log_format):
        event("start", run_id=run.folder.run_id, resumed=run.resumed, rows=run.open_rows)
        with metered(settings) as meter:
            summary = await _execute(run, settings, on_tick, meter, catch_signals)
            if meter:
                meter.end(summary)
        event("end", exit_code=summary.exit_code, seconds=summary.seconds, **summary.result_counts)
    return summary


async def _execute(
    run: Run, settings: Settings, on_tick: OnTick, meter: Meter | None, catch_signals: bool
) -> RunSummary:
    if refused := run.tenant.refused:
        return await asyncio.to_thread(finish, run, Counters(), refused.exit_code, str(refused))
    run.facts = run.journal.update_facts(phase=Phase.SENDING, **start_facts(run.facts, settings))
    if settings.forget_rate:
        await asyncio.to_thread(forget, run.tenant.base_url, run.tenant.account)
    guess = run.start_rate.rate if run.start_rate else None
    pacer, began = Pacer(settings.rate, adapt=settings.adapt, guess=guess), time.time()
    async with client_for(run, settings) as client:
        runner = Runner(
            run.journal, client, pacer, concurrency=settings.concurrency, retries=settings.retries,
            compare=settings.compares, by_list=settings.compare_list, canary=settings.canary,
            max_failures=settings.failure_limit(run.plan.to_send), outage_budget=settings.outage_budget,
            names=run.tenant.names, on_tick=_both(on_tick, meter), on_record=meter.record if meter else ignore_record,
        )  # fmt: skip
        with handled_signals(runner.stop, enabled=catch_signals) as interrupted:
            code, reason = await drive(runner.run, interrupted)
            rates = add_rates(run.facts.rates, began, time.time(), pacer.rate, pacer.history)
            run.facts = run.facts.with_changes(notes=(*run.facts.notes, *runner.notes), rates=rates)
            with contextlib.suppress(JournalError):  # `finish` meets the same trouble, and tells
                run.journal.update_facts(rates=rates)
            if rate := pacer.learned:
                await asyncio.to_thread(remember, run.tenant.base_url, run.tenant.account, rate)
            summary = await asyncio.to_thread(finish, run, runner.counters, code, reason)
    if interrupted and summary.exit_code in {ExitCode.DONE, ExitCode.NOT_ALL_DONE}:
        reason = "Interrupted while the results were being written; they are complete."
        return replace(summary, exit_code=128 + interrupted[0], reason=f"{summary.reason}\n{reason}".strip())
    return summary


def client_for(run: Run, settings: Settings) -> OrderClient:
    if run.tenant.tokens is None:
        raise SettingsError("No access token.", "set EVREKA360_ACCESS_TOKEN")
    return OrderClient(
        run.tenant.base_url, run.tenant.tokens, timeout=settings.timeout, concurrency=settings.concurrency,
        prepared=run.plan.rows >= PREPARED_FROM, network=run.tenant.network,
    )  # fmt: skip

"""The use cases: send a planned run, make its results, verify it, undo it; the library's `run_batch`."""

import asyncio
import contextlib
import time
from dataclasses import replace

from batch_updater.api.client import OrderClient
from batch_updater.api.pacing.learned_rate import forget, remember
from batch_updater.api.pacing.pacer import Pacer
from batch_updater.app.outputs import finish
from batch_updater.app.run import Run
from batch_updater.app.signals import drive, handled_signals, interruption
from batch_updater.common.errors import ExitCode, JournalError, SettingsError
from batch_updater.common.log import LOG, event, log_to_file
from batch_updater.common.models import Counters
from batch_updater.common.progress import OnProgress, Progress, Stop
from batch_updater.common.settings import Settings
from batch_updater.common.summary import RunSummary
from batch_updater.journal.facts import Phase
from batch_updater.reports.metrics import Meter, metered
from batch_updater.reports.provenance import add_rates, start_facts
from batch_updater.sending.stages import Runner

PREPARED_FROM = 1000  # rows of a run from which the quicker way to send is worth it


async def execute(
    run: Run,
    settings: Settings,
    on_progress: OnProgress | None = None,
    *,
    stop: Stop | None = None,
    catch_signals: bool = False,
) -> RunSummary:
    """Send what is open, write the result files, return the summary. Its `exit_code` says how it ended.

    `on_progress` is called from the event loop, about ten times a second. With `catch_signals`, which only the main
    thread can, SIGINT and SIGTERM request the stop. Raises JournalError when the journal can't be written at all; then
    nothing was sent.
    """
    with log_to_file(run.folder.path / LOG, settings.log_format):
        event("start", run_id=run.folder.run_id, resumed=run.resumed, rows=run.open_rows)
        with metered(settings) as meter:
            summary = await _execute(
                run, settings, stop or Stop(), meter=meter, on_progress=on_progress, catch_signals=catch_signals
            )
            if meter:
                meter.end(summary)
        event("end", exit_code=summary.exit_code, seconds=summary.seconds, **summary.result_counts)
    return summary


async def _execute(
    run: Run, settings: Settings, stop: Stop, *,
    meter: Meter | None, on_progress: OnProgress | None, catch_signals: bool,
) -> RunSummary:  # fmt: skip
    if refused := run.tenant.refused:
        return await asyncio.to_thread(finish, run, Counters(), refused.exit_code, str(refused))
    run.facts = run.journal.update_facts(phase=Phase.SENDING, **start_facts(run.facts, settings))
    if settings.forget_rate:
        await asyncio.to_thread(forget, run.tenant.base_url, run.tenant.account)
    guess = run.start_rate.rate if run.start_rate else None
    pacer, began = Pacer(settings.rate, adapt=settings.adapt, guess=guess), time.time()
    async with client_for(run, settings) as client:
        runner = _runner(run, settings, client, pacer, stop=stop, meter=meter, on_progress=on_progress)
        with handled_signals(stop, enabled=catch_signals) as interrupted:
            code, reason = await drive(runner.run, stop, interrupted)
            rates = add_rates(run.facts.rates, began, time.time(), pacer.rate, pacer.history)
            run.facts = run.facts.with_changes(notes=(*run.facts.notes, *runner.notes), rates=rates)
            with contextlib.suppress(JournalError):  # `finish` meets the same trouble, and tells
                run.journal.update_facts(rates=rates)
            if rate := pacer.learned:
                await asyncio.to_thread(remember, run.tenant.base_url, run.tenant.account, rate)
            summary = await asyncio.to_thread(finish, run, runner.counters, code, reason)
    code = interruption(stop, interrupted)
    if code and summary.exit_code in {ExitCode.DONE, ExitCode.NOT_ALL_DONE}:
        reason = "Interrupted while the results were being written; they are complete."
        return replace(summary, exit_code=code, reason=f"{summary.reason}\n{reason}".strip())
    return summary


def _runner(
    run: Run, settings: Settings, client: OrderClient, pacer: Pacer, *,
    stop: Stop, meter: Meter | None, on_progress: OnProgress | None,
) -> Runner:  # fmt: skip
    def tell(progress: Progress) -> None:
        if on_progress:
            on_progress(progress)
        if meter:
            meter.update(progress)

    return Runner(
        run.journal, client, pacer, rows=run.open_rows, concurrency=settings.concurrency, retries=settings.retries,
        compare=settings.compares, by_list=settings.compare_list, canary=settings.canary,
        max_failures=settings.failure_limit(run.plan.to_send), outage_budget=settings.outage_budget,
        names=run.tenant.names, stop=stop, on_progress=tell, on_record=meter.record if meter else None,
    )  # fmt: skip


def client_for(run: Run, settings: Settings) -> OrderClient:
    if run.tenant.tokens is None:
        raise SettingsError("No access token.", "set EVREKA360_ACCESS_TOKEN")
    return OrderClient(
        run.tenant.base_url, run.tenant.tokens, timeout=settings.timeout, concurrency=settings.concurrency,
        prepared=run.plan.rows >= PREPARED_FROM, network=run.tenant.network,
    )  # fmt: skip

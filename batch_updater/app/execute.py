"""Send a planned run, from its first open row to its summary."""

import asyncio
import contextlib
import time
from dataclasses import replace
from functools import partial

from batch_updater.api.client import OrderClient
from batch_updater.api.pacing.pacer import pacer_for
from batch_updater.app.outputs import commands_about, finish
from batch_updater.app.run import Run, overrule, supersede
from batch_updater.app.signals import drive, handled_signals, interruption
from batch_updater.common.errors import ExitCode, JournalError, SettingsError
from batch_updater.common.log import LOG, event, log_to_file
from batch_updater.common.models import Counters
from batch_updater.common.progress import OnProgress, Progress, Stop
from batch_updater.common.remedies import command_line
from batch_updater.common.summary import RunSummary
from batch_updater.common.text import count, escape_lines
from batch_updater.journal.facts import Phase
from batch_updater.journal.lifecycle import what_is_left
from batch_updater.reports.metrics import Meter, metered
from batch_updater.reports.provenance import add_rates, start_facts
from batch_updater.sending.stages import Runner

PREPARED_FROM = 1000  # rows of a run from which the quicker way to send is worth it


async def send(
    run: Run, stop: Stop | None = None, on_progress: OnProgress | None = None, *, catch_signals: bool = False
) -> RunSummary:
    """Send what is open, write the result files, return the summary. Its `exit_code` says how it ended.

    `on_progress` is called from the event loop, about ten times a second. With `catch_signals`, which only the main
    thread can, SIGINT and SIGTERM request the stop. Raises JournalError when the journal can't be written at all; then
    nothing was sent.
    """
    settings = run.settings
    with log_to_file(run.folder.path / LOG, settings.log_format):
        event("start", run_id=run.folder.run_id, resumed=run.resumed, rows=run.open_rows)
        with metered(settings.metrics_file, settings.metrics_port) as meter:

            def tell(progress: Progress) -> None:
                if on_progress:
                    on_progress(progress)
                if meter:
                    meter.update(progress)

            summary = await _send(run, stop or Stop(), meter, tell, catch_signals=catch_signals)
            if meter:
                meter.end(summary)
        event("end", exit_code=summary.exit_code, seconds=summary.seconds, **summary.result_counts)
    return summary


async def _send(run: Run, stop: Stop, meter: Meter | None, tell: OnProgress, *, catch_signals: bool) -> RunSummary:
    settings, tenant = run.settings, run.tenant
    if refused := tenant.refused:
        return await asyncio.to_thread(finish, run, Counters(), refused.exit_code, str(refused))
    await asyncio.to_thread(supersede, run, run.folder.run_id)
    await asyncio.to_thread(overrule, run)
    run.facts = run.journal.update_facts(phase=Phase.SENDING, **start_facts(run.facts, settings))
    if not what_is_left(run.journal, run.facts):
        return await asyncio.to_thread(finish, run, Counters())  # an earlier start could not write the result file
    if refused := run.refusal:
        return await asyncio.to_thread(finish, run, Counters(), refused.exit_code, str(refused))
    limit, pacer, began = run.failure_limit, pacer_for(settings.sending), time.time()
    if tenant.nobody:
        pacer.suspect(tenant.nobody)
    async with client_for(run) as client:
        runner = Runner(
            run.journal, client, pacer, settings.sending, rows=run.open_rows, names=tenant.names,
            max_failures=limit.allowed, failed_before=limit.failed, brake=limit.brake,
            stop=stop, on_progress=tell, on_record=meter.record if meter else None,
        )  # fmt: skip
        farewell = partial(_farewell, run, runner.counters)
        with handled_signals(stop, enabled=catch_signals, farewell=farewell) as interrupted:
            code, reason = await drive(runner.run, stop, interrupted)
            rates = add_rates(run.facts.rates, began, time.time(), pacer, runner.pool.parkings)
            found = {"rates": rates, "not_before": runner.exchange.health.not_before}
            notes = (*run.facts.notes, *_canary_note(run), *runner.notes)
            run.facts = run.facts.with_changes(notes=notes, **found)
            with contextlib.suppress(JournalError):  # `finish` meets the same trouble, and tells
                run.journal.update_facts(**found)
                if code == ExitCode.CREDENTIALS:
                    run.journal.plan_unauthorized()
            summary = await asyncio.to_thread(finish, run, runner.counters, code, reason)
    code = interruption(stop, interrupted)
    if code and summary.exit_code in {ExitCode.DONE, ExitCode.NOT_ALL_DONE}:
        reason = "Interrupted while the results were being written; they are complete."
        return replace(summary, exit_code=code, reason=f"{summary.reason}\n{reason}".strip())
    return summary


def _farewell(run: Run, counters: Counters) -> str:
    """Return what is said of a run that ends without waiting for its requests."""
    number = counters.in_flight
    left = f"Stopped at once. {number:,} {'request was' if number == 1 else 'requests were'} in flight"
    if not number:
        left = "Stopped at once. Nothing was in flight; the results are not written"
    reads = "; their orders are read before anything is sent again" if number else ""
    return escape_lines(f"{left}{reads}.\nTo go on:\n  {command_line(commands_about(run).go_on())}")


def _canary_note(run: Run) -> list[str]:
    """Return a sentence on a canary that has passed in this start, and log it."""
    if run.facts.canary_passed or not run.settings.canary:
        return []
    with contextlib.suppress(JournalError):  # `finish` meets the same trouble, and tells
        if run.journal.facts().canary_passed:
            rows = min(run.settings.canary, run.open_rows)
            event("canary", rows=rows, reason="passed")
            return [f"The canary of {count(rows, 'row')} was right: sent first, then read back."]
    return []


def client_for(run: Run) -> OrderClient:
    """Return the client for the orders of a run. Raises SettingsError without a token."""
    if run.tenant.tokens is None:
        raise SettingsError("No access token.", "set EVREKA360_ACCESS_TOKEN")
    return OrderClient(
        run.tenant.base_url, run.tenant.tokens, timeout=run.settings.timeout, concurrency=run.settings.concurrency,
        prepared=run.plan.rows >= PREPARED_FROM, network=run.tenant.network,
        confirmations=run.settings.confirmations,
    )  # fmt: skip

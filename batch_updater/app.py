"""The use cases: send a planned run, make its results, verify it, undo it; the library's `run_batch`."""

import asyncio
import contextlib
import logging
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from batch_updater.api.auth import Credentials
from batch_updater.api.client import OrderClient
from batch_updater.api.pace import Pacer
from batch_updater.errors import ExitCode, InputError, JournalError, SettingsError, StoppedError
from batch_updater.folder import FRAME, UNDO_SHEET, find_run, held, locked
from batch_updater.inputs.options import READING
from batch_updater.inputs.source import dataframe_to_csv, read_results
from batch_updater.interrupts import drive, handled_signals
from batch_updater.log import LOG, event, log_to_file
from batch_updater.metrics import Meter, metered
from batch_updater.models import Counters, RowOutcome, RunSummary
from batch_updater.plan import Judge
from batch_updater.reconcile import SYMBOLS, UNDO_COLUMNS, judge_undo, write_undo_sheet, write_verification
from batch_updater.remembered import forget, remember
from batch_updater.reports.provenance import last_rate, note_rate, note_start
from batch_updater.reports.results import write_results
from batch_updater.reports.rows import ResultRows, iso
from batch_updater.runner import Runner
from batch_updater.runs import Run, open_run, reopen_run
from batch_updater.secret import Secret, masked
from batch_updater.settings import Settings, load_settings
from batch_updater.statuses import OrderStatus
from batch_updater.tenant import Tenant, find_tenant, meet, reach, with_credentials
from batch_updater.text import visible

if TYPE_CHECKING:
    import pandas as pd

PREPARED_FROM = 1000  # rows of a run from which the quicker way to send is worth it
NOT_DONE = ("failed", "unknown", "invalid", "conflict", "not_sent")
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


async def run_batch(
    source: "Path | str | pd.DataFrame", settings: Settings | None = None, *, token: Secret | None = None
) -> RunSummary:
    """Do the whole job on a sheet or a DataFrame, without asking; give its summary.

    Settings and token come from the environment when not given. A DataFrame's run folder is made in
    `dataframe.runs` unless `settings.runs_dir` says otherwise. Raises BatchUpdaterError when nothing could be
    sent; a run that ended early is told by `exit_code` and `reason` of the summary.
    """
    settings = settings or load_settings({})
    if token:
        tenant = with_credentials(reach(settings, os.environ), Credentials(token))
    else:
        tenant = find_tenant(settings, os.environ)
    with contextlib.ExitStack() as stack:
        if isinstance(source, Path | str):
            file = Path(source)
        else:
            file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / FRAME
            dataframe_to_csv(source, file)
            settings = settings.model_copy(update={"runs_dir": settings.runs_dir or Path("dataframe.runs")})
        opening = open_run(file, settings, tenant)
        run = await asyncio.to_thread(stack.enter_context, opening)
        return await execute(run, settings, ignore_tick, catch_signals=False)


def run_batch_sync(
    source: "Path | str | pd.DataFrame", settings: Settings | None = None, *, token: Secret | None = None
) -> RunSummary:
    """`run_batch` for scripts and for notebooks, where a loop is running already: it has a thread of its own."""
    with ThreadPoolExecutor(1, "run_batch") as pool:
        return pool.submit(lambda: run_loop(run_batch(source, settings, token=token))).result()


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a use case in a loop of its own, with uvloop where it exists (a fifth less time for each request)."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


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
    run.journal.set_meta({"phase": "sending", **note_start(run.facts, settings)})
    if settings.forget_rate:
        await asyncio.to_thread(forget, run.tenant.base_url, run.tenant.account)
    guess = run.start_rate.rate if run.start_rate else None
    pacer, began = Pacer(settings.rate, adapt=settings.adapt, guess=guess), time.time()
    async with _client(run, settings) as client:
        runner = Runner(
            run.journal, client, pacer, concurrency=settings.concurrency, retries=settings.retries,
            compare=settings.compares, by_list=settings.compare == "list", canary=settings.canary,
            max_failures=settings.failure_limit(run.plan.to_send), outage_budget=settings.outage_budget,
            names=run.tenant.names, on_tick=_both(on_tick, meter), on_record=meter.record if meter else ignore_record,
        )  # fmt: skip
        with handled_signals(runner.stop, enabled=catch_signals) as interrupted:
            code, reason = await drive(runner.run, interrupted)
            run.facts["notes"] = [*run.facts.get("notes", ()), *runner.notes]
            run.facts |= note_rate(run.facts, began, time.time(), pacer.rate, pacer.history)
            with contextlib.suppress(JournalError):  # `finish` meets the same trouble, and tells
                run.journal.set_meta({"rates": run.facts["rates"]})
            if rate := pacer.learned:
                await asyncio.to_thread(remember, run.tenant.base_url, run.tenant.account, rate)
            summary = await asyncio.to_thread(finish, run, runner.counters, code, reason)
    if interrupted and summary.exit_code in {ExitCode.DONE, ExitCode.NOT_ALL_DONE}:
        reason = "Interrupted while the results were being written; they are complete."
        return replace(summary, exit_code=128 + interrupted[0], reason=f"{summary.reason}\n{reason}".strip())
    return summary


def _client(run: Run, settings: Settings) -> OrderClient:
    if run.tenant.tokens is None:
        raise SettingsError("No access token.", "set EVREKA360_ACCESS_TOKEN")
    many = run.plan.rows >= PREPARED_FROM
    return OrderClient(
        run.tenant.base_url, run.tenant.tokens, timeout=settings.timeout, concurrency=settings.concurrency,
        prepared=many if settings.wire == "auto" else settings.wire == "prepared",
        route=run.tenant.route,
    )  # fmt: skip


def finish(run: Run, counters: Counters, code: int = ExitCode.DONE, reason: str = "") -> RunSummary:
    """End a start of a run: write the result file and `summary.json` from the journal, give the summary.

    A result file or journal that can't be written is told by `exit_code` and `reason`.
    """
    ended = time.time()
    seconds = max(round(time.monotonic() - run.began, 3), 0.001)
    before = run.facts.get("requests", {})
    now = {"get": counters.get, "token": counters.token, "retried": counters.retried, "throttled": counters.throttled}
    run.facts["requests"] = {key: before.get(key, 0) + value for key, value in now.items()}
    run.facts["end"] = {
        "started": run.started, "ended": ended, "seconds": seconds, "exit_code": int(code), "reason": reason,
        "rows_per_second": round(counters.ended / seconds, 1),
    }  # fmt: skip
    run.facts["phase"] = "stopped" if _is_open(run) else "finished"
    if code == ExitCode.STOPPED and run.facts["phase"] == "finished":
        run.facts["end"]["exit_code"] = int(ExitCode.DONE)  # it was to stop early, and nothing was left to do
    summary = write_outputs(run)
    try:
        run.journal.set_meta({key: run.facts[key] for key in ("requests", "end", "phase", "notes") if key in run.facts})
    except JournalError as error:
        return replace(summary, exit_code=int(error.exit_code), reason=f"{summary.reason}\n{error}".strip())
    return summary


def write_outputs(run: Run) -> RunSummary:
    """Write the result file and `summary.json` of a run, finished or not, and give the summary."""
    rows = ResultRows(run.source, run.journal, run.folder.run_id)
    path, trouble, about = _write_somewhere(run, rows)
    end, is_open = _end_of(run), _is_open(run)
    code = end["exit_code"]
    if code == ExitCode.DONE and (is_open or any(rows.results.get(word) for word in NOT_DONE)):
        code = ExitCode.NOT_ALL_DONE
    if path is None and code in {ExitCode.DONE, ExitCode.NOT_ALL_DONE}:
        code = ExitCode.STOPPED
    summary = RunSummary(
        run_id=run.folder.run_id, input=run.facts["input"], base_url=run.facts["base_url"],
        started_at=iso(end["started"]), ended_at=iso(end["ended"]), exit_code=int(code), resumable=is_open,
        rows=sum(rows.results.values()), result_counts=dict(rows.results), code_counts=dict(rows.codes),
        requests={"put": run.journal.attempts(), **run.facts.get("requests", {})},
        seconds=end["seconds"], rows_per_second=end["rows_per_second"],
        run_dir=str(run.folder.path), results_file=str(path or ""),
        reason="\n".join(part for part in (end["reason"], trouble) if part),
        notes=(*run.source.notes, *run.facts.get("notes", ()), *about), reasons=rows.reasons.top(),
        rate=last_rate(run.facts, end["started"]), frame=None if path is None else lambda: read_results(path),
    )  # fmt: skip
    summary = _report(run, summary, rows)
    with contextlib.suppress(OSError):  # the same trouble as with the result file, which is told
        run.folder.write_summary(summary.to_dict())
    return summary


def _report(run: Run, summary: RunSummary, rows: ResultRows) -> RunSummary:
    """Write the page for people; a run is no worse for the want of it."""
    try:
        from batch_updater.reports.html import REPORT, write_report  # noqa: PLC0415 - loads jinja2 and pygal, at the end

        return write_report(run.folder.path / REPORT, summary, rows, run.journal)
    except Exception:  # the updates are sent and the results written: a page must not change how the run ends
        event("no_report", logging.ERROR, error=masked(traceback.format_exc()))
        return summary


def _is_open(run: Run) -> bool:
    """Whether a later start has something to do: rows to send or to settle, or sequences to look at again."""
    states = run.journal.count("state")
    if any(states.get(state) for state in ("planned", "claimed", "queued")):
        return True
    stopped = run.facts.get("end", {}).get("exit_code") not in {ExitCode.DONE, ExitCode.NOT_ALL_DONE}
    return stopped and bool(run.journal.overtaken(0, 1))


def _end_of(run: Run) -> dict[str, Any]:
    """How the newest start ended, by the journal; one that was killed left nothing."""
    if run.facts["phase"] in {"stopped", "finished"}:
        found: dict[str, Any] = run.facts["end"]
        return found
    reason = "The run was broken off, or is under way."
    began = run.folder.began
    return {
        "started": began, "ended": began, "seconds": 0.001, "exit_code": int(ExitCode.STOPPED), "reason": reason,
        "rows_per_second": 0.0,
    }  # fmt: skip


def _write_somewhere(run: Run, rows: ResultRows) -> tuple[Path | None, str, list[str]]:
    """Write the result file, beside its place or in the run folder when that can't be written.

    Gives where it is, what went wrong, and what to know of it.
    """
    path = run.results_path
    tries = (path, path.with_stem(f"{path.stem}-{run.folder.run_id}"), run.folder.path / f"results{path.suffix}")
    trouble = ""
    for place in dict.fromkeys(tries):
        try:
            about = write_results(place, run.source.header, rows, run.source.widths, run.source.notes)
        except OSError as error:
            trouble = trouble or visible(f"{path} can't be written ({error.strerror or error})")
            continue
        return place, trouble and f"{trouble}; the results are in {visible(str(place))}.", about
    again = visible(f"batch-updater results {run.folder.path}")
    return None, f"{trouble}.\n  hint: free some disk space, then: {again}", []


@dataclass(frozen=True, slots=True)
class VerifySummary:
    """What `verify` found: orders by symbol (`=`, `*`, `-`, `!`) and where each is listed."""

    run_id: str
    exit_code: int
    symbols: dict[str, int]
    verify_file: str
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain JSON types."""
        return {"schema": 1, **asdict(self), "orders": sum(self.symbols.values())}

    def describe(self) -> str:
        """The summary for a person."""
        lines = [f"{sum(self.symbols.values()):,} orders read back"]
        lines += [f"  {symbol} {self.symbols.get(symbol, 0):>9,}  {words}" for symbol, words in SYMBOLS.items()]
        return "\n".join([*lines, visible(f"Listed in {self.verify_file}")])


@contextlib.contextmanager
def open_verification(place: Path, tenant: Tenant) -> Iterator[Run]:
    """The run to verify, locked. Raises JournalError, LockedError, or ResumeError for another tenant's run."""
    folder = find_run(place)
    with reopen_run(folder, tenant) as run, locked(folder.path.parent, Path(run.facts["input"])) as hold_for:
        hold_for(folder)
        run.journal.clear_readings()
        yield run


async def verify(run: Run, settings: Settings, on_tick: OnTick) -> VerifySummary:
    """Read every order of a run back, write `verify.csv`, give the summary; nothing is changed.

    `exit_code` is 0 when all are as planned, 3 when some are not.
    """
    async with _client(run, settings) as client:
        runner = Runner(
            run.journal, client, Pacer(settings.rate, adapt=settings.adapt), concurrency=settings.concurrency,
            retries=settings.retries, outage_budget=settings.outage_budget, on_tick=on_tick,
        )  # fmt: skip
        with handled_signals(runner.stop, enabled=True) as interrupted:
            code, reason = await drive(runner.verify, interrupted)
    path = run.folder.path / "verify.csv"
    try:
        counts = write_verification(run.journal, path)
    except OSError as error:
        raise StoppedError(f"{path} can't be written: {error.strerror}.", "free some disk space") from None
    if code == ExitCode.DONE and set(counts) - {"="}:
        code = ExitCode.NOT_ALL_DONE
    return VerifySummary(run.folder.run_id, int(code), dict(counts), str(path), reason)


@contextlib.contextmanager
def open_undo(place: Path, settings: Settings) -> Iterator[tuple[Path, Settings, Judge]]:
    """The sheet that undoes a run, in its folder, and how to run it; the run is locked until that has ended, and so
    is the one that it undoes, if it is an undo.

    Raises SettingsError, JournalError, or LockedError while the run is under way.
    """
    folder = find_run(place)
    sheet = folder.path / UNDO_SHEET
    tenant = find_tenant(settings, os.environ)
    with contextlib.ExitStack() as stack:
        with reopen_run(folder, tenant) as run:
            stack.enter_context(held(folder, run.facts))
            try:
                write_undo_sheet(run.journal, sheet)
            except OSError as error:
                raise SettingsError(f"{sheet} can't be written: {error.strerror}.", "free some disk space") from None
        yield sheet, _undo_settings(settings), judge_undo


def _undo_settings(settings: Settings) -> Settings:
    """The settings with which an undo's sheet is read and sent."""
    order, status, expect = UNDO_COLUMNS
    reading: dict[str, Any] = {
        **{name: Settings.model_fields[name].default for name in READING},  # what is set is meant for other sheets
        "order_column": order, "status_column": status, "expect_column": expect, "compare": "each",
        "encoding": "utf-8", "delimiter": ",", "on_conflict": "hold", "strict": False, "status_map": {},
    }  # fmt: skip
    return settings.model_copy(update=reading)


def read_statuses(tenant: Tenant, settings: Settings) -> tuple[OrderStatus, ...]:
    """The tenant's order statuses. Raises CredentialsError, StoppedError, or InputError when none are listed."""
    tenant = asyncio.run(meet(tenant, settings))
    if tenant.book is None:
        raise tenant.failure or InputError(
            f"There are no statuses to list: {tenant.unchecked}.", "a sheet of status ids can be sent anyway"
        )
    return tenant.book.statuses


def trial_summary(run: Run) -> dict[str, Any]:
    """What `plan --json` prints: the words of the summary, with nothing sent."""
    plan = run.plan
    counts = {
        "not_sent": plan.to_send,
        "duplicate": plan.duplicates,
        "invalid": plan.invalid,
        "conflict": plan.conflicts,
    }
    return {
        "schema": 1, "run_id": None, "input": run.facts["input"], "base_url": run.facts["base_url"], "exit_code": 0,
        "resumable": False, "rows": plan.rows, "results": {word: n for word, n in counts.items() if n},
        "codes": run.journal.count("code", "code <> ''"), "statuses": plan.statuses, "notes": run.source.notes,
    }  # fmt: skip

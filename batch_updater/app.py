"""The use cases: plan a sheet, run the plan (or pick it up again), make the results of a run."""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_updater.api.auth import Credentials, Secret, Tokens, find_credentials
from batch_updater.api.client import OrderClient
from batch_updater.api.pace import Pacer
from batch_updater.api.protocol import check_base_url
from batch_updater.errors import BatchUpdaterError, ExitCode, InputError, ResumeError, SettingsError
from batch_updater.folder import (
    STDIN,
    RunFolder,
    differences,
    discard,
    freeze,
    locked,
    new_run,
    newest_run,
    runs_place,
)
from batch_updater.inputs.columns import Columns, find_columns
from batch_updater.inputs.source import (
    EXCEL,
    ReadOptions,
    Source,
    check_file,
    dataframe_to_csv,
    open_source,
    read_results,
)
from batch_updater.journal import Journal
from batch_updater.models import RunSummary
from batch_updater.plan import Judge, Plan, make_plan, read_plan
from batch_updater.reports.results import write_results
from batch_updater.reports.rows import ResultRows, iso
from batch_updater.runner import Counters, Runner
from batch_updater.settings import Settings, load_settings
from batch_updater.tenant import Tenant, meet
from batch_updater.validate import Rules

if TYPE_CHECKING:
    import pandas as pd

RESUMABLE = frozenset({ExitCode.BUG, ExitCode.CREDENTIALS, ExitCode.STOPPED, ExitCode.INTERRUPTED, ExitCode.TERMINATED})
NOT_DONE = ("failed", "unknown", "invalid", "conflict", "not_sent")
OnTick = Callable[[Counters, Pacer], None]


@dataclass
class Run:
    """A planned run: its folder, its journal, what its plan says, and whether it was begun before."""

    folder: RunFolder
    source: Source
    columns: Columns
    journal: Journal
    plan: Plan
    facts: dict[str, Any]
    resumed: bool = False
    started: float = field(default_factory=time.time)

    @property
    def results_path(self) -> Path:
        """Where the result file goes: `--output`, else the run folder (Excel in, Excel out)."""
        if self.facts.get("output"):
            return Path(self.facts["output"])
        suffix = ".xlsx" if self.source.path.suffix.lower() in EXCEL else ".csv"
        return self.folder.path / f"results{suffix}"


def check_input(file: Path) -> None:
    """Raise InputError when this can't be a sheet; cheap, to be asked before the service is."""
    if file != STDIN:
        check_file(file)


@contextlib.contextmanager
def open_run(file: Path, settings: Settings, tenant: Tenant, judge: Judge | None = None) -> Iterator[Run]:
    """The run for this sheet: its unfinished one picked up again, else a new one, planned and locked.

    Raises InputError, ResumeError, LockedError or SettingsError; then nothing was sent and no new folder stays.
    """
    check_input(file)
    started = time.time()
    place, name = runs_place(file, settings.runs_dir), file.name
    with locked(place, name):
        run = None
        if not settings.restart and file != STDIN:
            run = _pick_up(file, place, settings, _choices(settings, tenant))
        if run is None:
            if settings.output and settings.output.exists() and not settings.overwrite:
                raise SettingsError(f"{settings.output} exists already.", "add --overwrite, or choose another name")
            run = _plan_into(new_run(place), file, settings, tenant, judge)
        run.started = started
        with run.journal:
            yield run


@contextlib.contextmanager
def open_trial(file: Path, settings: Settings, tenant: Tenant) -> Iterator[Run]:
    """The run that this sheet would get, in a place that is removed afterwards; nothing can be sent from it."""
    check_input(file)
    place = Path(tempfile.mkdtemp(prefix="batch-updater-plan-"))
    try:
        run = _plan_into(new_run(place), file, settings, tenant)
        with run.journal:
            yield run
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def reopen_run(folder: RunFolder) -> Iterator[Run]:
    """An earlier run, to read. Raises JournalError."""
    with Journal.open(folder.journal_path) as journal:
        facts = journal.meta()
        settings = Settings(**facts["reading"], compare=facts["compare"])
        source = open_source(folder.input_path, _read_options(settings))
        columns = _find_columns(source, settings)
        yield Run(folder, source, columns, journal, read_plan(journal), facts, resumed=True)


def _read_options(settings: Settings) -> ReadOptions:
    return ReadOptions(settings.sheet, settings.encoding, settings.delimiter, settings.only)


def _choices(settings: Settings, tenant: Tenant) -> dict[str, Any]:
    """What must be the same for a run to be picked up again."""
    return {
        "base_url": tenant.base_url,
        "account": tenant.account,
        "on_conflict": settings.on_conflict,
        "compare": settings.compares,
        **_reading(settings),
    }


def _reading(settings: Settings) -> dict[str, Any]:
    names = {"order_column", "status_column", "expect_column", "sheet", "encoding", "delimiter", "only"}
    return settings.model_dump(mode="json", include=names)


def _find_columns(source: Source, settings: Settings) -> Columns:
    return find_columns(
        source.header, settings.order_column, settings.status_column, settings.expect_column, compares=settings.compares
    )


def _plan_into(folder: RunFolder, file: Path, settings: Settings, tenant: Tenant, judge: Judge | None = None) -> Run:
    journal: Journal | None = None
    try:
        sha256 = freeze(file, folder)
        source = open_source(folder.input_path, _read_options(settings), shown_as=file)
        columns = _find_columns(source, settings)
        journal = Journal.create(folder.journal_path)
        judge = judge or Rules(columns.order, columns.status, columns.expect, tenant.book).judge
        make_plan(source.rows(), judge, journal, settings.on_conflict)
        _refuse_names(file, journal, tenant)
        _refuse_if_strict(file, journal, settings)
        facts = {
            "run_id": folder.run_id, "name": file.name, "input": str(file), "phase": "planned", "sha256": sha256,
            "output": str(settings.output) if settings.output else None, "reading": _reading(settings),
            "status_names": dict(tenant.names), **_choices(settings, tenant),
        }  # fmt: skip
        journal.seal(facts)
        return Run(folder, source, columns, journal, read_plan(journal), facts)
    except BaseException:
        if journal:
            journal.close()
        discard(folder)
        raise


def _refuse_names(file: Path, journal: Journal, tenant: Tenant) -> None:
    """A sheet with status names is of no use when names can't be looked up."""
    if tenant.book is None and (found := journal.first("unknown_status")):
        row, detail = found
        raise InputError(
            f"{file}, row {row}: {detail} ({tenant.unchecked}).", "write status ids, or set the token for `plan`"
        )


def _refuse_if_strict(file: Path, journal: Journal, settings: Settings) -> None:
    if settings.strict and (problems := journal.problems(1)):
        row, result, detail = problems[0]
        raise InputError(
            f"{file}: --strict refuses the sheet; the first problem is row {row}, {result}: {detail}",
            "see `batch-updater plan` for the others; correct them, or leave out --strict",
        )


def _pick_up(file: Path, place: Path, settings: Settings, choices: dict[str, Any]) -> Run | None:
    found = newest_run(place, file.name)
    if found is None or found[1]["phase"] == "finished":
        return None
    folder, facts = found
    trial = Path(tempfile.mkdtemp(prefix="batch-updater-"))
    try:
        sha256 = freeze(file, RunFolder(trial))
    finally:
        shutil.rmtree(trial, ignore_errors=True)
    if differ := differences(facts, {"sha256": sha256, **choices}):
        raise ResumeError(
            f"{file} has an unfinished run, {folder.run_id}, and this start differs from it:\n  " + "\n  ".join(differ),
            "repeat the earlier command to finish that run, or add --restart to give it up and start anew",
        )
    journal = Journal.open(folder.journal_path)
    try:
        source = open_source(folder.input_path, _read_options(settings), shown_as=file)
        columns = _find_columns(source, settings)
        if settings.output:
            _may_replace(settings, facts)
            facts["output"] = str(settings.output)
            journal.set_meta({"output": facts["output"]})
        return Run(folder, source, columns, journal, read_plan(journal), facts, resumed=True)
    except BaseException:
        journal.close()
        raise


def _may_replace(settings: Settings, facts: dict[str, Any]) -> None:
    path = settings.output
    if path and path.exists() and str(path) != facts.get("output") and not settings.overwrite:
        raise SettingsError(f"{path} exists already.", "add --overwrite, or choose another name")


async def run_batch(
    source: "Path | str | pd.DataFrame", settings: Settings | None = None, *, token: Secret | None = None
) -> RunSummary:
    """Do the whole job on a sheet or a DataFrame, without asking; give its summary.

    Settings and token come from the environment when not given. A DataFrame's run folder is made in
    `dataframe.runs` unless `settings.runs_dir` says otherwise. Raises BatchUpdaterError when nothing could be
    sent; a run that ended early is told by `exit_code` and `reason` of the summary.
    """
    settings = settings or load_settings({})
    base_url = check_base_url(settings.base_url or "")
    credentials = Credentials(token) if token else find_credentials(os.environ)
    tenant = await meet(base_url, credentials, settings)
    with contextlib.ExitStack() as stack:
        if isinstance(source, Path | str):
            file = Path(source)
        else:
            file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "dataframe.csv"
            dataframe_to_csv(source, file)
            settings = settings.model_copy(update={"runs_dir": settings.runs_dir or Path("dataframe.runs")})
        run = stack.enter_context(open_run(file, settings, tenant))
        return await execute(run, settings, tenant, lambda _counters, _pacer: None, catch_signals=False)


def run_batch_sync(
    source: "Path | str | pd.DataFrame", settings: Settings | None = None, *, token: Secret | None = None
) -> RunSummary:
    """`run_batch` for scripts and for notebooks, where a loop is running already: it has a thread of its own."""
    with ThreadPoolExecutor(1, "run_batch") as pool:
        return pool.submit(lambda: asyncio.run(run_batch(source, settings, token=token))).result()


async def execute(
    run: Run, settings: Settings, tenant: Tenant, on_tick: OnTick, *, catch_signals: bool = True
) -> RunSummary:
    """Send what is open, write the result files, give the summary. Its `exit_code` says how it ended."""
    counters, code, reason = await _send(run, settings, tenant, on_tick, catch_signals)
    return finish(run, counters, code, reason)


async def _send(
    run: Run, settings: Settings, tenant: Tenant, on_tick: OnTick, catch_signals: bool
) -> tuple[Counters, int, str]:
    run.journal.set_meta({"phase": "sending"})
    tokens = tenant.tokens or Tokens(find_credentials(os.environ))
    async with OrderClient(
        tenant.base_url, tokens, timeout=settings.timeout, concurrency=settings.concurrency
    ) as client:
        runner = Runner(
            run.journal, client, Pacer(settings.rate, adapt=settings.adapt),
            concurrency=settings.concurrency, retries=settings.retries,
            compare=settings.compares, canary=0 if run.resumed else settings.canary,
            max_failures=settings.failure_limit(run.plan.to_send), outage_budget=settings.outage_budget,
            on_tick=on_tick,
        )  # fmt: skip
        with _signals(runner, enabled=catch_signals) as interrupted:
            try:
                await runner.run()
            except BatchUpdaterError as error:
                return runner.counters, error.exit_code, str(error)
    if interrupted:
        return runner.counters, 128 + interrupted[0], "Interrupted; requests under way were let finish."
    return runner.counters, ExitCode.DONE, ""


@contextlib.contextmanager
def _signals(runner: Runner, *, enabled: bool) -> Iterator[list[int]]:
    """The first SIGINT or SIGTERM stops the runner gently, a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    interrupted: list[int] = []

    def handle(number: int) -> None:
        if interrupted:
            os._exit(128 + number)
        interrupted.append(number)
        runner.stop()

    handled = []
    for number in (signal.SIGINT, signal.SIGTERM) if enabled else ():
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            loop.add_signal_handler(number, handle, number)
            handled.append(number)
    try:
        yield interrupted
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


def finish(run: Run, counters: Counters, code: int = ExitCode.DONE, reason: str = "") -> RunSummary:
    """Write the result file and `summary.json` from the journal and give the summary."""
    rows = ResultRows(run.source, run.journal, run.folder.run_id)
    path = _write_somewhere(run.results_path, run, rows)
    states = run.journal.count("state")
    is_open = any(states.get(state) for state in ("planned", "claimed", "queued"))
    if code == ExitCode.DONE and (is_open or any(rows.results.get(word) for word in NOT_DONE)):
        code = ExitCode.NOT_ALL_DONE
    ended = time.time()
    seconds = max(round(ended - run.started, 3), 0.001)
    requests = _add_up(run, counters)
    summary = RunSummary(
        run_id=run.folder.run_id, input=run.facts["input"], base_url=run.facts["base_url"],
        started_at=iso(run.started), ended_at=iso(ended), exit_code=int(code), resumable=is_open,
        rows=sum(rows.results.values()), result_counts=dict(rows.results), code_counts=dict(rows.codes),
        requests=requests, seconds=seconds, rows_per_second=round(counters.ended / seconds, 1),
        run_dir=str(run.folder.path), results_file=str(path), reason=reason, frame=lambda: read_results(path),
    )  # fmt: skip
    run.folder.write_summary(summary.to_dict())
    run.journal.set_meta({"phase": "stopped" if is_open else "finished"})
    return summary


def _add_up(run: Run, counters: Counters) -> dict[str, int]:
    """Requests over all starts of the run; PUTs as the journal counted them."""
    before = run.facts.get("requests", {})
    now = {"get": counters.get, "token": counters.token, "retried": counters.retried, "throttled": counters.throttled}
    total = {key: before.get(key, 0) + value for key, value in now.items()}
    run.journal.set_meta({"requests": total})
    return {"put": run.journal.attempts(), **total}


def _write_somewhere(path: Path, run: Run, rows: ResultRows) -> Path:
    """Write the result file, beside its place or in the run folder when that can't be written."""
    tries = (path, path.with_stem(f"{path.stem}-{run.folder.run_id}"), run.folder.path / f"results{path.suffix}")
    for place in tries[:-1]:
        try:
            write_results(place, run.source.header, rows)
        except OSError:
            continue
        return place
    write_results(tries[-1], run.source.header, rows)
    return tries[-1]


def give_up(run: Run) -> None:
    """Remove a new run that the person did not confirm; one that was begun before stays as it is."""
    if not run.resumed:
        run.journal.close()
        discard(run.folder)


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
        "codes": run.journal.count("code", "code <> ''"), "statuses": plan.statuses,
    }  # fmt: skip

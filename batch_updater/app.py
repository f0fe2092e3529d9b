"""The use cases: send a planned run, make the results of a run, verify it, undo it; the library's `run_batch`."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from batch_updater.api.auth import Credentials, Secret, Tokens, find_credentials
from batch_updater.api.client import OrderClient
from batch_updater.api.pace import Pacer
from batch_updater.api.protocol import check_base_url
from batch_updater.errors import BatchUpdaterError, ExitCode, JournalError
from batch_updater.inputs.source import dataframe_to_csv, read_results
from batch_updater.models import Counters, RunSummary
from batch_updater.reports.results import write_results
from batch_updater.reports.rows import ResultRows, iso
from batch_updater.runner import Runner
from batch_updater.runs import FRAME, Run, open_run
from batch_updater.settings import Settings, load_settings
from batch_updater.tenant import with_credentials

if TYPE_CHECKING:
    import pandas as pd

NOT_DONE = ("failed", "unknown", "invalid", "conflict", "not_sent")
OnTick = Callable[[Counters, Pacer], None]


def ignore_tick(_counters: Counters, _pacer: Pacer) -> None:
    """An `on_tick` for those who do not watch."""


async def run_batch(
    source: "Path | str | pd.DataFrame", settings: Settings | None = None, *, token: Secret | None = None
) -> RunSummary:
    """Do the whole job on a sheet or a DataFrame, without asking; give its summary.

    Settings and token come from the environment when not given. A DataFrame's run folder is made in
    `dataframe.runs` unless `settings.runs_dir` says otherwise. Raises BatchUpdaterError when nothing could be
    sent; a run that ended early is told by `exit_code` and `reason` of the summary.
    """
    settings = settings or load_settings({})
    credentials = Credentials(token) if token else find_credentials(os.environ)
    tenant = with_credentials(check_base_url(settings.base_url or ""), credentials)
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
        return pool.submit(lambda: asyncio.run(run_batch(source, settings, token=token))).result()


async def execute(run: Run, settings: Settings, on_tick: OnTick, *, catch_signals: bool = True) -> RunSummary:
    """Send what is open, write the result files, give the summary. Its `exit_code` says how it ended.

    Raises JournalError when the journal can't be written at all; then nothing was sent.
    """
    if refused := run.tenant.refused:
        return await asyncio.to_thread(finish, run, Counters(), refused.exit_code, str(refused))
    run.journal.set_meta({"phase": "sending"})
    async with _client(run, settings) as client:
        runner = Runner(
            run.journal, client, Pacer(settings.rate), concurrency=settings.concurrency, retries=settings.retries,
            compare=settings.compares, canary=settings.canary,
            max_failures=settings.failure_limit(run.plan.to_send), outage_budget=settings.outage_budget,
            on_tick=on_tick,
        )  # fmt: skip
        with _signals(runner, enabled=catch_signals) as interrupted:
            code, reason = await _drive(runner, interrupted)
            summary = await asyncio.to_thread(finish, run, runner.counters, code, reason)
    if interrupted and summary.exit_code in {ExitCode.DONE, ExitCode.NOT_ALL_DONE}:
        reason = "Interrupted while the results were being written; they are complete."
        return replace(summary, exit_code=128 + interrupted[0], reason=f"{summary.reason}\n{reason}".strip())
    return summary


async def _drive(runner: Runner, interrupted: list[int]) -> tuple[int, str]:
    try:
        await runner.run()
    except BatchUpdaterError as error:
        return error.exit_code, str(error)
    if interrupted:
        return 128 + interrupted[0], "Interrupted; requests under way were let finish."
    return ExitCode.DONE, ""


def _client(run: Run, settings: Settings) -> OrderClient:
    tokens = run.tenant.tokens or Tokens(find_credentials(os.environ))
    return OrderClient(run.tenant.base_url, tokens, timeout=settings.timeout, concurrency=settings.concurrency)


@contextlib.contextmanager
def _signals(runner: Runner, *, enabled: bool) -> Iterator[list[int]]:
    """The first SIGINT or SIGTERM stops the runner gently, a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    interrupted: list[int] = []

    def handle(number: int) -> None:
        if interrupted:
            _leave(128 + number)
        interrupted.append(number)
        runner.stop()

    handled = {}
    for number in (signal.SIGINT, signal.SIGTERM) if enabled else ():
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            before = signal.getsignal(number)
            loop.add_signal_handler(number, handle, number)
            handled[number] = before
    try:
        yield interrupted
    finally:
        for number, before in handled.items():
            loop.remove_signal_handler(number)
            signal.signal(number, before)


def _leave(code: int) -> NoReturn:
    """End at once, with the cursor that a progress bar may have hidden."""
    if sys.stderr.isatty():
        os.write(2, b"\x1b[?25h\n")
    os._exit(code)


def finish(run: Run, counters: Counters, code: int = ExitCode.DONE, reason: str = "") -> RunSummary:
    """End a start of a run: write the result file and `summary.json` from the journal, give the summary.

    A result file or journal that can't be written is told by `exit_code` and `reason`.
    """
    ended = time.time()
    seconds = max(round(ended - run.started, 3), 0.001)
    before = run.facts.get("requests", {})
    now = {"get": counters.get, "token": counters.token, "retried": counters.retried, "throttled": counters.throttled}
    run.facts["requests"] = {key: before.get(key, 0) + value for key, value in now.items()}
    run.facts["end"] = {
        "started": run.started, "ended": ended, "seconds": seconds, "exit_code": int(code), "reason": reason,
        "rows_per_second": round(counters.ended / seconds, 1),
    }  # fmt: skip
    run.facts["phase"] = "stopped" if _is_open(run) else "finished"
    summary = write_outputs(run)
    try:
        run.journal.set_meta({key: run.facts[key] for key in ("requests", "end", "phase")})
    except JournalError as error:
        return replace(summary, exit_code=int(error.exit_code), reason=f"{summary.reason}\n{error}".strip())
    return summary


def write_outputs(run: Run) -> RunSummary:
    """Write the result file and `summary.json` of a run, finished or not, and give the summary."""
    rows = ResultRows(run.source, run.journal, run.folder.run_id)
    path, trouble = _write_somewhere(run, rows)
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
        frame=None if path is None else lambda: read_results(path),
    )  # fmt: skip
    with contextlib.suppress(OSError):  # the same trouble as with the result file, which is told
        run.folder.write_summary(summary.to_dict())
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


def _write_somewhere(run: Run, rows: ResultRows) -> tuple[Path | None, str]:
    """Write the result file, beside its place or in the run folder when that can't be written; what went wrong."""
    path = run.results_path
    tries = (path, path.with_stem(f"{path.stem}-{run.folder.run_id}"), run.folder.path / f"results{path.suffix}")
    trouble = ""
    for place in dict.fromkeys(tries):
        try:
            write_results(place, run.source.header, rows)
        except OSError as error:
            trouble = trouble or f"{path} can't be written ({error.strerror or error})"
            continue
        return place, trouble and f"{trouble}; the results are in {place}."
    return None, f"{trouble}.\n  hint: free some disk space, then: batch-updater results {run.folder.path}"


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

"""The use cases: plan a sheet, run the plan, write what happened."""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batch_updater.api.auth import Secret
from batch_updater.api.client import OrderClient
from batch_updater.api.pace import Pacer
from batch_updater.errors import BatchUpdaterError, ExitCode, InputError
from batch_updater.inputs.columns import Columns, find_columns
from batch_updater.inputs.source import ReadOptions, Source, open_source
from batch_updater.journal import Journal
from batch_updater.models import Result, ResultRow, RunSummary
from batch_updater.plan import Plan, make_plan
from batch_updater.reports.results import write_results
from batch_updater.runner import Counters, Runner
from batch_updater.settings import Settings

EXCEL = {".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"}
NOT_DONE = ("failed", "unknown", "invalid", "conflict", "not_sent")


@dataclass
class Run:
    """A planned run: its folder, its journal and what its plan says."""

    run_id: str
    folder: Path
    source: Source
    columns: Columns
    journal: Journal
    plan: Plan
    settings: Settings
    base_url: str
    input_name: str
    started: float = field(default_factory=time.time)

    @property
    def results_path(self) -> Path:
        """Where the result file goes: `--output`, else the run folder (Excel in, Excel out)."""
        suffix = ".xlsx" if self.source.path.suffix.lower() in EXCEL else ".csv"
        return self.settings.output or self.folder / f"results{suffix}"


def iso(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def prepare(file: Path, settings: Settings, base_url: str) -> Run:
    """Copy the sheet into a new run folder, check it and write its plan into the journal.

    Raises InputError; the run folder is removed again then.
    """
    options = ReadOptions(settings.sheet, settings.encoding, settings.delimiter)
    find_columns(open_source(file, options).header, settings.order_column, settings.status_column)
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    folder = (settings.runs_dir or file.parent / f"{file.stem}.runs") / run_id
    folder.mkdir(parents=True)
    journal: Journal | None = None
    try:
        copy = folder / f"input{file.suffix.lower()}"
        shutil.copyfile(file, copy)
        source = open_source(copy, options)
        columns = find_columns(source.header, settings.order_column, settings.status_column)
        journal = Journal(folder / "journal.sqlite", create=True)
        plan = make_plan(source.rows(), columns, journal, settings.on_conflict)
        if settings.strict and plan.invalid + plan.conflicts:
            row, result, detail = plan.problems[0]
            raise InputError(
                f"{file}: {plan.invalid + plan.conflicts:,} rows can't be sent; row {row} is {result}: {detail}",
                "correct the sheet, or leave out --strict",
            )
        journal.set_meta({"run_id": run_id, "base_url": base_url, "input": str(file)})
    except BaseException:
        if journal:
            journal.close()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Run(run_id, folder, source, columns, journal, plan, settings, base_url, str(file))


async def send(run: Run, token: Secret, on_tick: Callable[[Counters, float], None]) -> tuple[Counters, int, str]:
    """Send the plan. Gives the counters, the exit code so far and the reason for an early end.

    The first SIGINT or SIGTERM lets requests under way finish; a second one stops at once.
    """
    settings = run.settings
    interrupted: list[int] = []
    client = OrderClient(run.base_url, token, timeout=settings.timeout, concurrency=settings.concurrency)
    async with client:
        runner = Runner(
            run.journal, client, Pacer(settings.rate), settings.concurrency, settings.retries, on_tick=on_tick
        )
        with _signals(runner, interrupted):
            try:
                await runner.run()
            except BatchUpdaterError as error:
                return runner.counters, error.exit_code, str(error)
    if interrupted:
        return runner.counters, 128 + interrupted[0], "interrupted"
    return runner.counters, ExitCode.DONE, ""


@contextlib.contextmanager
def _signals(runner: Runner, interrupted: list[int]) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def handle(number: int) -> None:
        if interrupted:
            os._exit(128 + number)
        interrupted.append(number)
        runner.stop()

    handled = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            loop.add_signal_handler(number, handle, number)
            handled.append(number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


def finish(run: Run, counters: Counters, code: int) -> RunSummary:
    """Write the result file and `summary.json` from the journal and give the summary."""
    results: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    write_results(run.results_path, run.source.header, _count(_result_rows(run), results, codes))
    if code == ExitCode.DONE and _not_done(run.journal):
        code = ExitCode.NOT_ALL_DONE
    ended = time.time()
    seconds = round(ended - run.started, 3)
    summary = RunSummary(
        run_id=run.run_id, input=run.input_name, base_url=run.base_url, started_at=iso(run.started),
        ended_at=iso(ended), exit_code=int(code), resumable=False, rows=sum(results.values()),
        results=dict(results), codes=dict(codes),
        requests={"put": counters.put, "get": 0, "token": 0, "retried": counters.retried,
                  "throttled": counters.throttled},
        seconds=seconds, rows_per_second=round(counters.ended / seconds, 1) if seconds else 0.0,
        run_dir=str(run.folder), results_file=str(run.results_path),
    )  # fmt: skip
    (run.folder / "summary.json").write_text(json.dumps(summary.to_dict(), indent=2) + "\n", encoding="utf-8")
    return summary


def _not_done(journal: Journal) -> bool:
    results = journal.count("result")
    return any(results.get(word) for word in NOT_DONE) or "planned" in journal.count("state")


def _count(rows: Iterator[ResultRow], results: Counter[str], codes: Counter[str]) -> Iterator[ResultRow]:
    for row in rows:
        results[row.result.value] += 1
        codes[row.code] += 1
        yield row


def _result_rows(run: Run) -> Iterator[ResultRow]:
    for source_row, entry in zip(run.source.rows(), run.journal.entries(), strict=True):
        if source_row.number != entry["row"]:
            raise BatchUpdaterError(f"The journal and the copy of the sheet differ at row {entry['row']}.")
        yield _result_row(source_row.cells, entry, run.run_id)


def _result_row(cells: tuple[str, ...], entry: dict[str, Any], run_id: str) -> ResultRow:
    code, detail = entry["code"], entry["detail"]
    if entry["state"] == "waiting":
        result = Result.DUPLICATE
        detail = f"{detail}, which is {entry['leader_result'] or 'not_sent'}"
    elif entry["state"] == "claimed":
        result, code, detail = Result.UNKNOWN, "stopped", "the run ended while this row was under way"
    elif entry["state"] == "planned":
        result, code, detail = Result.NOT_SENT, code or "stopped", detail or "the run stopped before this row"
    else:
        result = Result(entry["result"])
    return ResultRow(
        cells, entry["row"], result, entry["http_status"], code, detail, entry["attempts"],
        entry["order_id"], entry["status_id"], "", "",
        iso(entry["sent_at"]) if entry["sent_at"] else "", entry["duration_ms"], run_id,
    )  # fmt: skip

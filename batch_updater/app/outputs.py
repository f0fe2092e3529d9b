"""End a start of a run: the result file, the summary, the report."""

import contextlib
import logging
import time
import traceback
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from batch_updater.app.failure_limit import last_failure_limit
from batch_updater.app.run import Run, reopen_run
from batch_updater.common.errors import ExitCode, JournalError, LockedError
from batch_updater.common.log import event
from batch_updater.common.models import NOT_DONE, RESULT_COLUMNS, Counters
from batch_updater.common.remedies import command_line
from batch_updater.common.secret import masked
from batch_updater.common.summary import RunSummary
from batch_updater.common.text import escape_controls
from batch_updater.inputs.excel.password import decrypted
from batch_updater.inputs.header_row import is_result_file
from batch_updater.inputs.pandas_io import read_results, with_types
from batch_updater.inputs.source import Source
from batch_updater.inputs.table import EXCEL
from batch_updater.journal.facts import Ended, Phase, Requests
from batch_updater.journal.find_runs import find_run
from batch_updater.journal.lifecycle import what_is_left
from batch_updater.journal.lock import worker
from batch_updater.reports.commands import RunCommands, next_steps, sheet_of, with_commands
from batch_updater.reports.provenance import last_rate
from batch_updater.reports.results import write_results
from batch_updater.reports.rows import ResultRows, iso
from batch_updater.reports.workbook import Written


def results(place: Path | str) -> RunSummary:
    """Write the result file, summary and report of a run again, from its journal; nothing is sent.

    A run that lacked nothing but its result file is finished by that. Raises SettingsError when `place` is no run,
    LockedError while it is under way, JournalError.
    """
    folder = find_run(Path(place))
    if who := worker(folder):  # what is written now could take the place of what that writes in the end
        raise LockedError(f"{folder.run_id} is under way ({who}).", "wait for it; it writes its results at its end")
    with reopen_run(folder) as run:
        summary = write_outputs(run)
        if not (summary.resumable or run.facts.superseded_by) and run.facts.phase is not Phase.FINISHED:
            run.journal.update_facts(phase=Phase.FINISHED, end=_end_of(run, is_open=False))
        return summary


def finish(run: Run, counters: Counters, code: int = ExitCode.DONE, reason: str = "") -> RunSummary:
    """End a start of a run: write the result file and `summary.json` from the journal, and return the summary.

    A result file or journal that can't be written is told by `exit_code` and `reason`; the run is not finished then.
    """
    seconds = max(round(time.monotonic() - run.began, 3), 0.001)
    before = run.facts.requests
    requests = Requests(
        get=before.get + counters.get, token=before.token + counters.token,
        retried=before.retried + counters.retried, throttled=before.throttled + counters.throttled,
    )  # fmt: skip
    end = Ended(
        started=run.started, ended=time.time(), seconds=seconds, exit_code=int(code), reason=reason,
        rows_per_second=round(counters.ended / seconds, 1),
    )  # fmt: skip
    run.facts = run.facts.with_changes(requests=requests, end=end, phase=Phase.STOPPED)
    if code == ExitCode.STOPPED and not what_is_left(run.journal, run.facts):  # it was to stop early, and had ended
        end = end.model_copy(update={"exit_code": int(ExitCode.DONE)})
        run.facts = run.facts.with_changes(end=end)
    summary = write_outputs(run)
    run.facts = run.facts.with_changes(phase=Phase.STOPPED if summary.resumable else Phase.FINISHED)
    try:
        kept = {"phase": run.facts.phase, "notes": run.facts.notes, "results_reading": run.facts.results_reading}
        run.journal.update_facts(requests=requests, end=end, **kept)
    except JournalError as error:
        reason = f"{summary.reason}\n{error}".strip()
        return replace(summary, exit_code=int(error.exit_code), resumable=True, reason=reason)
    return summary


def write_outputs(run: Run) -> RunSummary:
    """Write the result file and `summary.json` of a run, finished or not, and return the summary."""
    rows = ResultRows(run.source, run.journal, run.folder.run_id)
    path, trouble, written = _write_somewhere(run, rows)
    run.facts = run.facts.with_changes(results_reading=_reading_results(run, written))
    if path is None:
        rows.count_all()
    is_open = bool(what_is_left(run.journal, run.facts))
    end = _end_of(run, is_open=is_open)
    lacks_results = path is None and run.facts.phase is not Phase.FINISHED
    code, next_limit = end.exit_code, last_failure_limit(run.journal, run.facts).next_allowed
    if code == ExitCode.DONE and (is_open or any(rows.results.get(word) for word in NOT_DONE)):
        code = ExitCode.NOT_ALL_DONE
    if path is None and code in {ExitCode.DONE, ExitCode.NOT_ALL_DONE}:
        code = ExitCode.STOPPED
    commands = commands_about(run)
    summary = RunSummary(
        run_id=run.folder.run_id, input=run.facts.input, base_url=run.facts.base_url,
        started_at=iso(end.started), ended_at=iso(end.ended), exit_code=int(code),
        resumable=(is_open or lacks_results) and not run.facts.superseded_by,
        rows=sum(rows.results.values()), result_counts=dict(rows.results), code_counts=dict(rows.codes),
        requests={"put": run.journal.attempts(), **run.facts.requests.model_dump()},
        seconds=end.seconds, rows_per_second=end.rows_per_second,
        run_dir=str(run.folder.path), results_file=str(path or ""),
        reason="\n".join(part for part in (end.reason, trouble) if part),
        notes=(*run.source.notes, *run.notes, *run.facts.notes, *written.notes),
        reasons=rows.reasons.top(), rate=last_rate(run.facts, end.started),
        next_limit=next_limit,
        frame=None if path is None else partial(_frame, path, run.facts.results_reading, run.source),
    )  # fmt: skip
    summary = replace(
        summary, steps=tuple(next_steps(summary, commands)), reasons=with_commands(summary.reasons, commands),
        report_file=_report(run, summary, rows, replace(commands, is_anywhere=True)),
    )  # fmt: skip
    with contextlib.suppress(OSError):  # the result file has met the same trouble, and the summary says so
        run.folder.write_summary(summary.to_dict())
    return summary


def commands_about(run: Run) -> RunCommands:
    """Return the maker of the commands about a run, which is resumed by what this call was given."""
    return RunCommands(run.folder.path, run.facts, None if run.by_folder else sheet_of(run.folder.path, run.facts))


def _reading_results(run: Run, written: Written) -> dict[str, Any]:
    """Return the settings, beside those of the run, with which its result file is read again."""
    kept = {name: value for name, value in run.facts.reading.items() if name == "password_file" and value}
    own = run.source.user_sheet
    if not written.is_own or own is None:
        return kept
    kept |= {
        name: value for name, value in run.facts.reading.items() if name in {"include_hidden", "max_cells"} and value
    }
    cells = (own.facts.last_row + 1) * (own.facts.last_column + 1 + len(RESULT_COLUMNS))
    if cells > kept.get("max_cells", 0):
        kept["max_cells"] = min(cells, 2_000_000_000)
    if own.header_row > 1:
        kept["header_row"] = own.header_row
    if is_result_file(own.header) and run.source.left_out:  # rows of other runs keep their results there
        kept["where"] = (f"result_run_id={run.folder.run_id}",)
    return {**kept, "sheet": own.title}


def _frame(path: Path, reading: dict[str, Any], source: Source) -> Any:
    """Return the rows of a run from its result file, which may have others beside them, and a password."""
    table: dict[str, Any] = {}
    if "sheet" in reading:
        rows = [row.number for row in source.rows()]
        table = {"sheet": reading["sheet"], "header_row": reading.get("header_row", 1), "rows": rows}
    if source.password is None or path.suffix.lower() not in EXCEL:
        return with_types(read_results(path, source.delimiter, **table))
    with decrypted(path, source.password) as plain:
        return with_types(read_results(plain, **table))


def _report(run: Run, summary: RunSummary, rows: ResultRows, commands: RunCommands) -> str:
    """Write the report; return where it is. A run whose report fails has ended well all the same."""
    steps, reasons = tuple(next_steps(summary, commands)), with_commands(summary.reasons, commands)
    try:
        from batch_updater.reports.html import REPORT, write_report  # noqa: PLC0415 - loads jinja2 and pygal, at the end

        path = run.folder.path / REPORT
        write_report(path, replace(summary, steps=steps, reasons=reasons), rows, run.journal, run.facts)
    except Exception:  # the updates are sent and the results written: a page must not change how the run ends
        event("no_report", logging.ERROR, error=masked(traceback.format_exc()))
        return ""
    return str(path)


def _end_of(run: Run, *, is_open: bool) -> Ended:
    """Return how the newest start ended, by the journal; one that was killed left nothing but what it had sent."""
    if run.facts.phase in {Phase.STOPPED, Phase.FINISHED} and run.facts.end:
        return run.facts.end
    code, reason = (ExitCode.STOPPED, "The run was broken off, or is under way.") if is_open else (ExitCode.DONE, "")
    began = run.folder.began
    return Ended(started=began, ended=began, seconds=0.001, exit_code=int(code), reason=reason, rows_per_second=0.0)


def _write_somewhere(run: Run, rows: ResultRows) -> tuple[Path | None, str, Written]:
    """Write the result file, beside its place or in the run folder when that can't be written.

    Return where it is, what went wrong, and what the file is.
    """
    path = run.results_path
    tries = (path, path.with_stem(f"{path.stem}-{run.folder.run_id}"), run.folder.path / f"results{path.suffix}")
    trouble = ""
    for place in dict.fromkeys(tries):
        try:
            source = run.source
            written = write_results(
                place, source.header, rows, source.user_sheet, source.password, delimiter=source.delimiter
            )
        except OSError as error:
            trouble = trouble or escape_controls(f"{path} can't be written ({error.strerror or error})")
            continue
        return place, trouble and f"{trouble}; the results are in {escape_controls(str(place))}.", written
    again = command_line(RunCommands(run.folder.path, run.facts).write_results())
    return None, f"{trouble}.\n  hint: free some disk space, then:\n          {again}", Written(is_own=False, notes=[])

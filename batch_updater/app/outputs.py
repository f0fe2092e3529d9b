"""End a start of a run: the result file, the summary, the report."""

import contextlib
import logging
import time
import traceback
from dataclasses import replace
from pathlib import Path

from batch_updater.app.failure_limit import last_failure_limit
from batch_updater.app.run import Run, reopen_run
from batch_updater.common.errors import ExitCode, JournalError, LockedError
from batch_updater.common.log import event
from batch_updater.common.models import NOT_DONE, Counters
from batch_updater.common.remedies import command_line
from batch_updater.common.secret import masked
from batch_updater.common.summary import RunSummary
from batch_updater.common.text import escape_controls
from batch_updater.inputs.pandas_io import read_results, with_types
from batch_updater.journal.facts import Ended, Phase, Requests
from batch_updater.journal.find_runs import find_run
from batch_updater.journal.lifecycle import what_is_left
from batch_updater.journal.lock import worker
from batch_updater.reports.commands import RunCommands, next_steps, sheet_of, with_commands
from batch_updater.reports.provenance import last_rate
from batch_updater.reports.results import write_results
from batch_updater.reports.rows import ResultRows, iso


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
        run.journal.update_facts(requests=requests, end=end, phase=run.facts.phase, notes=run.facts.notes)
    except JournalError as error:
        reason = f"{summary.reason}\n{error}".strip()
        return replace(summary, exit_code=int(error.exit_code), resumable=True, reason=reason)
    return summary


def write_outputs(run: Run) -> RunSummary:
    """Write the result file and `summary.json` of a run, finished or not, and return the summary."""
    rows = ResultRows(run.source, run.journal, run.folder.run_id)
    path, trouble, about = _write_somewhere(run, rows)
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
    sheet = None if run.by_folder else sheet_of(run.folder.path, run.facts)
    commands = RunCommands(run.folder.path, run.facts, sheet)
    summary = RunSummary(
        run_id=run.folder.run_id, input=run.facts.input, base_url=run.facts.base_url,
        started_at=iso(end.started), ended_at=iso(end.ended), exit_code=int(code),
        resumable=(is_open or lacks_results) and not run.facts.superseded_by,
        rows=sum(rows.results.values()), result_counts=dict(rows.results), code_counts=dict(rows.codes),
        requests={"put": run.journal.attempts(), **run.facts.requests.model_dump()},
        seconds=end.seconds, rows_per_second=end.rows_per_second,
        run_dir=str(run.folder.path), results_file=str(path or ""),
        reason="\n".join(part for part in (end.reason, trouble) if part),
        notes=(*run.source.notes, *run.notes, *run.facts.notes, *about),
        reasons=rows.reasons.top(), rate=last_rate(run.facts, end.started),
        next_limit=next_limit,
        frame=None if path is None else lambda: with_types(read_results(path, run.source.delimiter)),
    )  # fmt: skip
    summary = replace(
        summary, steps=tuple(next_steps(summary, commands)), reasons=with_commands(summary.reasons, commands),
        report_file=_report(run, summary, rows, replace(commands, is_anywhere=True)),
    )  # fmt: skip
    with contextlib.suppress(OSError):  # the result file has met the same trouble, and the summary says so
        run.folder.write_summary(summary.to_dict())
    return summary


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


def _write_somewhere(run: Run, rows: ResultRows) -> tuple[Path | None, str, list[str]]:
    """Write the result file, beside its place or in the run folder when that can't be written.

    Return where it is, what went wrong, and what a person should know about the file.
    """
    path = run.results_path
    tries = (path, path.with_stem(f"{path.stem}-{run.folder.run_id}"), run.folder.path / f"results{path.suffix}")
    trouble = ""
    for place in dict.fromkeys(tries):
        try:
            source = run.source
            about = write_results(place, source.header, rows, source.widths, source.notes, delimiter=source.delimiter)
        except OSError as error:
            trouble = trouble or escape_controls(f"{path} can't be written ({error.strerror or error})")
            continue
        return place, trouble and f"{trouble}; the results are in {escape_controls(str(place))}.", about
    again = command_line(RunCommands(run.folder.path, run.facts).write_results())
    return None, f"{trouble}.\n  hint: free some disk space, then:\n          {again}", []

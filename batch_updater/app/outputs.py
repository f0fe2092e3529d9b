"""End a start of a run: the result file, the summary, the report."""

import contextlib
import logging
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_updater.app.run import Run
from batch_updater.common.errors import ExitCode, JournalError
from batch_updater.common.log import event
from batch_updater.common.models import Counters, RunSummary
from batch_updater.common.remedies import command_line
from batch_updater.common.secret import masked
from batch_updater.common.text import visible
from batch_updater.inputs.pandas_io import read_results
from batch_updater.reports.provenance import last_rate
from batch_updater.reports.results import write_results
from batch_updater.reports.rows import ResultRows, iso

if TYPE_CHECKING:
    pass

NOT_DONE = ("failed", "unknown", "invalid", "conflict", "not_sent")


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
    again = visible(command_line(["results", str(run.folder.path)]))
    return None, f"{trouble}.\n  hint: free some disk space, then: {again}", []

"""`report.html`: one file to be opened offline, printed and mailed. The only user of jinja2.

The template engine escapes everything that comes from the sheet or the service. The page forbids every request, style
and script but its own two, which are named by their hashes.
"""

import base64
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from batch_updater.common.errors import ExitCode
from batch_updater.common.files import replaced
from batch_updater.common.models import Result
from batch_updater.common.remedies import command_line
from batch_updater.common.summary import RunSummary
from batch_updater.common.text import count, duration, escape_controls, moment, utc_offset
from batch_updater.journal.facts import RunFacts, program_version
from batch_updater.journal.reader import JournalReader
from batch_updater.reports import charts
from batch_updater.reports.activity import Activity, gather
from batch_updater.reports.provenance import rate_lines
from batch_updater.reports.rows import ResultRows

REPORT = "report.html"
_ENDS: Mapping[int, tuple[str, str]] = {
    ExitCode.DONE: ("good", "every row done"),
    ExitCode.NOT_ALL_DONE: ("some", "finished, some rows not done"),
    ExitCode.CREDENTIALS: ("bad", "stopped: credentials refused"),
    ExitCode.STOPPED: ("bad", "stopped early"),
    ExitCode.INTERRUPTED: ("bad", "interrupted"),
    ExitCode.TERMINATED: ("bad", "interrupted"),
    ExitCode.BUG: ("bad", "ended by a bug"),
}


@dataclass(frozen=True, slots=True)
class _Line:
    label: str
    value: str
    long: bool = False
    mono: bool = False
    link: str = ""


def write_report(path: Path, summary: RunSummary, rows: ResultRows, journal: JournalReader, facts: RunFacts) -> None:
    """Write the page, completely or not at all, after `rows` were streamed. The steps of `summary` work in any folder.

    Raises OSError when it can't be written, JournalError when the journal can't be read.
    """
    with replaced(path) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(render_report(summary, rows, facts, gather(journal.ends())))


def render_report(summary: RunSummary, rows: ResultRows, facts: RunFacts, activity: Activity) -> Iterator[str]:
    """Yield the page in pieces. `facts` are the journal's."""
    style, script = _own("report.css"), _own("report.js")
    environment = Environment(
        loader=PackageLoader("batch_updater.reports"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["visible"] = escape_controls
    environment.filters["command_line"] = command_line
    kind, word = _ENDS.get(summary.exit_code, ("some", f"exit {summary.exit_code}"))
    return environment.get_template("report.html.j2").generate(
        summary=summary, name=escape_controls(facts.name), headline=headline(summary),
        production=bool(facts.settings.get("production")), end={"kind": kind, "word": word},
        parts=list(_parts(summary)), about=list(_about(summary, facts)), steps=list(_steps(summary, facts)),
        charts=_charts(activity, facts), pauses=_pauses(activity), not_done=rows.not_done, kept=len(rows.not_done),
        missing=sum(reason.rows for reason in summary.reasons) - len(rows.not_done),
        settings=list(_settings(facts)), written=moment(time.time()), local=_local(facts),
        version=program_version(), style=style, script=script, policy=_policy(style, script),
    )  # fmt: skip


def _own(name: str) -> str:
    return files("batch_updater.reports").joinpath("templates", name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Return a content security policy (CSP level 3) that allows exactly these two texts, and no request."""

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; style-src {digest(style)}; script-src {digest(script)};"
        " base-uri 'none'; form-action 'none'"
    )


def headline(summary: RunSummary) -> str:
    """Return how many rows are done, in one sentence."""
    counts = summary.result_counts
    not_done = sum(reason.rows for reason in summary.reasons)
    if not summary.rows:
        return "Nothing to do"
    if not not_done:
        same = counts.get(Result.UNCHANGED.value, 0)
        everything = "The only row is done" if summary.rows == 1 else f"All {summary.rows:,} rows are done"
        return everything + (f", {same:,} already had this status" if same else "")
    verb = "is" if not_done == 1 else "are"
    return f"{not_done:,} of {count(summary.rows, 'row')} {verb} not done"


def _parts(summary: RunSummary) -> Iterator[dict[str, Any]]:
    """Yield the parts of the bar: each result with its place on a scale of 1,000, wide enough to be visible."""
    counts = [(word.value, number) for word in Result if (number := summary.result_counts.get(word.value))]
    widths = [max(1000 * number / summary.rows, 4.0) for _, number in counts]
    scale, place = 1000 / sum(widths, 0.001), 0.0
    for (word, number), width in zip(counts, widths, strict=True):
        share = 100 * number / summary.rows
        yield {
            "word": word, "rows": number, "x": f"{place:.2f}", "width": f"{width * scale:.2f}",
            "share": f"{share:.1f} %" if share >= 0.1 else "< 0.1 %",
        }  # fmt: skip
        place += width * scale


def _about(summary: RunSummary, facts: RunFacts) -> Iterator[_Line]:
    starts = facts.starts
    requests = summary.requests
    if starts:
        yield _Line("Run by", ", ".join(dict.fromkeys(start.by for start in starts)))
        yield _Line("Began", moment(starts[0].at))
    else:
        yield _Line("Began", _readable(summary.started_at))
    yield _Line("Ended", _readable(summary.ended_at))
    if len(starts) > 1:
        yield _Line("Starts", f"{len(starts)}; resumed {_times(len(starts) - 1).lower()}")
    if summary.rows_per_second:  # nothing was sent when only the report was written again
        yield _Line("Last start took", f"{duration(summary.seconds)}, {summary.rows_per_second:,.0f} rows/s")
    yield _Line("Updates sent", f"{requests.get('put', 0):,}")
    yield _Line("Orders read", f"{requests.get('get', 0):,}")
    yield _Line("Retried · throttled", f"{requests.get('retried', 0):,} · {requests.get('throttled', 0):,}")
    yield from _load(summary)
    yield _Line("Exit status", str(summary.exit_code))
    yield _Line("Run", summary.run_id, mono=True)
    yield _Line("Service", summary.base_url, long=True, mono=True)
    if summary.results_file:
        result_file = Path(summary.results_file)
        yield _Line("Results", str(result_file), long=True, mono=True, link=_link(result_file, summary.run_dir))
    if facts.sha256:
        yield _Line("Sheet's SHA-256", facts.sha256, long=True, mono=True)


def _link(file: Path, run_dir: str) -> str:
    """Return where a file lies, seen from the report; both can be moved together."""
    try:
        return quote(Path(os.path.relpath(file, run_dir)).as_posix())
    except ValueError:  # another drive of Windows
        return file.absolute().as_uri()


def _load(summary: RunSummary) -> Iterator[_Line]:
    """Yield what the service's load has cost: the limits that were found, and the rows that waited for them."""
    limit, window, parked = (summary.rate.get(key) for key in ("final", "window", "parked"))
    limits = [f"{limit:,.3g} requests/s" if limit else "", f"{window:,} at once" if window else ""]
    if any(limits):
        yield _Line("The service takes", ", ".join(filter(None, limits)))
    if parked:
        yield _Line("Waits for a later attempt", f"{parked:,}")


def _readable(when: str) -> str:
    """Return ISO 8601 in a readable form."""
    return moment(datetime.fromisoformat(when).timestamp()) if when else "unknown"


def _steps(summary: RunSummary, facts: RunFacts) -> Iterator[dict[str, str]]:
    """Yield what you can do next with this run: resume or retry, verify, undo."""
    for step in summary.steps:
        yield {"why": f"{step.why}:", "command": command_line(step.command)}
    if summary.result_counts.get(Result.UPDATED.value) and not facts.compare:
        why = "Undo: not possible; only a run with --compare records what each order had before."
        yield {"why": why, "command": ""}


def _local(facts: RunFacts) -> str:
    """Return how the time at the machine that wrote the report differs from UTC; empty when it does not."""
    began = datetime.fromtimestamp(facts.starts[0].at if facts.starts else time.time(), UTC)
    offset = utc_offset(began.astimezone())
    return f"; the time at the machine was UTC{offset}" if offset else ""


def _charts(activity: Activity, facts: RunFacts) -> dict[str, str] | None:
    latency, rates = activity.latency, rate_lines(facts)
    if latency is None or len(activity.points) < 2:
        return None
    return {
        "limits": charts.limits(activity, charts.WIDE, rates) if rates else "",
        "limits_narrow": charts.limits(activity, charts.NARROW, rates) if rates else "",
        "limit": f"{rates[-1][-1][1]:,.3g}" if rates else "",
        "throughput": charts.throughput(activity, charts.WIDE),
        "throughput_narrow": charts.throughput(activity, charts.NARROW),
        "latency": charts.latency(activity, charts.WIDE),
        "latency_narrow": charts.latency(activity, charts.NARROW),
        "p50": charts.milliseconds(latency.p50), "p95": charts.milliseconds(latency.p95),
        "p99": charts.milliseconds(latency.p99), "longest": charts.milliseconds(latency.longest),
    }  # fmt: skip


def _pauses(activity: Activity) -> dict[str, Any] | None:
    if not activity.pauses:
        return None
    count, stops = activity.pause_count, sum(pause.is_stop for pause in activity.pauses)
    lines = [f"{_times(count)} no row ended for a second or more, {duration(activity.pause_seconds)} in all."]
    if stops:
        lines.append(f"{_times(stops)} nothing happened for longer: between starts, or while the service was silent.")
    if count + stops > len(activity.pauses):
        lines.append(f"The longest {len(activity.pauses)}:")
    return {
        "summary": " ".join(lines if count else lines[1:]),
        "times": [
            {
                "at": f"{datetime.fromtimestamp(pause.start, UTC):%H:%M:%S}",
                "length": duration(pause.seconds) + (", left out of the charts" if pause.is_stop else ""),
            }
            for pause in activity.pauses
        ],
    }


def _times(number: int) -> str:
    return "Once" if number == 1 else f"{number} times"


def _settings(facts: RunFacts) -> Iterator[dict[str, Any]]:
    chosen = set(facts.chosen)
    for name, value in facts.settings.items():
        if name == "base_url" or (value in (None, [], "", 0) and name not in chosen):
            continue
        yield {"name": name.replace("_", "-"), "value": _shown(value), "chosen": name in chosen}


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

"""The end of a run as a person reads it on a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from textwrap import wrap

from batch_updater.cli.terminal import Line, TerminalStyle, render
from batch_updater.common.models import Result
from batch_updater.common.remedies import command_line
from batch_updater.common.summary import RunSummary
from batch_updater.common.text import count, duration, moment, shortened

SHOWN_REASONS = 5
WIDEST = 100  # longer lines of prose are hard to read
STYLES: Mapping[str, str] = {
    Result.UPDATED: "green", Result.UNCHANGED: "green", Result.DUPLICATE: "cyan", Result.FAILED: "bold red",
    Result.UNKNOWN: "bold magenta", Result.INVALID: "yellow", Result.CONFLICT: "yellow", Result.NOT_SENT: "blue",
}  # fmt: skip


def describe_summary(summary: RunSummary, flags: Sequence[str] = (), terminal: TerminalStyle | None = None) -> str:
    """Return counts, reasons with what to do, files, and the next command, ready to be printed.

    A command stands on a line of its own, so that it can be copied whole however narrow the terminal is. One that
    resumes the run has the `flags` of the present call.
    """
    return render(_lines(summary, flags, terminal or TerminalStyle()), terminal or TerminalStyle())


def in_short(summary: RunSummary, flags: Sequence[str] = ()) -> str:
    """Return what --quiet says of a run whose rows are not all done: counts, the result file, and the next command."""
    counts = ", ".join(f"{number:,} {word}" for word, number in summary.result_counts.items())
    where = summary.results_file or "no file"
    return "\n".join([f"{count(summary.rows, 'row')}: {counts}; results in {where}", *next_lines(summary, flags)])


def next_lines(summary: RunSummary, flags: Sequence[str] = ()) -> list[str]:
    """Return what to do next, and the command for it on a line of its own."""
    if not summary.steps:
        return []
    first, *_others = summary.steps
    words = [*first.command, *(flags if summary.resumable else ())]
    return [f"{first.why}:", f"  {command_line(words)}"]


def _lines(summary: RunSummary, flags: Sequence[str], terminal: TerminalStyle) -> Iterator[Line]:
    took, rate = duration(summary.seconds), f"{count(round(summary.rows_per_second), 'row')}/s"
    yield [(count(summary.rows, "row"), "bold"), (f" in {took} ({rate})" if summary.rows_per_second else "", "")]
    yield []
    yield from _counts(summary, terminal)
    yield from _reasons(summary, terminal)
    yield []
    if summary.ended_at:
        yield [("Ended    ", "dim"), (moment(datetime.fromisoformat(summary.ended_at).timestamp()), "")]
    yield [("Results  ", "dim"), (summary.results_file or "not written", "")]
    if summary.report_file:
        yield [("Report   ", "dim"), (summary.report_file, "")]
    if summary.rate["history"]:
        yield [("Limit    ", "dim"), (f"{summary.rate['final']:,.3g} requests/s, found by what was refused", "")]
    yield []
    yield from ([(line, style)] for line, style in zip(next_lines(summary, flags), ("bold", "bold cyan"), strict=False))


def _counts(summary: RunSummary, terminal: TerminalStyle) -> Iterator[Line]:
    counts = [(word.value, number) for word in Result if (number := summary.result_counts.get(word.value, 0))]
    if not counts:
        yield [("  nothing to do", "")]
        return
    longest = max(number for _, number in counts)
    digits = max(len(f"{number:,}") for _, number in counts)
    block, room = ("█" if terminal.unicode else "#"), min(terminal.width - digits - 24, 40)
    for word, number in counts:
        share = f"{100 * number / summary.rows:5.1f} %"
        bar = block * max(round(room * number / longest), 1)
        yield [(f"  {word:<10}", STYLES[word]), (f"{number:>{digits},}  {share}  ", ""), (bar, STYLES[word])]


def _reasons(summary: RunSummary, terminal: TerminalStyle) -> Iterator[Line]:
    room = min(terminal.width, WIDEST) - 6
    arrow = "→" if terminal.unicode else "->"
    for reason in summary.reasons[:SHOWN_REASONS]:
        yield []
        style = STYLES[reason.result]
        yield [(f"  {reason.rows:,} {reason.result.value}", style), (f"  {reason.code}", "dim")]
        yield from ([(f"    {line}", "")] for line in wrap(reason.explanation, room))
        _row, name, detail = reason.examples[0]
        for place, line in enumerate(wrap(f"{name}: {shortened(detail, 300)}", room)):
            yield [(f"    {line}" if place == 0 else f"      {line}", "dim")]
        for place, line in enumerate(wrap(reason.what_to_do, room - 3)):
            yield [(f"    {arrow} " if place == 0 else " " * (5 + len(arrow)), style), (line, "")]
        if reason.command:
            yield [(f"{' ' * (5 + len(arrow))}{command_line(reason.command)}", "cyan")]
    if (hidden := len(summary.reasons) - SHOWN_REASONS) > 0:
        yield []
        yield [(f"  and {hidden} more kinds; the report names each", "dim")]

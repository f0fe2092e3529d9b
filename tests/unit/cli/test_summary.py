import io
import re
import shlex
from dataclasses import replace

import pytest

from batch_updater.cli.summary import describe_summary, in_short, next_lines
from batch_updater.cli.terminal import TerminalStyle, detect_terminal
from batch_updater.common.models import Result
from batch_updater.common.remedies import command_line
from batch_updater.common.summary import Reason, RunSummary, Step
from batch_updater.common.text import duration

REASONS = (
    Reason(Result.FAILED, "order_not_found", 300, "The service has no order with this id.",
           "Check the ids against Evreka360, and that the sheet belongs to this tenant.",
           ((17, "row 17", "Order (\x1b[31mboo) not found"),)),
    Reason(Result.INVALID, "bad_order_id", 45, "The order id can't be one.", "Correct it.",
           ((2, "row 2", "x " * 400),)),
)  # fmt: skip
SUMMARY = RunSummary(
    run_id="20261123T101500Z-3f9a", input="orders.csv", base_url="https://api.example.com/v1", started_at="",
    ended_at="", exit_code=3, resumable=False, rows=12_345, code_counts={}, requests={}, seconds=83.2,
    result_counts={"failed": 300, "updated": 12_000, "invalid": 45}, rows_per_second=148.4, reasons=REASONS,
    run_dir="orders.runs/20261123T101500Z-3f9a", results_file="orders.runs/20261123T101500Z-3f9a/results.csv",
    report_file="orders.runs/x/report.html",
    steps=(Step("After correcting those", ("run", "r.csv", "--only", "invalid")), Step("Later", ("verify", "r"))),
)  # fmt: skip


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_summary_fits_the_terminal(width: int) -> None:
    """Only paths and the command, which must be copied whole, may be longer than the terminal is wide."""
    for line in describe_summary(SUMMARY, [], TerminalStyle(width)).splitlines():
        assert len(line) <= width or line.lstrip().startswith(("Results", "Report", "batch-updater"))


def test_the_summary_says_what_happened_why_and_what_to_do() -> None:
    """Counts in a fixed order and aligned, each reason with example and advice, the command last."""
    text = describe_summary(SUMMARY)
    lines = text.splitlines()
    assert lines[0] == "12,345 rows in 1 min 23 s (148 rows/s)"
    counts = [line for line in lines if re.match(r"  (updated|failed|invalid) ", line)]
    assert [line.split()[0] for line in counts] == ["updated", "failed", "invalid"]
    assert len({line.index("%") for line in counts}) == 1
    assert "row 17: Order (\\x1b[31mboo) not found" in text
    assert "→ Check the ids" in text
    assert lines[-2:] == ["After correcting those:", "  batch-updater run r.csv --only invalid"]


def test_a_limit_is_told_where_one_was_found() -> None:
    """The rate that the search ended at is said; a cap alone is no finding."""
    found = replace(SUMMARY, rate={"final": 198.7, "history": [[1.0, 150.0], [9.5, 198.7]]})
    assert "Limit    199 requests/s" in describe_summary(found)
    assert "Limit" not in describe_summary(replace(SUMMARY, rate={"final": 50.0, "history": []}))


def test_colours_only_where_there_is_a_terminal() -> None:
    """The plain text holds no escape; the coloured one says the same words."""
    plain = describe_summary(SUMMARY, [], TerminalStyle(80))
    coloured = describe_summary(SUMMARY, [], TerminalStyle(80, color=True))
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_a_stream_without_unicode_gets_ascii() -> None:
    """Our own marks are ASCII where the encoding takes no more."""
    describe_summary(SUMMARY, [], TerminalStyle(80, unicode=False)).encode("ascii")


@pytest.mark.parametrize(("resumable", "flags"), [(True, " --yes -v"), (False, "")])
def test_only_the_command_that_goes_on_repeats_the_flags_of_the_call(resumable: bool, flags: str) -> None:
    """Going on is what was agreed to; a new run, of other rows, asks."""
    lines = next_lines(replace(SUMMARY, resumable=resumable), ["--yes", "-v"])
    assert lines == ["After correcting those:", f"  batch-updater run r.csv --only invalid{flags}"]
    assert in_short(replace(SUMMARY, resumable=resumable), ["--yes", "-v"]).splitlines()[1:] == lines


def test_the_command_that_helps_stands_below_its_advice() -> None:
    """It can be copied whole, as every command."""
    words = ("statuses", "--profile", "a profile with a long name that no line of a narrow terminal has room for")
    lines = describe_summary(replace(SUMMARY, reasons=(replace(REASONS[1], command=words),))).splitlines()
    assert f"      {command_line(words)}" in [line.rstrip().replace("       ", "      ") for line in lines]


def test_a_path_with_blanks_can_be_typed() -> None:
    """The command is quoted for a shell."""
    text = describe_summary(replace(SUMMARY, steps=(Step("Then", ("run", "my sheets/r.csv")),)))
    assert shlex.split(text.splitlines()[-1])[2] == "my sheets/r.csv"


def test_a_pipe_has_no_colour() -> None:
    """Where there is no terminal, or it is dumb, or the user says so, text is plain."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert detect_terminal(io.StringIO(), environment={}).color is False
    assert detect_terminal(Terminal(), environment={"TERM": "xterm"}).color is True
    assert detect_terminal(Terminal(), environment={"TERM": "dumb"}).color is False
    assert detect_terminal(Terminal(), environment={"NO_COLOR": "1"}).color is False
    assert detect_terminal(Terminal(), environment={}, no_color=True).color is False


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (4.23, "4.2 s"), (60, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_a_duration_is_said_as_people_do(seconds: float, text: str) -> None:
    """Seconds, minutes or hours, whichever is plain."""
    assert duration(seconds) == text

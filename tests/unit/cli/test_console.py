from dataclasses import replace

import click
import pytest

from batch_updater.cli.console import OutputOptions, show_summary, status_table
from batch_updater.common.models import OrderStatus
from batch_updater.common.summary import RunSummary, Step

SUMMARY = RunSummary(
    run_id="r", input="o.csv", base_url="", started_at="", ended_at="", exit_code=3, resumable=False, rows=3,
    code_counts={}, requests={}, seconds=1.0, result_counts={"updated": 2, "failed": 1}, rows_per_second=3.0,
    run_dir="o.runs/r", results_file="o.runs/r/results.csv",
    steps=(Step("To try those again", ("run", "o.runs/r/results.csv", "--only", "not-done")),),
)  # fmt: skip

STATUSES = [
    OrderStatus("a" * 36, "Planned", "#ff0080"),
    OrderStatus("b" * 36, "X\x1b[31m", "red"),
    OrderStatus("c" * 36, "Y"),
]


def test_a_terminal_gets_a_swatch_of_each_colour() -> None:
    """A status with a colour has a dot in it, others none; no name can colour the terminal by itself."""
    lines = status_table(STATUSES, coloured=True).splitlines()
    assert lines[1].startswith(click.style("\u25cf", fg=(255, 0, 128)))
    assert "\x1b" not in lines[2]
    assert {click.unstyle(line).index(one.id) for line, one in zip(lines[1:], STATUSES, strict=True)} == {13}
    assert "\x1b" not in status_table(STATUSES, coloured=False)


def test_quiet_says_of_the_end_only_what_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """Counts, file and next command on stderr when rows are not done; nothing when all are, or with --json."""
    show_summary(SUMMARY, OutputOptions(quiet=True))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "3 rows: 2 updated, 1 failed; results in o.runs/r/results.csv",
        "To try those again:",
        "  batch-updater run o.runs/r/results.csv --only not-done",
    ]
    show_summary(replace(SUMMARY, exit_code=0), OutputOptions(quiet=True))
    show_summary(SUMMARY, OutputOptions(quiet=True, as_json=True))
    assert capsys.readouterr().err == ""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import click
import pytest
from support.journals import some_facts

from batch_updater.cli import console
from batch_updater.cli.console import OutputOptions, show_summary, status_table
from batch_updater.common.errors import StoppedError
from batch_updater.common.models import OrderStatus
from batch_updater.common.settings import Settings
from batch_updater.common.summary import RunSummary, Step
from batch_updater.planning.preflight import Tenant

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


@pytest.mark.parametrize("production", [True, False])
@pytest.mark.parametrize("nobody", [True, False])
@pytest.mark.parametrize(
    ("compare", "resumed", "words"),
    [(False, False, "They can't be undone: add --compare for that."), (False, True, "They can't be undone."),
     (True, False, "They can be undone."), (True, True, "They can be undone.")],
)  # fmt: skip
def test_the_question_says_whether_it_can_be_undone(
    monkeypatch: pytest.MonkeyPatch, production: bool, nobody: bool, compare: bool, resumed: bool, words: str
) -> None:
    """Also where the number has to be typed; no line of it is too wide for a terminal, and no address is broken."""
    questions: list[str] = []
    monkeypatch.setattr("click.confirm", lambda text, **_more: questions.append(text))
    monkeypatch.setattr("click.prompt", lambda text, **_more: questions.append(text) or "")
    url = "https://a-tenant-with-a-long-name.example.com/api/v1"
    failure = StoppedError("Nobody.") if nobody else None
    opened: Any = SimpleNamespace(
        open_rows=1234, settings=Settings(production=production), resumed=resumed, tenant=Tenant(url, failure=failure),
        facts=some_facts(compare=compare, base_url=url),
    )  # fmt: skip
    console._ask(opened)
    (question,) = questions
    assert words in " ".join(question.split())
    assert max(map(len, question.splitlines())) <= 70
    assert production or url in question

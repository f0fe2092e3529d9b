import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.journals import some_facts

from batch_updater.cli.commands import commands
from batch_updater.common.remedies import command_line
from batch_updater.common.settings import Settings, load_settings
from batch_updater.common.summary import RunSummary
from batch_updater.inputs.selection import RESUME_KEYS
from batch_updater.journal.facts import UsedColumns
from batch_updater.reports.commands import (
    NO_OPTIONS,
    follow_up_options,
    next_step,
    option_words,
    resume_command,
    run_command,
)

CHANGED: dict[str, Any] = {
    "base_url": "https://api.example.com/v1", "ca_file": Path("our own.pem"), "proxy": "http://proxy.test:3128",
    "order_column": "--order", "status_column": "Yeni Durum", "sheet": "Sheet '2'", "encoding": "cp1254",
    "delimiter": "\t", "header_row": 3, "include_hidden": True, "max_cells": 1000, "password_file": Path("p w"),
    "only": ("failed", "unknown"), "where": ("Depot=a, b;c", "Depot=-x", "Zone = $HOME"), "rows": "2-500,700-",
    "limit": 9, "on_conflict": "sequence", "strict": True, "compare": True, "compare_list": True, "order_by": "name",
    "expect_column": "was", "canary": 20, "concurrency": 7, "rate": 12.5, "adapt": False,
    "timeout": 0.5, "retries": 0, "max_failures": "2%", "outage_budget": 0.0, "output": Path("-r.csv"),
    "overwrite": True, "runs_dir": Path("my runs"), "restart": True, "log_format": "json",
    "metrics_file": Path("m.prom"), "metrics_port": "0.0.0.0:9100",
}  # fmt: skip
ALONE: dict[str, Any] = {"set_status": "Yeni 'Durum'", "carry_over": True}  # they contradict some of the others
READ_WITH = RESUME_KEYS - ALONE.keys() - NO_OPTIONS


SUMMARY = RunSummary(
    run_id="r", input="-", base_url="", started_at="", ended_at="", exit_code=6, resumable=True, rows=3,
    code_counts={}, requests={}, seconds=1.0, result_counts={}, rows_per_second=3.0, run_dir="", results_file="",
)  # fmt: skip


def read_back(line: str) -> Settings:
    """The settings that a command line of this program leads to, by the program's own parser."""
    _program, name, *words = shlex.split(line)
    params = commands.commands[name].make_context(name, words).params
    return load_settings({key: value for key, value in params.items() if key in Settings.model_fields}, {})


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a config file."""
    monkeypatch.chdir(tmp_path)


def test_every_setting_is_tried() -> None:
    """The list above has every setting that has an option, at a value that is not its default."""
    assert CHANGED.keys() | ALONE.keys() | NO_OPTIONS == Settings.model_fields.keys()
    assert [name for name, value in (CHANGED | ALONE).items() if Settings.model_fields[name].default == value] == []


@pytest.mark.parametrize("names", [*([name] for name in CHANGED | ALONE), list(CHANGED)], ids=lambda names: names[-1])
def test_what_is_proposed_is_read_back_as_the_same_settings(names: list[str]) -> None:
    """Each option alone, and all together, quoted for a shell."""
    settings = Settings(**{name: (CHANGED | ALONE)[name] for name in names})
    assert read_back(command_line(["run", "o.csv", *option_words(settings)])) == settings


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_a_delimiter_can_be_typed(delimiter: str) -> None:
    """A tab is written as a word, for it would not survive being copied."""
    line = command_line(["run", "o.csv", *option_words(Settings(delimiter=delimiter))])
    assert line.isprintable()
    assert read_back(line).delimiter == delimiter


def test_what_is_not_changed_and_what_has_no_option_is_left_out() -> None:
    """A command is no longer than it must be, and holds nothing that the program would refuse."""
    assert option_words(Settings(production=True, status_map={"a": "b"}, concurrency=20)) == []


@pytest.mark.parametrize("name", ["orders.csv", "-", "-odd.csv", "a b/o'c.csv"])
def test_the_command_of_a_run_repeats_the_choices_that_must_be_the_same(name: str) -> None:
    """The service, all that decides what is read, and what is done with conflicts and orders; any name of a file."""
    chosen = {key: CHANGED[key] for key in READ_WITH}
    reading = Settings(**chosen).model_dump(mode="json", include=set(RESUME_KEYS))
    file = Path(name)
    run_dir = file.parent / f"{'stdin' if name == '-' else file.stem}.runs" / "20261123T101500Z-3f9a"
    facts = some_facts(base_url="https://x.test", reading=reading, on_conflict="last", compare=True)
    words = run_command(file, run_dir, facts)
    line = command_line(words)
    assert commands.commands["run"].make_context("run", shlex.split(line)[2:]).params["file"] == file
    expected = {**chosen, "base_url": "https://x.test", "compare": True}
    assert read_back(line) == Settings(**expected, on_conflict="last")


@pytest.mark.parametrize("limit", [None, 11])
def test_a_run_is_resumed_from_its_folder(limit: int | None) -> None:
    """By the service and, where the last limit of failures has been passed, a higher one; its choices are in there."""
    facts = some_facts(base_url="https://x.test", reading={"sheet": "a"}, on_conflict="last", compare=True)
    line = command_line(resume_command(Path("-odd runs/run"), facts, limit))
    params = commands.commands["resume"].make_context("resume", shlex.split(line)[2:]).params
    assert params["run"] == Path("-odd runs/run")
    assert read_back(line) == Settings(base_url="https://x.test", max_failures=limit)


@pytest.mark.parametrize(("passed", "canary"), [(False, 5), (True, 0)])
@pytest.mark.parametrize(("given", "limit"), [(None, "2%"), (7, 7)])
def test_a_resumed_run_is_as_careful_as_it_was_started(
    passed: bool, canary: int, given: int | None, limit: Any
) -> None:
    """A canary that has not passed and the limit of failures are typed again; a new limit replaces the old one."""
    facts = some_facts(settings={"canary": 5, "max_failures": "2%"}, canary_passed=passed)
    for words in (run_command(Path("o.csv"), Path("o.runs/r"), facts, given), resume_command(Path("r"), facts, given)):
        settings = read_back(command_line(words))
        assert (settings.canary, settings.max_failures) == (canary, Settings(max_failures=limit).max_failures)


def test_a_dataframe_is_resumed_from_the_folder_of_its_run() -> None:
    """The file that it was written to is gone by then."""
    facts = some_facts(base_url="https://x.test")
    words = run_command(Path("/tmp/tmp123/dataframe.csv"), Path("dataframe.runs/run"), facts, 7)
    assert words == ["resume", "dataframe.runs/run", "--base-url", "https://x.test", "--max-failures", "7"]


@pytest.mark.parametrize(
    ("typed", "proposed"),
    [
        ("run o.csv --yes", "run --max-failures 11 o.csv --yes"),
        ("run o.csv --max-failures 5 --yes", "run --max-failures 11 o.csv --yes"),
        ("run --restart --max-failures=5 -- -o.csv", "run --max-failures 11 -- -o.csv"),
        ("undo o.runs/r --yes", "undo --max-failures 11 o.runs/r --yes"),
        ("resume o.runs/r --max-failures 2%", "resume --max-failures 11 o.runs/r"),
    ],
)
def test_above_the_limit_of_failures_what_was_typed_is_proposed_with_a_higher_one(typed: str, proposed: str) -> None:
    """Wherever the limit came from, the command line has the last word; without a need nothing is changed."""
    summary = replace(SUMMARY, next_limit=11, resume_command=("run", "o.csv", "--max-failures", "11"))
    assert next_step(summary, typed.split()) == ("To go on", proposed.split())
    assert next_step(summary) == ("To go on", ["run", "o.csv", "--max-failures", "11"])
    same = [word for word in typed.split() if word != "--restart"]
    assert next_step(replace(summary, next_limit=None), typed.split()) == ("To go on", same)


def test_only_a_command_that_reads_stdin_asks_for_the_same_data() -> None:
    """A run of data from stdin can be resumed from its folder, too."""
    assert next_step(SUMMARY, ["run", "-"])[0] == "To go on, with the same data on stdin"
    assert next_step(SUMMARY, ["resume", "stdin.runs/r"])[0] == "To go on"


def test_a_result_file_is_read_and_sent_as_its_run_was() -> None:
    """Its columns are named where the sheet's were; how to read the file is what its writer says."""
    reading = {key: CHANGED[key] for key in READ_WITH}
    facts = some_facts(base_url="https://x.test", reading=reading, on_conflict="last", compare=True)
    kept = {key: CHANGED[key] for key in ("order_column", "status_column", "expect_column", "order_by")}
    words = ["run", "results.csv", *follow_up_options(facts, {"sheet": "Nov", "header_row": 3})]
    assert read_back(command_line(words)) == Settings(
        **kept, base_url="https://x.test", on_conflict="last", compare=True, sheet="Nov", header_row=3
    )


def test_columns_that_only_the_config_file_or_the_cells_told_are_named_for_a_result_file() -> None:
    """The next command does not depend on that file, nor on cells that are to be corrected."""
    used = UsedColumns(order=0, status=1, order_header="Ticket", status_header="status_id")
    facts = some_facts(base_url="https://x.test", reading={"columns": {"order": ["Ticket"]}}, columns=used)
    words = ["--base-url", "https://x.test", "--order-column", "Ticket", "--status-column", "status_id"]
    assert follow_up_options(facts, {}) == words
    typed = facts.with_changes(reading={"order_column": "typed", "status_column": "typed"})
    assert "Ticket" not in follow_up_options(typed, {})


def test_a_run_that_compared_by_the_list_goes_on_by_the_list() -> None:
    """Reading order by order would be many more requests than were chosen."""
    settings = Settings(compare_list=True).model_dump(mode="json")
    facts = some_facts(base_url="https://x.test", compare=True, settings=settings)
    words = run_command(Path("o.csv"), Path("o.runs/run"), facts)
    assert words == ["run", "o.csv", "--base-url", "https://x.test", "--compare-list"]


def test_runs_that_are_elsewhere_are_found_again(tmp_path: Path) -> None:
    """Where run folders are is named when it is not beside the sheet, however that is written."""
    for place, words in {
        "o.runs": [],
        str(tmp_path / "o.runs"): [],
        "other": ["--runs-dir", str(tmp_path / "other")],
    }.items():
        found = run_command(Path("o.csv"), Path(place) / "run", some_facts(base_url="https://x.test"))
        assert found == ["run", "o.csv", "--base-url", "https://x.test", *words]


def test_an_undo_is_picked_up_by_undo(tmp_path: Path) -> None:
    """Its sheet lies in the folder of the run that it undoes; choices that are meant for sheets are none of it."""
    (tmp_path / "journal.sqlite").touch()
    sheet = tmp_path / "undo.csv"
    facts = some_facts(base_url="https://x.test", reading={"expect_column": "e"}, compare=True)
    found = run_command(sheet, tmp_path / "other" / "run", facts)
    assert found[:2] == ["undo", str(tmp_path)]
    settings = read_back(command_line(found))
    assert settings == Settings(base_url="https://x.test", runs_dir=tmp_path / "other")

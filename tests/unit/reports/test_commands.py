import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from support.journals import some_facts

from batch_updater.cli.commands import commands
from batch_updater.common.models import NOT_DONE, Result
from batch_updater.common.remedies import command_line
from batch_updater.common.settings import Settings, load_settings
from batch_updater.common.summary import Reason, RunSummary
from batch_updater.inputs.selection import RESUME_KEYS
from batch_updater.journal.facts import RunFacts, UsedColumns
from batch_updater.reports.commands import (
    FOLLOW_UP,
    NO_OPTIONS,
    ONCE,
    TAKEN,
    RunCommands,
    next_steps,
    option_words,
    same_call,
    service_command,
    sheet_of,
    with_commands,
)
from batch_updater.reports.provenance import settings_facts

CONFIG = "our 'own' settings.toml"
PROFILE = 'staging "2"'
CHANGED: dict[str, Any] = {
    "profile": PROFILE, "config": Path(CONFIG),
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
NOT_CARRIED = {"verify": {"max_failures"}, "undo": {"runs_dir"}}  # nothing is sent; its folder is that of its run
SUMMARY = RunSummary(
    run_id="r", input="o.csv", base_url="", started_at="", ended_at="", exit_code=3, resumable=False, rows=3,
    code_counts={}, requests={}, seconds=1.0, result_counts={}, rows_per_second=3.0, run_dir="o.runs/r",
    results_file="o.runs/r/results.csv",
)  # fmt: skip


def read_back(line: str, environment: dict[str, str] | None = None) -> Settings:
    """The settings that a command line of this program leads to, by the program's own parser."""
    _program, name, *words = shlex.split(line)
    params = commands.commands[name].make_context(name, words).params
    config, profile = params.pop("config"), params.pop("profile")
    given = {key: value for key, value in params.items() if key in Settings.model_fields}
    return load_settings(given, environment or {}, config, profile)


def settings_with(*names: str) -> Settings:
    """Settings with these at other values than their defaults; paths are whole, as they are kept."""
    values = {name: (CHANGED | ALONE)[name] for name in names}
    return Settings(**{name: value.absolute() if name == "config" else value for name, value in values.items()})


def facts_of(settings: Settings, **more: Any) -> RunFacts:
    """The facts of a run that was started with these settings."""
    told = {**settings_facts(settings), "base_url": settings.base_url or "https://x.test"}
    reading = {name: value for name, value in told["settings"].items() if name in RESUME_KEYS}
    how = {"on_conflict": settings.on_conflict, "compare": settings.compares}
    return some_facts(**{**told, "reading": reading, **how, **more})


def whole(settings: Settings) -> dict[str, Any]:
    """The settings with whole paths."""
    return {name: value.absolute() if isinstance(value, Path) else value for name, value in settings}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with a sheet and a config file that is not found by itself."""
    monkeypatch.chdir(tmp_path)
    Path("o.csv").touch()
    Path(CONFIG).write_text("[profiles.'staging \"2\"']\n")


def test_every_setting_is_tried() -> None:
    """The list above has every setting that has an option, at a value that is not its default."""
    assert CHANGED.keys() | ALONE.keys() | NO_OPTIONS == Settings.model_fields.keys()
    assert [name for name, value in (CHANGED | ALONE).items() if Settings.model_fields[name].default == value] == []


@pytest.mark.parametrize("name", TAKEN)
def test_a_command_carries_all_options_that_it_has(name: str) -> None:
    """A new option of a command is carried from the first day, or it stands among those that are not."""
    options = {param.name or "" for param in commands.commands[name].params if isinstance(param, click.Option)}
    expected = (options & Settings.model_fields.keys()) - ONCE - NOT_CARRIED.get(name, set())
    assert TAKEN[name] == expected


@pytest.mark.parametrize("names", [*([name] for name in CHANGED | ALONE), list(CHANGED)], ids=lambda names: names[-1])
def test_what_is_proposed_is_read_back_as_the_same_settings(names: list[str]) -> None:
    """Each option alone, and all together, quoted for a shell."""
    names = [*names, "config"] if names == ["profile"] else names
    settings = settings_with(*names)
    assert read_back(command_line(["run", "o.csv", *option_words(settings)])) == settings


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_a_delimiter_can_be_typed(delimiter: str) -> None:
    """A tab is written as a word, for it would not survive being copied."""
    line = command_line(["run", "o.csv", *option_words(Settings(delimiter=delimiter))])
    assert line.isprintable()
    assert read_back(line).delimiter == delimiter


def test_what_is_not_changed_and_what_has_no_option_is_left_out() -> None:
    """A command is no longer than it must be, and holds nothing that the program would refuse."""
    assert option_words(load_settings({}, {})) == []
    assert option_words(Settings(production=True, status_map={"a": "b"})) == []


def test_a_default_that_was_typed_is_typed_again() -> None:
    """It may stand against a config file that says something else."""
    Path("batch-updater.toml").write_text('on-conflict = "first"\ncompare = true\n')
    settings = load_settings({"on_conflict": "hold"}, {})
    assert option_words(settings) == ["--on-conflict", "hold", "--compare"]
    assert read_back(command_line(RunCommands(Path("o.runs/r"), facts_of(settings)).follow_up(Path("r.csv"), ["failed"])
                                  )).on_conflict == "hold"  # fmt: skip


@pytest.mark.parametrize("name", ["orders.csv", "-odd.csv", "a b/o'c.csv"])
def test_the_command_of_a_run_repeats_every_choice(name: str) -> None:
    """What decides about reading and sending, and how fast: all but what only the start needed."""
    file = Path(name)
    settings = settings_with(*(CHANGED.keys() - ONCE))
    run_dir = Path("my runs").absolute() / "20261123T101500Z-3f9a"
    line = command_line(RunCommands(run_dir, facts_of(settings), file).go_on())
    assert commands.commands["run"].make_context("run", shlex.split(line)[2:]).params["file"] == file
    expected = {**dict(settings), "compare": False}  # --compare-list says so, too
    assert whole(read_back(line)) == whole(Settings(**expected))


@pytest.mark.parametrize("command", ["resume", "verify", "undo", "statuses"])
def test_a_command_about_a_run_goes_to_its_service_as_the_run_did(command: str) -> None:
    """Profile, config file, address, proxy, authorities and pace are the run's; its choices are in its folder."""
    settings = settings_with(*CHANGED)
    made = RunCommands(Path("-odd runs/run"), facts_of(settings))
    line = command_line(made.resume() if command == "resume" else made.ask(command))
    if command != "statuses":
        params = commands.commands[command].make_context(command, shlex.split(line)[2:]).params
        assert params["run"] == Path("-odd runs/run")
    assert whole(read_back(line)) == whole(Settings(**{name: dict(settings)[name] for name in TAKEN[command]}))


def test_a_result_file_is_read_and_sent_as_its_run_was() -> None:
    """Its columns are named where the sheet's were; what said which rows to take, or how to read the file, is gone."""
    settings = settings_with(*CHANGED)
    line = command_line(RunCommands(Path("o.runs/r"), facts_of(settings)).follow_up(Path("o.runs/r/r.csv"), ["failed"]))
    kept = {name: dict(settings)[name] for name in FOLLOW_UP}
    assert whole(read_back(line)) == whole(Settings(**{**kept, "compare": False, "only": ("failed",)}))


def test_a_result_file_that_is_the_persons_own_workbook_is_read_where_its_results_are() -> None:
    """Its writer says which sheet that is, below which row, and which of its rows are of this run."""
    facts = some_facts(results_reading={"sheet": "Nov", "header_row": 3, "where": ["result_run_id=r"]})
    line = command_line(RunCommands(Path("o.runs/r"), facts).follow_up(Path("o.runs/r/r.xlsx"), ["failed"]))
    expected = {"only": ("failed",), "base_url": "http://x", "sheet": "Nov", "header_row": 3}
    assert read_back(line) == Settings(**expected, where=("result_run_id=r",))


def test_every_result_that_is_not_done_has_one_word() -> None:
    """`not-done` is what all of them are called, and is read back as all of them."""
    line = command_line(RunCommands(Path("o.runs/r"), some_facts()).follow_up(Path("o.runs/r/r.csv"), NOT_DONE))
    assert "--only not-done " in line
    assert read_back(line).only == tuple(map(str, NOT_DONE))


def test_columns_that_only_the_config_file_or_the_cells_told_are_named_for_a_result_file() -> None:
    """The next command does not depend on that file, nor on cells that are to be corrected."""
    used = UsedColumns(order=0, status=1, order_header="Ticket", status_header="status_id")
    facts = some_facts(base_url="https://x.test", reading={"columns": {"order": ["Ticket"]}}, columns=used)
    words = RunCommands(Path("o.runs/r"), facts).follow_up(Path("o.runs/r/r.csv"), ["failed"])[4:]
    assert words == ["--base-url", "https://x.test", "--order-column", "Ticket", "--status-column", "status_id"]
    typed = facts.with_changes(reading={"order_column": "typed", "status_column": "typed"})
    assert "Ticket" not in RunCommands(Path("o.runs/r"), typed).follow_up(Path("o.runs/r/r.csv"), ["failed"])


@pytest.mark.parametrize(
    ("run", "results", "named"),
    [("o.runs/r", "o.runs/r/r.csv", False), ("o.runs/r", "r.csv", False), ("o.runs/r", "away/r.csv", True),
     ("runs/r", "r.csv", True), ("runs/r", "runs/r/r.csv", False)],
)  # fmt: skip
def test_a_result_file_elsewhere_finds_its_run(run: str, results: str, named: bool) -> None:
    """The folder of runs is named where the run is neither around the file nor in a `.runs` folder beside it."""
    words = RunCommands(Path(run), some_facts()).follow_up(Path(results), ["failed"])
    assert ("--runs-dir" in words) is named


@pytest.mark.parametrize(("passed", "canary"), [(False, 5), (True, 0)])
@pytest.mark.parametrize(("given", "limit"), [(None, "2%"), (7, 7)])
def test_a_resumed_run_is_as_careful_as_it_was_started(
    passed: bool, canary: int, given: int | None, limit: Any
) -> None:
    """A canary that has not passed and the limit of failures are typed again; a new limit replaces the old one."""
    facts = some_facts(settings={"canary": 5, "max_failures": "2%"}, canary_passed=passed)
    for made in (RunCommands(Path("o.runs/r"), facts, Path("o.csv")), RunCommands(Path("o.runs/r"), facts)):
        settings = read_back(command_line(made.go_on(given)))
        assert (settings.canary, settings.max_failures) == (canary, Settings(max_failures=limit).max_failures)


@pytest.mark.parametrize("sheet", [None, Path("the DataFrame")])
def test_a_run_without_a_sheet_of_its_own_is_resumed_from_its_folder(sheet: Path | None) -> None:
    """Data from stdin and DataFrames are gone by then."""
    words = RunCommands(Path("stdin.runs/r"), some_facts(), sheet).go_on(7)
    assert words == ["resume", "stdin.runs/r", "--base-url", "http://x", "--max-failures", "7"]


@pytest.mark.parametrize(("place", "more"), [("o.runs/r/undo.runs", []), ("other", ["--runs-dir", "other"])])
def test_an_undo_is_picked_up_by_undo(place: str, more: list[str]) -> None:
    """Its sheet lies in the folder of the run that it undoes; choices that are meant for sheets are none of it."""
    Path("o.runs/r").mkdir(parents=True)
    Path("o.runs/r/journal.sqlite").touch()
    facts = some_facts(reading={"expect_column": "e"}, compare=True)
    words = RunCommands(Path(place) / "u", facts, Path("o.runs/r/undo.csv")).go_on()
    assert words == ["undo", "o.runs/r", "--base-url", "http://x", *more]


def test_a_run_that_compared_by_the_list_goes_on_by_the_list() -> None:
    """Reading order by order would be many more requests than were chosen."""
    facts = facts_of(Settings(compare_list=True))
    words = RunCommands(Path("o.runs/run"), facts, Path("o.csv")).go_on()
    assert words == ["run", "o.csv", "--base-url", "https://x.test", "--compare-list"]


def test_runs_that_are_elsewhere_are_found_again(tmp_path: Path) -> None:
    """Where run folders are is named when it is not beside the sheet, however that is written."""
    for place, words in {
        "o.runs": [],
        str(tmp_path / "o.runs"): [],
        str(tmp_path.parent / "other"): ["--runs-dir", str(tmp_path.parent / "other")],
    }.items():
        found = RunCommands(Path(place) / "run", some_facts(base_url="https://x.test"), Path("o.csv")).go_on()
        assert found == ["run", "o.csv", "--base-url", "https://x.test", *words]


def test_the_sheet_of_a_run_is_found_from_every_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named as it was where that is still right, else by its whole path; None when it is gone."""
    (tmp_path / "a" / "o.runs" / "r").mkdir(parents=True)
    (tmp_path / "a" / "o.csv").touch()
    facts = some_facts(input="a/o.csv", path="../o.csv")
    run_dir = tmp_path / "a" / "o.runs" / "r"
    assert sheet_of(run_dir, facts) == Path("a/o.csv")
    monkeypatch.chdir(tmp_path.parent)
    assert sheet_of(run_dir, facts) == Path(tmp_path.name, "a", "o.csv")
    monkeypatch.chdir("/")
    assert sheet_of(run_dir, some_facts(input="o.csv", path="../o.csv")) == (tmp_path / "a" / "o.csv").relative_to("/")
    (tmp_path / "a" / "o.csv").unlink()
    assert sheet_of(run_dir, facts) is None
    assert sheet_of(run_dir, some_facts(name="-", input="-")) is None


def test_a_command_for_any_folder_has_whole_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report may be opened anywhere: the command in it does the same in every working folder."""
    Path("batch-updater.toml").write_text("[profiles.x]\n")
    settings = load_settings({"ca_file": Path("a.pem"), "password_file": Path("p")}, {}, profile="x")
    made = RunCommands(Path("o.runs/r"), facts_of(settings), Path("o.csv"))
    here, anywhere = (command_line(one.go_on()) for one in (made, replace(made, is_anywhere=True)))
    assert here == "batch-updater run o.csv --profile x --base-url https://x.test --ca-file a.pem --password-file p"
    expected = read_back(here)
    monkeypatch.chdir("/")
    assert whole(read_back(anywhere)) == whole(expected) | {name: Path(made.run_dir.anchor) / value
                                                           for name, value in dict(read_back(anywhere)).items()
                                                           if isinstance(value, Path)}  # fmt: skip
    assert [word for word in shlex.split(anywhere) if word.endswith((".csv", ".toml", ".pem")) and word[0] != "/"] == []


def test_another_config_file_than_the_one_here_is_named() -> None:
    """Also none at all: what lies in the working folder by chance does not become part of the run."""
    without = RunCommands(Path("o.runs/r"), some_facts(settings={"config": None}))
    other = RunCommands(Path("o.runs/r"), some_facts(settings={"config": str(Path(CONFIG).absolute())}))
    assert "--config" not in without.ask("verify")
    Path("batch-updater.toml").write_text("concurrency = 3\n")
    assert read_back(command_line(without.ask("verify"))).concurrency == 20
    assert read_back(command_line(other.ask("verify"))).config == Path(CONFIG).absolute()
    assert "--config" not in replace(without, is_anywhere=True).ask("verify")


def test_a_profile_of_the_environment_is_typed() -> None:
    """The next command may be typed where that variable is not set."""
    Path("batch-updater.toml").write_text('[profiles.staging]\nbase-url = "https://staging.test"\n')
    settings = load_settings({}, {"BATCH_UPDATER_PROFILE": "staging", "BATCH_UPDATER_RATE": "3"})
    line = command_line(RunCommands(Path("o.runs/r"), facts_of(settings)).ask("verify"))
    assert line == "batch-updater verify o.runs/r --profile staging --base-url https://staging.test --rate 3"


@pytest.mark.parametrize("name", ["plan", "statuses", "login"])
def test_a_command_before_a_run_has_the_choices_of_the_call(name: str) -> None:
    """A hint about the sheet or the service leads to the same sheet and the same service."""
    settings = settings_with(*CHANGED)
    file = Path("o.csv") if name == "plan" else None
    line = command_line(service_command(name, settings, file, without="strict"))
    expected = {key: value for key, value in settings if key in TAKEN[name] - {"strict"}}
    assert whole(read_back(line)) == whole(Settings(**expected))


@pytest.mark.parametrize("name", ["run", "resume", "undo"])
def test_an_interrupted_call_is_typed_again_without_starting_anew(name: str) -> None:
    """Whatever the call may have begun is gone on with; `--restart` would begin it a second time."""
    settings = settings_with(*CHANGED)
    made = read_back(command_line(same_call(name, settings, Path("o.csv"))))
    options = {param.name or "" for param in commands.commands[name].params if isinstance(param, click.Option)}
    expected = {key: value for key, value in settings if key in options - {"restart"}}
    assert whole(made) == whole(Settings(**expected))
    assert same_call("verify", settings, Path("o.csv")) == []


def end(**counts: Any) -> RunSummary:
    """A finished run with some rows of each `result__code`."""
    found = {tuple(key.split("__")): number for key, number in counts.items()}
    results: dict[str, int] = {}
    for (result, _code), number in found.items():
        results[result] = results.get(result, 0) + number
    reasons = tuple(
        Reason(Result(result), code, number, "", "", ())
        for (result, code), number in found.items()
        if result in NOT_DONE
    )
    return replace(SUMMARY, result_counts=results, reasons=reasons)


@pytest.mark.parametrize(
    ("summary", "why", "words"),
    [
        (end(failed__order_not_found=1, invalid__bad_order_id=5, conflict__conflicting_rows=2),
         "After correcting those", "run o.runs/r/results.csv --only invalid,conflict"),
        (end(invalid__bad_order_id=5, updated__ok=1), "After correcting those",
         "run o.runs/r/results.csv --only invalid"),
        (end(failed__server_error=1, invalid__bad_order_id=5), "After correcting those",
         "run o.runs/r/results.csv --only not-done"),
        (end(failed__order_not_found=1), "After correcting those", "run o.runs/r/results.csv --only not-done"),
        (end(failed__server_error=1, failed__order_not_found=9), "To try those again",
         "run o.runs/r/results.csv --only not-done"),
        (end(unknown__timeout=1), "To try those again", "run o.runs/r/results.csv --only not-done"),
        (end(updated__ok=1), "To read every order back", "verify o.runs/r"),
        (replace(end(failed__timeout=1), results_file=""), "When there is space, to write the results",
         "results o.runs/r"),
        (replace(end(failed__timeout=1), results_file="-r.csv"), "To try those again", "run ./-r.csv --only not-done"),
        (replace(end(failed__timeout=1), resumable=True, next_limit=11), "To go on", "run o.csv --max-failures 11"),
    ],
)  # fmt: skip
def test_the_next_command_fits_the_end(summary: RunSummary, why: str, words: str) -> None:
    """What a person can correct first, what fails again as it is never alone, an unfinished run resumed."""
    first, *_ = next_steps(summary, RunCommands(Path("o.runs/r"), some_facts(), Path("o.csv")))
    without = [word for word in first.command if word not in {"--base-url", "http://x"}]
    assert (first.why, without) == (why, shlex.split(words))


def test_verify_and_undo_follow_where_they_are_possible() -> None:
    """An undo is proposed for a run that recorded what to put back, and verify only once."""
    done, made = end(updated__ok=1, failed__timeout=1), RunCommands(Path("o.runs/r"), some_facts())
    assert [step.command[0] for step in next_steps(done, made)] == ["run", "verify", "results"]
    compared = RunCommands(Path("o.runs/r"), some_facts(compare=True))
    assert [step.command[0] for step in next_steps(done, compared)] == ["run", "verify", "undo", "results"]
    assert [step.command[0] for step in next_steps(end(updated__ok=1), compared)] == ["verify", "undo", "results"]


def test_the_advice_for_a_reason_names_the_service() -> None:
    """Its command, as every other, goes where the run went."""
    reason = Reason(Result.INVALID, "unknown_status", 1, "", "", (), ("statuses",))
    (found,) = with_commands([reason], RunCommands(Path("o.runs/r"), some_facts()))
    assert found.command == ("statuses", "--base-url", "http://x")


@pytest.mark.parametrize(
    "name", ["a b", "it's", "a\nb", "tab\there", "\u202ex", "a\\b\x07", "\udcff", "ç ğ", "$HOME `x`"]
)
def test_a_shell_reads_the_word_that_was_meant(name: str) -> None:
    """Whatever a file is called, its command is one line that can be seen whole, and bash reads the same name."""
    line = command_line(["run", name])
    assert line.isprintable()
    code = f'batch-updater() {{ printf %s "$2"; }}; {line}'
    said = subprocess.run(
        ["bash", "-c", code], capture_output=True, check=True, env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
    )
    assert said.stdout == os.fsencode(name)


def test_a_password_in_an_address_is_not_repeated() -> None:
    """A call that is interrupted before the address is refused proposes the command without it."""
    settings = Settings(base_url="https://u:hunter22@x.test", proxy="http://u:hunter22@x.test", rate=3)
    assert same_call("run", settings, Path("o.csv")) == ["run", "o.csv", "--rate", "3"]


def test_a_working_folder_that_is_gone_stops_no_proposal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are then written as they are known."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    words = RunCommands(tmp_path / "o.runs" / "r", some_facts()).ask("verify")
    assert words == ["verify", str(tmp_path / "o.runs" / "r"), "--base-url", "http://x"]


def test_windows_gets_its_own_quoting() -> None:
    """Its shells know no single quotes."""
    assert command_line(["run", "my orders.csv"], is_windows=True) == 'batch-updater run "my orders.csv"'

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from importlinter import cli as import_linter

from batch_updater.cli.commands import commands
from batch_updater.common.errors import ExitCode
from batch_updater.common.models import RESULT_COLUMNS, Result

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
INSTALL = "python3 -m venv .venv && .venv/bin/pip install"


def options_of(name: str) -> set[str]:
    command = commands.commands[name]
    words = {word for param in command.params if isinstance(param, click.Option) for word in param.opts}
    return {word for word in words if word.startswith("--")}


@pytest.mark.parametrize("command", ["run", "plan"])
def test_every_option_is_in_the_readme(command: str) -> None:
    """The table of options leaves none out."""
    assert {word for word in options_of(command) if f"`{word}" not in README} == set()


def test_the_readme_names_no_option_that_does_not_exist() -> None:
    """Every `--word` of the README belongs to a command, to pip, or to the tests and benchmarks."""
    known = {word for name in commands.commands for word in options_of(name)}
    foreign = {
        "--without-pip",
        "--full",
        "--fuzz",
        "--sheets",
        "--python",
        "--kills",
        "--limits",
        "--no-adapt",
        "--extra",
        "--attack-full",
        "--attack-seed",
        "--help",
        "--parallel",
    }
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", README)) - known - foreign == set()


def test_every_command_is_in_the_readme() -> None:
    """The table of commands leaves none out."""
    assert [name for name in commands.commands if not re.search(rf"`{name}\b", README)] == []


@pytest.mark.parametrize("code", list(ExitCode))
def test_every_exit_status_is_in_the_readme(code: ExitCode) -> None:
    """The table of exit statuses leaves none out."""
    assert re.search(rf"^\| [\d, ]*\b{int(code)}\b[\d, ]* \|", README, re.MULTILINE)


@pytest.mark.parametrize("word", [*(result.value for result in Result), *RESULT_COLUMNS])
def test_every_word_of_the_result_file_is_in_the_readme(word: str) -> None:
    """Result words and columns are explained."""
    assert f"`{word}`" in README


def test_the_two_commands_stand_as_they_are_run() -> None:
    """The main job and the tests are one line each, and continuous integration runs the second as it stands."""
    assert f"\n{INSTALL} . && .venv/bin/batch-updater demo\n" in README
    tests = f"{INSTALL} -e '.[test]' && .venv/bin/python -m pytest"
    assert f"\n{tests}\n" in README
    assert f"\n{tests}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_files_that_the_readme_names_exist() -> None:
    """Every file of the package, the tests and the samples is where the README says."""
    named = re.findall(
        r"`((?:batch_updater|tests|samples|inputs|api|reports)/[\w./-]*)`|python (tests/[\w./]+)", README
    )
    for path in filter(None, (a or b for a, b in named)):
        assert (ROOT / path).exists() or (ROOT / "batch_updater" / path).exists(), path


def test_imports_go_downwards_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers of the package are kept, and the sandbox imports nothing of it."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("logging.config.dictConfig", lambda _config: None)  # it would disable the program's logger
    assert import_linter.lint_imports() == 0


@pytest.mark.parametrize("bench", sorted(set(re.findall(r"^python (tests/bench/\w+\.py)", README, re.MULTILINE))))
def test_every_measurement_of_the_readme_can_be_started(bench: str) -> None:
    """Nothing that it needs has been renamed."""
    done = subprocess.run([sys.executable, ROOT / bench, "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[:6]) == (0, "usage:"), done.stderr

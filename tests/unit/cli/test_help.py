import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import batch_updater
from batch_updater.api.credentials import GRANT_NAMES, TOKEN_NAMES
from batch_updater.app.reconcile import SYMBOLS
from batch_updater.cli.commands import commands
from batch_updater.cli.help import TOPICS, contents, page, render_page
from batch_updater.cli.terminal import TerminalStyle
from batch_updater.common.errors import ExitCode
from batch_updater.common.models import RESULT_COLUMNS, Result
from batch_updater.common.settings import Settings
from batch_updater.inputs.table import EXCEL, OTHER, TEXT
from batch_updater.reports.reasons import MEANINGS

HEAVY = ("pandas", "aiohttp", "pydantic", "rich", "jinja2", "pygal")


def first_cells(topic: str) -> set[str]:
    """The words in back quotes, or the bare words, in the first column of the tables of a page."""
    cells = [line.split("|")[1].strip() for line in page(topic).splitlines() if line.startswith("| ")]
    return {word.strip("`") for cell in cells for word in cell.split(", ")}


def options() -> set[str]:
    parts = [part for command in commands.commands.values() for part in command.params]
    return {name for part in parts for name in (*part.opts, *part.secondary_opts)}


def test_exit_codes_are_those_of_the_program() -> None:
    """The table names every exit status, and no other."""
    assert first_cells("exit-codes") - {"code"} == {str(code.value) for code in ExitCode}


def test_results_are_those_of_the_program() -> None:
    """Every result word, every column and every code of the result file is explained, and no other word."""
    cells = first_cells("results")
    assert {word.value for word in Result} | set(RESULT_COLUMNS) <= cells
    assert {cell for cell in cells if cell.startswith("result_")} <= set(RESULT_COLUMNS)
    for code in MEANINGS:
        assert f"- `{code}`: " in page("results")


@pytest.mark.parametrize("topic", TOPICS)
def test_every_option_and_command_exists(topic: str) -> None:
    """A page names no option, command or config key that the program does not have."""
    text = page(topic)
    assert set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", text)) <= options() | {"--help"}
    assert set(re.findall(r"`?batch-updater ([a-z]+)", text)) <= set(commands.commands)
    for key in re.findall(r"`([a-z_]+) = ", text):
        assert key in Settings.model_fields


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_is_readable_as_plain_text(topic: str) -> None:
    """A title, a sentence for the list of topics, no line wider than a wide terminal, no placeholder left."""
    lines = page(topic).splitlines()
    assert lines[0].startswith("# ")
    assert lines[2].endswith(".")
    assert max(map(len, lines)) <= 130
    assert not re.search(r"@\w+", page(topic))
    assert render_page(page(topic), TerminalStyle(80)) == page(topic).rstrip("\n")


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_fits_a_terminal(topic: str) -> None:
    """With colours a page is laid out for the width of the terminal."""
    for width in (60, 200):
        text = render_page(page(topic), TerminalStyle(width, color=True))
        assert "\x1b[" in text
        assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in text.splitlines()) <= width


def test_the_list_of_topics_is_the_same_everywhere() -> None:
    """Pages, list of topics and the command's own help name the same topics."""
    assert sorted(path.stem for path in (Path(batch_updater.__file__).parent / "cli" / "help").glob("*.md")) == sorted(
        TOPICS
    )
    said = CliRunner().invoke(commands, ["help", "--help"]).output
    for topic in TOPICS:
        assert topic in contents()
        assert topic in said


def test_an_unknown_topic_names_the_others() -> None:
    """A slip is answered with what there is."""
    with pytest.raises(Exception, match=r"no topic 'exits'; there are inputs, results"):
        commands.main(["help", "exits"], standalone_mode=False)


def test_facts_on_the_pages_are_those_of_the_program() -> None:
    """Endings of files, names of secrets and symbols of `verify` are all on their pages."""
    assert all(f"`{suffix}`" in page("inputs") for suffix in EXCEL | TEXT | OTHER)
    assert all(f"`{name}`" in page("security") for name in (*TOKEN_NAMES, *GRANT_NAMES))
    assert all(f"`{symbol}`" in page("resume") for symbol in SYMBOLS)


def test_the_scripts_on_the_pages_are_valid() -> None:
    """The shell script is one for a shell, and the Python example uses names that exist."""
    script = "\n".join(line for line in page("exit-codes").splitlines() if line.startswith("    "))
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    example = [line[4:] for line in page("api").splitlines() if line.startswith("    ")]
    tree = ast.parse("async def example():\n " + "\n ".join(example))
    imported = [name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names]
    assert imported
    assert set(imported) <= set(batch_updater.__all__)


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["help"], ["help", "results"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    """Help is quick: no library that only a run needs is loaded."""
    code = (
        f"import sys; from batch_updater.cli.commands import commands; commands.main({words!r}, standalone_mode=False);"
        f" sys.stderr.write(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from batch_updater.cli.commands import commands
from batch_updater.cli.help import TOPICS
from batch_updater.common.errors import ExitCode
from batch_updater.common.models import RESULT_COLUMNS, Result

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "batch_updater"
README = (ROOT / "README.md").read_text(encoding="utf-8")
INSTALL = "python3 -m venv .venv && .venv/bin/pip install"


def section(title: str) -> str:
    """A part of the README, without its title."""
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


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
    known = {word for name in commands.commands for word in options_of(name)} | {"--no-adapt"}
    installing = {"--without-pip", "--python"}
    testing = {"--full", "--fuzz", "--sheets", "--kills", "--limits", "--attack-full", "--attack-seed"}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", README))
    assert named - known == {*installing, *testing, "--help"}


def test_the_links_at_the_top_lead_to_sections() -> None:
    """Each answer of the first page is one step away."""
    titles = {title.lower().replace(" ", "-") for title in re.findall(r"^## (.+)$", README, re.MULTILINE)}
    links = re.findall(r"\[[^]]+\]\(#([\w-]+)\)", README)
    assert len(links) >= 12
    assert set(links) <= titles


def test_the_five_options_that_matter_stand_first() -> None:
    """A newcomer reads five lines, and the other options are grouped."""
    first, *groups = section("Options").split("\n### ")
    assert first.count("\n| `") == 5
    assert all("\n| `" in group for group in groups)


def test_every_topic_of_help_is_in_the_readme() -> None:
    """What the first page leaves out is found by its name."""
    assert f"| {', '.join(TOPICS)} |" in README


def test_the_python_that_is_needed_is_named() -> None:
    """Before the first command, so that nobody begins with one that is too old."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    assert section("Install").strip().startswith(f"Python {wanted.removeprefix('>=')} or later")


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
    assert f"`{word}`" in section("What you get")


def test_the_two_commands_stand_as_they_are_run() -> None:
    """The main job and the tests are one line each, and continuous integration runs the second as it stands."""
    assert f"\n{INSTALL} . && .venv/bin/batch-updater demo\n" in README
    tests = f"{INSTALL} -e '.[test]' && .venv/bin/python -m pytest"
    assert f"\n{tests}\n" in README
    assert f"\n{tests}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_diagram_has_the_floors_of_the_import_contract() -> None:
    """Rooms of one line are those that do not import each other, and each line may use the lines below it."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = [set(re.findall(r"batch_updater\.(\w+)", layer)) for layer in contract["contracts"][0]["layers"]]
    diagram = section("The house").split("```\n")[1]
    assert [set(line.split("  ", 1)[0].split(" · ")) for line in diagram.splitlines()] == layers


def test_the_table_of_rooms_has_the_packages_that_there_are() -> None:
    """Each room has a line, and each line is a room."""
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert sorted(re.findall(r"^\| `(\w+)/` \|", section("The house"), re.MULTILINE)) == sorted(rooms)


def named_files() -> Iterator[tuple[str, Path]]:
    """Every file or folder that the README names, and where it may be; in the table of rooms, within its room."""
    for line in README.split("\n## The house\n", 1)[1].splitlines():
        room = re.match(r"\| `(\w+/)` \|", line)
        for name in re.findall(r"`([\w./-]+(?:/|\.py|\.md|\.toml))`", line):
            yield name, PACKAGE / (room[1] if room else "")
    for name in re.findall(r"\b(?:tests|samples)/[\w./]*", README):
        yield name.rstrip("."), ROOT


def test_files_that_the_readme_names_exist() -> None:
    """Every file of the package, the tests and the samples is where the README says."""
    missing = {name for name, place in named_files() if not any((at / name).exists() for at in (place, PACKAGE, ROOT))}
    assert missing == set()


def names_defined_in(path: Path) -> set[str]:
    """What a module defines, members of classes as `Class.member`."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        found |= set(_names(node))
        if isinstance(node, ast.ClassDef):
            members = {name for inner in node.body for name in _names(inner)}
            members |= {
                n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "self"
            }
            found |= {f"{node.name}.{name}" for name in members}
    return found


def _names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        yield from (n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))


def test_every_word_of_the_glossary_is_defined_where_it_says() -> None:
    """A name that is renamed or moved is renamed or moved there too."""
    rows = re.findall(r"^\| ([a-z -]+) \| .* \| `([\w.]+)` in `([\w/]+\.py)` \|$", section("Glossary"), re.MULTILINE)
    assert len(rows) == section("Glossary").count("\n| ") - 1, "every line says where its word is defined"
    assert [(word, name) for word, name, path in rows if name not in names_defined_in(PACKAGE / path)] == []


def test_a_word_of_the_glossary_has_one_meaning() -> None:
    """The words are in order, so that each is found at once and stands there once."""
    words = re.findall(r"^\| ([a-z -]+) \|", section("Glossary"), re.MULTILINE)[1:]
    assert words == sorted(set(words))


RECIPES = dict(re.findall(r"^### (.*) files\)\n(.*?)(?=\n### |\Z)", section("Recipes"), re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_names_as_many_files_as_it_says(title: str) -> None:
    """Its steps are complete by their number, and it says which tests to run and what the five use cases say."""
    steps = RECIPES[title].strip().split("\n\n", 1)[0]
    named = set(re.findall(r"`([\w/]+\.(?:py|md|toml))`", steps))
    assert len(named) == int(title.rpartition("(")[2]), sorted(named)
    assert "\nTests: `pytest " in RECIPES[title]
    assert "\nDuplicate, crash, compare, verify, undo: " in RECIPES[title]


def test_names_in_the_recipes_exist() -> None:
    """Whoever follows a recipe finds the classes, functions and constants that it speaks of."""
    sources = "".join(
        path.read_text(encoding="utf-8") for path in (*PACKAGE.rglob("*.py"), *ROOT.glob("tests/**/*.py"))
    )
    named = set(re.findall(r"`(\w+)`", section("Recipes")))
    assert {name for name in named if not re.search(rf"\b{name}\b", sources)} == set()


@pytest.mark.parametrize("command", re.findall(r"`(tests/[^`]*-k [^`]*)`", README))
def test_tests_that_the_readme_chooses_by_a_word_exist(command: str) -> None:
    """Every word after -k is in the name of a test, or of its file, where the command looks."""
    places, _, words = command.partition(" -k ")
    files = [
        path
        for place in places.split()
        for path in ((ROOT / place).rglob("*.py") if "." not in place else [ROOT / place])
    ]
    names = [path.stem for path in files] + re.findall(r"def (test_\w+)", "".join(p.read_text() for p in files))
    for word in set(re.findall(r"\w+", words)) - {"or", "and", "not"}:
        assert any(word in name for name in names), word


@pytest.mark.parametrize("bench", sorted(set(re.findall(r"tests/bench/\w+\.py", README))))
def test_every_measurement_of_the_readme_can_be_started(bench: str) -> None:
    """Nothing that it needs has been renamed."""
    done = subprocess.run([sys.executable, ROOT / bench, "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[:6]) == (0, "usage:"), done.stderr

"""Remedies are typed: what they name exists, every face can write them, and no hint spells an option."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import click
import pytest

import batch_updater
from batch_updater.cli.commands import commands
from batch_updater.common.errors import InputError
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings

PACKAGE = Path(batch_updater.__file__).parent
BELOW_CLI = [path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] != "cli"]
ABOUT_THE_CALL = {"config", "profile", "help"}  # no settings, but every face has them
RESULT_FILE = {"journal/duplicates.py", "reports/reasons.py", "app/reconcile.py"}  # words for the result file
NOTES = {"inputs/source.py": "left out; --include-hidden sends them",
         "reports/html.py": "only a run with --compare records"}  # fmt: skip


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a module with the name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def placeholders(sentence: str) -> set[str]:
    """The names in braces."""
    return {name for _text, name, _spec, _conversion in Formatter().parse(sentence) if name is not None}


def remedies() -> list[tuple[str, ast.Call]]:
    """Where the package makes remedies, but for the one that wraps plain words."""
    return [
        (f"{path.relative_to(PACKAGE)}:{call.lineno}", call)
        for path in BELOW_CLI
        for name, call in calls(ast.parse(path.read_text(encoding="utf-8")))
        if name == "Remedy" and path.name != "errors.py"
    ]


def test_remedies_are_found() -> None:
    """The walk over the package sees them."""
    assert len(remedies()) > 40


@pytest.mark.parametrize(("place", "call"), remedies())
def test_a_remedy_names_what_exists(place: str, call: ast.Call) -> None:
    """Its sentence stands there whole; each placeholder is a fact or a setting, and the command exists."""
    parts = dict(zip(("sentence", "values", "command"), call.args, strict=False))
    parts |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    names = placeholders(ast.literal_eval(parts["sentence"]))
    values = {ast.literal_eval(key) for key in getattr(parts.get("values"), "keys", [])}
    assert values <= names - Settings.model_fields.keys(), place
    assert names - values <= Settings.model_fields.keys() | ABOUT_THE_CALL, place
    if isinstance(parts.get("command"), ast.Tuple):
        name, *words = ast.literal_eval(parts["command"])
        assert isinstance(commands.commands[name], click.Command), place
        assert words == [], place


def spelled_options(path: Path) -> Iterator[str]:
    """The texts of a module that spell an option, but for docstrings and the messages of errors."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    passed = [
        node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    passed += [call.args[0] for called, call in calls(tree) if called.endswith("Error") and call.args]
    known = {id(node) for one in passed for node in ast.walk(one)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in known else ""
        if isinstance(text, str) and re.search(r"(?<![\w-])--[a-z]", text):
            yield text


@pytest.mark.parametrize("path", BELOW_CLI, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_hint_below_the_command_line_spells_an_option(path: Path) -> None:
    """Options stand in the messages of errors, in words for the result file, and in three notes; nowhere else."""
    name = path.relative_to(PACKAGE).as_posix()
    if name not in RESULT_FILE and not name.startswith("sandbox/"):
        assert [text for text in spelled_options(path) if NOTES.get(name, "no note") not in text] == []


def test_every_face_writes_a_remedy_in_its_own_words() -> None:
    """A terminal writes options, a Python program arguments; whatever stands in a fact is nobody's placeholder."""
    remedy = Remedy("for {file} use {encoding} {name}, or {runs_dir}", {"file": "{rows}.csv", "name": "cp1254"})
    assert str(remedy) == "for {rows}.csv use --encoding cp1254, or --runs-dir"
    assert remedy.render("{}=".format) == "for {rows}.csv use encoding= cp1254, or runs_dir="
    assert remedy.settings == ("encoding", "runs_dir")


def test_a_remedy_may_hold_a_smaller_one_and_a_command() -> None:
    """The settings of both are known, and the command stands on a line of its own, quoted for a shell."""
    remedy = Remedy("check {what}, then read back", {"what": Remedy("{proxy}")}, ("verify", "my runs/r"))
    assert str(remedy) == "check --proxy, then read back:\n  batch-updater verify 'my runs/r'"
    assert remedy.render("<{}>".format).startswith("check <proxy>,")
    assert remedy.settings == ("proxy",)


def test_an_error_has_its_remedies_typed_and_in_words() -> None:
    """Plain words are a remedy without settings; one remedy for each line of the hint, but a command has its own."""
    hints = ["wait {a} while", Remedy("raise {limit}"), Remedy("list:\n  them {x}", {"x": "a\nb"}, ("runs", "a\nb"))]
    error = InputError("It fails.", hints)
    assert error.hint.splitlines() == [
        "wait {a} while",
        "        raise --limit",
        "        list:\\n  them a\\nb:",
        "          batch-updater runs $'a\\x0ab'",
    ]
    assert [remedy.settings for remedy in error.remedies] == [(), ("limit",), ()]
    assert InputError("It fails.").remedies == ()

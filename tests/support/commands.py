"""The command lines in a text: in documents, in the program's own words, and in what it says."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from batch_updater.cli.commands import commands

_COMMAND = re.compile(r"(?<![\w.-])batch-updater (?=[a-z-])(?P<words>[^`\n]+)")
_COMMENT = re.compile(r"\s{2,}#.*|\s+(?:[|;]|&&|>>?|2>&?)\s*.*")  # of a shell, and what it does with the output


def proposed_in(said: str) -> list[str]:
    """The commands that stand on lines of their own, as the program proposes them."""
    lines = map(str.strip, said.splitlines())
    return [line for line in lines if line.startswith("batch-updater ") and line.split()[1] in commands.commands]


def proposed_after(said: str, words: str) -> list[str]:
    """The words of the command that stands below these words."""
    _before, found, rest = said.partition(words)
    assert found, said
    line, *_others = proposed_in(rest)
    return shlex.split(line)[1:]


def written_in(text: str) -> Iterator[str]:
    """The commands in a document: in back quotes, else to the end of their line; without what is the shell's."""
    for found in _COMMAND.finditer(text):
        words = _COMMENT.sub("", found["words"]).strip()
        yield f"batch-updater {words}"


def texts_of(path: Path) -> Iterator[str]:
    """The text of a file; of a module its string constants, whose pieces between values stand for themselves."""
    if path.suffix != ".py":
        yield path.read_text(encoding="utf-8")
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def check_understood(said: str) -> None:
    """Each command that the program proposes has an argument where it needs one, and only options that it knows."""
    for line in proposed_in(said):
        _program, name, *words = shlex.split(line)
        try:
            commands.commands[name].make_context(name, words)
        except click.ClickException as error:
            raise AssertionError(f"{line}: {error.format_message()}") from None

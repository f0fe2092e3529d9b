"""What you can do about an error; each interface names it in its own terms: options, arguments, fields, buttons."""

import os
import shlex
import subprocess  # its quoting, for Windows
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Self, Union


def as_option(setting: str) -> str:
    """Return a setting as it is typed on a command line, e.g. `--runs-dir`."""
    return "--" + setting.replace("_", "-")


def as_argument(setting: str) -> str:
    """Return a setting as a Python program names it."""
    return _ELSEWHERE.get(setting, f"`{setting}`")


_ELSEWHERE = {"help": "help(Settings)", "config": "the config file", "profile": "BATCH_UPDATER_PROFILE"}


def command_line(words: Sequence[str], *, is_windows: bool = os.name == "nt") -> str:
    """Return a command of this program as it is typed in a shell; `words` are what follows the program's name.

    It is one line of printable characters, whatever a file may be called.
    """
    if is_windows:
        return subprocess.list2cmdline(["batch-updater", *words])
    return " ".join(["batch-updater", *map(_quoted, words)])


def _quoted(word: str) -> str:
    """Return a word quoted for a POSIX shell; one with characters that can't be shown as bash, zsh and ksh know it."""
    if word.isprintable():
        return shlex.quote(word)
    shown = (c if c.isprintable() and c not in "\\'" else "".join(f"\\x{b:02x}" for b in os.fsencode(c)) for c in word)
    return f"$'{''.join(shown)}'"


@dataclass(frozen=True, slots=True)
class Remedy:
    """One sentence of advice, in which settings and commands are placeholders.

    `{runs_dir}` stands for a setting, and any other placeholder for the text, or the smaller remedy, that `values` has
    for it. `command`, the command that does what the sentence says, stands unwrapped on a line of its own after it.
    `str` returns both for a command line.
    """

    sentence: str
    values: Mapping[str, Union[str, "Remedy"]] = field(default_factory=dict)
    command: tuple[str, ...] = ()

    @classmethod
    def read(cls, sentence: str) -> Self:
        """Return the remedy of a sentence that is not known beforehand; what stands in braces is a setting."""
        return cls(sentence)

    @classmethod
    def of_setting(cls, name: str) -> Self:
        """Return the remedy that is the name of a setting."""
        return cls(f"{{{name}}}")

    @property
    def settings(self) -> tuple[str, ...]:
        """The names of the settings that can help, in the order of the sentence."""
        found: list[str] = []
        self.render(lambda setting: found.append(setting) or setting)  # type: ignore[func-returns-value]
        return tuple(dict.fromkeys(found))

    def render(self, write: Callable[[str], str]) -> str:
        """Return the sentence with each setting's name as `write` spells it, and the command below it."""
        words = {name: one.render(write) if isinstance(one, Remedy) else one for name, one in self.values.items()}
        for _text, name, _spec, _conversion in Formatter().parse(self.sentence):
            if name and name not in words:
                words[name] = write(name)
        sentence = self.sentence.format_map(words)
        return f"{sentence}:\n  {command_line(self.command)}" if self.command else sentence

    def __str__(self) -> str:
        return self.render(as_option)

"""What is wrong with a setting, in the words of whoever gave it."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from batch_updater.common.errors import SettingsError
from batch_updater.common.remedies import Remedy, as_argument, as_option

NO_OPTIONS = frozenset({"columns", "confirmations", "production", "status_map"})  # only the config file has them


def as_configured(setting: str) -> str:
    """Return a setting as it is named by options, the environment and the config file."""
    return f"[{setting}] in the config file" if setting in NO_OPTIONS else as_option(setting)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown setting; empty when no known one is like it."""
    near = get_close_matches(name, list(known), 1)
    return f"did you mean {near[0]!r}?" if near else ""


def explain_wrong_setting(error: ValidationError, known: Iterable[str]) -> SettingsError:
    """Return what is wrong with the first wrong setting, in the words of a Python program."""
    problem = error.errors()[0]
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return SettingsError(f"There is no setting {name!r}.", did_you_mean(name, known) or Remedy("see {help}"))
    why = Remedy.read(problem["msg"].removeprefix("Value error, "))
    if name == "columns":
        found = SettingsError(Remedy("{columns} can't be used: {why}.", {"why": why}), 'write e.g. order = ["Ticket"]')
        return found.reworded(as_argument)
    given = problem["input"]
    words = [str(part) if isinstance(part, Path) else part for part in (given if isinstance(given, tuple) else [given])]
    given_words = ", ".join(map(repr, words))
    return SettingsError(
        Remedy(
            "{setting} can't be {given}: {why}.",
            {"setting": Remedy.of_setting(name), "given": given_words, "why": why},
        ),
        Remedy("see {help}"),
    ).reworded(as_argument)

"""The command lines that the program proposes; each works as it is typed.

A command is the words after the program's name; `command_line` quotes them for a shell.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from batch_updater.common.remedies import as_option, without_option
from batch_updater.common.settings import Settings
from batch_updater.common.summary import RunSummary
from batch_updater.journal.facts import RunFacts
from batch_updater.journal.run_folder import FRAME, JOURNAL, STDIN, UNDO_SHEET, runs_place

_OF_COLUMNS = frozenset({"order_column", "status_column", "set_status", "expect_column", "order_by"})
NO_OPTIONS = frozenset({"columns", "confirmations", "production", "status_map"})  # only the config file has them


def option_words(settings: Settings) -> list[str]:
    """Return options for all settings that differ from their defaults; parsed back they are equal settings."""
    words = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if value != field.default and name not in NO_OPTIONS:
            words += _option(name, value)
    return words


def _option(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [as_option(name if value else f"no_{name}")]
    values = value if name == "where" else [",".join(value) if isinstance(value, tuple) else value]
    return [word for one in values for word in (as_option(name), "tab" if one == "\t" else str(one))]


def run_command(sheet: Path, run_dir: Path, facts: RunFacts, max_failures: int | None = None) -> list[str]:
    """Return the command that resumes this run of a sheet, with the choices that must be the same and this limit.

    The run of an undo is resumed by `undo`; that of a DataFrame, which no command can name, from its folder.
    """
    if sheet.name == FRAME.name:
        return resume_command(run_dir, facts, max_failures)
    choices = _careful(facts, max_failures)
    if (place := run_dir.resolve().parent) != runs_place(sheet, None).resolve():
        choices["runs_dir"] = place
    if sheet.name == UNDO_SHEET and (sheet.parent / JOURNAL).is_file():
        return ["undo", _path(sheet.parent), *option_words(Settings(**choices))]
    return ["run", _path(sheet), *option_words(Settings(**choices, **facts.reading, **_handling(facts)))]


def resume_command(run_dir: Path, facts: RunFacts, max_failures: int | None = None) -> list[str]:
    """Return the command that resumes this run from its folder alone, by the choices that it was planned by."""
    return ["resume", _path(run_dir), *option_words(Settings(**_careful(facts, max_failures)))]


def _careful(facts: RunFacts, max_failures: int | None) -> dict[str, Any]:
    """Return the service, and what the last start was told to stop at; a canary only until one has passed."""
    canary = 0 if facts.canary_passed else facts.settings.get("canary", 0)
    limit = facts.settings.get("max_failures") if max_failures is None else max_failures
    return {"base_url": facts.base_url, "max_failures": limit, "canary": canary}


def follow_up_options(facts: RunFacts, reading: Mapping[str, Any]) -> list[str]:
    """Return the options with which a result file of this run is read, by these settings, and sent as the run was."""
    kept = {name: value for name, value in facts.reading.items() if name in _OF_COLUMNS}
    if used := facts.columns:
        kept["order_column"] = kept.get("order_column") or used.order_header or None
        kept["status_column"] = kept.get("status_column") or used.status_header or None
    return option_words(Settings(base_url=facts.base_url, **kept, **reading, **_handling(facts)))


def _handling(facts: RunFacts) -> dict[str, Any]:
    """Return the settings that decide what happens to the rows that were read."""
    how = "compare_list" if facts.settings.get("compare_list") else "compare"
    return {"on_conflict": facts.on_conflict, how: facts.compare}


def command_about(summary: RunSummary, name: str) -> list[str]:
    """Return the command `name`, which asks the service, for the run of this summary."""
    return [name, _path(summary.run_dir), *_option("base_url", summary.base_url)]


def _path(path: Path | str) -> str:
    """Return a path that can't be mistaken for an option."""
    name = str(path)
    return f"./{name}" if name.startswith("-") and name != "-" else name


def _resuming(summary: RunSummary, typed: Sequence[str]) -> list[str]:
    """Return a command that was typed as it must be typed to resume its run."""
    words = [word for word in typed if word != as_option("restart")]  # it would start another run
    if summary.next_limit is None:
        return words
    name, *rest = without_option(words, as_option("max_failures"))
    return [name, *_option("max_failures", summary.next_limit), *rest]


def next_step(summary: RunSummary, typed: Sequence[str] = ()) -> tuple[str, list[str]]:
    """Return why and what to type next; `typed` is the command that resumes the run, if you typed one."""
    counts = summary.result_counts
    if summary.resumable:
        resuming = _resuming(summary, typed) if typed else list(summary.resume_command)
        return "To go on, with the same data on stdin" if STDIN.name in resuming else "To go on", resuming
    if not summary.results_file:
        return "When there is space, to write the results", ["results", _path(summary.run_dir)]
    again = {"To try those again": ("failed", "unknown"), "After correcting those": ("invalid", "conflict")}
    for why, words in again.items():
        if found := [word for word in words if counts.get(word)]:
            options = [*_option("only", tuple(found)), *summary.follow_up_options]
            return why, ["run", _path(summary.results_file), *options]
    return "To read every order back", command_about(summary, "verify")

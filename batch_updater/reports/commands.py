"""The command lines that the program proposes; each works as it is typed.

A command is the words after the program's name; `command_line` quotes them for a shell. It carries all that its run was
told: where its settings come from, the service, and every choice that is not the default. A new setting is carried by
itself: what is not is named here. No word holds a secret, for no setting does.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batch_updater.common.config_file import find_config
from batch_updater.common.files import whole_path
from batch_updater.common.models import NOT_DONE, Result
from batch_updater.common.remedies import as_option
from batch_updater.common.setting_errors import NO_OPTIONS
from batch_updater.common.settings import ALL_NOT_DONE, PATHS, Settings
from batch_updater.common.summary import Reason, RunSummary, Step
from batch_updater.inputs.selection import RESUME_KEYS
from batch_updater.journal.facts import RunFacts
from batch_updater.journal.run_folder import FRAME, JOURNAL, UNDO_SHEET, is_nameless, runs_place
from batch_updater.reports.reasons import fails_again

ONCE = frozenset({"output", "overwrite", "restart", "carry_over"})  # of the call that made the run; its journal knows
SERVICE = frozenset({"config", "profile", "base_url", "ca_file", "proxy"})
PACE = frozenset({"concurrency", "rate", "adapt", "timeout", "retries", "outage_budget", "log_format"})
SENDING = PACE | {"canary", "max_failures", "metrics_file", "metrics_port"}
_ADDRESSES = frozenset({"base_url", "proxy"})
_COLUMNS = frozenset({"order_column", "status_column", "set_status", "expect_column", "order_by"})
_ALL = frozenset(Settings.model_fields) - NO_OPTIONS
TAKEN: Mapping[str, frozenset[str]] = {  # which settings each command carries
    "run": _ALL - ONCE,
    "plan": _ALL - ONCE - {"metrics_file", "metrics_port"},
    "resume": SERVICE | SENDING,
    "undo": SERVICE | SENDING,
    "verify": SERVICE | PACE,
    "statuses": SERVICE,
    "login": SERVICE,
}
FOLLOW_UP = TAKEN["run"] - (RESUME_KEYS - _COLUMNS) - {"runs_dir"}  # how a result file is read, its writer knows


def option_words(settings: Settings, names: Iterable[str] = _ALL) -> list[str]:
    """Return options for those settings that differ from their defaults or were typed; parsed back they are equal."""
    return _words(dict(settings), names, settings.model_fields_set)


def service_command(name: str, settings: Settings, subject: Path | None = None, *, without: str = "") -> list[str]:
    """Return the command `name`, perhaps about a sheet, with the choices of this call but `without` one."""
    about = [] if subject is None else [_word(subject)]
    return [name, *about, *option_words(settings, TAKEN[name] - {without})]


def same_call(name: str, settings: Settings, subject: Path) -> list[str]:
    """Return the command that goes on with what a call was doing when it was interrupted; none when that is nothing.

    It does not start anew what the call may have begun.
    """
    kept = {"run": TAKEN["run"] | (ONCE - {"restart"}), "resume": TAKEN["resume"] | {"output", "overwrite"},
            "undo": TAKEN["undo"] | (ONCE - {"restart", "carry_over"}) | {"runs_dir"}}  # fmt: skip
    return [name, _word(subject), *option_words(settings, kept[name])] if name in kept else []


def _words(
    values: Mapping[str, Any], names: Iterable[str], chosen: Iterable[str], *, is_anywhere: bool = False
) -> list[str]:
    """Return options for the values that differ from their defaults or were `chosen`, in the order of the settings."""
    wanted, always = frozenset(names), frozenset(chosen)
    words: list[str] = []
    for name, field in Settings.model_fields.items():
        value: Any = values.get(name, field.default)
        if name == "config":
            value = _config(value and Path(value), is_anywhere=is_anywhere)
        elif name in PATHS and value is not None:
            value = _as_typed(Path(value), is_anywhere=is_anywhere)
        elif isinstance(value, list):
            value = tuple(value)
        is_typed = name in always and value is not None and value is not False
        if name in wanted and (is_typed or value != field.default):
            words += _option(name, value)
    return words


def _as_typed(path: Path, *, is_anywhere: bool) -> Path:
    """Return a path as it is typed in this working folder, or in any."""
    if is_anywhere:
        return whole_path(path)
    here = whole_path(Path())  # not whole, and no parent of anything, when somebody has removed it
    return path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path


def _config(path: Path | None, *, is_anywhere: bool) -> Path | None:
    """Return the config file that a command has to name; None when it is found in this working folder by itself.

    Where there is one that the run did not have it names an empty one instead.
    """
    if path is None:
        return Path(os.devnull) if find_config(None) and not is_anywhere else None
    return None if path == find_config(None) and not is_anywhere else _as_typed(path, is_anywhere=is_anywhere)


def _option(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [as_option(name if value else f"no_{name}")]
    if name in _ADDRESSES and "@" in value:
        return []  # it holds a password, and is refused for that
    if name == "only" and set(value) == set(NOT_DONE):
        value = (ALL_NOT_DONE,)
    values = value if name == "where" else [",".join(value) if isinstance(value, tuple) else value]
    return [word for one in values for word in (as_option(name), _text(one))]


def _text(value: Any) -> str:
    return "tab" if value == "\t" else str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _word(path: Path | str) -> str:
    """Return a path that can't be mistaken for an option."""
    name = str(path)
    return f"./{name}" if name.startswith("-") and name != "-" else name


def sheet_of(run_dir: Path, facts: RunFacts) -> Path | None:
    """Return the sheet of a run as it is named in this working folder; None when it is not there, or has no name."""
    if is_nameless(facts.name):
        return None
    named = Path(facts.input)
    if not facts.path:  # the journal of an earlier version
        return named if named.is_file() else None
    sheet = Path(os.path.normpath(run_dir.resolve().parent / facts.path))
    if not sheet.is_file():
        return None
    return named if named.is_file() and named.samefile(sheet) else _as_typed(sheet, is_anywhere=False)


@dataclass(frozen=True, slots=True)
class RunCommands:
    """Makes the commands about one run: as they are typed in this working folder, or with `is_anywhere` in any.

    `sheet` is the one that it is resumed by, None when that is its folder. `facts` are those of its newest start.
    """

    run_dir: Path
    facts: RunFacts
    sheet: Path | None = None
    is_anywhere: bool = False

    def go_on(self, max_failures: int | None = None) -> list[str]:
        """Return the command that resumes the run, with the choices that must be the same and this limit.

        That of an undo is resumed by `undo`; that of a DataFrame, which no command can name, from its folder.
        """
        if self.sheet is None or self.sheet.name == FRAME.stem:
            return self.resume(max_failures)
        place = self.run_dir.resolve().parent
        runs_dir = None if place == runs_place(self.sheet, None).resolve() else place
        values = {**self._values(max_failures), "runs_dir": runs_dir}
        if self.sheet.name == UNDO_SHEET and (self.sheet.parent / JOURNAL).is_file():
            return ["undo", self._path(self.sheet.parent), *self._options(values, TAKEN["undo"] | {"runs_dir"})]
        return ["run", self._path(self.sheet), *self._options({**values, **self.facts.reading}, TAKEN["run"])]

    def resume(self, max_failures: int | None = None) -> list[str]:
        """Return the command that resumes the run from its folder alone, by the choices that it was planned by."""
        return ["resume", self._path(self.run_dir), *self._options(self._values(max_failures), TAKEN["resume"])]

    def ask(self, name: str) -> list[str]:
        """Return the command `name`, which asks the service, about this run or, for its statuses, about nothing."""
        about = [] if name == "statuses" else [self._path(self.run_dir)]
        return [name, *about, *self._options(self._values(), TAKEN[name])]

    def write_results(self) -> list[str]:
        """Return the command that writes the run's results again, which asks nobody."""
        return ["results", self._path(self.run_dir)]

    def follow_up(self, results: Path, words: Collection[str] = ()) -> list[str]:
        """Return the command that sends the rows of a result file as the run was sent: all, or with these results."""
        values = self._values()
        values |= {name: value for name, value in self.facts.reading.items() if name in _COLUMNS}
        if used := self.facts.columns:
            values["order_column"] = values.get("order_column") or used.order_header or None
            values["status_column"] = values.get("status_column") or used.status_header or None
        values |= self.facts.results_reading
        names = FOLLOW_UP | self.facts.results_reading.keys()
        place, at = self.run_dir.resolve().parent, results.resolve().parent
        if at != self.run_dir.resolve() and not (at == place.parent and place.suffix == ".runs"):
            values["runs_dir"], names = place, names | {"runs_dir"}  # the run would not be found beside the file
        only = _option("only", tuple(map(str, words))) if words else []
        return ["run", self._path(results), *only, *self._options(values, names)]

    def _values(self, max_failures: int | None = None) -> dict[str, Any]:
        """Return the choices of the newest start; a canary only until one has passed."""
        facts, chosen = self.facts, self.facts.settings
        reads_list = bool(chosen.get("compare_list"))
        return {
            **chosen,
            "base_url": facts.base_url,
            "on_conflict": facts.on_conflict,
            "compare": bool(chosen.get("compare", facts.compare)) and not reads_list,
            "canary": 0 if facts.canary_passed else chosen.get("canary", 0),
            "max_failures": chosen.get("max_failures") if max_failures is None else max_failures,
        }

    def _options(self, values: Mapping[str, Any], names: frozenset[str]) -> list[str]:
        return _words(values, names, self.facts.chosen, is_anywhere=self.is_anywhere)

    def _path(self, path: Path) -> str:
        return _word(_as_typed(path, is_anywhere=self.is_anywhere))


def with_commands(reasons: Iterable[Reason], commands: RunCommands) -> tuple[Reason, ...]:
    """Return the reasons with their commands complete: about this run and its service."""
    return tuple(
        replace(reason, command=tuple(commands.ask(reason.command[0]))) if reason.command else reason
        for reason in reasons
    )


def next_steps(summary: RunSummary, commands: RunCommands) -> Iterator[Step]:
    """Yield what can be done next with a run, and the command for it: first the way on."""
    first = _way_on(summary, commands)
    yield first
    if first.command[0] != "verify":
        yield Step("To read every order back and compare", tuple(commands.ask("verify")))
    if commands.facts.compare and summary.result_counts.get(Result.UPDATED):
        why = "To put back the status each order had before, where it still has the one this run set"
        yield Step(why, tuple(commands.ask("undo")))
    if first.command[0] != "results":
        yield Step("To write the result file and the report again", tuple(commands.write_results()))


def _way_on(summary: RunSummary, commands: RunCommands) -> Step:
    if summary.resumable:
        return Step("To go on", tuple(commands.go_on(summary.next_limit)))
    if not summary.results_file:
        return Step("When there is space, to write the results", tuple(commands.write_results()))
    results, counts = Path(summary.results_file), summary.result_counts
    left = [word for word in NOT_DONE if counts.get(word)]
    if not left:
        return Step("To read every order back", tuple(commands.ask("verify")))
    to_correct = [word for word in left if word in {Result.INVALID, Result.CONFLICT}]
    is_refused = all(map(fails_again, summary.reasons))  # sent again as they are, they would be refused again
    only = to_correct if to_correct and is_refused else NOT_DONE
    why = "After correcting those" if to_correct or is_refused else "To try those again"
    return Step(why, tuple(commands.follow_up(results, only)))

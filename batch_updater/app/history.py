"""The runs that there have been, as `batch-updater runs` lists them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batch_updater.app.failure_limit import last_failure_limit
from batch_updater.common.errors import JournalError
from batch_updater.common.remedies import command_line
from batch_updater.common.text import escape_controls, moment
from batch_updater.journal.facts import Phase, RunFacts
from batch_updater.journal.find_runs import run_folders
from batch_updater.journal.integrity import read_number
from batch_updater.journal.lock import worker
from batch_updater.journal.reader import read_journal
from batch_updater.journal.run_folder import CLAIMS, RunFolder
from batch_updater.reports.commands import RunCommands, sheet_of


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One line of `batch-updater runs`. `state` is a word or two; counts are of rows, and add up to all of them.

    `command` is the one that resumes it, if it can be resumed.
    `root` is the run with whose sheet the work of a follow-up began. The counts of that run itself are those of its
    sheet after all `rounds`, its own and its follow-ups.
    """

    folder: RunFolder
    input: str
    state: str
    resumable: bool
    rows: int
    done: int
    open: int
    not_done: int
    root: str = ""
    rounds: int = 1
    command: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return the line for a person."""
        counts = f"{self.done:,} of {self.rows:,} done"
        counts += f", {self.open:,} left" if self.open else ""
        counts += f", {self.not_done:,} not done" if self.not_done else ""
        counts += f", over {self.rounds} rounds" if self.rounds > 1 else ""
        counts += f"; follows up {self.root}" if self.root else ""
        began = moment(self.folder.began)
        how = "  (resumable)" if self.resumable else ""
        said = f"{began}  {self.state}{how}  {self.input}: {counts}"
        lines = [escape_controls(said), f"    {escape_controls(str(self.folder.path))}"]
        if self.command:
            lines.append(f"    {command_line(self.command)}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the line as plain JSON types."""
        return {
            "run_id": self.folder.run_id, "run_dir": str(self.folder.path), "input": self.input, "state": self.state,
            "resumable": self.resumable, "rows": self.rows, "done": self.done, "open": self.open,
            "not_done": self.not_done, "root": self.root, "rounds": self.rounds,
        }  # fmt: skip


def runs(place: Path | str = ".") -> list[RunInfo]:
    """Return the runs of a sheet, of a `.runs` folder, or of every sheet in a folder; newest first.

    Raises SettingsError when there is no such place.
    """
    newer: dict[Path, list[RunFacts]] = defaultdict(list)
    folders = sorted(run_folders(Path(place)), key=lambda folder: folder.run_id, reverse=True)
    infos = [_info(folder, newer[folder.path.parent]) for folder in folders]
    follow_ups: dict[Path, list[RunFolder]] = defaultdict(list)
    for info in reversed(infos):
        if info.root:
            follow_ups[info.folder.path.parent / info.root].append(info.folder)
    return [_over_all_rounds(info, follow_ups[info.folder.path]) for info in infos]


def _over_all_rounds(info: RunInfo, follow_ups: Sequence[RunFolder]) -> RunInfo:
    """Return a line with the counts after all follow-ups, the oldest first: the last run of a row counts."""
    if not follow_ups or not info.rows:
        return info
    try:
        with read_journal(info.folder.journal_path) as journal:
            left = {row: (number, is_open) for row, number, is_open in journal.rows_not_done()}
        for folder in follow_ups:
            with read_journal(folder.journal_path) as journal:
                for row, is_done, is_open in journal.rows_of_root():
                    number, _was_open = left.pop(row, (1, False))
                    if not is_done:
                        left[row] = (number, is_open)
    except JournalError:
        return info  # the line of the damaged one says so
    is_left = sum(number for number, is_open in left.values() if is_open)
    not_done = sum(number for number, is_open in left.values() if not is_open)
    return replace(
        info, done=info.rows - is_left - not_done, open=is_left, not_done=not_done, rounds=1 + len(follow_ups)
    )


def _info(folder: RunFolder, newer: list[RunFacts]) -> RunInfo:
    """Describe a run. `newer` has a newer run of each input, which leaves the older ones behind; it is added to."""
    owner = worker(folder)
    if not folder.journal_path.exists() and not read_number(folder.path / CLAIMS):
        state = f"being planned, {owner}" if owner else "planning broke off; nothing was sent"
        return RunInfo(folder, "", state, False, 0, 0, 0, 0)
    try:
        with read_journal(folder.journal_path) as journal:
            facts, states = journal.facts(), journal.states()
            results = Counter(journal.results()) + Counter(journal.results_of_duplicates())
            if facts.phase is not Phase.FINISHED:
                journal.check()
            limit = last_failure_limit(journal, facts).next_allowed
    except JournalError:
        return RunInfo(folder, "", "damaged", False, 0, 0, 0, 0)
    state, resumable = _state(facts, owner, is_left=any(map(facts.has_input_of, newer)))
    newer.append(facts)
    is_open = sum(states.values()) - sum(results.values())
    done = results["updated"] + results["unchanged"]
    not_done = sum(results.values()) - done
    commands = RunCommands(folder.path, facts, sheet_of(folder.path, facts))
    return RunInfo(
        folder, facts.input, state, resumable, sum(states.values()), done, is_open, not_done, root=facts.root,
        command=tuple(commands.go_on(limit)) if resumable else (),
    )  # fmt: skip


def _state(facts: RunFacts, owner: str, *, is_left: bool) -> tuple[str, bool]:
    """Return where a run stands, and whether it can be resumed; `is_left`: a newer run of its input has followed."""
    state = {Phase.PLANNED: "not started", Phase.SENDING: "broken off"}.get(facts.phase, str(facts.phase))
    if facts.phase is Phase.FINISHED:
        return state, False
    if facts.superseded_by:
        return f"superseded by {facts.superseded_by}", False
    if owner:
        return f"under way, {owner}", False
    return (f"{state}, then left by a newer run", False) if is_left else (state, True)

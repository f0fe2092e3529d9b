"""The runs that there have been, as `batch-updater runs` lists them."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from batch_updater.common.errors import JournalError
from batch_updater.common.text import escape_controls
from batch_updater.journal.facts import Phase, RunFacts
from batch_updater.journal.find_runs import run_folders
from batch_updater.journal.integrity import read_number
from batch_updater.journal.lock import worker
from batch_updater.journal.reader import read_journal
from batch_updater.journal.run_folder import CLAIMS, RunFolder


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One line of `batch-updater runs`. `state` is a word or two; counts are of rows, and add up to all of them."""

    folder: RunFolder
    input: str
    state: str
    resumable: bool
    rows: int
    done: int
    open: int
    not_done: int

    def describe(self) -> str:
        """Return the line for a person."""
        counts = f"{self.done:,} of {self.rows:,} done"
        counts += f", {self.open:,} left" if self.open else ""
        counts += f", {self.not_done:,} not done" if self.not_done else ""
        began = f"{datetime.fromtimestamp(self.folder.began):%Y-%m-%d %H:%M:%S}"
        how = "  (resumable)" if self.resumable else ""
        said = f"{began}  {self.state}{how}  {self.input}: {counts}"
        return f"{escape_controls(said)}\n    {escape_controls(str(self.folder.path))}"

    def to_dict(self) -> dict[str, Any]:
        """Return the line as plain JSON types."""
        return {
            "run_id": self.folder.run_id, "run_dir": str(self.folder.path), "input": self.input, "state": self.state,
            "resumable": self.resumable, "rows": self.rows, "done": self.done, "open": self.open,
            "not_done": self.not_done,
        }  # fmt: skip


def runs(place: Path) -> list[RunInfo]:
    """Return the runs of a sheet, of a `.runs` folder, or of every sheet in a folder; newest first.

    Raises SettingsError when there is no such place.
    """
    newer: dict[Path, list[RunFacts]] = defaultdict(list)
    folders = sorted(run_folders(place), key=lambda folder: folder.run_id, reverse=True)
    return [_info(folder, newer[folder.path.parent]) for folder in folders]


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
    except JournalError:
        return RunInfo(folder, "", "damaged", False, 0, 0, 0, 0)
    is_open = sum(states.values()) - sum(results.values())
    unfinished = facts.phase is not Phase.FINISHED
    state = {Phase.PLANNED: "not started", Phase.SENDING: "broken off"}.get(facts.phase, str(facts.phase))
    is_left = any(map(facts.has_input_of, newer))
    if not is_left:
        newer.append(facts)
    if unfinished and owner:
        state, unfinished = f"under way, {owner}", False
    elif unfinished and is_left:
        state, unfinished = f"{state}, then left by a newer run", False
    done = results["updated"] + results["unchanged"]
    not_done = sum(results.values()) - done
    return RunInfo(folder, facts.input, state, unfinished, sum(states.values()), done, is_open, not_done)

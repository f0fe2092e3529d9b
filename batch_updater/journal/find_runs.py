"""Find the runs of an input, and the newest of them."""

from dataclasses import dataclass
from pathlib import Path

from batch_updater.common.errors import JournalError, ResumeError, SettingsError
from batch_updater.common.files import RUN_ID
from batch_updater.common.remedies import Remedy
from batch_updater.journal.facts import Phase, RunFacts
from batch_updater.journal.integrity import read_number
from batch_updater.journal.reader import read_journal
from batch_updater.journal.run_folder import CLAIMS, JOURNAL, RunFolder, runs_place


@dataclass(frozen=True, slots=True)
class FoundRun:
    """An earlier run and its facts."""

    folder: RunFolder
    facts: RunFacts

    @property
    def is_finished(self) -> bool:
        return self.facts.phase is Phase.FINISHED

    @property
    def is_over(self) -> bool:
        """Whether it is never picked up again: it is finished, or another run has taken its place."""
        return self.is_finished or bool(self.facts.superseded_by)


def find_run(place: Path) -> RunFolder:
    """Return the run that is named by its folder or any file in it. Raises SettingsError."""
    folder = place if place.is_dir() else place.parent
    if not (folder / JOURNAL).is_file():
        raise SettingsError(f"{place} is no run folder.", "name a folder like orders.runs/20261123T101500Z-3f9a")
    return RunFolder(folder if RUN_ID.fullmatch(folder.name) else folder.resolve())  # `.` has no run id


def run_folders(place: Path) -> list[RunFolder]:
    """Return the run folders of a sheet, of a `.runs` folder, or of every sheet in a folder. Raises SettingsError."""
    if place.is_dir():
        parents = [place, *place.glob("*.runs")]
    else:
        parents = [runs_place(place, None)]
        if not place.exists() and not parents[0].is_dir():
            raise SettingsError(f"There is nothing at {place}.", "name a sheet, or the folder it is in")
    found = [path for parent in parents if parent.is_dir() for path in parent.iterdir()]
    return [RunFolder(path) for path in found if RUN_ID.fullmatch(path.name) and path.is_dir()]


def newest_runs(place: Path, wanted: RunFacts) -> tuple[FoundRun | None, FoundRun | None]:
    """Return the newest run here that has the input of `wanted`, and the newest of the same bytes, if there are any.

    Raises ResumeError when a journal newer than the former can't be read or is gone: it may be this input's.
    """
    same_input: FoundRun | None = None
    same_bytes: FoundRun | None = None
    for folder in _newest_first(place):
        try:
            found = _read(folder)
        except JournalError as error:
            if same_input:
                continue
            raise ResumeError(
                f"The newest run here, {folder.run_id}, can't be picked up. {error.message}",
                Remedy("restore its files, or start anew with {restart} (rows may then be sent a second time)"),
            ) from None
        if found and not same_input and found.facts.has_input_of(wanted):
            same_input = found
        if found and not same_bytes and found.facts.sha256 == wanted.sha256:
            same_bytes = found
        if same_input and (same_bytes or not same_input.is_over):
            break
    return same_input, same_bytes


def _newest_first(place: Path) -> list[RunFolder]:
    places = {path.parent for name in (JOURNAL, CLAIMS) for path in place.glob(f"*/{name}")}
    return [RunFolder(path) for path in sorted(places, key=lambda path: path.name, reverse=True)]


def _read(folder: RunFolder) -> FoundRun | None:
    """Return a run with its facts; None for one that was killed while it was planned. Raises JournalError."""
    if not folder.journal_path.exists() and not read_number(folder.path / CLAIMS):
        return None
    with read_journal(folder.journal_path) as journal:
        return FoundRun(folder, journal.facts())

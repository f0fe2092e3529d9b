"""Find the runs of a sheet, and the newest of them."""

from pathlib import Path

from batch_updater.common.errors import JournalError, ResumeError, SettingsError
from batch_updater.common.remedies import Remedy
from batch_updater.journal.facts import RunFacts
from batch_updater.journal.integrity import read_number
from batch_updater.journal.reader import read_journal
from batch_updater.journal.run_folder import CLAIMS, FRAME, JOURNAL, RUN_ID, STDIN, RunFolder, runs_place


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


def newest_run(place: Path, name: str, sha256: str | None = None) -> tuple[RunFolder, RunFacts] | None:
    """Return the newest run of this input (with this `sha256`, if given) and its facts; None when there is none.

    Raises ResumeError when a newer journal can't be read or is gone: it may be this input's.
    """
    places = {path.parent for name in (JOURNAL, CLAIMS) for path in place.glob(f"*/{name}")}
    for folder in map(RunFolder, sorted(places, key=lambda path: path.name, reverse=True)):
        try:
            if not folder.journal_path.exists() and not read_number(folder.path / CLAIMS):
                continue  # killed while it was planned
            with read_journal(folder.journal_path) as journal:
                facts = journal.facts()
            if facts.name == name and sha256 in {None, facts.sha256}:
                return folder, facts
        except JournalError as error:
            raise ResumeError(
                f"The newest run here, {folder.run_id}, can't be picked up. {error.message}",
                Remedy("restore its files, or start anew with {restart} (rows may then be sent a second time)"),
            ) from None
    return None


def is_nameless(name: str) -> bool:
    """Whether an input has no name of its own, so that the same name does not mean the same data."""
    return name in {STDIN.name, FRAME.name}

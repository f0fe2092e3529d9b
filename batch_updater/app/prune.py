"""Remove finished runs that nobody needs any more."""

import shutil
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from batch_updater.common.errors import JournalError, LockedError, SettingsError
from batch_updater.journal.facts import Phase, RunFacts
from batch_updater.journal.find_runs import run_folders
from batch_updater.journal.integrity import read_number
from batch_updater.journal.lock import lock_with_earlier_runs
from batch_updater.journal.reader import read_journal
from batch_updater.journal.run_folder import CLAIMS, UNDO_SHEET, RunFolder, runs_place

DAY = 86_400  # seconds


def prune(place: Path, days: int) -> list[RunFolder]:
    """Remove the runs of a sheet or folder that finished more than so many days ago; return them, oldest first.

    Kept are those that a run which stays follows up, carries on or undoes, those that somebody works with now, and the
    newest run of an input that has an older, unfinished one: without it the same command would pick up that.
    Raises SettingsError when there is no such place, or a run can't be removed.
    """
    found = {folder.path: _read(folder) for folder in run_folders(place)}
    known = {path: facts for path, facts in found.items() if facts}
    old = {path for path, facts in known.items() if _ended(path, facts) < time.time() - days * DAY}
    old -= {path for path in old if any(_is_unfinished(undo) for undo in _undos(path))}
    old -= _hiding(known, old)
    for path in sorted(found, key=lambda one: one.name, reverse=True):  # whatever needs a run is newer
        if path not in old:
            old -= _needed(path, found[path])
    return [RunFolder(path) for path in sorted(old, key=lambda one: one.name) if _remove(path, known[path])]


def _hiding(known: Mapping[Path, RunFacts], old: Collection[Path]) -> set[Path]:
    """Return the newest run of each input of which an unfinished run stays."""
    found = set()
    for path, facts in known.items():
        if path not in old and facts.phase is not Phase.FINISHED:
            same = [one for one in known if one.parent == path.parent and known[one].has_input_of(facts)]
            found.add(max(same, key=lambda one: one.name))
    return found


def _needed(path: Path, facts: RunFacts | None) -> set[Path]:
    names = (facts.parent, facts.root, facts.carried_from) if facts else ()
    return {path.parent / name for name in names if name}


def _read(folder: RunFolder) -> RunFacts | None:
    """Return the facts of a run; None when its journal can't be read."""
    try:
        with read_journal(folder.journal_path) as journal:
            return journal.facts()
    except JournalError:
        return None


def _ended(path: Path, facts: RunFacts) -> float:
    """Return when a run finished, in seconds since the epoch; the end of all days for one that did not."""
    if facts.phase is not Phase.FINISHED:
        return float("inf")
    return facts.end.ended if facts.end else RunFolder(path).began


def _undos(path: Path) -> Iterable[RunFolder]:
    place = runs_place(path / UNDO_SHEET, None)
    return run_folders(place) if place.is_dir() else ()


def _is_unfinished(folder: RunFolder) -> bool:
    if not folder.journal_path.exists() and not read_number(folder.path / CLAIMS):
        return False
    facts = _read(folder)
    return facts is None or facts.phase is not Phase.FINISHED


def _remove(path: Path, facts: RunFacts) -> bool:
    """Remove a run, at once for everybody who looks; return whether nobody was at work with it."""
    folder, gone = RunFolder(path), path.with_name(f".{path.name}.removed")
    try:
        with lock_with_earlier_runs(folder, facts):
            path.rename(gone)
    except (LockedError, JournalError):
        return False
    except OSError as error:
        raise SettingsError(f"{path} can't be removed: {error.strerror}.", "remove it by hand") from None
    shutil.rmtree(gone, ignore_errors=True)
    return True

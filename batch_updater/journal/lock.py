"""The lock on an input: at most one run of it, of its undo, or of a follow-up, at a time."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
from batch_updater.common.errors import LockedError, SettingsError
from batch_updater.common.files import RUN_ID
from batch_updater.common.remedies import Remedy
from batch_updater.common.text import moment
from batch_updater.journal.facts import RunFacts, who
from batch_updater.journal.reader import read_journal
from batch_updater.journal.run_folder import JOURNAL, UNDO_SHEET, RunFolder, called, runs_place, short_name

PATIENCE = 0.5  # seconds: `worker` holds a lock for a moment to see whether a run is under way


@contextlib.contextmanager
def lock_input(place: Path, file: Path, parent: str = "") -> Iterator[Callable[[RunFolder], None]]:
    """Hold the lock on one input, wherever its runs are. Raises LockedError, naming who has it.

    All follow-ups of the run `parent` have one lock, whatever their files are called. A dead process holds no lock.
    Yield a function that records which run the lock is held for.
    """
    name = _lock_name(file, parent)
    owner = place / f".{name}.owner"
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / f".{name}.lock", thread_local=False)
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        who = _read_owner(owner)
        raise LockedError(f"Another run of {called(file).name} is under way ({who}).", "wait for it") from None
    except OSError as error:
        hint = Remedy("choose another place with {runs_dir}")
        raise SettingsError(f"{place} can't be written: {error.strerror}.", hint) from None
    try:
        with _flock_sheet(file):
            _write_owner(owner)
            yield lambda folder: _write_owner(owner, folder.run_id)
    finally:
        owner.unlink(missing_ok=True)
        lock.release()  # the empty lock file stays: removing it would let two runs hold two locks


def _lock_name(file: Path, parent: str) -> str:
    """Return what tells inputs with one place for their runs apart; undos have sheets of one name in many folders."""
    run = file.parent.name
    if parent:
        return f"{parent}.follow-up"
    return f"{run}.{file.name}" if file.name == UNDO_SHEET and RUN_ID.fullmatch(run) else short_name(called(file).name)


@contextlib.contextmanager
def lock_with_earlier_runs(folder: RunFolder, facts: RunFacts) -> Iterator[None]:
    """Hold the lock of a run, and of the run that it undoes or follows up, and so on: they have the same orders.

    `facts` are those of its journal. Raises LockedError, or JournalError when a run above can't be read.
    """
    folder = RunFolder(folder.path.resolve())  # locks lie beside it, however it was named
    sheet = _find_sheet(folder, Path(facts.input))
    with lock_input(folder.path.parent, sheet, facts.parent) as hold_for, contextlib.ExitStack() as stack:
        hold_for(folder)
        if above := earlier_run(folder, facts):
            with read_journal(above.journal_path) as journal:
                facts = journal.facts()
            stack.enter_context(lock_with_earlier_runs(above, facts))
        yield


def _find_sheet(folder: RunFolder, file: Path) -> Path:
    """Return the sheet of a run, which may have been named relative to another working folder."""
    place = folder.path.parent
    beside = place.parent / file.name
    return beside if runs_place(beside, None) == place else file


def earlier_run(folder: RunFolder, facts: RunFacts) -> RunFolder | None:
    """Return the run that this one follows up or undoes, also when its folder was moved or it has a --runs-dir."""
    folder, file = RunFolder(folder.path.resolve()), Path(facts.input)
    if facts.parent:
        places: tuple[Path, ...] = (folder.path.parent / facts.parent, file.parent)
    else:
        places = (folder.path.parent.parent, file.parent) if file.name == UNDO_SHEET else ()
    return next((RunFolder(place) for place in places if (place / JOURNAL).is_file()), None)


@contextlib.contextmanager
def _flock_sheet(file: Path) -> Iterator[None]:
    """Lock the sheet itself against a second run with another `--runs-dir`. Raises LockedError."""
    if fcntl is None or not file.is_file() or not os.access(file, os.R_OK):
        yield
        return
    real = file.resolve()
    owner = real.with_name(f".{short_name(real.name)}.owner")
    with file.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said = Remedy(
                "Another run of {file} is under way, with another {runs_dir} ({who}).",
                {"file": file.name, "who": _read_owner(owner)},
            )
            raise LockedError(said, "wait for it") from None
        except OSError:
            yield  # a file system without locks: the lock of the runs folder has to do
            return
        _write_owner(owner)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                owner.unlink()


def _write_owner(path: Path, run_id: str = "") -> None:
    """Record who holds a lock, where that can be written; on a full disk it can't."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    owner = {"pid": os.getpid(), "by": who(), "started": started, "run": run_id}
    with contextlib.suppress(OSError):
        path.write_text(json.dumps(owner), encoding="utf-8")


def worker(folder: RunFolder) -> str:
    """Return which process works on this run now; empty for none."""
    folder = RunFolder(folder.path.resolve())
    for path in folder.path.parent.glob(".*.lock"):
        lock = FileLock(path, timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            owner = path.with_suffix(".owner")
            if _owner(owner).get("run") == folder.run_id:
                return _read_owner(owner)
        except OSError:
            continue
        else:
            lock.release()
    return ""


def _owner(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _read_owner(path: Path) -> str:
    owner = _owner(path)
    try:
        began = datetime.fromisoformat(owner["started"]).timestamp()
        return f"process {owner['pid']} of {owner.get('by', 'an earlier version')}, started {moment(began)}"
    except (KeyError, TypeError, ValueError):
        return "its process is just starting or ending"

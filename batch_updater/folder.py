"""Run folders: the frozen input, the lock on it, and which run is unfinished."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from batch_updater.damage import read_number
from batch_updater.errors import InputError, JournalError, LockedError, ResumeError, SettingsError, StoppedError
from batch_updater.journal import Journal, sync

JOURNAL = "journal.sqlite"
CLAIMS = "journal.claims"
UNDO_SHEET = "undo.csv"  # in the folder of the run that it undoes
STDIN = Path("-")
FRAME = Path("dataframe.csv")  # what a DataFrame is written to
PIECE = 1 << 20
PATIENCE = 0.5  # seconds: who only looks whether a run is under way has its lock for a moment
ID_TIME = "%Y%m%dT%H%M%SZ"
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run's place on disk: `<stem>.runs/<run id>/`."""

    path: Path

    @property
    def run_id(self) -> str:
        """UTC start and four hex digits."""
        return self.path.name

    @property
    def began(self) -> float:
        """When the run was made, in seconds since the epoch."""
        return datetime.strptime(self.run_id[:16], ID_TIME).replace(tzinfo=UTC).timestamp()

    @property
    def journal_path(self) -> Path:
        """Where the journal is."""
        return self.path / JOURNAL

    @property
    def input_path(self) -> Path:
        """The frozen copy of the sheet. Raises JournalError when it is gone."""
        for found in self.path.glob("input.*"):
            return found
        raise JournalError(f"The copy of the sheet is missing in {self.path}.", "restore the folder")

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write `summary.json`, whole or not at all."""
        part = self.path / ".summary.part"
        part.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        part.replace(self.path / "summary.json")


def find_run(place: Path) -> RunFolder:
    """The run that a person names by its folder or any file in it. Raises SettingsError."""
    folder = place if place.is_dir() else place.parent
    if not (folder / JOURNAL).is_file():
        raise SettingsError(f"{place} is no run folder.", "name a folder like orders.runs/20261123T101500Z-3f9a")
    return RunFolder(folder)


def runs_place(file: Path, runs_dir: Path | None) -> Path:
    """The folder that holds the run folders of this input."""
    if runs_dir is not None:
        return runs_dir
    return Path("stdin.runs") if file == STDIN else file.parent / f"{file.stem}.runs"


def new_run(place: Path) -> RunFolder:
    """Make a run folder. Raises SettingsError when that is not possible."""
    run_id = _new_id(place)
    try:
        (place / run_id).mkdir(parents=True)
        for folder in (place, place.parent):
            sync(folder)  # a power cut must not take the folder away from under a journal that is safe
    except OSError as error:
        raise SettingsError(
            f"No run folder can be made in {place}: {error.strerror}.", "choose another place with --runs-dir"
        ) from None
    return RunFolder(place / run_id)


def _new_id(place: Path) -> str:
    """UTC start and four hex digits, later in the order of names than every id here, should the clock be put back."""
    newest = max((path.name for path in place.glob("*Z-*") if RUN_ID.fullmatch(path.name)), default="")
    now = f"{datetime.now(UTC):{ID_TIME}}"
    second, lowest = max(now, newest[:16]), 0
    if second == newest[:16]:
        lowest = int(newest[-4:], 16) + 1
    if lowest > 0xFFFF:
        later = datetime.strptime(second, ID_TIME).replace(tzinfo=UTC) + timedelta(seconds=1)
        second, lowest = f"{later:{ID_TIME}}", 0
    return f"{second}-{lowest + secrets.randbelow(min(0x10000 - lowest, 0x8000)):04x}"


def freeze(file: Path, folder: RunFolder) -> str:
    """Copy the sheet's bytes into the run folder and give their SHA-256.

    Raises InputError when the file can't be read or changes meanwhile, StoppedError when the copy can't be written.
    """
    if file == STDIN:
        return _copy(_pieces(sys.stdin.buffer, file), folder.path / "input.csv")
    try:
        with file.open("rb") as stream:
            before = os.fstat(stream.fileno())
            digest = _copy(_pieces(stream, file), folder.path / f"input{file.suffix.lower() or '.csv'}")
        after = file.stat()
        if not stat.S_ISREG(after.st_mode):
            return digest  # a named pipe changes by being read
    except OSError as error:
        raise _unreadable(file, error) from None
    if (before.st_size, before.st_mtime_ns, before.st_ino) != (after.st_size, after.st_mtime_ns, after.st_ino):
        raise InputError(f"{file} changed while it was being read.", "wait until it has been saved, then run again")
    return digest


def _unreadable(file: Path, error: OSError) -> InputError:
    return InputError(f"{file} can't be read: {error.strerror}.", "check the name and its permissions")


def _pieces(stream: BinaryIO, file: Path) -> Iterator[bytes]:
    try:
        while piece := stream.read(PIECE):
            yield piece
    except OSError as error:
        raise _unreadable(file, error) from None


def _copy(pieces: Iterator[bytes], target: Path) -> str:
    digest = hashlib.sha256()
    try:
        with target.open("xb") as copy:
            for piece in pieces:
                digest.update(piece)
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
        sync(target.parent)
    except OSError as error:
        raise StoppedError(
            f"The sheet can't be copied to {target.parent}: {error.strerror}; nothing was sent.",
            "free some disk space, or choose another place with --runs-dir",
        ) from None
    return digest.hexdigest()


def discard(folder: RunFolder) -> None:
    """Remove a run folder from which nothing was sent."""
    shutil.rmtree(folder.path, ignore_errors=True)


@contextlib.contextmanager
def locked(place: Path, file: Path) -> Iterator[Callable[[RunFolder], None]]:
    """Hold the lock on one input, wherever its runs are. Raises LockedError, naming who has it.

    A dead process holds nothing. The function that is given tells others which run the lock is held for.
    """
    name = file.name
    owner = place / f".{name}.owner"
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = _lock(place, name)
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        raise LockedError(f"Another run of {name} is under way ({_read_owner(owner)}).", "wait for it") from None
    except OSError as error:
        hint = "choose another place with --runs-dir"
        raise SettingsError(f"{place} can't be written: {error.strerror}.", hint) from None
    try:
        with _claimed(file):
            _write_owner(owner)
            yield lambda folder: _write_owner(owner, folder.run_id)
    finally:
        owner.unlink(missing_ok=True)
        lock.release()  # the empty lock file stays: removing it would let two runs hold two locks


@contextlib.contextmanager
def held(folder: RunFolder, facts: dict[str, Any]) -> Iterator[None]:
    """Hold the lock of a run, and when it is an undo that of the run which it undoes, and so on: the orders are one.

    `facts` are those of its journal. Raises LockedError, or JournalError when a run above can't be read.
    """
    with locked(folder.path.parent, Path(facts["input"])) as hold_for, contextlib.ExitStack() as stack:
        hold_for(folder)
        if above := _undone(folder, Path(facts["input"])):
            with Journal.peek(above.journal_path) as journal:
                facts = journal.meta()
            stack.enter_context(held(above, facts))
        yield


def _undone(folder: RunFolder, file: Path) -> RunFolder | None:
    """The run that this one undoes, also when its folder was moved or the undo was given a --runs-dir."""
    places = (folder.path.parent.parent, file.parent) if file.name == UNDO_SHEET else ()
    return next((RunFolder(place) for place in places if (place / JOURNAL).is_file()), None)


def _lock(place: Path, name: str) -> FileLock:
    return FileLock(place / f".{name}.lock", timeout=0, thread_local=False)


@contextlib.contextmanager
def _claimed(file: Path) -> Iterator[None]:
    """A lock on the sheet itself, for a second run with another `--runs-dir`. Raises LockedError."""
    if fcntl is None or not file.is_file() or not os.access(file, os.R_OK):
        yield
        return
    real = file.resolve()
    owner = real.with_name(f".{real.name}.owner")
    with file.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(
                f"Another run of {file.name} is under way, with another --runs-dir ({_read_owner(owner)}).",
                "wait for it",
            ) from None
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
    """Say who holds a lock. Where it can't be written, as on a full disk, others are told less."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with contextlib.suppress(OSError):
        path.write_text(json.dumps({"pid": os.getpid(), "started": started, "run": run_id}), encoding="utf-8")


def worker(folder: RunFolder) -> str:
    """Who works on this run now; empty when nobody does."""
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
    try:
        return "process {pid}, started {started}".format_map(_owner(path))
    except KeyError:
        return "its process is just starting or ending"


def run_folders(place: Path) -> list[RunFolder]:
    """Run folders of a sheet, of a `.runs` folder, or of every sheet in a folder. Raises SettingsError."""
    if place.is_dir():
        parents = [place, *place.glob("*.runs")]
    else:
        parents = [runs_place(place, None)]
        if not place.exists() and not parents[0].is_dir():
            raise SettingsError(f"There is nothing at {place}.", "name a sheet, or the folder it is in")
    found = [path for parent in parents if parent.is_dir() for path in parent.iterdir()]
    return [RunFolder(path) for path in found if RUN_ID.fullmatch(path.name) and path.is_dir()]


def newest_run(place: Path, name: str, sha256: str | None = None) -> tuple[RunFolder, dict[str, Any]] | None:
    """The newest run of this input (of these very bytes, if given) and its journal's facts; None when there is none.

    Raises ResumeError when a newer journal can't be read or is gone, for it may be this input's.
    """
    places = {path.parent for name in (JOURNAL, CLAIMS) for path in place.glob(f"*/{name}")}
    for folder in map(RunFolder, sorted(places, key=lambda path: path.name, reverse=True)):
        try:
            if not folder.journal_path.exists() and not read_number(folder.path / CLAIMS):
                continue  # killed while it was planned
            with Journal.peek(folder.journal_path) as journal:
                facts = journal.meta()
            if facts["name"] == name and sha256 in {None, facts["sha256"]}:
                return folder, facts
        except (JournalError, KeyError) as error:
            said = error.message if isinstance(error, JournalError) else f"Its journal lacks {error}."
            raise ResumeError(
                f"The newest run here, {folder.run_id}, can't be picked up. {said}",
                "restore its files, or start anew with --restart (rows may then be sent a second time)",
            ) from None
    return None


def is_nameless(name: str) -> bool:
    """Whether an input's name does not promise the same data."""
    return name in {STDIN.name, FRAME.name}


def differences(facts: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """What a new start asks otherwise than the run that it would pick up, one sentence each."""
    words = {"sha256": "the file's bytes"}
    found = []
    for key, value in wanted.items():
        if facts.get(key) != value:
            label = words.get(key, "--" + key.replace("_", "-"))
            both = "" if key == "sha256" else f": was {facts.get(key) or 'not set'}, now {value or 'not set'}"
            found.append(f"{label} differ{'' if key == 'sha256' else 's'}{both}")
    return found

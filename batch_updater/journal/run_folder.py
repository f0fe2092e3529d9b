"""Run folders: their names, their files, and where they are made."""

import hashlib
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from batch_updater.common.errors import JournalError, SettingsError
from batch_updater.common.files import RUN_ID, make_private_folder, replaced, sync
from batch_updater.common.remedies import Remedy

JOURNAL = "journal.sqlite"
CLAIMS = "journal.claims"
UNDO_SHEET = "undo.csv"  # in the folder of the run that it undoes
STDIN = Path("-")
FRAME = Path("the DataFrame.csv")  # what a DataFrame is written to; messages call it by the stem
ID_TIME = "%Y%m%dT%H%M%SZ"
LONGEST = 240  # bytes of a name that a folder or a lock is called by; a file system takes 255 with what is added


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of a run: `<stem>.runs/<run id>/`."""

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
        return self.path / JOURNAL

    @property
    def input_path(self) -> Path:
        """The frozen copy of the sheet. Raises JournalError when it is gone."""
        for found in self.path.glob("input.*"):
            return found
        raise JournalError(f"The copy of the sheet is missing in {self.path}.", "restore the folder")

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write `summary.json`, completely or not at all."""
        with replaced(self.path / "summary.json") as part:
            part.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def runs_place(file: Path, runs_dir: Path | None) -> Path:
    """Return the folder that holds the run folders of this input; a follow-up run lies beside the run it follows."""
    if runs_dir is not None:
        return runs_dir
    if followed := run_of(file):
        return followed.path.parent
    return Path("stdin.runs") if file == STDIN else file.parent / f"{short_name(file.stem)}.runs"


def short_name(name: str) -> str:
    """Return a name that leaves room for what is added to it; a longer one is cut, and told from others by its hash."""
    if len(whole := os.fsencode(name)) <= LONGEST:
        return name
    return f"{whole[: LONGEST - 9].decode(errors='ignore')}-{hashlib.sha256(whole).hexdigest()[:8]}"


def run_of(file: Path) -> RunFolder | None:
    """Return the run in whose folder this file lies; None for the sheet of its undo, which is an input of its own."""
    is_inside = file.name != UNDO_SHEET and (file.parent / JOURNAL).is_file()
    folder = file.parent if RUN_ID.fullmatch(file.parent.name) else file.parent.resolve()  # `.` has no run id
    return RunFolder(folder) if is_inside and RUN_ID.fullmatch(folder.name) else None


def is_nameless(name: str) -> bool:
    """Whether an input has no name of its own, so that the same name does not mean the same data."""
    return name in {STDIN.name, FRAME.name, FRAME.stem}


def called(file: Path) -> Path:
    """Return what messages, locks and facts call an input: the file that a DataFrame was written to is soon gone."""
    return Path(FRAME.stem) if file.name == FRAME.name else file


def path_from(place: Path, file: Path) -> str:
    """Return where a sheet lies, seen from the folder of its runs: both can be moved together. Empty when nameless."""
    if is_nameless(file.name):
        return ""
    sheet, place = file.parent.resolve() / file.name, place.resolve()
    try:
        return Path(os.path.relpath(sheet, place)).as_posix()
    except ValueError:  # another drive of Windows
        return sheet.as_posix()


def new_run(place: Path, sheet: Path = STDIN) -> RunFolder:
    """Make a run folder, for whoever may read the sheet. Raises SettingsError when that is not possible."""
    run_id = _new_id(place)
    try:
        place.mkdir(parents=True, exist_ok=True)
        make_private_folder(place / run_id, sheet)
        for folder in (place, place.parent):
            sync(folder)  # a power cut must not take the folder away from under a journal that is safe
    except OSError as error:
        raise SettingsError(
            f"No run folder can be made in {place}: {error.strerror}.", Remedy("choose another place with {runs_dir}")
        ) from None
    return RunFolder(place / run_id)


def _new_id(place: Path) -> str:
    """Return UTC start and four hex digits; sorts after every id here, even when the clock was put back."""
    newest = max((path.name for path in place.glob("*Z-*") if RUN_ID.fullmatch(path.name)), default="")
    now = f"{datetime.now(UTC):{ID_TIME}}"
    second, lowest = max(now, newest[:16]), 0
    if second == newest[:16]:
        lowest = int(newest[-4:], 16) + 1
    if lowest > 0xFFFF:
        later = datetime.strptime(second, ID_TIME).replace(tzinfo=UTC) + timedelta(seconds=1)
        second, lowest = f"{later:{ID_TIME}}", 0
    return f"{second}-{lowest + secrets.randbelow(min(0x10000 - lowest, 0x8000)):04x}"


def discard(folder: RunFolder) -> None:
    """Remove a run folder from which nothing was sent."""
    shutil.rmtree(folder.path, ignore_errors=True)

"""A journal cut off anywhere, or without one of its files: resumed rightly or refused, never wrongly."""

import os
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import quick_folder

from batch_updater.errors import JournalError
from batch_updater.journal import Journal
from batch_updater.models import Note, Result, RowOutcome, State, StatusUpdate

PAGE = 4096
NAME = "journal.sqlite"
Rows = dict[int, tuple[str, str | None, int]]
ALLOWED = {  # what a row may be in a journal that has lost its newest commits, by what it truly is
    "planned": {"planned", "claimed", "queued"},
    "claimed": {"claimed"},
    "ended": {"ended", "claimed"},
    "queued": {"queued"},
    "waiting": {"waiting"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a cut at every byte means thousands of fsyncs."""
    with quick_folder(tmp_path) as found:
        yield found


def uid(number: int) -> str:
    return str(uuid.UUID(int=number))


def ended(rows: Iterable[int], detail: str = "") -> list[RowOutcome]:
    return [RowOutcome(row, State.ENDED, Result.UPDATED, "ok", detail, 200, 1, 1e9, 5) for row in rows]


def begin(folder: Path) -> Journal:
    """A journal of 90 rows, 30 of them in sequences, with a long fact."""
    journal = Journal.create(folder / NAME)
    journal.add(StatusUpdate(row, uid(row if row < 62 else row - 30), uid(row % 5 + 1000)) for row in range(2, 92))
    journal.settle_repeats("sequence")
    journal.seal({"on_conflict": "sequence", "name": "o.csv", "status_names": {uid(n): "x" * 30 for n in range(150)}})
    return journal


def work(journal: Journal) -> None:
    """What a run writes: claims, notes, outcomes, rows given back and claimed anew."""
    for _ in range(3):
        rows = [update.row for update in journal.claim(12)]
        journal.note([Note(rows[0], 1, 1e9, uid(7))])
        journal.record(ended(rows[:6], "some words of the service"))
        journal.unclaim(rows[10:])
    journal.record([RowOutcome(rows[7], State.PLANNED, Result.NOT_SENT, "server_error", "no", 503, 1)])


def open_wal(folder: Path) -> Journal:
    """All in the -wal file."""
    journal = begin(folder)
    work(journal)
    return journal


def restarted_wal(folder: Path) -> Journal:
    """Half in the main file, and the -wal file begun anew over an older, longer one."""
    journal = open_wal(folder)
    journal._db.execute("PRAGMA wal_checkpoint(RESTART)")
    rows = [update.row for update in journal.claim(8)]
    journal.record(ended(rows[:3]))
    return journal


def grown(folder: Path) -> Journal:
    """Pages at the end that only the -wal file has."""
    journal = open_wal(folder)
    rows = [update.row for update in journal.claim(12)]
    journal._db.execute("PRAGMA wal_checkpoint(RESTART)")
    journal.record(ended(rows, "w" * 2000))
    return journal


def closed(folder: Path) -> Journal:
    """No -wal file."""
    journal = open_wal(folder)
    journal.close()
    return journal


def rows_of(path: Path) -> Rows:
    with sqlite3.connect(path) as db:
        found = {row: (state, result, claim) for row, state, result, claim in db.execute(
            "SELECT row, state, result, claim FROM rows")}  # fmt: skip
    db.close()
    return found


def copy(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for file in source.iterdir():
        if not file.name.endswith("-shm"):
            shutil.copy(file, target)
    return target / NAME


def is_right(path: Path, truth: Rows) -> bool:
    """Whether the journal opens, and then all that it says is a past of the truth; False when it is refused."""
    try:
        journal = Journal.open(path)
    except JournalError:
        return False
    with journal:
        found = {e["row"]: (e["state"], e["result"], e["claim"]) for e in journal.entries()}
        assert len(journal.meta()["status_names"]) == 150
    assert found.keys() == truth.keys()
    for row, (state, result, claim) in truth.items():
        now_state, now_result, now_claim = found[row]
        assert now_state in ALLOWED[state], f"row {row} is {state}, the cut journal says {now_state}"
        assert now_state != "ended" or (now_state, now_result) == (state, result)
        assert bool(now_claim) or not claim, f"row {row} was announced, the cut journal has forgotten it"
    return True


def lengths(size: int, suffix: str) -> list[int]:
    """Every byte of the last two pages; then the ends of all frames of a -wal file, of all pages of a journal."""
    step = PAGE + 24 if suffix else PAGE
    ends = [length + more for length in range(32 if suffix else 0, size, step) for more in (-1, 0, 1, 30)]
    return sorted({*range(max(size - 2 * step, 0), size + 1), *(end for end in ends if 0 <= end < size)}, reverse=True)


CASES = [(make, suffix) for make in (open_wal, restarted_wal, grown) for suffix in ("", "-wal")]


@pytest.mark.parametrize(("make", "suffix"), [*CASES, (closed, "")])
def test_a_journal_cut_at_any_byte_is_never_believed_wrongly(
    folder: Path, make: Callable[[Path], Journal], suffix: str
) -> None:
    """Cut at every byte of its last two pages (or -wal frames), it opens as a past of the truth or is refused."""
    whole = folder / "whole"
    whole.mkdir()
    journal = make(whole)
    truth = rows_of(copy(whole, folder / "truth"))
    path = copy(whole, folder / "cut")
    cut = path.with_name(path.name + suffix)
    right = refused = 0
    for length in lengths(cut.stat().st_size, suffix):
        os.truncate(cut, length)
        if is_right(path, truth):
            right += 1
            path = copy(whole, folder / "cut")
        else:
            refused += 1
            cut.with_name(f"{NAME}-shm").unlink(missing_ok=True)
    journal.close()
    assert right, "whole, it opens"
    assert refused or (suffix and make is grown), "cut short enough, it has lost a claim"


@pytest.mark.parametrize("make", [open_wal, restarted_wal, grown, closed])
@pytest.mark.parametrize("lost", [["journal.sqlite-wal"], ["journal.claims"], ["journal.sqlite"]])
def test_a_lost_file_is_noticed(folder: Path, make: Callable[[Path], Journal], lost: list[str]) -> None:
    """Without one of its files a journal is refused, or what it says is a past of the truth."""
    whole = folder / "whole"
    whole.mkdir()
    with make(whole):
        truth = rows_of(copy(whole, folder / "truth"))
        path = copy(whole, folder / "cut")
    for name in lost:
        path.with_name(name).unlink(missing_ok=True)
    opened = is_right(path, truth)
    assert opened == (lost == ["journal.sqlite-wal"] and make in {closed, grown})


@pytest.mark.parametrize("length", range(20))
def test_a_cut_claims_file_is_refused(folder: Path, length: int) -> None:
    """A shorter number would hide lost claims: anything but twenty digits is refused."""
    open_wal(folder).close()
    os.truncate(folder / "journal.claims", length)
    with pytest.raises(JournalError, match="can't be known"):
        Journal.open(folder / NAME)


def test_refusing_a_cut_journal_does_not_mend_it(folder: Path) -> None:
    """A journal that was refused once is refused the next time too: SQLite may not fill the gap with zeros."""
    whole = folder / "whole"
    whole.mkdir()
    with open_wal(whole):
        path = copy(whole, folder / "cut")
    os.truncate(path, path.stat().st_size - 100)
    before: dict[str, Any] = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    for _ in range(3):
        with pytest.raises(JournalError, match="cut off"):
            Journal.open(path)
    assert {name: path.with_name(name).read_bytes() for name in before} == before

"""A journal cut off anywhere, mixed with older parts of itself, or without one of its files.

It is resumed rightly or refused: what it says must be what it once said, and not before its last claim.
"""

import os
import random
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from support.journals import sealed
from support.program import quick_folder

from batch_updater.common.errors import JournalError
from batch_updater.common.models import Checkpoint, Result, RowOutcome, State, StatusUpdate
from batch_updater.journal.draft import Draft
from batch_updater.journal.journal import Journal

PAGE = 4096
NAME = "journal.sqlite"
Rows = list[dict[str, Any]]


class Watched(Journal):
    """A journal that remembers all that it has said since its last claim."""

    def __init__(self, path: Path, db: Any) -> None:
        super().__init__(path, db)
        self.said: list[Rows] = []

    def _write_claim_number(self, number: int) -> None:
        super()._write_claim_number(number)
        self.said = [list(self.entries())]

    def _write(self, *changes: Any) -> None:
        super()._write(*changes)
        self.said.append(list(self.entries()))


def uid(number: int) -> str:
    return str(uuid.UUID(int=number))


def ended(rows: Iterable[int], detail: str = "") -> list[RowOutcome]:
    return [RowOutcome(row, State.ENDED, Result.UPDATED, "ok", detail, 200, 1, 1e9, 5) for row in rows]


def begin(folder: Path, rows: int = 90) -> Watched:
    """A journal of so many rows, 30 of them in sequences, with a long fact."""
    draft = Draft.create(folder / NAME)
    draft.add(
        StatusUpdate(row, uid(row if row < rows - 28 else row - 30), uid(row % 5 + 1000)) for row in range(2, rows + 2)
    )
    sealed(draft, "sequence", status_names={uid(n): "x" * 30 for n in range(150)}).close()
    return Watched.open(folder / NAME)


def work(journal: Journal) -> None:
    """What a run writes: claims, notes, outcomes, rows given back and claimed anew."""
    for _ in range(3):
        rows = [update.row for update in journal.claim(12)]
        journal.checkpoint([Checkpoint(rows[0], 1, 1e9, uid(7))])
        journal.record(ended(rows[:6], "some words of the service"))
        journal.unclaim(rows[10:])
    journal.record([RowOutcome(rows[7], State.PLANNED, Result.NOT_SENT, "server_error", "no", 503, 1)])


def open_wal(folder: Path) -> Watched:
    """All in the -wal file."""
    journal = begin(folder)
    work(journal)
    return journal


def restarted_wal(folder: Path) -> Watched:
    """Half in the main file, and the -wal file begun anew over an older, longer one."""
    journal = open_wal(folder)
    journal._db.execute("PRAGMA wal_checkpoint(RESTART)")
    rows = [update.row for update in journal.claim(8)]
    journal.record(ended(rows[:3]))
    return journal


def grown(folder: Path) -> Watched:
    """Pages at the end that only the -wal file has."""
    journal = open_wal(folder)
    rows = [update.row for update in journal.claim(12)]
    journal._db.execute("PRAGMA wal_checkpoint(RESTART)")
    journal.record(ended(rows, "w" * 2000))
    return journal


def closed(folder: Path) -> Watched:
    """No -wal file."""
    journal = open_wal(folder)
    journal.close()
    return journal


def copy(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for file in source.iterdir():
        if not file.name.endswith("-shm"):
            shutil.copy(file, target)
    return target / NAME


def is_right(path: Path, said: list[Rows]) -> bool:
    """Whether the journal opens, says what it once said and gives out its planned rows; False when it is refused."""
    try:
        journal = Journal.open(path)
    except JournalError:
        return False
    with journal:
        entries: list[Any] = list(journal.entries())
        assert entries in said
        assert len(journal.facts().status_names) == 150
        assert [update.row for update in journal.claim(500)] == [e.row for e in entries if e.state == "planned"]
    return True


def lengths(size: int, suffix: str, every: int) -> list[int]:
    """Of the last two pages every byte, or every so many; the ends of all frames of a -wal file, of all pages else."""
    step = PAGE + 24 if suffix else PAGE
    ends = [length + more for length in range(32 if suffix else 0, size, step) for more in (-1, 0, 1, 30)]
    last = range(size, max(size - 2 * step, 0) - 1, -every)
    return sorted({*last, *(end for end in ends if 0 <= end < size)}, reverse=True)


CASES = [(make, suffix) for make in (open_wal, restarted_wal, grown) for suffix in ("", "-wal")]


@pytest.mark.parametrize(("make", "suffix"), [*CASES, (closed, "")])
def test_a_journal_cut_at_any_byte_is_never_believed_wrongly(
    folder: Path, make: Callable[[Path], Watched], suffix: str, full: bool
) -> None:
    """Cut in its last two pages (or -wal frames), at every byte with --full, it opens as it once was or is refused."""
    whole = folder / "whole"
    whole.mkdir()
    journal = make(whole)
    path = copy(whole, folder / "cut")
    cut = path.with_name(path.name + suffix)
    right = refused = 0
    for length in lengths(cut.stat().st_size, suffix, every=1 if full else 17):
        os.truncate(cut, length)
        if is_right(path, journal.said):
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
def test_a_lost_file_is_noticed(folder: Path, make: Callable[[Path], Watched], lost: list[str]) -> None:
    """Without one of its files a journal is refused, or says what it once said."""
    whole = folder / "whole"
    whole.mkdir()
    with make(whole) as journal:
        path = copy(whole, folder / "cut")
    for name in lost:
        path.with_name(name).unlink(missing_ok=True)
    opened = is_right(path, journal.said)
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


class Past:
    """The files of a long run at many moments: before, between and after its checkpoints."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.mains: list[bytes] = []
        self.wals: list[bytes] = []
        with begin(folder, 240) as journal:
            self._keep(folder)
            for number in range(3):
                work(journal)
                rows = [update.row for update in journal.claim(4)]
                self._keep(folder)
                journal.record(ended(rows[:2], "w" * 1500 * (number == 1)))
                self._keep(folder)
                journal._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
                self._keep(folder)
            journal.record(ended(rows[2:3]))
            self._keep(folder)
            self.said = journal.said
        self.claims = (folder / "journal.claims").read_bytes()

    def _keep(self, folder: Path) -> None:
        self.mains.append((folder / NAME).read_bytes())
        self.wals.append((folder / f"{NAME}-wal").read_bytes())

    def is_right(self, folder: Path, main: bytes, wal: bytes) -> bool:
        """Whether the program opens these two beside the last claim number, as the journal once was."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "journal.claims").write_bytes(self.claims)
        (folder / NAME).write_bytes(main)
        if wal:
            (folder / f"{NAME}-wal").write_bytes(wal)
        return is_right(folder / NAME, self.said)


def half_done(old: bytes, new: bytes, taken: Callable[[int], bool]) -> bytes:
    """A file of which a checkpoint has written some pages: those `taken`, counted from 0."""
    new_pages = [new[at : at + PAGE] for at in range(0, len(new), PAGE)]
    old_pages = [old[at : at + PAGE] for at in range(0, len(old), PAGE)] + [b""] * len(new_pages)
    found = [page if taken(n) else old_pages[n] or bytes(PAGE) for n, page in enumerate(new_pages)]
    while not old_pages[len(found) - 1] and not taken(len(found) - 1):
        found.pop()
    return b"".join(found)


def frames(wal: bytes) -> list[bytes]:
    """A -wal file cut after each of its frames, the shortest first, and none at all."""
    return [b"", *(wal[:length] for length in range(32, len(wal) + 1, PAGE + 24))]


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """A long run."""
    with quick_folder(tmp_path_factory.mktemp("past")) as folder:
        yield Past(folder / "run")


def test_half_a_checkpoint_without_its_wal_is_never_believed_wrongly(folder: Path, past: Past) -> None:
    """Killed after any page of a checkpoint, the -wal file lost or cut after any frame: as it was, or refused."""
    old, new, wal = past.mains[-3], past.mains[-2], past.wals[-3]
    assert old != new
    right = {len(rest): set[bool]() for rest in frames(wal)}
    for count, rest in product(range(len(new) // PAGE + 1), frames(wal)):
        main = half_done(old, new, lambda page, count=count: page < count)  # type: ignore[misc]
        right[len(rest)].add(past.is_right(folder / "mixed", main, rest))
    assert right[len(wal)] == {True}, "with the whole -wal file nothing is lost"
    assert right[0] == {True, False}, "without it only the whole checkpoint is enough"


@pytest.mark.parametrize("seed", range(4))
def test_pages_of_a_checkpoint_in_any_order_are_never_believed_wrongly(folder: Path, past: Past, seed: int) -> None:
    """After a power cut any of the pages may be there: it opens as it was, or is refused."""
    chance = random.Random(seed)
    for _ in range(100):
        at = chance.choice([2, 5, 8])
        old, new, wal = past.mains[at], past.mains[at + 1], past.wals[at]
        taken = {page for page in range(len(new) // PAGE) if chance.random() < 0.5}
        past.is_right(folder / "mixed", half_done(old, new, taken.__contains__), chance.choice(frames(wal)))


def test_files_of_different_moments_are_never_believed_wrongly(folder: Path, past: Past) -> None:
    """The journal of one moment beside the -wal file of any other: it opens as it was, or is refused."""
    found = [past.is_right(folder / "mixed", *files) for files in product(past.mains, past.wals)]
    assert found[-1], "the last of both belong together"
    assert not all(found)

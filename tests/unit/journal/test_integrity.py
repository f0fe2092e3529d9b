"""What a journal that has lost something says, and that it is not believed."""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.journals import NAME, A, B, C, S, T, U, ended, plan

from batch_updater.common.errors import JournalError
from batch_updater.common.models import StatusUpdate
from batch_updater.journal.integrity import find_damage, read_number
from batch_updater.journal.journal import Journal
from batch_updater.journal.schema import checksum, update_of

PAGE = 512
FRAME = PAGE + 24


def sql(folder: Path, statement: str) -> None:
    """Change the file behind the journal's back."""
    with contextlib.closing(sqlite3.connect(folder / NAME)) as db, db:
        db.execute(statement)


def scratch(folder: Path) -> None:
    """Zeros over the last page."""
    with (folder / NAME).open("r+b") as stream:
        stream.seek(-4096, 2)
        stream.write(bytes(4096))


def cut(folder: Path) -> None:
    with (folder / NAME).open("r+b") as stream:
        stream.truncate((folder / NAME).stat().st_size - 1)


LOST = ": its -wal file was cut or taken away. What was sent can't be known from it."
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no claims file": (
        lambda folder: (folder / "j.claims").unlink(),
        "{folder}/j.claims is missing or damaged: what was sent can't be known.",
    ),
    "cut": (cut, "The journal {path} is damaged: it was cut off, 1 of its 8 pages are missing"),
    "not finished": (
        lambda folder: sql(folder, "DELETE FROM meta"),
        "The journal {path} was never finished, or is of a version that is too old.",
    ),
    "claims lost": (
        lambda folder: (folder / "j.claims").write_bytes(b"%020d" % 5),
        "The journal {path} has lost its last 3 claims" + LOST,
    ),
    "counts lost": (
        lambda folder: sql(folder, "DELETE FROM counts"),
        "The journal {path} has lost its last 2 claims" + LOST,
    ),
    "a change lost": (
        lambda folder: sql(folder, "UPDATE rows SET changes = changes - 1 WHERE row = 2"),
        "The journal {path} has parts of different times" + LOST,
    ),
    "a row lost": (
        lambda folder: sql(folder, "DELETE FROM rows WHERE row = 4"),
        "The journal {path} has parts of different times" + LOST,
    ),
    "missing": (lambda folder: (folder / NAME).unlink(), "There is no journal {path}."),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_journal_is_refused_and_named(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    """The file, what is wrong with it, and what can't be known any more."""
    with plan(folder, [(2, A, S), (3, B, S), (4, C, S)]) as journal:
        journal.claim(1)
        journal.claim(1)
    damage(folder)
    with pytest.raises(JournalError) as caught:
        Journal.open(folder / NAME)
    assert caught.value.message == message.format(folder=folder, path=folder / NAME)


def test_what_sqlite_finds_is_said(folder: Path) -> None:
    """A page of zeros: the words of SQLite's own check stand behind the name of the file."""
    plan(folder, [(2, A, S)]).close()
    scratch(folder)
    with pytest.raises(JournalError) as caught:
        Journal.open(folder / NAME)
    assert caught.value.message.startswith(f"The journal {folder / NAME} is damaged: ")
    assert "Page 8" in caught.value.message


def test_counts_that_are_gone_are_noticed_before_any_claim(folder: Path) -> None:
    """Without the row that counts, nothing tells whether the others are whole."""
    plan(folder, [(2, A, S)]).close()
    sql(folder, "DELETE FROM counts")
    with pytest.raises(JournalError, match="parts of different times"):
        Journal.open(folder / NAME)


def test_a_whole_journal_is_opened_at_every_moment(folder: Path) -> None:
    """Before the first claim, after each change, and while another one has it open; with more claims than announced."""
    with plan(folder, [(2, A, S), (3, A, T), (4, B, S), (5, C, S)], "sequence") as journal:
        for change in (
            lambda: None,
            lambda: journal.claim(1),
            lambda: journal.record([ended(2)]),
            lambda: journal.claim(3),
            lambda: journal.unclaim([3, 4]),
            journal.mark_interrupted,
            lambda: (folder / "j.claims").write_bytes(b"%020d" % 1),
        ):
            change()
            Journal.open(folder / NAME).close()


def test_checking_does_not_hold_the_journal(folder: Path) -> None:
    """Checked, right or wrong, a journal can be checked and written again."""
    with plan(folder, [(2, A, S), (3, B, S)]) as journal:
        journal.check()
        journal.claim(1)
        (folder / "j.claims").write_bytes(b"%020d" % 2)
        for _ in range(2):
            with pytest.raises(JournalError, match="last 1 claims"):
                journal.check()
        journal.claim(1)
        journal.check()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"0" * 20, 0), (b"%020d" % 120, 120), (b"9" * 20, 10**20 - 1), (b"%019d" % 1, None), (b"%021d" % 1, None),
        (b"%020d\n" % 1, None), (b"%19d " % 1, None), (b"-%019d" % 1, None), (bytes(20), None), (b"", None),
        ("\u0661".encode() * 10, None), (b"0" * 19 + b"X", None),
    ],
)  # fmt: skip
def test_only_twenty_digits_are_a_number_of_claims(folder: Path, text: bytes, number: int | None) -> None:
    """Half a number, or another file, is none."""
    path = folder / "j.claims"
    path.write_bytes(text)
    assert read_number(path) == number


def test_no_number_can_be_read_where_no_file_is(folder: Path) -> None:
    """A missing file, or a folder in its place, is not zero claims."""
    assert read_number(folder / "none") is None
    assert read_number(folder) is None


@contextlib.contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    """Twenty pages of one row each and some more, all of them in the main file."""
    with contextlib.closing(sqlite3.connect(folder / NAME, isolation_level=None)) as db:
        db.executescript(f"PRAGMA page_size = {PAGE}; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0")
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, words BLOB)")
        db.executemany("INSERT INTO t (words) VALUES (?)", [(bytes(400),)] * 20)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        yield db


def change(db: sqlite3.Connection, rows: int = 20) -> None:
    """One commit that writes the pages of so many rows, from the first."""
    db.execute("UPDATE t SET words = randomblob(400) WHERE id <= ?", (rows,))


def damage_of(folder: Path, pages_off: float = 0, wal_off: int = 0, wal: bool = True) -> str:
    """What is wrong with a copy that lacks so much of its end, and so many bytes of its -wal file."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    content = (folder / NAME).read_bytes()
    (copy / NAME).write_bytes(content[: int(len(content) - PAGE * pages_off)])
    if wal:
        content = (folder / f"{NAME}-wal").read_bytes()
        (copy / f"{NAME}-wal").write_bytes(content[: len(content) - wal_off])
    with contextlib.closing(sqlite3.connect(f"{(copy / NAME).as_uri()}?mode=ro", uri=True)) as db:
        try:
            return find_damage(db, copy / NAME)
        except sqlite3.DatabaseError as error:
            return str(error)


def missing(pages: int, of: int) -> str:
    return f"it was cut off, {pages} of its {of} pages are missing"


def test_a_page_that_the_wal_file_has_is_not_missing(folder: Path) -> None:
    """The main file cut, all of its lost pages committed to the -wal file, by one commit or several: it is whole."""
    with database(folder) as db:
        pages = (folder / NAME).stat().st_size // PAGE
        assert damage_of(folder) == ""
        assert damage_of(folder, 0.1) == missing(1, pages)
        assert damage_of(folder, 1) == "database disk image is malformed", "SQLite looks at the length once"
        change(db)
        assert damage_of(folder, 5) == ""
        change(db, 2)
        assert damage_of(folder, 5) == ""


def test_a_page_that_is_in_neither_file_is_missing(folder: Path) -> None:
    """A -wal file with other pages only makes up for nothing, and one that was cut within its header has none."""
    with database(folder) as db:
        pages = (folder / NAME).stat().st_size // PAGE
        change(db, 2)
        assert damage_of(folder, 5) == missing(5, pages)
        assert damage_of(folder, 2.5) == missing(3, pages)
        assert damage_of(folder, 0.5, wal=False) == missing(1, pages)
        size = (folder / f"{NAME}-wal").stat().st_size
        for left in (0, 10, 20, 31, 32, 40):
            assert damage_of(folder, 0.5, size - left) == missing(1, pages)


@pytest.mark.parametrize("off", [1, 23, PAGE, PAGE + 1, PAGE + 23, FRAME])
def test_pages_of_a_commit_that_was_cut_are_missing(folder: Path, off: int) -> None:
    """A commit counts when its last frame is whole, and not before; those ahead of it stay."""
    with database(folder) as db:
        pages = (folder / NAME).stat().st_size // PAGE
        change(db, 2)
        change(db)
        assert damage_of(folder, 5) == ""
        assert damage_of(folder, 5, off) == missing(5, pages)
        change(db)
        assert damage_of(folder, 5, off) == ""


def test_old_frames_behind_the_new_ones_are_not_counted(folder: Path) -> None:
    """A -wal file is begun anew over an older one: what stands behind the last new frame is of another time."""
    with database(folder) as db:
        pages = (folder / NAME).stat().st_size // PAGE
        change(db)
        db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        change(db, 2)
        assert damage_of(folder) == ""
        assert damage_of(folder, 5) == missing(5, pages)


def test_pages_that_only_the_wal_file_has_are_part_of_the_file(folder: Path) -> None:
    """The file grows in its -wal file first; without the frame of the last page it is as before."""
    with database(folder) as db:
        pages = (folder / NAME).stat().st_size // PAGE
        db.executemany("INSERT INTO t (words) VALUES (?)", [(bytes(400),)] * 5)
        assert damage_of(folder) == ""
        assert damage_of(folder, 1) != ""
        grown: int = db.execute("PRAGMA page_count").fetchone()[0]
    assert grown > pages


@pytest.mark.parametrize("index", ["rows_planned", "rows_queued"])
@pytest.mark.parametrize("rows_from", [0, 1])
def test_an_index_of_another_time_is_never_believed(folder: Path, index: str, rows_from: int) -> None:
    """What is sent is chosen by these indexes: an older or newer one would send a row again, or leave it out."""
    with plan(folder, [(2, A, S), (3, A, T), (4, B, S), (5, B, T)], "sequence") as journal:
        journal.claim(1)
    moments = [(folder / NAME).read_bytes()]
    with Journal.open(folder / NAME) as journal:
        journal.record([ended(2)])
        journal.claim(9)
    moments.append((folder / NAME).read_bytes())
    with contextlib.closing(sqlite3.connect(folder / NAME)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (index,)).fetchone()
    rows, other = moments[rows_from], moments[1 - rows_from]
    at = slice((page - 1) * 4096, page * 4096)
    (folder / NAME).write_bytes(rows[: at.start] + other[at] + rows[at.stop :])
    (folder / "j.claims").write_bytes(b"%020d" % 1)
    with pytest.raises(JournalError) as caught:
        Journal.open(folder / NAME)
    assert caught.value.message == f"The journal {folder / NAME} has parts of different times" + LOST


@pytest.mark.parametrize("column", ["order_id", "status_id", "expected_id", "row"])
def test_a_row_that_is_not_what_was_planned_is_never_given(folder: Path, column: str) -> None:
    """Each part of an update is under its checksum: another value in the file is refused, whoever asks."""
    plan(folder, [(2, A, S, False, T)]).close()
    sql(folder, f"UPDATE rows SET {column} = {8 if column == 'row' else repr(U)}")
    row = 8 if column == "row" else 2
    with Journal.open(folder / NAME) as journal:
        for ask in (journal.claim, journal.claim_canary, lambda count: journal.to_verify(0, count)):
            with pytest.raises(JournalError) as caught:
                ask(1)
            assert caught.value.message == f"The journal is damaged: row {row} is not what was planned."
        assert journal.states() == {"planned": 1}


def test_an_update_comes_back_as_it_was_planned() -> None:
    """Whole, with what is said of it."""
    update = StatusUpdate(2, A, S, normalised=True, expected_id=T)
    assert update_of((*update, checksum(update))) == update

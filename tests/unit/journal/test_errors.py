"""A journal that can't be written or read: an error that names it, and a journal that is as it was."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.journals import NAME, A, B, C, S, ended, plan, rows_of, sealed

from batch_updater.common.errors import ExitCode, JournalError
from batch_updater.common.models import Checkpoint, ReadBack, StatusUpdate
from batch_updater.journal.draft import Draft
from batch_updater.journal.journal import Journal
from batch_updater.journal.reader import read_journal

SPACE = "free some disk space, then run again"
CHANGES: dict[str, Callable[[Journal], object]] = {
    "claim": lambda journal: journal.claim(1),
    "claim_canary": lambda journal: journal.claim_canary(1),
    "checkpoint": lambda journal: journal.checkpoint([Checkpoint(2, 1)]),
    "record": lambda journal: journal.record([ended(2)]),
    "unclaim": lambda journal: journal.unclaim([2]),
    "mark_interrupted": lambda journal: journal.mark_interrupted(),
    "record_readings": lambda journal: journal.record_readings([ReadBack(2, "=", S, "")]),
    "clear_readings": lambda journal: journal.clear_readings(),
    "update_facts": lambda journal: journal.update_facts(name="p.csv"),
}


@pytest.fixture
def journal(folder: Path) -> Iterator[Journal]:
    """Two rows, the first of them claimed."""
    with plan(folder, [(2, A, S), (3, B, S)]) as made:
        made.update_facts(compare=True)
        made.claim(1)
        made.record_readings([ReadBack(3, "=", S, "")])
        yield made


def content(journal: Journal) -> list[Any]:
    """All that a journal says."""
    return [[row._asdict() for row in journal.entries()], journal.facts(), list(journal.readings()), journal.claims]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_that_can_not_be_written_is_an_error_and_no_change(
    journal: Journal, change: Callable[[Journal], object]
) -> None:
    """Somebody else holds the file: the message names it and what to do; afterwards the same change goes through."""
    before, claims = content(journal), journal.path.with_suffix(".claims").read_bytes()
    journal._db.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError) as caught:
        change(journal)
    assert caught.value.message == f"The journal {journal.path} can't be written: database is locked."
    assert (caught.value.hint, caught.value.exit_code) == (SPACE, ExitCode.STOPPED)
    assert content(journal) == before
    assert journal.path.with_suffix(".claims").read_bytes() == claims
    other.close()
    change(journal)
    assert content(journal) != before


def test_a_full_disk_leaves_nothing_behind(journal: Journal) -> None:
    """Half of the outcomes would have fitted: none is kept, and smaller ones can be written afterwards."""
    before = content(journal)
    journal._db.execute("PRAGMA max_page_count = 12")
    with pytest.raises(JournalError, match="database or disk is full") as caught:
        journal.record([ended(2), ended(3, remark="w" * 50_000)])
    assert caught.value.hint == SPACE
    assert content(journal) == before
    journal.record([ended(2)])
    assert journal.states() == {"ended": 1, "planned": 1}


def test_rows_are_added_all_or_none(folder: Path) -> None:
    """A row that is there already undoes the whole addition, and does not get in the way of the next."""
    with Draft.create(folder / NAME) as draft:
        draft.add([StatusUpdate(2, A, S)])
        with pytest.raises(JournalError, match=r"rows\.row"):
            draft.add([StatusUpdate(3, B, S), StatusUpdate(2, B, S)])
        draft.add([StatusUpdate(4, C, S)])
        journal = sealed(draft, "hold")
        assert rows_of(journal.claim(9)) == [2, 4]


def test_a_claim_that_can_not_be_announced_is_an_error(journal: Journal) -> None:
    """Without its number beside the journal nothing is given out; the row stays claimed, in doubt."""
    claims = journal.path.with_suffix(".claims")
    claims.unlink()
    with pytest.raises(JournalError) as caught:
        journal.claim(1)
    assert caught.value.message == f"{claims} can't be written: No such file or directory."
    assert not claims.exists()
    assert rows_of(journal.in_doubt(0, 9)) == [2, 3]


@pytest.mark.parametrize(
    "read",
    [
        lambda journal: journal.facts(),
        lambda journal: list(journal.readings()),
        lambda journal: journal.attempts(),
        lambda journal: journal.claim(1),
        lambda journal: list(journal.entries()),
    ],
)
def test_a_journal_that_can_not_be_read_is_an_error(journal: Journal, read: Callable[[Journal], object]) -> None:
    """The message names the file and what SQLite says."""
    for table in ("meta", "readings", "rows"):
        journal._db.execute(f"DROP TABLE {table}")
    with pytest.raises(JournalError) as caught:
        read(journal)
    assert caught.value.message.startswith(f"The journal {journal.path} can't be read: no such table: ")


@pytest.mark.parametrize("use", [Journal.facts, lambda journal: journal.update_facts(name="p.csv")])
def test_a_journal_that_was_closed_is_no_trouble_with_the_file(folder: Path, use: Callable[[Journal], object]) -> None:
    """A mistake of the program is not called a full disk."""
    journal = plan(folder, [])
    journal.close()
    with pytest.raises(sqlite3.ProgrammingError):
        use(journal)


def unplanned(folder: Path) -> None:
    Draft.create(folder / "none" / NAME)


def decided_twice(folder: Path) -> None:
    with Draft.create(folder / NAME) as draft:
        draft.settle("hold")
        draft.settle("hold")


def sealed_over_a_folder(folder: Path) -> None:
    (folder / "j.claims").mkdir()
    with Draft.create(folder / NAME) as draft:
        sealed(draft, "hold")


def without_an_index(folder: Path) -> None:
    with plan(folder, []) as journal:
        journal._db.execute("DROP INDEX rows_queued")
    Journal.open(folder / NAME)


def peeked(folder: Path) -> None:
    with read_journal(folder / NAME):
        pass


def peeked_at_text(folder: Path) -> None:
    (folder / NAME).write_text("row,state\n" * 99)
    with read_journal(folder / NAME) as journal:
        journal.facts()


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (unplanned, "The journal {folder}/none/j.sqlite can't be written: unable to open database file"),
        (decided_twice, "The journal {path} can't be written: index rows_order already exists"),
        (sealed_over_a_folder, "The journal {path} can't be written: [Errno 21] Is a directory: '{folder}/j.claims'"),
        (without_an_index, "The journal {path} can't be read: no such index: rows_queued"),
        (peeked, "The journal {path} can't be read: unable to open database file"),
        (peeked_at_text, "The journal {path} can't be read: file is not a database"),
    ],
)
def test_every_step_names_the_journal_that_it_fails_on(folder: Path, use: Callable[[Path], None], message: str) -> None:
    """Planning, deciding, sealing, opening and looking into: the file and what is wrong with it."""
    with pytest.raises(JournalError) as caught:
        use(folder)
    assert caught.value.message == message.format(folder=folder, path=folder / NAME)


def test_a_journal_is_not_made_over_another_one(folder: Path) -> None:
    """The one that is there is named, and stays."""
    plan(folder, [(2, A, S)]).close()
    with pytest.raises(JournalError) as caught:
        Draft.create(folder / NAME)
    assert caught.value.message == f"The journal {folder / NAME} exists already."
    with Journal.open(folder / NAME) as journal:
        assert rows_of(journal.claim(9)) == [2]


def test_looking_into_a_journal_changes_nothing(folder: Path) -> None:
    """Peeked at, it can't be written, and is told as it is, damaged or not."""
    plan(folder, [(2, A, S)]).close()
    (folder / "j.claims").unlink()
    with read_journal(folder / NAME) as journal:
        assert journal.states() == {"planned": 1}
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            journal._db.execute("DELETE FROM rows")
            journal.clear_readings()

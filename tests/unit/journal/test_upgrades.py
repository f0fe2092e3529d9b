"""Journals of earlier versions, as their programs have left them, open and are gone on with."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from support.journals import NAME, A, S, plan, rows_of

from batch_updater.common.errors import JournalError
from batch_updater.journal.facts import Phase
from batch_updater.journal.journal import Journal
from batch_updater.journal.lifecycle import WhatIsLeft, what_is_left
from batch_updater.journal.reader import read_journal
from batch_updater.journal.schema import SCHEMA_VERSION, UPGRADES

KEPT = Path(__file__).parent / "kept"


@pytest.fixture
def kept(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The journal of a kept run, in a folder where it may be changed."""
    shutil.copytree(KEPT / request.param, tmp_path / "run")
    return tmp_path / "run" / "journal.sqlite"


def test_a_journal_of_every_version_is_kept() -> None:
    """Whoever raises the version keeps a journal of the one before, and says how it becomes like a new one."""
    assert sorted(UPGRADES) == list(range(min(UPGRADES), SCHEMA_VERSION))
    assert {int(folder.name.partition("-")[0]) for folder in KEPT.iterdir()} == set(UPGRADES)


def of_every_version(end: str) -> list[str]:
    """The kept runs that ended so."""
    return sorted(folder.name for folder in KEPT.glob(f"*-{end}"))


def tables_of(path: Path) -> tuple[set[object], set[str]]:
    """The columns of every table without their order, and the indexes."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        columns = 'SELECT t.name, c.name, c.type, c."notnull", c.dflt_value, c.pk'
        tables = " FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
        indexes = db.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        return set(db.execute(columns + tables)), {sql for (sql,) in indexes}


@pytest.mark.parametrize("kept", [*of_every_version("finished"), *of_every_version("interrupted")], indirect=True)
def test_an_upgraded_journal_has_the_tables_of_a_new_one(kept: Path, folder: Path) -> None:
    """The same columns with the same defaults, and the same indexes."""
    plan(folder, []).close()
    Journal.open(kept).close()
    assert tables_of(kept) == tables_of(folder / NAME)


@pytest.mark.parametrize("kept", of_every_version("finished"), indirect=True)
def test_a_finished_run_of_an_older_version_can_be_read_verified_and_undone(kept: Path) -> None:
    """Its facts, rows, orders to verify and orders to undo are what they were."""
    with read_journal(kept) as journal:
        assert journal.version < SCHEMA_VERSION
        assert (journal.facts().phase, sum(journal.states().values())) == (Phase.FINISHED, 12)
    with Journal.open(kept) as journal:
        assert journal.version == SCHEMA_VERSION
        facts, entries = journal.facts(), list(journal.entries())
        assert (facts.name, facts.compare, facts.end and facts.end.exit_code) == ("orders.csv", True, 0)
        assert not what_is_left(journal, facts)
        assert len(entries) == 12
        assert {(entry.root_row, entry.uncounted) for entry in entries} == {(None, 0)}
        assert len(list(journal.to_undo())) == journal.results()["updated"] > 0
        assert len(journal.to_verify(0, 99)) == 7
        journal.check()


@pytest.mark.parametrize("kept", of_every_version("interrupted"), indirect=True)
def test_an_interrupted_run_of_an_older_version_goes_on(kept: Path) -> None:
    """Rows in doubt, planned and queued ones are where they were; they can be claimed and ended."""
    with Journal.open(kept) as journal:
        assert what_is_left(journal, journal.facts()) == WhatIsLeft(in_doubt=3, to_send=5, recheck=False)
        assert rows_of(journal.in_doubt(0, 9)) == [3, 4, 5]
        assert rows_of(journal.claim(9)) == [6, 7, 11, 13]
    with Journal.open(kept) as journal:  # opened once more it is an ordinary journal
        assert len(journal.in_doubt(0, 99)) == 7


def test_a_journal_of_a_newer_version_is_refused_by_the_program_that_wrote_it(folder: Path) -> None:
    """The message names that version of the program, and nothing is changed."""
    plan(folder, [(2, A, S)]).close()
    with sqlite3.connect(folder / NAME) as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", [SCHEMA_VERSION + 1])
        db.execute("""UPDATE meta SET value = '"9.9.9"' WHERE key = 'program'""")
    db.close()
    with pytest.raises(JournalError, match=r"written by batch-updater 9\.9\.9") as caught:
        Journal.open(folder / NAME)
    assert caught.value.hint == "install that version or a newer one"
    with read_journal(folder / NAME) as journal:
        assert journal.version == SCHEMA_VERSION + 1


def test_a_journal_that_is_too_old_is_refused_by_the_program_that_wrote_it(folder: Path) -> None:
    """Nobody has to guess which version opens it."""
    plan(folder, [(2, A, S)]).close()
    with sqlite3.connect(folder / NAME) as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", [min(UPGRADES) - 1])
        db.execute("""UPDATE meta SET value = '"0.0.3"' WHERE key = 'program'""")
    db.close()
    with pytest.raises(JournalError, match=r"by batch-updater 0\.0\.3, which is too old for this version") as caught:
        Journal.open(folder / NAME)
    assert caught.value.hint == "install that version to open it"


@pytest.mark.parametrize("kept", of_every_version("interrupted"), indirect=True)
def test_a_kill_during_an_upgrade_leaves_the_older_journal(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change is one commit: an error in its last step takes all of it back."""
    with read_journal(kept) as journal:
        version = journal.version
    monkeypatch.setitem(UPGRADES, max(UPGRADES), (*UPGRADES[max(UPGRADES)], "INSERT INTO nowhere VALUES (1)"))
    with pytest.raises(JournalError, match="nowhere"):
        Journal.open(kept)
    monkeypatch.undo()
    with read_journal(kept) as journal:
        assert journal.version == version
    Journal.open(kept).close()


@pytest.mark.parametrize("kept", ["5-interrupted"], indirect=True)
def test_what_version_5_may_have_applied_unread_is_in_doubt(kept: Path) -> None:
    """It planned such rows anew, or called them failed: they are read before they are sent again, and undone."""
    with sqlite3.connect(kept) as db:
        rows = [row for (row,) in db.execute("SELECT row FROM rows WHERE state = 'planned' ORDER BY row")]
        db.execute("UPDATE rows SET attempts = 3, http_status = 504 WHERE row = ?", rows[:1])
        failed = "UPDATE rows SET state = 'ended', result = 'failed', code = 'x', attempts = 1, http_status = ?"
        db.execute("DROP INDEX IF EXISTS rows_planned")
        db.execute(f"{failed} WHERE row = ?", (504, rows[1]))
        db.execute(f"{failed} WHERE row = ?", (409, rows[2]))
    db.close()
    with Journal.open(kept) as journal:
        assert rows[0] in rows_of(journal.in_doubt(0, 99))
        found = {entry.row: entry.result for entry in journal.entries()}
        assert (found[rows[1]], found[rows[2]]) == ("unknown", "failed")
        orders = {entry.row: entry.order_id for entry in journal.entries()}
        undone = {order for order, _previous, _last in journal.to_undo()}
        assert {orders[rows[0]], orders[rows[1]]} <= undone
        assert orders[rows[2]] not in undone
        journal.check()

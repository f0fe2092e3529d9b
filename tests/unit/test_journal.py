import uuid
from pathlib import Path

import pytest

from batch_updater.delivery import already_set
from batch_updater.errors import JournalError
from batch_updater.journal import Journal
from batch_updater.models import Note, RejectedRow, Result, RowOutcome, State, StatusUpdate

A, B, S, T = (str(uuid.UUID(int=n)) for n in range(1, 5))


def plan(path: Path, updates: list[tuple[int, str, str]], on_conflict: str = "hold") -> Journal:
    journal = Journal.create(path / "j.sqlite")
    journal.add([StatusUpdate(*update) for update in updates])
    journal.settle_repeats(on_conflict)
    journal.seal({"on_conflict": on_conflict})
    return journal


@pytest.mark.parametrize(("on_conflict", "sent"), [("hold", []), ("first", [(2, A, S)]), ("last", [(3, A, T)])])
def test_conflicting_rows_are_decided_by_choice(tmp_path: Path, on_conflict: str, sent: list[object]) -> None:
    """hold sends nothing for an order with two statuses, first and last choose one of them."""
    journal = plan(tmp_path, [(2, A, S), (3, A, T)], on_conflict)
    assert [(u.row, u.order_id, u.status_id) for u in journal.claim(9)] == sent
    journal.close()


def test_a_repeated_row_waits_for_its_leader(tmp_path: Path) -> None:
    """The same order and status is sent once, by the first row, whose result the repeat shows."""
    journal = plan(tmp_path, [(2, A, S), (3, B, S), (4, A, S)])
    assert [u.row for u in journal.claim(9)] == [2, 3]
    journal.record([RowOutcome(2, State.ENDED, Result.UPDATED, "ok", "", 200, 1, 1.0, 5)])
    entry = list(journal.entries())[2]
    assert (entry["state"], entry["leader"], entry["leader_result"]) == ("waiting", 2, "updated")
    journal.close()


def test_claims_are_durable_before_they_are_given(tmp_path: Path) -> None:
    """A second reader of the file sees the claim as soon as claim() has returned."""
    journal = plan(tmp_path, [(2, A, S), (3, B, S)])
    journal.claim(1)
    other = Journal.open(tmp_path / "j.sqlite")
    assert other.count("state") == {"claimed": 1, "planned": 1}
    other.close()
    journal.close()


def test_a_row_that_was_not_sent_is_planned_again(tmp_path: Path) -> None:
    """not_sent keeps its attempts and stays open for the next start."""
    journal = plan(tmp_path, [(2, A, S)])
    journal.claim(1)
    journal.record([RowOutcome(2, State.PLANNED, Result.NOT_SENT, "unauthorized", "no", 401, 1, 1.0, 5)])
    assert [u.row for u in journal.claim(1)] == [2]
    journal.close()


@pytest.mark.parametrize(("attempts", "said"), [(1, "updated"), (0, "unchanged")])
def test_an_order_is_unchanged_only_when_nothing_was_sent_to_it(tmp_path: Path, attempts: int, said: str) -> None:
    """Read with another status before it was sent, and with the wanted one later: an unconfirmed update did that."""
    journal = plan(tmp_path, [(2, A, S)])
    journal.claim(1)
    journal.note([Note(2, attempts, 1.0, previous_status_id=T)])
    journal.record([RowOutcome(2, State.PLANNED, Result.NOT_SENT, "stopped", "")])
    journal.record([already_set(*journal.claim(1))])
    assert next(journal.entries())["result"] == said
    journal.check()
    journal.close()


def test_a_rejected_row_is_never_claimed(tmp_path: Path) -> None:
    """Rejected rows are in the journal but never given out."""
    journal = Journal.create(tmp_path / "j.sqlite")
    journal.add([RejectedRow(2, "bad_order_id", "no")])
    journal.settle_repeats("hold")
    journal.seal({})
    assert journal.claim(5) == []
    assert journal.problems(5) == [(2, "invalid", "no")]
    journal.close()


def test_a_journal_is_not_overwritten(tmp_path: Path) -> None:
    """Creating a journal where one is raises."""
    plan(tmp_path, []).close()
    with pytest.raises(JournalError, match="exists"):
        Journal.create(tmp_path / "j.sqlite")


def test_a_sequence_sends_each_status_after_the_one_before(tmp_path: Path) -> None:
    """Rows of one order are claimed one at a time, repeats within the sequence are led by their neighbour."""
    journal = plan(tmp_path, [(2, A, S), (3, A, S), (4, A, T), (5, A, T), (6, A, S), (7, B, S)], "sequence")
    ended = []
    while block := journal.claim(9):
        ended.append([u.row for u in block])
        journal.record([RowOutcome(u.row, State.ENDED, Result.UPDATED, "ok", "") for u in block])
    assert ended == [[2, 7], [4], [6]]
    assert [(e["row"], e["leader"]) for e in journal.entries() if e["state"] == "waiting"] == [(3, 2), (5, 4)]
    journal.close()


def test_a_journal_that_lost_its_newest_commits_is_refused(tmp_path: Path) -> None:
    """Without its -wal file the journal would forget claims; opening it raises instead."""
    journal = plan(tmp_path, [(row, str(uuid.UUID(int=row)), S) for row in range(2, 50)])
    journal.claim(10)
    for name in ("j.sqlite", "j.claims"):
        (tmp_path / f"copy-{name}").write_bytes((tmp_path / name).read_bytes())
    journal.close()
    with pytest.raises(JournalError, match="-wal"):
        Journal.open(tmp_path / "copy-j.sqlite")

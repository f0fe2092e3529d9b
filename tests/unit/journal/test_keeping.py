"""Which rows of an unfinished run a new plan keeps: never one that is not done there, or not wanted any more."""

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.journals import NAME, A, B, C, S, T, U, ended, plan, rows_of, some_facts

from batch_updater.common.models import Result, State, StatusUpdate
from batch_updater.journal.draft import Draft
from batch_updater.journal.journal import Journal
from batch_updater.journal.reader import read_journal

ORDERS, STATUSES = (A, B, C), (S, T, U)
ROWS = st.lists(st.tuples(st.sampled_from(ORDERS), st.sampled_from(STATUSES)), max_size=9)
OUTCOMES = st.lists(
    st.sampled_from([Result.UPDATED, Result.UNCHANGED, Result.FAILED, Result.UNKNOWN, None, State.CLAIMED]),
    min_size=9, max_size=9,
)  # fmt: skip
CONFLICTS = st.sampled_from(["hold", "first", "last"])
OLD, NEW = "20261123T101500Z-0001", "20261123T101500Z-0002"


def numbered(rows: Sequence[tuple[str, str]]) -> list[tuple[int, str, str]]:
    return [(number, order, status) for number, (order, status) in enumerate(rows, 2)]


def earlier(folder: Path, rows: Sequence[tuple[str, str]], on_conflict: str, outcomes: Sequence[object]) -> Path:
    """The journal of a run of these rows, each ended so, in doubt, or never sent."""
    folder.mkdir()
    with plan(folder, numbered(rows), on_conflict) as journal:
        fate = itertools.cycle(outcomes)
        for row in rows_of(journal.claim(99)):
            match next(fate):
                case Result() as result:
                    journal.record([ended(row, result, attempts=int(result is not Result.UNCHANGED), sent_at=5.0)])
                case None:
                    journal.unclaim([row])
    return folder / NAME


def follow(folder: Path, rows: Sequence[tuple[str, str]], on_conflict: str, before: Path) -> Journal:
    """The journal of a new run of other rows that keeps what the run before has done."""
    folder.mkdir()
    draft = Draft.create(folder / NAME)
    draft.add(StatusUpdate(*row) for row in numbered(rows))
    settled = draft.settle(on_conflict)
    with read_journal(before) as journal:
        settled.keep(journal.done_orders())
    return settled.seal(some_facts(run_id=NEW, carried_from=OLD, on_conflict=on_conflict))


def truth(path: Path) -> dict[str, str]:
    """By a plain reading of the journal: the status that the last row of each order asks for, where it is done."""
    with read_journal(path) as journal:
        entries = [entry for entry in journal.entries() if entry.order_id]
    last = {entry.order_id: entry for entry in entries}
    found = {}
    for order, entry in last.items():
        waits = entry.state == State.WAITING
        state, result = (entry.leader_state, entry.leader_result) if waits else (entry.state, entry.result)
        if state == State.ENDED and result in {Result.UPDATED, Result.UNCHANGED}:
            found[order] = entry.status_id
    return found


@settings(deadline=None)  # each case makes two journals on the disk
@given(ROWS, ROWS, OUTCOMES, CONFLICTS, CONFLICTS)
def test_a_row_is_kept_exactly_when_its_order_has_that_status_by_the_last_rows_of_both_sheets(
    old: list[tuple[str, str]], new: list[tuple[str, str]], outcomes: list[object], before: str, after: str
) -> None:
    """Whatever the two sheets say, and wherever the earlier run was broken off."""
    with tempfile.TemporaryDirectory() as place:
        first = earlier(Path(place) / "old", old, before, outcomes)
        done, last = truth(first), dict(new)
        with follow(Path(place) / "new", new, after, first) as journal:
            for entry in journal.entries():
                wanted = done.get(entry.order_id) == entry.status_id == last[entry.order_id]
                if entry.carried_from:
                    assert (entry.state, wanted) == (State.ENDED, True)
                elif entry.state == State.PLANNED:
                    assert not wanted, "it is done already, and would be sent again"
            kept = {entry.order_id for entry in journal.entries() if entry.carried_from}
            assert not kept & {update.order_id for update in journal.claim(99)}, "a kept order is not sent"
            assert not kept & {order for order, _, _ in journal.to_undo()}, "nor undone"
            journal.check()


def test_a_kept_row_is_shown_as_the_run_has_left_it_that_sent_it(folder: Path) -> None:
    """With its attempts, its time and the run's id; kept once more, it is still that run's."""
    first = earlier(folder / "old", [(A, S), (B, S)], "hold", [Result.UPDATED, None])
    with follow(folder / "new", [(B, S), (A, S)], "hold", first) as journal:
        entry = next(entry for entry in journal.entries() if entry.order_id == A)
        assert (entry.row, entry.result, entry.attempts, entry.sent_at) == (3, "updated", 1, 5.0)
        assert (entry.carried_from, journal.kept(), journal.attempts()) == (some_facts().run_id, 1, 0)
        assert journal.to_send_in_all() == 1
        assert rows_of(journal.to_verify(0, 9)) == [2, 3], "it is read back with the others"
    with follow(folder / "newer", [(A, S)], "hold", folder / "new" / NAME) as journal:
        assert [entry.carried_from for entry in journal.entries()] == [some_facts().run_id]


@pytest.mark.parametrize("rows", [[(A, S), (A, T)], [(A, T), (A, S)]])
def test_an_order_with_two_statuses_is_kept_only_by_its_last_row(folder: Path, rows: list[tuple[str, str]]) -> None:
    """By `first` the first row decides: that another one comes later has to be sent, or not, by the new sheet alone."""
    first = earlier(folder / "old", [(A, S)], "hold", [Result.UPDATED])
    with follow(folder / "new", rows, "last", first) as journal:
        assert journal.kept() == (rows[-1] == (A, S))


def test_a_draft_knows_the_orders_that_it_asks_for_something_else(folder: Path) -> None:
    """Only then it matters that an update of the earlier run may be applied late."""
    draft = Draft.create(folder / NAME)
    draft.add([StatusUpdate(2, A, S), StatusUpdate(3, B, T)])
    settled = draft.settle("hold")
    assert not settled.ask_otherwise([StatusUpdate(9, A, S), StatusUpdate(10, C, S)])
    assert settled.ask_otherwise([StatusUpdate(9, A, S), StatusUpdate(10, B, S)])
    settled.close()


@pytest.mark.parametrize(
    ("state", "result", "code", "attempts", "sent"),
    [
        ("planned", None, "", 0, False), ("ended", "invalid", "bad_order_id", 0, False),
        ("planned", "failed", "unauthorized", 1, False), ("claimed", None, "", 0, True),
        ("ended", "failed", "order_not_found", 1, True), ("ended", "unchanged", "already_set", 0, True),
        ("ended", "updated", "ok", 1, True),
    ],
)  # fmt: skip
def test_a_run_has_sent_something_unless_nobody_can_have_looked_at_it(
    folder: Path, state: str, result: str | None, code: str, attempts: int, sent: bool
) -> None:
    """A claimed row may have left; a refused token kept its update from being looked at."""
    with plan(folder, [(2, A, S)]) as journal:
        journal._db.execute(
            "UPDATE rows SET state = ?, result = ?, code = ?, attempts = ?, claim = ?2 IS NOT 'invalid'",
            [state, result, code, attempts],
        )
        assert journal.sent_anything() is sent


def test_repeated_numbers_of_the_first_sheet_count_for_none_of_their_rows(folder: Path) -> None:
    """Who copies a row in a result file copies its number: both have their own then."""
    draft = Draft.create(folder / NAME)
    rows = [StatusUpdate(2, A, S, root_row=7), StatusUpdate(3, B, S, root_row=7), StatusUpdate(4, C, S, root_row=9)]
    draft.add(rows)
    with draft.settle("hold").seal(some_facts()) as journal:
        assert [entry.root_row for entry in journal.entries()] == [None, None, 9]


def test_messages_name_rows_of_the_first_sheet(folder: Path) -> None:
    """A duplicate and a conflict name the other row as the first sheet does."""
    for number, on_conflict in enumerate(("hold", "first", "last")):
        (folder / str(number)).mkdir()
        draft = Draft.create(folder / str(number) / NAME)
        draft.add([StatusUpdate(2, A, S, root_row=7), StatusUpdate(3, A, S, root_row=8)])
        draft.add([StatusUpdate(4, B, S, root_row=9), StatusUpdate(5, B, T, root_row=10)])
        with draft.settle(on_conflict).seal(some_facts()) as journal:
            said = " ".join(entry.detail for entry in journal.entries())
        assert "same order and status as row 7" in said
        assert ("chose row" in said) == (on_conflict != "hold")
        assert on_conflict == "hold" or f"chose row {9 if on_conflict == 'first' else 10}" in said


@pytest.mark.parametrize(("root", "said"), [(None, "row 9 of"), (2, "row 9 of"), (7, "row 9 here of")])
def test_a_row_that_is_held_back_says_which_numbering_it_means(folder: Path, root: int | None, said: str) -> None:
    """The later row is not in the plan, so that only its number in this file is known."""
    draft = Draft.create(folder / NAME)
    draft.add([StatusUpdate(2, A, S, root_row=root)])
    with draft.settle("hold", {A: 9}).seal(some_facts()) as journal:
        ((_row, _root, result, detail),) = journal.problems(9)
    assert (result, detail.startswith(said)) == ("conflict", True)

"""What a journal answers: to claims, to undo and verify, to the report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.journals import NAME, A, B, C, S, T, U, ended, plan, rows_of

from batch_updater.common.models import (
    Checkpoint,
    ListedOrder,
    ReadBack,
    RejectedRow,
    Result,
    RowOutcome,
    State,
    StatusUpdate,
)
from batch_updater.journal.journal import Journal

TWO_STEPS = [(2, A, S), (3, B, S), (4, C, S), (5, A, T), (6, B, T), (7, C, T)]


@pytest.mark.parametrize(
    ("on_conflict", "updates", "rows"),
    [
        ("hold", [(2, A, S), (3, A, T), (4, B, S)], [4]),
        ("first", [(2, A, S), (3, A, T)], [2]),
        ("last", [(2, A, S), (3, A, T)], [3]),
        ("last", [(2, A, S), (3, A, T), (4, A, T)], [3]),
        ("hold", [(2, A, S), (3, B, T), (4, A, S)], [2, 3]),
        ("sequence", [(2, A, S), (3, A, T), (4, A, T), (5, B, S)], [3, 5]),
    ],
)
def test_the_last_usable_row_of_an_order_says_what_it_should_have(
    folder: Path, on_conflict: str, updates: list[tuple[int, str, str]], rows: list[int]
) -> None:
    """Held, overruled, repeated and rejected rows are not verified, before and after the others have ended."""
    with plan(folder, updates, on_conflict, [RejectedRow(9, "bad_order_id", "no")]) as journal:
        assert rows_of(journal.to_verify(0, 9)) == rows
        while block := journal.claim(9):
            journal.record(ended(update.row) for update in block)
        assert rows_of(journal.to_verify(0, 9)) == rows


def test_what_verify_has_read_is_kept_in_order_until_it_is_read_anew(folder: Path) -> None:
    """Each reading stands beside its order and the status it should have; a second replaces it, clearing forgets."""
    first, second = ReadBack(2, "=", S, ""), ReadBack(3, "!", "", "forbidden")
    with plan(folder, [(2, A, S), (3, B, T)]) as journal:
        journal.record_readings([second, ReadBack(2, "*", U, "moved")])
        journal.record_readings([first])
        assert list(journal.readings()) == [(first, A, S), (second, B, T)]
        journal.clear_readings()
        assert list(journal.readings()) == []


def test_only_what_was_changed_is_undone(folder: Path) -> None:
    """Updated, unknown and unsettled orders, by their first row, with the status before where it is known."""
    results = [Result.UNKNOWN, Result.UPDATED, Result.FAILED, Result.UNCHANGED]
    orders = [f"{n:08}-0000-0000-0000-000000000000" for n in range(9)]
    with plan(folder, [(row, orders[10 - row], S) for row in range(2, 9)]) as journal:
        journal.claim(6)
        journal.record([ended(row, result) for row, result in enumerate(results, 2)])
        journal.record([ended(3, previous_status_id=U)])
        journal.record([RowOutcome(6, State.CLAIMED, Result.UNKNOWN, "timeout", "")])
        assert list(journal.to_undo()) == [
            (orders[8], "", S),
            (orders[7], U, S),
            (orders[4], "", S),
            (orders[3], "", S),
        ]
        journal.update_facts(compare=True)  # then what was not read was certainly not sent
        journal.checkpoint([Checkpoint(7, previous_status_id=T)])
        assert [order for order, _previous, _last in journal.to_undo()] == [orders[8], orders[7], orders[3]]


def test_a_sequence_is_undone_from_its_last_status_to_the_one_before_its_first(folder: Path) -> None:
    """The status before the first changed row, and the one that the last changed row has set."""
    with plan(folder, [(2, B, S), (3, A, S), (4, A, T), (5, A, U), (6, A, S), (7, B, T)], "sequence") as journal:
        for row, result in ((3, Result.FAILED), (4, Result.UPDATED), (5, Result.UPDATED), (6, Result.FAILED)):
            journal.claim(9)
            journal.record([ended(row, result, previous_status_id=str(row))])
        journal.record([ended(2, previous_status_id="2")])
        assert list(journal.to_undo()) == [(B, "2", S), (A, "4", U)]


def test_a_sequence_that_ends_unknown_is_undone_from_either_status(folder: Path) -> None:
    """The order may have the last status that was confirmed, or one of those after it."""
    with plan(folder, [(2, A, U), (3, A, S), (4, A, T), (5, B, S)], "sequence") as journal:
        for row, result in ((2, Result.UPDATED), (3, Result.UPDATED), (4, Result.UNKNOWN), (5, Result.UNKNOWN)):
            journal.claim(9)
            journal.record([ended(row, result, previous_status_id=str(row))])
        assert list(journal.to_undo()) == [(A, "2", f"{S} {T}"), (B, "5", S)]


@pytest.mark.parametrize(
    ("before", "last", "found"),
    [
        (ended(2), ended(4), []),
        (ended(2, Result.UNCHANGED, "already_set", attempts=0), ended(4), []),
        (ended(2, Result.UNKNOWN, "timeout"), ended(4), [4]),
        (ended(2, attempts=2), ended(4), [4]),
        (ended(2, remark="in doubt"), ended(4), [4]),
        (ended(2, Result.UPDATED, "confirmed_by_reading"), ended(4, Result.UNCHANGED, "already_set"), [4]),
        (ended(2, Result.UNKNOWN, "timeout"), ended(4, Result.FAILED, "not_found"), []),
        (ended(2, Result.UNKNOWN, "timeout"), ended(4, Result.UNKNOWN, "timeout"), []),
        (ended(2, Result.UNKNOWN, "timeout"), None, []),
        (ended(2), ended(4, attempts=2), []),
    ],
)
def test_a_lost_answer_may_undo_the_last_row_of_a_sequence(
    folder: Path, before: RowOutcome, last: RowOutcome | None, found: list[int]
) -> None:
    """Unless every row before is certain to have been sent once, the last one is looked at again."""
    with plan(folder, [(1, B, S), (2, A, S), (3, A, S), (4, A, T), (5, A, U)], "sequence") as journal:
        journal.claim(9)
        journal.record([before, ended(1, attempts=3)])
        journal.claim(9)
        journal.record([last] if last else [])
        assert rows_of(journal.possibly_overwritten(0, 9)) == found
        journal.claim(9)
        assert rows_of(journal.possibly_overwritten(0, 9)) == found, "whatever is under way behind it"


def test_a_late_answer_is_looked_for_behind_the_last_row_that_has_ended(folder: Path) -> None:
    """Of three rows in turn it is the second while the third is open, then the third."""
    with plan(folder, [(2, A, S), (3, A, T), (4, A, U)], "sequence") as journal:
        for row, found in ((2, []), (3, [3]), (4, [4])):
            journal.claim(9)
            journal.record([ended(row, attempts=2)])
            assert rows_of(journal.possibly_overwritten(0, 9)) == found


def all_lost(journal: Journal) -> None:
    journal.claim(9)
    journal.record([ended(row, Result.UNKNOWN, "timeout") for row in (2, 3, 4)])


def two_steps_done(journal: Journal) -> None:
    all_lost(journal)
    journal.record([ended(update.row) for update in journal.claim(9)])


@pytest.mark.parametrize(
    ("method", "before", "found"),
    [
        (Journal.in_doubt, lambda journal: journal.claim(9), TWO_STEPS[:3]),
        (Journal.possibly_overwritten, two_steps_done, TWO_STEPS[3:]),
        (Journal.to_verify, lambda journal: None, TWO_STEPS[3:]),
    ],
)
def test_rows_are_given_page_by_page(
    folder: Path, method: Callable[..., list[StatusUpdate]], before: Callable[[Journal], object], found: list[Any]
) -> None:
    """At most so many rows from beyond the one given, whole, in order; others are not among them."""
    with plan(folder, [(*update, False, U) for update in TWO_STEPS], "sequence") as journal:
        before(journal)
        pages = [method(journal, after, 2) for after in (0, found[1][0], found[2][0])]
    assert pages == [
        [StatusUpdate(*update, expected_id=U) for update in rows] for rows in (found[:2], found[2:], [])
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("end", "doubt"),
    [
        (RowOutcome(2, State.ENDED, Result.UNKNOWN, "timeout", ""), []),
        (RowOutcome(2, State.ENDED, Result.FAILED, "not_found", ""), []),
        (RowOutcome(2, State.CLAIMED, Result.UNKNOWN, "timeout", ""), [2]),
        (RowOutcome(2, State.PLANNED, Result.NOT_SENT, "stopped", ""), []),
    ],
)
def test_a_claimed_row_is_in_doubt_whatever_was_said_of_it(folder: Path, end: RowOutcome, doubt: list[int]) -> None:
    """One that has ended is not, nor is one that is planned again."""
    with plan(folder, [(2, A, S), (3, B, S)]) as journal:
        journal.claim(1)
        journal.record([end])
        assert rows_of(journal.in_doubt(0, 9)) == doubt


def test_planned_rows_are_found_by_the_very_status_that_their_order_has(folder: Path) -> None:
    """Neither rows that want another status, nor those that are claimed or ended."""
    orders = [ListedOrder(A, "a", S), ListedOrder(B, "b", U), ListedOrder(C, "c", T)]
    with plan(folder, [(2, C, T), (3, A, S), (4, B, S)]) as journal:
        assert journal.planned_for(orders) == [StatusUpdate(3, A, S), StatusUpdate(2, C, T)]
        journal.claim(1)
        assert journal.planned_for(orders) == [StatusUpdate(3, A, S)]
        journal.claim(1)
        journal.record([ended(3)])
        assert journal.planned_for(orders) == []


@pytest.mark.parametrize(
    ("updates", "sequenced"), [([(2, A, S), (3, A, T)], True), ([(2, A, S), (3, B, T)], False), ([], False)]
)
def test_only_a_sequence_has_open_rows(folder: Path, updates: list[tuple[int, str, str]], sequenced: bool) -> None:
    """Open are rows behind another one of their order, and released ones until they are claimed."""
    with plan(folder, updates, "sequence") as journal:
        assert (journal.sequenced, journal.has_open()) == (sequenced, sequenced)
    with Journal.open(folder / NAME) as journal:
        assert (journal.sequenced, journal.has_open()) == (sequenced, sequenced)
        journal.claim(1)
        assert journal.has_open() is sequenced
        journal.record([ended(2)])
        assert journal.has_open() is sequenced
        journal.claim(9)
        assert not journal.has_open()


def test_rows_are_counted_by_state_result_code_and_status(folder: Path) -> None:
    """The most frequent value first, then by value; only rows that have one, and only those asked for."""
    with plan(folder, [(2, A, S), (3, B, T), (4, C, S)], "hold", [RejectedRow(5, "bad_order_id", "no")]) as journal:
        journal.claim(2)
        journal.record([ended(2, http_status=200, attempts=2), ended(3, http_status=404, attempts=3)])
        assert list(journal.states().items()) == [("ended", 3), ("planned", 1)]
        assert list(journal.codes().items()) == [("ok", 2), ("bad_order_id", 1)]
        assert list(journal.results().items()) == [("updated", 2), ("invalid", 1)]
        assert journal.updates_per_status() == {S: 1}
        assert journal.attempts() == 5


def test_nothing_was_attempted_in_an_empty_plan(folder: Path) -> None:
    """No rows: no attempts, no counts, nothing to send."""
    with plan(folder, []) as journal:
        assert (journal.attempts(), journal.states(), journal.claim(1)) == (0, {}, [])


def test_rows_that_will_not_be_sent_are_named_first_come_first(folder: Path) -> None:
    """Rejected and held rows with their reasons, at most so many; the first one of a code, if there is one."""
    rejected = [RejectedRow(7, "bad_order_id", "worse"), RejectedRow(4, "bad_order_id", "bad")]
    with plan(folder, [(2, A, S), (3, A, T), (5, B, S)], "hold", rejected) as journal:
        assert [(row, result) for row, _, result, _ in journal.problems(3)] == [
            (2, "conflict"), (3, "conflict"), (4, "invalid"),
        ]  # fmt: skip
        assert journal.problems(9)[3] == (7, None, "invalid", "worse")
        assert journal.first("bad_order_id") == (4, None, "bad")
        assert journal.first("unknown_status") is None


def test_every_row_is_given_with_what_its_leader_says(folder: Path) -> None:
    """In order, each with all its columns and the result and state of the row that speaks for it."""
    rejected = [RejectedRow(3, "bad_order_id", "no")]
    with plan(folder, [(2, A, S), (4, A, S)], "hold", rejected) as journal:
        journal.claim(1)
        journal.record([ended(2)])
        found = [row._asdict() for row in journal.entries()]
    kept = [[e[n] for n in ("row", "state", "result", "leader_result", "leader_state")] for e in found]
    assert kept == [
        [2, "ended", "updated", None, None],
        [3, "ended", "invalid", None, None],
        [4, "waiting", None, "updated", "ended"],
    ]


@pytest.mark.parametrize(
    ("took", "tenth", "shown"),
    [
        (None, 1000, 0), (0, 1000, 0), (99, 1000, 99), (100, 1001, 100), (109, 1001, 100), (999, 1009, 990),
        (1000, 1010, 1000), (1099, 1010, 1000), (9999, 1099, 9900), (10_000, 1100, 10_000), (12_345, 1123, 12_000),
    ],
)  # fmt: skip
def test_when_a_row_ended_is_told_by_tenths_of_a_second(folder: Path, took: int | None, tenth: int, shown: int) -> None:
    """The first send and what it took, cut to two digits."""
    with plan(folder, [(2, A, S)]) as journal:
        journal.record([ended(2, sent_at=100.0, duration_ms=took)])
        assert list(journal.ends()) == [(tenth, True, shown, 1)]


def test_rows_that_ended_alike_are_counted_together(folder: Path) -> None:
    """In the order of time, done ones apart from others; rows that have not ended or were never sent are left out."""
    with plan(folder, [(row, f"{row:08}-0000-0000-0000-000000000000", S) for row in range(2, 9)]) as journal:
        journal.record([ended(row, sent_at=100.0, duration_ms=100) for row in (2, 3)])
        journal.record([ended(4, Result.FAILED, "not_found", sent_at=90.0, duration_ms=100)])
        journal.record([ended(5, Result.INVALID, "not_found")])
        journal.record([RowOutcome(6, State.PLANNED, Result.NOT_SENT, "stopped", "", 503, 1, 100.0, 100)])
        found = list(journal.ends())
    assert found == [(901, False, 100, 1), (1001, True, 100, 2)]
    assert [type(value) for value in found[0]] == [int, bool, int, int]

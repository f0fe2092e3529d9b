"""What the journal costs, in steps of SQLite's machine: they are the same on every computer.

Four times the rows may cost four times the steps, whether each is an order of its own or all are of one order.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from support.journals import A, S, T, ended, plan, some_facts

from batch_updater.common.models import Result, RowOutcome, State, StatusUpdate
from batch_updater.journal.draft import Draft
from batch_updater.journal.journal import Journal, JournalWriter
from batch_updater.journal.lifecycle import what_is_left

FEW, MANY = 200, 800
LINEAR = MANY / FEW * 1.2


@contextmanager
def counted(journal: JournalWriter) -> Iterator[list[int]]:
    """A list that holds the steps of what was done meanwhile, in tens."""
    steps, found = count(), list[int]()
    journal._db.set_progress_handler(lambda: next(steps) < 0, 10)
    yield found
    journal._db.set_progress_handler(None, 0)
    found.append(next(steps))


def alternating(rows: int) -> list[tuple[int, str, str]]:
    """Rows of one order, each with another status than the one before."""
    return [(row, A, (S, T)[row % 2]) for row in range(1, rows + 1)]


def orders(rows: int) -> list[tuple[int, str, str]]:
    """Rows of an order each."""
    return [(row, f"{row:08}-0000-0000-0000-000000000000", S) for row in range(1, rows + 1)]


def half_sent(folder: Path, rows: int) -> Journal:
    """A sequence of one order, stopped half way; its first answer was lost."""
    journal = plan(folder, alternating(rows), "sequence")
    for row in range(1, rows // 2 + 1):
        journal.claim(500)
        journal.record([ended(row, attempts=2 if row == 1 else 1)])
    return journal


@pytest.mark.parametrize(
    ("on_conflict", "made"),
    [(word, made) for word in ("hold", "first", "last", "sequence") for made in (alternating, orders)],
)
def test_planning_is_linear(folder: Path, on_conflict: str, made: Callable[[int], list[tuple[int, str, str]]]) -> None:
    """Rows of one order and rows of as many orders, with a later row of each order done already or not."""
    costs = []
    for rows in (FEW, MANY):
        (place := folder / str(rows)).mkdir()
        with Draft.create(place / "j.sqlite") as draft:
            draft.add(StatusUpdate(*update) for update in made(rows))
            done = {order: rows // 2 for _row, order, _status in made(rows)[: rows // 2]}
            with counted(draft) as steps:
                draft.settle(on_conflict, done)
            costs += steps
    assert costs[1] < costs[0] * LINEAR


@pytest.mark.parametrize("made", [alternating, orders])
def test_a_row_costs_the_same_at_any_place(folder: Path, made: Callable[[int], list[tuple[int, str, str]]]) -> None:
    """Claimed, ended, asked what follows: however many rows stand before and behind it, of its order or others."""
    costs = []
    with plan(folder, made(MANY), "sequence") as journal:
        for row in range(1, MANY + 1):
            with counted(journal) as steps:
                journal.claim(1)
                journal.record([ended(row)])
                journal.has_open()
            costs += steps
    assert max(costs) <= min(costs) + 10


def test_a_row_that_was_given_back_is_found_at_once(folder: Path) -> None:
    """At the very end of the sheet, whether it was not sent or its claim was taken back."""
    costs = []
    with plan(folder, orders(MANY)) as journal:
        for ended_before in (0, MANY - 1):
            journal.claim(ended_before)
            journal.record([ended(row) for row in range(1, ended_before + 1)])
            row = ended_before + 1
            with counted(journal) as steps:
                journal.claim(1)
                journal.record([RowOutcome(row, State.PLANNED, Result.NOT_SENT, "stopped", "")])
                journal.claim(1)
                journal.unclaim([row])
                journal.claim(1)
            costs += steps
    assert costs[1] <= costs[0] + 10


def paged(method: Callable[[Journal, int, int], list[StatusUpdate]]) -> Callable[[Journal], object]:
    """All pages of a method, from the first to the empty one."""

    def read(journal: Journal) -> None:
        after = 0
        while page := method(journal, after, 50):
            after = page[-1].row

    return read


@pytest.mark.parametrize(
    "read",
    [
        lambda journal: what_is_left(journal, some_facts()),
        lambda journal: list(journal.entries()),
        lambda journal: list(journal.to_undo()),
        paged(Journal.in_doubt),
        paged(Journal.possibly_overwritten),
        paged(Journal.to_verify),
    ],
    ids=["left", "entries", "undo", "in doubt", "possibly overwritten", "verify"],
)
def test_reading_a_long_sequence_is_linear(folder: Path, read: Callable[[Journal], object]) -> None:
    """One order, half of its rows ended and half of them open."""
    costs = []
    for rows in (FEW, MANY):
        (place := folder / str(rows)).mkdir()
        with half_sent(place, rows) as journal, counted(journal) as steps:
            read(journal)
        costs += steps
    assert costs[1] < costs[0] * LINEAR

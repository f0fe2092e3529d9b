"""What the result file says of a row, by where it stands in the journal."""

from pathlib import Path

import pytest
from support.journals import A, B, C, S, T, ended, plan
from support.program import write_sheet

from batch_updater.common.models import RejectedRow, Result, ResultRow, RowOutcome, State
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.source import open_source
from batch_updater.journal.journal import Journal
from batch_updater.reports.rows import ResultRows

LOST = RowOutcome(2, State.CLAIMED, Result.UNKNOWN, "timeout", "no answer in time", None, 1, 1.5, 7)
REFUSED = RowOutcome(2, State.PLANNED, Result.FAILED, "rate_limited", "slower", 429, 3, 1.5, 7)
UNSENT = RowOutcome(2, State.PLANNED, Result.NOT_SENT, "stopped", "the run stopped before this row")


def result_rows(folder: Path, journal: Journal) -> list[ResultRow]:
    sheet = write_sheet(folder / "o.csv", [(A, S), (B, T)])
    return list(ResultRows(open_source(sheet, ReadOptions()), journal, "run"))


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (None, (Result.UNKNOWN, "stopped", None)),
        (LOST, (Result.UNKNOWN, "stopped", 1)),
        (REFUSED, (Result.FAILED, "rate_limited", 3)),
        (UNSENT, (Result.NOT_SENT, "stopped", 0)),
    ],
)
def test_only_a_row_of_which_nothing_left_is_not_sent(
    folder: Path, outcome: RowOutcome | None, said: tuple[object, ...]
) -> None:
    """A claimed row is unknown, one that was refused has failed; how often a killed start sent it is not made up."""
    with plan(folder, [(2, A, S), (3, B, T)]) as journal:
        journal.claim(1)
        journal.record([outcome] if outcome else [])
        first, second = result_rows(folder, journal)
    assert (first.result, first.code, first.attempts) == said
    assert (second.result, second.code, second.attempts) == (Result.NOT_SENT, "stopped", 0)
    assert "the run" in first.detail


def test_a_row_that_a_killed_start_may_have_sent_has_no_number_of_updates_ever_after(folder: Path) -> None:
    """Read back or sent again and confirmed: how often it left is not known, and its detail says why."""
    with plan(folder, [(2, A, S), (3, B, T)]) as journal:
        journal.claim(1)
        journal.mark_interrupted()
        journal.record([RowOutcome(2, State.ENDED, Result.UPDATED, "ok", "yes", 200, 1, 1.5, 7)])
        first, second = result_rows(folder, journal)
    assert (first.attempts, second.attempts) == (None, 0)
    assert first.detail == "yes; how often it was sent is not known, for a start was broken off"


def test_rows_that_could_not_be_streamed_are_counted_all_the_same(tmp_path: Path) -> None:
    """Counts, reasons and rows not done are those of the whole stream, whatever had been streamed before it broke."""
    sheet = tmp_path / "input.csv"
    sheet.write_text("order_id,status_id\n" + "x,y\n" * 7, encoding="utf-8")
    updates = [(2, A, S), (3, A, S), (4, B, S), (5, B, T), (6, C, S), (7, C, T)]
    with plan(tmp_path, updates, "sequence", [RejectedRow(8, "bad_order_id", "no id")]) as journal:
        journal.claim(2)
        journal.record([ended(2, Result.FAILED, "order_not_found")])
        rows = ResultRows(open_source(sheet, ReadOptions()), journal, "run")
        assert len(list(rows)) == 7
        whole = (rows.results, rows.codes, rows.reasons.top(), rows.not_done)
        next(iter(rows))
        assert rows.results.total() == 1
        rows.count_all()
        assert (rows.results, rows.codes, rows.reasons.top(), rows.not_done) == whole
        assert rows.results == {"failed": 1, "duplicate": 1, "unknown": 1, "not_sent": 3, "invalid": 1}

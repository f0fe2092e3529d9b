from pathlib import Path

from support.journals import A, B, C, S, T, ended, plan

from batch_updater.common.models import RejectedRow, Result
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.source import open_source
from batch_updater.reports.rows import ResultRows


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

import csv
import json
from pathlib import Path

import pytest
from openpyxl import load_workbook
from support.journals import result_row

from batch_updater.common.errors import SettingsError
from batch_updater.common.models import RESULT_COLUMNS, ResultRow
from batch_updater.inputs.pandas_io import SUMMARY_SHEET, read_results
from batch_updater.reports.results import write_results

HEADER = ("Order", "note")


def row(number: int, note: str = "x", detail: str = "") -> ResultRow:
    sent_at = "2026-11-23T10:00:00.000Z"
    return result_row(number, cells=(f"o{number}", note), detail=detail, attempts=2, sent_at=sent_at, duration_ms=12)


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".jsonl"])
def test_every_form_holds_every_row_and_column_once(tmp_path: Path, suffix: str) -> None:
    """CSV, Excel and JSONL give the same table back."""
    path = tmp_path / f"r{suffix}"
    write_results(path, HEADER, (row(n) for n in range(2, 50)))
    frame = read_results(path)
    assert list(frame.columns) == [*HEADER, *RESULT_COLUMNS]
    assert [str(value) for value in frame["result_row"]] == [str(n) for n in range(2, 50)]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_a_csv_cell_is_never_a_formula(tmp_path: Path, text: str) -> None:
    """Cells of the sheet and of the API's detail are neutralised."""
    write_results(tmp_path / "r.csv", HEADER, [row(2, note=text, detail=text)])
    with (tmp_path / "r.csv").open(encoding="utf-8-sig", newline="") as stream:
        found = list(csv.reader(stream))[1]
    assert found[1] == found[5] == f"'{text}"


def test_an_excel_cell_is_text(tmp_path: Path) -> None:
    """A formula-like cell is stored as the text it is, long and odd characters included."""
    write_results(
        tmp_path / "r.xlsx", HEADER, [row(2, note="=1+1"), row(3, note="a\x00b\x1b"), row(4, note="y" * 40_000)]
    )
    notes = read_results(tmp_path / "r.xlsx")["note"].tolist()
    assert notes[0] == "=1+1"
    assert len(notes[2]) == 32_767


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".jsonl"])
def test_half_a_character_is_written_as_its_escape(tmp_path: Path, suffix: str) -> None:
    """As header and as cell, in words that every reader takes; the other rows are as they were."""
    path = tmp_path / f"r{suffix}"
    write_results(path, ("Order", "a\ud800"), [row(2, note="\udfff z"), row(3, note="\\n")])
    frame = read_results(path)
    assert (frame.columns[1], frame.iloc[:, 1].tolist()) == ("a\\ud800", ["\\udfff z", "\\n"])


def test_jsonl_keeps_columns_of_one_name(tmp_path: Path) -> None:
    """Each gets a key of its own; other columns keep theirs."""
    header = ("a", "a", "", "", "a (2)", "a")
    rows = [row(2)._replace(cells=("1", "2", "3", "4", "5", "6"))]
    write_results(tmp_path / "r.jsonl", header, rows)
    found = json.loads((tmp_path / "r.jsonl").read_text())
    assert list(found.items())[:6] == [
        ("a", "1"),
        ("a (2)", "2"),
        ("", "3"),
        (" (2)", "4"),
        ("a (2) (2)", "5"),
        ("a (3)", "6"),
    ]


def test_more_rows_than_a_sheet_holds_go_on_in_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sheet has the header; the rows follow each other, and are read back as one table."""
    monkeypatch.setattr("batch_updater.reports.workbook.EXCEL_ROWS", 10)
    write_results(tmp_path / "r.xlsx", HEADER, (row(n) for n in range(2, 27)))
    book = load_workbook(tmp_path / "r.xlsx")
    assert book.sheetnames == ["results", "results 2", "results 3", SUMMARY_SHEET]
    assert [book[name]["A1"].value for name in book.sheetnames[:3]] == ["Order"] * 3
    assert [book[name].max_row for name in book.sheetnames[:3]] == [11, 11, 6]
    assert list(read_results(tmp_path / "r.xlsx")["result_row"]) == [str(n) for n in range(2, 27)]


def test_an_excel_result_looks_like_its_sheet(tmp_path: Path) -> None:
    """Widths and hidden columns are those of the sheet; texts are text cells; the result has its colour."""
    rows = [row(2, note="007"), row(3, note="=1+1")]
    write_results(tmp_path / "r.xlsx", HEADER, rows, widths=(50, 0), notes=["3 hidden rows"])
    book = load_workbook(tmp_path / "r.xlsx")
    sheet = book["results"]
    assert sheet.column_dimensions["A"].width == pytest.approx(50.7, abs=0.1)
    assert sheet.column_dimensions["B"].hidden
    assert sheet.column_dimensions["F"].width > 55, "a sentence"
    assert (sheet["B2"].value, sheet["B2"].data_type, sheet["B2"].number_format) == ("007", "s", "@")
    assert (sheet["B3"].value, sheet["B3"].data_type, sheet["B3"].quotePrefix) == ("=1+1", "s", True)
    assert sheet["C2"].fill.fgColor.rgb == "FFFFC7CE"
    summary = [line for line in book[SUMMARY_SHEET].iter_rows(values_only=True) if line[0]]
    assert summary == [("rows", 2), ("result", None), ("failed", 2), ("code", None), ("order_not_found", 2),
                       ("3 hidden rows", None)]  # fmt: skip


def test_jsonl_keeps_types(tmp_path: Path) -> None:
    """Numbers are numbers and missing is null."""
    write_results(tmp_path / "r.jsonl", HEADER, [row(2)])
    found = json.loads((tmp_path / "r.jsonl").read_text())
    assert (found["result_http_status"], found["result"]) == (400, "failed")


def test_a_failure_leaves_the_earlier_file(tmp_path: Path) -> None:
    """When the rows end in an error, the file that was there is still whole."""
    path = tmp_path / "r.csv"
    path.write_text("before")

    def broken() -> object:
        yield row(2)
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        write_results(path, HEADER, broken())  # type: ignore[arg-type]
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    """Only the three endings are written."""
    with pytest.raises(SettingsError):
        write_results(tmp_path / "r.pdf", HEADER, [])

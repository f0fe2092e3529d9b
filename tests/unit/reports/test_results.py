import csv
import datetime
import json
from pathlib import Path

import pytest
from openpyxl import load_workbook
from support.journals import result_row

from batch_updater.common.errors import SettingsError
from batch_updater.common.models import RESULT_COLUMNS, ResultRow
from batch_updater.inputs.pandas_io import read_results
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
    monkeypatch.setattr("batch_updater.reports.workbook.plain.EXCEL_ROWS", 10)
    write_results(tmp_path / "r.xlsx", HEADER, (row(n) for n in range(2, 27)))
    book = load_workbook(tmp_path / "r.xlsx")
    assert book.sheetnames == ["results", "results 2", "results 3"]
    assert [book[name]["A1"].value for name in book.sheetnames[:3]] == ["Order"] * 3
    assert [book[name].max_row for name in book.sheetnames[:3]] == [11, 11, 6]
    assert list(read_results(tmp_path / "r.xlsx")["result_row"]) == [str(n) for n in range(2, 27)]


def test_a_new_workbook_has_typed_cells(tmp_path: Path) -> None:
    """Texts stay texts, numbers, dates and truth are cells of their own kind; the result has its colour."""
    cells = ("007", 12.5, datetime.datetime(2026, 11, 23), True, datetime.timedelta(hours=30), None)
    write_results(tmp_path / "r.xlsx", tuple("abcdef"), [row(2)._replace(cells=cells)])
    sheet = load_workbook(tmp_path / "r.xlsx")["results"]
    found = [cell.value for cell in sheet[2][:6]]
    assert found == ["007", 12.5, datetime.datetime(2026, 11, 23), True, datetime.timedelta(hours=30), None]
    assert (sheet["A2"].number_format, sheet["C2"].number_format) == ("@", "yyyy-mm-dd")
    assert sheet["G2"].fill.fgColor.rgb == "FFFFC7CE"


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

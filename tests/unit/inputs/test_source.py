from pathlib import Path

import pandas as pd
import pytest
import xlsxwriter

from batch_updater.common.errors import InputError
from batch_updater.inputs.pandas_io import dataframe_to_csv
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.source import Source, open_source

SAMPLES = Path(__file__).parents[3] / "samples"


def read(path: Path, **options: object) -> tuple[Source, list[tuple[int, tuple[str, ...]]]]:
    source = open_source(path, ReadOptions(**options))  # type: ignore[arg-type]
    return source, [(row.number, row.cells) for row in source.rows()]


def csv_file(path: Path, content: str | bytes) -> Path:
    file = path / "sheet.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def excel_file(path: Path, **sheets: list[list[object]]) -> Path:
    book = xlsxwriter.Workbook(str(path / "sheet.xlsx"))
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        if name.startswith("hidden"):
            sheet.hide()
        for number, row in enumerate(rows):
            for place, cell in enumerate(row):
                sheet.write(number, place, cell)
    book.close()
    return path / "sheet.xlsx"


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_delimiters_and_line_endings_are_found(tmp_path: Path, mark: str, ending: str) -> None:
    """Every common delimiter and line ending gives the same rows."""
    lines = [mark.join(cells) for cells in (("order_id", "status"), ("a", "1"), ("b", "2"))]
    source, rows = read(csv_file(tmp_path, ending.join(lines) + ending))
    assert source.header == ("order_id", "status")
    assert rows == [(2, ("a", "1")), (3, ("b", "2"))]


@pytest.mark.parametrize("text", ["NA", "null", "None", "nan", "00123", "1E5", "123.0", " x ", "TRUE", "=1+1"])
def test_cells_stay_the_text_they_are(tmp_path: Path, text: str) -> None:
    """No cell is taken for a missing value or a number."""
    _, rows = read(csv_file(tmp_path, f"a,b\n{text},x\n"))
    assert rows == [(2, (text, "x"))]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_marked_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    """UTF-8 with and without BOM and UTF-16 with BOM are understood."""
    source, rows = read(csv_file(tmp_path, "sipariş,b\nyaş,x\n".encode(encoding)))
    assert (source.header, rows) == (("sipariş", "b"), [(2, ("yaş", "x"))])


def test_another_encoding_needs_the_option(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused with the option, and read with it."""
    file = csv_file(tmp_path, "a,b\nİstanbul,x\n".encode("cp1254"))
    with pytest.raises(InputError, match="--encoding"):
        read(file)
    assert read(file, encoding="cp1254")[1] == [(2, ("İstanbul", "x"))]


def test_blank_lines_count_but_are_no_rows(tmp_path: Path) -> None:
    """Row numbers are those of a spreadsheet."""
    _, rows = read(csv_file(tmp_path, "a,b\n1,2\n\n,\n3,4\n"))
    assert [number for number, _ in rows] == [2, 5]


def test_a_line_break_in_quotes_is_one_row(tmp_path: Path) -> None:
    """A quoted line break does not shift the row numbers."""
    _, rows = read(csv_file(tmp_path, 'a,b\n"x\ny",1\nz,2\n'))
    assert rows == [(2, ("x\ny", "1")), (3, ("z", "2"))]


def test_short_rows_are_filled(tmp_path: Path) -> None:
    """Missing cells at the end are empty."""
    assert read(csv_file(tmp_path, "a,b,c\n1\n"))[1] == [(2, ("1", "", ""))]


@pytest.mark.parametrize("line", [1, 3, 25_000])
def test_a_row_longer_than_the_header_is_refused(tmp_path: Path, line: int) -> None:
    """Surplus cells raise wherever they stand, instead of shifting columns."""
    lines = ["a,b", *["1,2"] * 30_000]
    lines[line] = "1,2,3"
    with pytest.raises(InputError, match="more cells"):
        read(csv_file(tmp_path, "\n".join(lines)))


def test_an_open_quote_is_refused(tmp_path: Path) -> None:
    """A quotation mark that is never closed raises."""
    with pytest.raises(InputError, match="row 3 is never closed"):
        read(csv_file(tmp_path, 'a,b\n1,2\n"3,4\n5,6\n'))


def test_an_earlier_runs_columns_are_dropped_and_can_choose_rows(tmp_path: Path) -> None:
    """A result file is an input; --only takes the rows with these results."""
    file = csv_file(tmp_path, "a,b,result,result_code\n1,2,updated,ok\n3,4,failed,x\n5,6,unknown,x\n")
    assert read(file)[0].header == ("a", "b")
    assert [cells for _, cells in read(file, only=("failed", "unknown"))[1]] == [("3", "4"), ("5", "6")]


def test_a_result_file_gives_back_what_was_made_harmless(tmp_path: Path) -> None:
    """Apostrophes that keep a spreadsheet from calculating a cell are taken off again, in result files only."""
    header = "a,'-b,result,result_row,result_run_id\n"
    source, rows = read(csv_file(tmp_path, header + "'=1+1,'x,failed,2,r\n"))
    assert (source.header, rows) == (("a", "-b"), [(2, ("=1+1", "'x"))])
    assert read(csv_file(tmp_path, "a,b\n'=1+1,2\n"))[1] == [(2, ("'=1+1", "2"))]


def test_only_without_a_result_column_is_refused(tmp_path: Path) -> None:
    """--only on an ordinary sheet says what it needs."""
    with pytest.raises(InputError, match="--only"):
        read(csv_file(tmp_path, "a,b\n1,2\n"), only=("failed",))


def test_excel_cells_are_shown_as_text(tmp_path: Path) -> None:
    """Whole numbers have no point, booleans are upper case, empty cells are empty."""
    file = excel_file(tmp_path, One=[["a", "b", "c", "d"], [1, 2.5, True, ""], ["x", 1e-7, False, "y"]])
    source, rows = read(file)
    assert source.description == "Excel sheet 'One'"
    assert rows == [(2, ("1", "2.5", "TRUE", "")), (3, ("x", "1e-07", "FALSE", "y"))]


def test_a_blank_first_column_and_row_keep_their_place(tmp_path: Path) -> None:
    """Row numbers in Excel count from the top of the sheet even with gaps in the middle."""
    file = excel_file(tmp_path, One=[["a", "b"], ["1", "2"], [], ["3", "4"]])
    assert [number for number, _ in read(file)[1]] == [2, 4]


def test_several_visible_sheets_need_a_choice(tmp_path: Path) -> None:
    """The names are listed; a name or a number chooses; hidden sheets do not count."""
    rows: list[list[object]] = [["a"], ["1"]]
    file = excel_file(tmp_path, Jan=rows, Feb=[["a"], ["2"]], hidden=rows)
    with pytest.raises(InputError, match="'Jan', 'Feb'"):
        read(file)
    assert read(file, sheet="Feb")[1] == read(file, sheet="2")[1] == [(2, ("2",))]
    with pytest.raises(InputError, match="no sheet 'Mar'"):
        read(file, sheet="Mar")


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"\n\n\n", "there is nothing in it"),
        ("a.pdf", b"x", "ending"),
        ("a.xlsx", b"PK\x03\x04broken", "not a readable Excel"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "not a readable Excel"),
    ],
)
def test_an_unusable_file_is_refused_by_name(tmp_path: Path, name: str, content: bytes, word: str) -> None:
    """Each refusal names the file and has a hint."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=word) as caught:
        read(tmp_path / name)
    assert name in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("name", ["https://example.com/a.csv", "s3://bucket/a.csv", "gone.csv", "."])
def test_addresses_folders_and_missing_files_are_refused(name: str) -> None:
    """Nothing is fetched, and a folder is no sheet."""
    with pytest.raises(InputError):
        read(Path(name))


def test_a_dataframe_is_a_source(tmp_path: Path) -> None:
    """A frame's cells are read back as the text they were."""
    dataframe_to_csv(pd.DataFrame({"order_id": ["a", "007"], "n": [1, 2]}), tmp_path / "f.csv")
    assert read(tmp_path / "f.csv")[1] == [(2, ("a", "1")), (3, ("007", "2"))]


@pytest.mark.parametrize("name", ["orders.csv", "orders.xlsx"])
def test_the_samples_are_read(name: str) -> None:
    """Both sample sheets have twelve rows."""
    assert len(read(SAMPLES / name)[1]) == 12

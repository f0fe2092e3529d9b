"""What number formats make of cells, and which of them leave it open."""

import datetime
from pathlib import Path

import pytest
import xlsxwriter
from support.sheets import BOOK, DONE, HEAD, matches, outcome, read

from batch_updater.inputs.excel.cell_text import BUILT_IN, Cell, displayed_text, plain_text

DAY = datetime.datetime(2026, 11, 3, 8, 5, 9)
OPEN = None  # nobody can tell
MONTHS = datetime.timedelta(hours=30, minutes=5)

CASES: list[tuple[Cell, str, str | None]] = [
    # without a format
    (0.1 + 0.2, "General", "0.3"), (1 / 3, "General", "0.333333333333333"),
    (123.0, "General", "123"), (12.5, "", "12.5"), (7.0, "@", "7"), ("x", "General", "x"), (True, "0.00", "TRUE"),
    # digits
    (7.0, "0000", "0007"), (12345.0, "0000", "12345"), (7.5, "0", "8"), (7.4, "000", "007"), (-7.0, "000", "-007"),
    (0.0, "#", ""), (0.0, "0", "0"), (5.0, "0.00", "5.00"), (2.675, "0.00", "2.68"), (1.005, "0.00", "1.01"),
    (-2.5, "0", "-3"), (1234567.0, "#,##0", "1,234,567"), (999.0, "#,##0", "999"), (1234.5, "#,##0.00", "1,234.50"),
    (7.0, "0,000", "0,007"), (0.125, "0%", "13%"), (0.5, "0.0%", "50.0%"), (1e15, "0", OPEN), (7.0, "0,", OPEN),
    (0.5, "#.##", OPEN), (-0.001, "0.00", OPEN), (7.0, "??0", OPEN), (float("nan"), "0.00", OPEN), (0.5, "# ?/?", OPEN),
    (12345.0, "0.00E+00", "1.23E+04"), (0.00012, "0E+00", "1E-04"), (12345.0, "##0.0E+0", OPEN),
    # texts around and between
    (17.0, '"ORD-"0000', "ORD-0017"), (17.0, r"\O\R\D0000", "ORD0017"), (17.0, '0000"/26"', "0017/26"),
    (5551234567.0, "(000) 000-0000", "(555) 123-4567"), (12345.0, "000-000", "012-345"), (7.0, "0 0 0", "0 0 7"),
    (7.0, '"only this"', "only this"), (7.0, "0000x", OPEN), (-17.0, '"ORD-"0000', "-ORD-0017"),
    (17.0, '"No. "General', "No. 17"), (17.0, '"No. "@', "No. 17"), (0.1, '"No. "General', OPEN),
    # money
    (1234.5, "[$₺-41F]#,##0.00", "₺1,234.50"), (1234.5, "#,##0.00 [$€-407]", "1,234.50 €"), (5.0, "$0.00", "$5.00"),
    (5.0, '"TL "0', "TL 5"), (5.0, "_-* #,##0.00_-", OPEN), (5.0, "0_)", "5"), (5.0, "0_-0", OPEN),
    # sections
    (-5.0, "0;(0)", "(5)"), (5.0, "0;(0)", "5"), (0.0, '0;-0;"none"', "none"), (5.0, ";;;", ""), (5.0, "0;;", "5"),
    (-5.0, "0;[Red]-0", "-5"), (5.0, "[>100]0;0.00", OPEN), (5.0, "[DBNum1]0", OPEN), (5.0, "[Color 3]0", "5"),
    # dates and times
    (DAY, "dd.mm.yyyy", "03.11.2026"), (DAY, "d.m.yy", "3.11.26"),
    (DAY, "yyyy-mm-dd hh:mm:ss", "2026-11-03 08:05:09"),
    (DAY, "h:mm", "8:05"), (DAY, "mm:ss", "05:09"), (DAY, "hh:mm dd.mm", "08:05 03.11"),
    (DAY, r"dd\/mm\/yyyy", "03/11/2026"),
    (DAY, "dd.mm.yyyy;@", "03.11.2026"), (DAY, '"on "dd.mm.yyyy', "on 03.11.2026"),
    (DAY, "[$-41F]dd.mm.yyyy", "03.11.2026"),
    (DAY, "dd/mm/yyyy", OPEN), (DAY, "d mmm yyyy", OPEN), (DAY, "dddd", OPEN), (DAY, "h:mm AM/PM", OPEN),
    (DAY, "[$-F800]dddd, mmmm dd, yyyy", OPEN), (DAY, "mm:ss.0", OPEN), (DAY, "0.00", OPEN),
    (DAY, "yyyy/MM/dd", OPEN),
    (DAY.date(), "dd.mm.yyyy", "03.11.2026"), (datetime.time(8, 5), "hh:mm", "08:05"),
    (datetime.time(8), "dd.mm.yyyy", OPEN),
    (MONTHS, "[h]:mm", "30:05"), (MONTHS, "[mm]", "1805"), (MONTHS, "hh:mm", OPEN), (46000.0, "dd.mm.yyyy", OPEN),
    # texts
    ("17", '"ORD-"@', "ORD-17"), ("17", '0;0;0;"<"@">"', "<17>"), ("x", "0.00", "x"), ("x", ";;;", ""),
    ("x", "0;0", "x"),
    ("x", "@* ", OPEN), ("x", "dd.mm.yyyy;@", "x"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "code", "expected"), CASES)
def test_a_cell_is_shown_as_its_format_says_or_called_uncertain(value: Cell, code: str, expected: str | None) -> None:
    """What Excel shows in every country; for all else the plain value and a flaw that names the format."""
    seen, flaw = displayed_text(value, code)
    if expected is None:
        assert (seen, flaw and flaw.code) == (plain_text(value), "number_format")
        assert flaw
        assert repr(code)[1:-1].replace("\\\\", "\\") in flaw.detail
    else:
        assert (seen, flaw) == (expected, None)


@pytest.mark.parametrize("number", ["5", "8", "14", "15", "16", "17", "18", "19", "22", "37", "44", "47", "50"])
def test_formats_of_the_computers_language_are_uncertain(number: str) -> None:
    """Built-in formats that look otherwise in another country are never taken for certain."""
    value: Cell = DAY if 14 <= int(number) <= 22 or int(number) >= 45 else 5.0
    assert displayed_text(value, BUILT_IN[number])[1]


def made(folder: Path, cells: list[tuple[object, str]], column: int = 0) -> Path:
    """A workbook whose rows have this cell in one column and good texts in the others."""
    book = xlsxwriter.Workbook(str(folder / "sheet.xlsx"))
    sheet = book.add_worksheet("Orders")
    sheet.write_row(0, 0, [*HEAD, "note"])
    for number, (value, code) in enumerate(cells, 1):
        sheet.write_row(number, 0, ["1b4e28ba-2fa1-41d2-883f-000000000001", DONE, "x"])
        sheet.write(number, column, value, book.add_format({"num_format": code}))
    book.close()
    return folder / "sheet.xlsx"


def test_reference_numbers_in_the_order_column_are_read_as_they_are_seen(tmp_path: Path) -> None:
    """Numbers, dates and texts become what their formats show; an uncertain one keeps its value and is flawed."""
    cells: list[tuple[object, str]] = [
        (17, '"ORD-"0000'), ("17", '"ORD-"@'), (DAY, "yyyymmdd"), (46000, "m/d/yyyy"), (12.5, "# ?/?"), (7, "General"),
    ]  # fmt: skip
    rows = list(read(made(tmp_path, cells)).rows())
    assert [row.cells[0] for row in rows] == ["ORD-0017", "ORD-17", "20261103", "2025-12-09", "12.5", "7"]
    assert [bool(row.flaws) for row in rows] == [False, False, False, True, True, False]


@pytest.mark.parametrize(("column", "name"), [(0, "order id"), (1, "status")])
def test_an_uncertain_look_makes_the_row_invalid_where_it_matters(tmp_path: Path, column: int, name: str) -> None:
    """In a used column the row is invalid with a sentence; in another one it is nobody's business."""
    cells: list[tuple[object, str]] = [(46000, "m/d/yyyy"), (5, "_-* 0_-")]
    found = outcome(made(tmp_path, cells, column), BOOK)
    assert matches(found, [f"2 number_format: {name}: … 'm/d/yyyy' … not certain", f"3 number_format: {name}"]), found
    assert outcome(made(tmp_path, cells, 2), BOOK) == ["2 ok", "3 ok"]


def test_excel_97_shows_the_same(tmp_path: Path) -> None:
    """The formats of an .xls are read alike, for numbers, texts and dates."""
    import xlwt

    book = xlwt.Workbook()
    sheet = book.add_sheet("Orders")
    for place, title in enumerate(HEAD):
        sheet.write(0, place, title)
    cells = [(17, '"ORD-"0000'), ("17", '"ORD-"@'), (DAY, "dd.mm.yyyy hh:mm"), (46000, "m/d/yyyy"), (0.5, "h:mm")]
    for number, (value, code) in enumerate(cells, 1):
        sheet.write(number, 0, value, xlwt.easyxf(num_format_str=code))
        sheet.write(number, 1, DONE)
    book.save(str(tmp_path / "s.xls"))
    rows = list(read(tmp_path / "s.xls").rows())
    assert [row.cells[0] for row in rows] == ["ORD-0017", "ORD-17", "03.11.2026 08:05", "2025-12-09", "12:00"]
    assert [bool(row.flaws) for row in rows] == [False, False, False, True, False]

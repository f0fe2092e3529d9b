"""Workbooks as offices and their programs write them."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
import xlrd
import xlsxwriter
import xlwt
from support.sheets import DONE, HEAD, csv_file, excel, good, ods_file, old_excel, order, outcome, read

OK2 = ["2 ok", "3 ok"]
TEXT_CELL = '<table:table-cell office:value-type="string"><text:p>{}</text:p>{}</table:table-cell>'


def workbook(folder: Path, **sheets: list[list[str]]) -> Path:
    """A workbook of these sheets."""
    book = xlsxwriter.Workbook(str(folder / "sheet.xlsx"))
    for name, grid in sheets.items():
        sheet = book.add_worksheet(name)
        for number, row in enumerate(grid):
            sheet.write_row(number, 0, row)
    book.close()
    return folder / "sheet.xlsx"


def test_empty_sheets_do_not_count(tmp_path: Path) -> None:
    """Excel adds empty sheets of its own; the plan need not say so."""
    file = workbook(tmp_path, Orders=good(), Sheet2=[], Sheet3=[])
    assert outcome(file) == OK2
    assert read(file).notes == []


def test_the_only_sheet_with_both_columns_is_taken_and_said(tmp_path: Path) -> None:
    """A sheet of notes beside it does not matter; two that fit do."""
    file = workbook(tmp_path, Notes=[["hello", "you"]], Orders=good())
    assert outcome(file) == OK2
    assert read(file).notes == ["sheet 'Orders' is the only one of 2 with a column of orders and one of statuses"]
    assert "has 2 visible sheets: 'A', 'B'" in outcome(workbook(tmp_path, A=good(), B=good()))


@pytest.mark.parametrize("change", [lambda name: name.replace("/", "\\"), str.upper, str.lower])
def test_parts_are_found_by_any_spelling(tmp_path: Path, change: Any) -> None:
    """Some programs write backslashes, or another letter case; what unpacks is limited all the same."""
    with zipfile.ZipFile(excel(tmp_path, good())) as whole, zipfile.ZipFile(tmp_path / "odd.xlsx", "w") as odd:
        for info in whole.infolist():
            named = zipfile.ZipInfo("x")
            named.filename = change(info.filename)
            odd.writestr(named, whole.read(info))
    assert outcome(tmp_path / "odd.xlsx") == OK2


def test_a_filler_cell_costs_nothing_and_drawings_are_no_text(tmp_path: Path) -> None:
    """LibreOffice ends each row with 16,382 empty cells; a shape over a cell is not what the cell holds."""
    filler = '<table:table-cell table:number-columns-repeated="16382"/>'
    shape = '<draw:frame xmlns:draw="urn:x"><draw:text-box><text:p>Cancelled</text:p></draw:text-box></draw:frame>'
    cells = [[*map(TEXT_CELL.format, HEAD, ["", ""])], [TEXT_CELL.format(order(1), shape), TEXT_CELL.format(DONE, "")]]
    rows = "".join(f"<table:table-row>{''.join(row)}{filler}</table:table-row>" for row in cells)
    file = ods_file(tmp_path, f'<table:table table:name="A">{rows}</table:table>')
    assert [row.cells for row in read(file).rows()] == [(order(1), DONE)]


def test_what_xlrd_fails_on_is_read_by_calamine_without_hidden_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of a library is no damage; what is hidden stays so, and a number is never certain."""
    book = xlwt.Workbook()
    sheet = book.add_sheet("Orders")
    for number, row in enumerate([HEAD, [order(0), DONE], [order(1), DONE], [5, DONE]]):
        for place, cell in enumerate(row):
            sheet.write(number, place, cell)
    sheet.row(2).hidden = True
    book.save(str(tmp_path / "sheet.xls"))

    def fail(*_arguments: object, **_options: object) -> None:
        raise AssertionError

    monkeypatch.setattr(xlrd, "open_workbook", fail)
    file = tmp_path / "sheet.xls"
    found = outcome(file)
    assert [line.partition(":")[0] for line in found] == ["2 ok", "4 number_format"]
    assert read(file).notes == ["1 hidden or filtered row is left out; --include-hidden sends them"]
    assert [row.number for row in read(file, include_hidden=True).rows()] == [2, 3, 4]


def test_a_hidden_column_without_a_header_is_named_by_its_letter(tmp_path: Path) -> None:
    """There is nothing else to call it by."""
    book = xlsxwriter.Workbook(str(tmp_path / "sheet.xlsx"))
    sheet = book.add_worksheet()
    for number, row in enumerate([[*HEAD, ""], [order(1), DONE, "x"]]):
        sheet.write_row(number, 0, row)
    sheet.set_column("C:C", None, None, {"hidden": True})
    book.close()
    assert read(tmp_path / "sheet.xlsx").notes == ["hidden columns: column C"]


def test_the_workbooks_of_the_eighties_are_refused_by_name(tmp_path: Path) -> None:
    """Excel 2 to 4 had no container; the message says what to do."""
    assert "a workbook of Excel 2 to 4" in outcome(csv_file(tmp_path, b"\x09\x02\x06\x00" + bytes(50), "a.xls"))


def test_an_old_workbook_with_empty_sheets_is_read(tmp_path: Path) -> None:
    """Excel 97 saved three sheets, of which two were empty."""
    assert outcome(old_excel(tmp_path, good())) == OK2
    book = xlwt.Workbook()
    for name in ("Sheet1", "Sheet2"):
        book.add_sheet(name)
    sheet = book.add_sheet("Orders")
    for number, row in enumerate(good()):
        for place, cell in enumerate(row):
            sheet.write(number, place, cell)
    book.save(str(tmp_path / "three.xls"))
    assert outcome(tmp_path / "three.xls") == OK2

"""Excel 97 and OpenDocument: what becomes of their rows."""

import datetime
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.sheets import (
    BOOK,
    DONE,
    HEAD,
    good,
    matches,
    ods_file,
    order,
    outcome,
    xml_row,
)

A, B = order(1), order(2)
TOP = xml_row(1, *HEAD)
Make = Callable[[Path], Path]


OLD: dict[str, tuple[Callable[[Any, Any], None], dict[str, Any], list[str] | str]] = {}


def old(name: str, expected: list[str] | str, **options: Any) -> Callable[[Callable[[Any, Any], None]], None]:
    """Register a maker of an Excel 97 sheet."""

    def add(fill: Callable[[Any, Any], None]) -> None:
        OLD[name] = (fill, options, expected)

    return add


def old_rows(sheet: Any, *grid: list[Any]) -> None:
    """Write cells of an Excel 97 sheet."""
    for number, row in enumerate(grid):
        for place, value in enumerate(row):
            sheet.write(number, place, value)


@old("hidden row", ["3 ok"])
def _hidden(_xlwt: Any, sheet: Any) -> None:
    old_rows(sheet, *good())
    sheet.row(1).hidden = True


@old("hidden row, included", ["2 ok", "3 ok"], include_hidden=True)
def _hidden_included(_xlwt: Any, sheet: Any) -> None:
    old_rows(sheet, *good())
    sheet.row(1).hidden = True


@old("hidden column", "column 'status_id' is hidden")
def _hidden_column(_xlwt: Any, sheet: Any) -> None:
    old_rows(sheet, *good())
    sheet.col(1).hidden = True


@old("merged", ["2 ok", "3 merged_cell: status"])
def _merged(_xlwt: Any, sheet: Any) -> None:
    old_rows(sheet, HEAD, [A], [B])
    sheet.write_merge(1, 2, 1, 1, DONE)


@old("numbers and dates", ["2 bad_order_id … '000123'", "3 number_format",
                           "4 bad_order_id … 'TRUE'"])  # fmt: skip
def _numbers(xlwt: Any, sheet: Any) -> None:
    old_rows(sheet, HEAD)
    sheet.write(1, 0, 123, xlwt.easyxf(num_format_str="000000"))
    sheet.write(2, 0, datetime.datetime(2026, 11, 23), xlwt.easyxf(num_format_str="DD.MM.YYYY"))
    sheet.write(3, 0, True)
    for number in (1, 2, 3):
        sheet.write(number, 1, DONE)


@pytest.mark.parametrize("case", OLD)
def test_an_old_workbook_is_read_alike(tmp_path: Path, case: str) -> None:
    """Excel 97 files know hidden rows, merged cells and number formats as well."""
    import xlwt

    fill, options, expected = OLD[case]
    book = xlwt.Workbook()
    fill(xlwt, book.add_sheet("Orders"))
    book.save(str(tmp_path / "s.xls"))
    found = outcome(tmp_path / "s.xls", BOOK, **options)
    assert matches(found, expected), found


def ods_cell(value: str, more: str = "") -> str:
    """A text cell of an OpenDocument sheet."""
    return f'<table:table-cell office:value-type="string" {more}><text:p>{value}</text:p></table:table-cell>'


def ods_row(*cells: str, more: str = "") -> str:
    """A row of an OpenDocument sheet."""
    made = "".join(c if c.startswith("<") else ods_cell(c) for c in cells)
    return f"<table:table-row {more}>{made}</table:table-row>"


ODS: dict[str, tuple[str, dict[str, Any], list[str] | str]] = {
    "hidden row": (ods_row(A, DONE, more='table:visibility="collapse"') + ods_row(B, DONE), {}, ["3 ok"]),
    "filtered row": (ods_row(A, DONE, more='table:visibility="filter"') + ods_row(B, DONE), {}, ["3 ok"]),
    "hidden, included": (ods_row(A, DONE, more='table:visibility="collapse"'), {"include_hidden": True}, ["2 ok"]),
    "number as seen": (ods_row('<table:table-cell office:value-type="float" office:value="123"><text:p>000123</text:p>'
                               "</table:table-cell>", DONE), {}, ["2 bad_order_id … '000123'"]),
    "comment is no value": (ods_row('<table:table-cell office:value-type="string"><office:annotation><text:p>no'
                                    f"</text:p></office:annotation><text:p>{A}</text:p></table:table-cell>", DONE),
                            {}, ["2 ok"]),
    "spaces and spans": (ods_row(f'<table:table-cell office:value-type="string"><text:p><text:s text:c="2"/>'
                                 f"<text:span>{A}</text:span></text:p></table:table-cell>", DONE), {}, ["2 ok"]),
    "merged": (ods_row(A, DONE) + ods_row(B, "<table:covered-table-cell/>"), {}, ["2 ok", "3 merged_cell"]),
    "merged down": (ods_row(A, DONE) + ods_row("<table:covered-table-cell/>", "<table:covered-table-cell/>"), {},
                    ["2 ok"]),
    "uncalculated": (ods_row('<table:table-cell table:formula="of:=[.X1]"/>', DONE), {}, ["2 formula_without_value"]),
    "repeated rows": (ods_row(A, DONE, more='table:number-rows-repeated="3"'), {}, ["2 ok", "3 ok", "4 ok"]),
    "blank rows to the end": (ods_row(A, DONE) + ods_row("<table:table-cell/>",
                              more='table:number-rows-repeated="1048574"'), {}, ["2 ok"]),
    "gap": (ods_row("<table:table-cell/>", more='table:number-rows-repeated="5"') + ods_row(A, DONE), {}, ["7 ok"]),
    "repeated to the end": (ods_row(A, DONE, ods_cell("x", 'table:number-columns-repeated="16000"'),
                                    more='table:number-rows-repeated="1048570"'), {}, "raise --max-cells"),
}  # fmt: skip


@pytest.mark.parametrize("case", ODS)
def test_an_open_document_is_read_alike(tmp_path: Path, case: str) -> None:
    """OpenDocument sheets know hidden rows, merged cells and repeats."""
    data, options, expected = ODS[case]
    found = outcome(ods_file(tmp_path, f'<table:table table:name="T">{ods_row(*HEAD)}{data}</table:table>'), **options)
    assert matches(found, expected), found


def test_open_document_sheets_are_chosen_like_those_of_excel(tmp_path: Path) -> None:
    """Hidden sheets do not count; of several visible ones, one has to be named."""
    style = '<style:style style:name="h"><style:table-properties table:display="false"/></style:style>'
    rows = ods_row(*HEAD) + ods_row(A, DONE)
    one, two = (f'<table:table table:name="{name}">{rows}</table:table>' for name in ("One", "Two"))
    old = f'<table:table table:name="Old" table:style-name="h">{rows}</table:table>'
    assert outcome(ods_file(tmp_path, one + old, style)) == ["2 ok"]
    assert "2 visible sheets: 'One', 'Two'" in str(outcome(ods_file(tmp_path, one + two + old, style)))
    assert outcome(ods_file(tmp_path, one + two, style), sheet="Two") == ["2 ok"]


def test_an_open_document_with_a_document_type_is_refused(tmp_path: Path) -> None:
    """No entity is expanded."""
    file = ods_file(tmp_path, "")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>')
    assert "document type" in str(outcome(file))

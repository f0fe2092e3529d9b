"""Excel as people have it: what becomes of its rows, or the sentence that refuses it."""

import datetime
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from support.sheets import (
    BOOK,
    DONE,
    HEAD,
    OPEN,
    PACKAGE,
    RELATIONS,
    cell,
    csv_file,
    excel,
    good,
    locked,
    matches,
    order,
    outcome,
    raw_excel,
    read,
    text,
    xml_row,
)

A, B, C, D = order(1), order(2), order(3), order(4)
TOP = xml_row(1, *HEAD)
OK2 = ["2 ok", "3 ok"]
Make = Callable[[Path], Path]


def workbook(fill: Callable[[Any, Any], None], name: str = "sheet.xlsx") -> Make:
    """A maker that lets `fill` write into the first sheet of a workbook."""

    def make(folder: Path) -> Path:
        book = xlsxwriter.Workbook(str(folder / name), {"strings_to_formulas": False})
        sheet = book.add_worksheet("Orders")
        fill(book, sheet)
        book.close()
        return folder / name

    return make


def rows(sheet: Any, *grid: list[str], first: int = 0, column: int = 0) -> None:
    """Write text cells."""
    for number, row in enumerate(grid, first):
        for place, value in enumerate(row, column):
            if value:
                sheet.write_string(number, place, value)


def sheets(*names: str, hidden: tuple[str, ...] = (), first_grid: list[list[str]] | None = None) -> Make:
    """A maker of a workbook with several sheets."""

    def make(folder: Path) -> Path:
        book = xlsxwriter.Workbook(str(folder / "sheet.xlsx"))
        for name in names:
            sheet = book.add_worksheet(name)
            rows(sheet, *(first_grid if first_grid and name == names[0] else good()))
            if name in hidden:
                sheet.hide()
        book.close()
        return folder / "sheet.xlsx"

    return make


def xml(*data: str, **more: Any) -> Make:
    """A maker of a workbook with exactly these rows of XML."""
    return lambda folder: raw_excel(folder, "".join(data), **more)


def filtered(_book: Any, sheet: Any) -> None:
    rows(sheet, [*HEAD, "city"], [A, DONE, "x"], [B, DONE, "y"], [C, DONE, "x"])
    sheet.autofilter("A1:C4")
    sheet.filter_column("C", "x == x")
    sheet.set_row(2, None, None, {"hidden": True})


def hidden_column(_book: Any, sheet: Any) -> None:
    rows(sheet, ["note", *HEAD], ["x", A, DONE])
    sheet.set_column("C:C", None, None, {"hidden": 1})


def hidden_note(_book: Any, sheet: Any) -> None:
    rows(sheet, ["note", *HEAD], ["x", A, DONE])
    sheet.set_column("A:A", None, None, {"hidden": 1})


def merged_status(book: Any, sheet: Any) -> None:
    rows(sheet, HEAD, [A], [B], [C, DONE])
    sheet.merge_range("B2:B3", DONE, book.add_format())


def merged_title(book: Any, sheet: Any) -> None:
    sheet.merge_range("A1:B2", "Orders of the week", book.add_format())
    rows(sheet, HEAD, [A, DONE], first=2)


def merged_across(book: Any, sheet: Any) -> None:
    rows(sheet, HEAD, [B, DONE])
    sheet.merge_range("A3:B3", A, book.add_format())


def merged_elsewhere(book: Any, sheet: Any) -> None:
    rows(sheet, [*HEAD, "note"], [A, DONE], [B, DONE])
    sheet.merge_range("C2:C3", "both", book.add_format())


def numbers(book: Any, sheet: Any) -> None:
    rows(sheet, HEAD)
    looks = ("000000", "0.00", "#,##0", "0%", "General", "General", "General")
    values = (123, 5, 1234567, 0.5, 1234567890123456789, 12.5, 7)
    for number, (value, look) in enumerate(zip(values, looks, strict=True), 1):
        sheet.write_number(number, 0, value, book.add_format({"num_format": look}))
        sheet.write_string(number, 1, DONE)


def dates(book: Any, sheet: Any) -> None:
    rows(sheet, HEAD)
    look = book.add_format({"num_format": "dd.mm.yyyy"})
    sheet.write_datetime(1, 0, datetime.datetime(2026, 11, 23), look)
    sheet.write_datetime(2, 0, datetime.datetime(2026, 11, 23, 8, 30), book.add_format({"num_format": "d/m/yy hh:mm"}))
    rows(sheet, [DONE], [DONE], first=1, column=1)


def formulas(_book: Any, sheet: Any) -> None:
    rows(sheet, HEAD)
    sheet.write_formula(1, 0, "=X1", None, A)
    sheet.write_formula(2, 0, "=X1", None, "#N/A")
    sheet.write_formula(3, 0, "=X1", None, 5)
    rows(sheet, [DONE], [DONE], [DONE], first=1, column=1)


def far_look(book: Any, sheet: Any) -> None:
    rows(sheet, *good())
    sheet.write_blank(1_048_575, 16_383, None, book.add_format({"bold": True}))


def without(folder: Path, part: str) -> Path:
    """A workbook that lacks a part."""
    whole = raw_excel(folder, TOP)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(folder / "s.xlsx", "w") as target:
        for info in source.infolist():
            if info.filename != part:
                target.writestr(info.filename, source.read(info))
    return folder / "s.xlsx"


def cut(folder: Path, share: float) -> Path:
    """A workbook of which only the beginning was copied."""
    content = excel(folder, good(50)).read_bytes()
    return csv_file(folder, content[: int(len(content) * share)], "s.xlsx")


def scratched(folder: Path) -> Path:
    """A workbook with a few wrong bytes in the middle of its sheet."""
    content = bytearray(excel(folder, good(500)).read_bytes())
    place = content.index(b"xl/worksheets/sheet1.xml") + 3000
    content[place : place + 40] = bytes(40)
    return csv_file(folder, bytes(content), "s.xlsx")


def cut_old(folder: Path) -> Path:
    """An Excel 97 workbook of which only the beginning was copied."""
    from support.sheets import old_excel

    content = old_excel(folder, good(50)).read_bytes()
    return csv_file(folder, content[: len(content) // 2], "s.xls")


def protected(folder: Path) -> Path:
    """A workbook that Excel asks a password for."""
    from msoffcrypto.format.ooxml import OOXMLFile

    with excel(folder, good()).open("rb") as plain, (folder / "s.xlsx").open("wb") as target:
        OOXMLFile(plain).encrypt("secret", target)
    return folder / "s.xlsx"


def binary(folder: Path, name: str) -> Path:
    """A workbook whose main part is a binary one, as in an .xlsb."""
    relation = f'<Relationship Id="r1" Type="{RELATIONS}/officeDocument" Target="xl/workbook.bin"/>'
    relations = f'<Relationships xmlns="{PACKAGE}">{relation}</Relationships>'
    return raw_excel(folder, TOP, extra={"_rels/.rels": relations, "xl/workbook.bin": "x"}).rename(folder / name)


def merge(places: str) -> str:
    """XML of a merged cell."""
    return f'<mergeCells><mergeCell ref="{places}"/></mergeCells>'


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
F = "<f>X1&amp;X2</f>"
IS_BINARY = "is a binary Excel workbook (.xlsb). | open it in Excel and save it as .xlsx"
CASES: dict[str, tuple[Make, dict[str, Any], list[str] | str]] = {
    # sheets
    "one sheet": (sheets("Jan"), {}, OK2),
    "hidden sheet beside": (sheets("Jan", "Old", hidden=("Old",)), {}, OK2),
    "two sheets": (sheets("Jan", "Feb"), {}, "has 2 visible sheets: 'Jan', 'Feb'"),
    "by name": (sheets("Jan", "Feb"), {"sheet": "Feb"}, OK2),
    "by number": (sheets("Jan", "Feb"), {"sheet": "2"}, OK2),
    "name that is a number": (sheets("2", "1", first_grid=[HEAD, [A, DONE]]), {"sheet": "2"}, ["2 ok"]),
    "hidden by name": (sheets("Jan", "Old", hidden=("Old",)), {"sheet": "Old"}, OK2),
    "no such name": (sheets("Jan", "Feb"), {"sheet": "Mar"}, "has no sheet 'Mar': 'Jan', 'Feb'"),
    "number among the visible": (sheets("Jan", "Old", "Feb", hidden=("Old",), first_grid=[HEAD]), {"sheet": "2"}, OK2),
    "no such number": (sheets("Jan"), {"sheet": "3"}, "has no sheet '3'"),
    "summary of an earlier run": (sheets("results", "batch-updater summary"), {}, OK2),
    "umlaut and blank in a name": (sheets("Sipariş Ayı", "x"), {"sheet": "Sipariş Ayı"}, OK2),
    # places
    "starts below and right": (workbook(lambda _b, s: rows(s, *good(), first=3, column=2)), {}, ["5 ok", "6 ok"]),
    "gap": (workbook(lambda _b, s: (rows(s, *good(1)), rows(s, [B, DONE], first=9))), {}, ["2 ok", "10 ok"]),
    "title above": (workbook(lambda _b, s: rows(s, ["Orders"], [], HEAD, [A, DONE])), {}, ["4 ok"]),
    "title of two cells": (workbook(lambda _b, s: rows(s, ["Orders", "x"], HEAD, [A, DONE])), {}, "no order column"),
    "title and header row": (workbook(lambda _b, s: rows(s, ["a", "b"], HEAD, [A, DONE])), {"header_row": 2}, ["3 ok"]),
    "no header": (workbook(lambda _b, s: rows(s, [A, DONE], [B, DONE])), {}, "row 1 should be the header"),
    "header only": (workbook(lambda _b, s: rows(s, HEAD)), {}, []),
    "empty sheet": (workbook(lambda _b, _s: None), {}, "there is nothing in it"),
    "merged title": (workbook(merged_title), {}, ["4 ok"]),
    "total below": (workbook(lambda _b, s: rows(s, *good(1), [], ["Total", "1"])), {}, ["2 ok", "4 bad_order_id"]),
    "no places in the XML": (xml(f"<row><c t='inlineStr'><is><t>{HEAD[0]}</t></is></c><c t='inlineStr'><is><t>"
                                 f"{HEAD[1]}</t></is></c></row><row><c t='inlineStr'><is><t>{A}</t></is></c>"
                                 f"<c t='inlineStr'><is><t>{DONE}</t></is></c></row>"), {}, ["2 ok"]),
    # hidden
    "hidden row": (xml(TOP, xml_row(2, A, DONE, more='hidden="1"'), xml_row(3, B, DONE)), {}, ["3 ok"]),
    "hidden row, true": (xml(TOP, xml_row(2, A, DONE, more='hidden="true"'), xml_row(3, B, DONE)), {}, ["3 ok"]),
    "row of no height": (xml(TOP, xml_row(2, A, DONE, more='ht="0" customHeight="1"'), xml_row(3, B, DONE)), {},
                         ["3 ok"]),
    "hidden row included": (xml(TOP, xml_row(2, A, DONE, more='hidden="1"'), xml_row(3, B, DONE)),
                            {"include_hidden": True}, OK2),
    "all rows hidden": (xml(TOP, xml_row(2, A, DONE, more='hidden="1"')), {}, "all rows are hidden (1)"),
    "header hidden": (xml(xml_row(1, *HEAD, more='hidden="1"'), xml_row(2, A, DONE)), {}, "row 2 should be the header"),
    "filtered": (workbook(filtered), {}, ["2 ok", "4 ok"]),
    "filtered, included": (workbook(filtered), {"include_hidden": True}, ["2 ok", "3 ok", "4 ok"]),
    "hidden status column": (workbook(hidden_column), {}, "column 'status_id' is hidden"),
    "hidden status column, included": (workbook(hidden_column), {"include_hidden": True}, ["2 ok"]),
    "hidden other column": (workbook(hidden_note), {}, ["2 ok"]),
    # formulas and errors
    "cached formula": (workbook(formulas), {}, ["2 ok", "3 bad_order_id … '#N/A' is a spreadsheet error",
                                                "4 bad_order_id … '5' is a number"]),
    "uncalculated": (xml(TOP, f'<row r="2"><c r="A2">{F}</c>{cell("B2", DONE)}</row>'), {},
                     ["2 formula_without_value: order id … open and save the file in Excel"]),
    "uncalculated, empty v": (xml(TOP, f'<row r="2"><c r="A2">{F}<v></v></c>{cell("B2", DONE)}</row>'), {},
                              ["2 formula_without_value"]),
    "uncalculated status": (xml(TOP, f'<row r="2">{cell("A2", A)}<c r="B2">{F}<v/></c></row>'), {},
                            ["2 formula_without_value: status"]),
    "uncalculated row alone": (xml(TOP, f'<row r="2"><c r="A2">{F}</c><c r="B2">{F}</c></row>', xml_row(3, B, DONE)),
                               {}, ["2 formula_without_value", "3 ok"]),
    "uncalculated note": (xml(xml_row(1, *HEAD, "n"), f'<row r="2">{cell("A2", A)}{cell("B2", DONE)}<c r="C2">{F}</c>'
                              "</row>"), {}, ["2 ok"]),
    "formula of empty text": (xml(TOP, f'<row r="2"><c r="A2" t="str">{F}<v></v></c>{cell("B2", DONE)}</row>'), {},
                              ["2 missing_value"]),
    "formula of text": (xml(TOP, f'<row r="2"><c r="A2" t="str">{F}<v>{A}</v></c>{cell("B2", DONE)}</row>'), {},
                        ["2 ok"]),
    "error cell": (xml(TOP, f'<row r="2"><c r="A2" t="e"><v>#REF!</v></c>{cell("B2", DONE)}</row>'), {},
                   ["2 bad_order_id … '#REF!' is a spreadsheet error"]),
    "error status": (xml(TOP, f'<row r="2">{cell("A2", A)}<c r="B2" t="e"><v>#N/A</v></c></row>'), {},
                     ["2 bad_status_id"]),
    "error row alone": (xml(TOP, '<row r="2"><c r="A2" t="e"><v>#N/A</v></c></row>', xml_row(3, B, DONE)), {},
                        ["2 missing_value", "3 ok"]),
    "error of another program": (xml(TOP, f'<row r="2"><c r="A2" t="e"><v>Err:502</v></c>{cell("B2", DONE)}</row>'), {},
                                 "not a readable Excel file (Unsupported cell error"),
    "boolean": (xml(TOP, f'<row r="2"><c r="A2" t="b"><v>1</v></c>{cell("B2", DONE)}</row>'), {},
                ["2 bad_order_id … 'TRUE'"]),
    # numbers and dates
    "numbers": (workbook(numbers), {}, ["2 bad_order_id … '000123'", "3 number_format … '0.00'",
                                        "4 number_format … '#,##0'", "5 number_format … '0%'",
                                        "6 bad_order_id … '1.23456789012346e+18' … shortened",
                                        "7 bad_order_id … '12.5'", "8 bad_order_id … '7' is a number"]),
    "dates": (workbook(dates), {}, ["2 number_format … 'dd.mm.yyyy'", "3 number_format … 'd/m/yy hh:mm'"]),
    # merged
    "merged status": (workbook(merged_status), {}, ["2 ok", "3 merged_cell: status: the cell is merged with row 2",
                                                    "4 ok"]),
    "merged across": (workbook(merged_across), {}, ["2 ok", "3 merged_cell: status … left of it"]),
    "merged far down": (xml(TOP, xml_row(2, A, DONE), after=merge("A2:XFD1048576")), {},
                        ["2 merged_cell: status"]),
    "merged note": (workbook(merged_elsewhere), {}, OK2),
    # characters
    "zero width": (xml(TOP, xml_row(2, A[:4] + "\u200b" + A[4:], DONE)), {}, ["2 bad_order_id … \\u200b"]),
    "line break in a cell": (xml(TOP, xml_row(2, f"{A}\n{B}", DONE)), {}, ["2 bad_order_id … \\n"]),
    "blanks kept": (xml(TOP, f'<row r="2"><c r="A2" t="inlineStr"><is><t xml:space="preserve"> {A} </t></is></c>'
                        f'{cell("B2", DONE)}</row>'), {}, ["2 ok"]),
    "rich text": (xml(TOP, f'<row r="2"><c r="A2" t="inlineStr"><is><r><t>{A[:9]}</t></r><r><t>{A[9:]}</t></r></is></c>'
                      f'{cell("B2", DONE)}</row>'), {}, ["2 ok"]),
    "escaped NUL": (xml(TOP, xml_row(2, A[:4] + "_x0000_" + A[4:], DONE)), {}, ["2 bad_order_id"]),
    # limits
    "look at the far corner": (workbook(far_look), {}, OK2),
    "far corner": (xml(TOP, xml_row(2, A, DONE), f'<row r="1048576">{cell("XFD1048576", "x")}</row>'), {},
                   "reaches over 17,179,869,184 cells; at most 25,000,000 are read. | delete the columns"),
    "far row": (xml(TOP, xml_row(2, A, DONE), f'<row r="1048576">{cell("A1048576", "x")}</row>'), {"max_cells": 10**6},
                "raise --max-cells"),
    "far corner formula": (xml(TOP, f'<row r="1048576"><c r="XFD1048576">{F}</c></row>'), {}, "reaches over"),
    "a row twice": (xml(TOP, xml_row(2, A, DONE, more='hidden="1"'), xml_row(2, B, DONE)), {}, "row 2 after row 2"),
    "beyond the last row": (xml(TOP, '<row r="99999999"><c r="A99999999"><v>1</v></c></row>'), {}, "beyond the last"),
    "beyond the last column": (xml(TOP, '<row r="2"><c r="XFE2"><v>1</v></c></row>'), {}, "beyond the last"),
    "cell of another row": (xml(TOP, f'<row r="2">{cell("XFD1048576", A)}</row>'), {}, "a cell 'XFD1048576' in row 2"),
    "cells out of order": (xml(TOP, f'<row r="2">{cell("B2", DONE)}{cell("A2", A)}</row>'), {}, "out of its place"),
    "a cell twice": (xml(TOP, f'<row r="2">{cell("A2", A)}{cell("A2", B)}</row>'), {}, "out of its place in row 2"),
    "raised limit": (xml(TOP, xml_row(2, A, DONE)), {"max_cells": 4}, ["2 ok"]),
    "entity bomb": (xml(TOP, before='<!DOCTYPE x [<!ENTITY a "b">]>'), {}, "not a readable Excel file"),
    "not XML": (xml("<row r='1'><c"), {}, "not a readable Excel file"),
    "no such part": (lambda folder: without(folder, "xl/worksheets/sheet1.xml"), {}, "not a readable Excel file"),
    "no workbook": (lambda folder: without(folder, "xl/workbook.xml"), {}, "not a readable Excel file"),
    "cut off": (lambda folder: cut(folder, 0.5), {}, "cut off or damaged"),
    "one byte": (lambda folder: csv_file(folder, b"PK", "sheet.xlsx"), {}, "cut off or damaged"),
    "damaged within": (scratched, {}, "not a readable Excel file"),
    "binary": (lambda folder: binary(folder, "s.xlsb"), {"include_hidden": True}, IS_BINARY),
    "binary named xlsx": (lambda folder: binary(folder, "s.xlsx"), {}, IS_BINARY),
    "xlsx named xlsb": (lambda folder: excel(folder, good()).rename(folder / "s.xlsb"), {}, OK2),
    "macros": (workbook(lambda _b, s: rows(s, *good()), "sheet.xlsm"), {}, OK2),
    "xlsx named csv": (lambda folder: excel(folder, good()).rename(folder / "s.csv"), {}, OK2),
    "xlsx named xls": (lambda folder: excel(folder, good()).rename(folder / "s.xls"), {}, OK2),
    "xlsx named zip": (lambda folder: excel(folder, good()).rename(folder / "s.zip"), {}, OK2),
    "password": (protected, {}, "is protected with a password"),
    "another OLE file": (lambda folder: csv_file(folder, OLE + bytes(600), "s.xls"), {}, "not a readable Excel file"),
    "cut off xls": (cut_old, {}, "not a readable Excel file"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the library that encrypts the sample
@pytest.mark.parametrize("case", CASES)
def test_excel_becomes_the_rows_that_are_seen_or_is_refused(tmp_path: Path, case: str) -> None:
    """Each visible row is used or named with its reason; what can't be known for certain is refused."""
    make, options, expected = CASES[case]
    found = outcome(make(tmp_path), BOOK, **options)
    assert matches(found, expected), found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("password", "expected"), [("secret\n", OK2), ("wrong", "does not open"), (None, "can't be read")]
)
def test_a_workbook_is_opened_with_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str | None, expected: list[str] | str
) -> None:
    """The password comes from a file; a wrong one is told; no plain copy is left behind."""
    if password is not None:
        (tmp_path / "password").write_text(password)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = outcome(protected(tmp_path), password_file=tmp_path / "password")
    assert matches(found, expected), found
    assert not list(tmp_path.glob("batch-updater-*"))


def test_a_damaged_workbook_with_a_password_is_not_blamed_on_the_password(tmp_path: Path) -> None:
    """What the file says of its key is no XML any more: another password would not help."""
    file = locked(tmp_path, good())
    file.write_bytes(file.read_bytes().replace(b"</keyEncryptors>", b"<<keyEncryptors>"))
    found = outcome(file, password_file=tmp_path / "password")
    assert "(workbook with a password) is cut off or damaged. | copy or download it again" in str(found)


def test_hidden_rows_and_columns_are_counted_and_named(tmp_path: Path) -> None:
    """The plan says how many rows nobody sees, and which columns."""
    source = read(workbook(filtered)(tmp_path))
    assert source.notes == ["1 hidden or filtered row is left out; --include-hidden sends them"]
    assert read(workbook(filtered)(tmp_path), include_hidden=True).notes == ["1 hidden or filtered row is sent as well"]
    assert read(workbook(hidden_note)(tmp_path)).notes == ["hidden columns: 'note'"]


def test_open_status_is_sent_for_another_sheet_only(tmp_path: Path) -> None:
    """The chosen sheet's rows are read, and no other's."""
    book = xlsxwriter.Workbook(str(tmp_path / "s.xlsx"))
    for name, status in (("Jan", DONE), ("Feb", OPEN)):
        rows(book.add_worksheet(name), HEAD, [D, status])
    book.close()
    assert [row.cells for row in read(tmp_path / "s.xlsx", sheet="Feb").rows()] == [(D, OPEN)]
    assert text(good(1)).count(DONE) == 1


@pytest.mark.parametrize(("typed", "expected"), [("secret", OK2), ("wrong", "does not open")])
def test_a_password_is_asked_for_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, expected: list[str] | str
) -> None:
    """Without --password-file a person at a terminal is asked, and what was typed decides."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _question: typed)
    found = outcome(protected(tmp_path))
    assert matches(found, expected), found

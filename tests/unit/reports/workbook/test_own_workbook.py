"""A person's own workbook with results in it: what changes, what stays, and when a plain new one is written."""

import gc
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import openpyxl
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.own_workbooks import BOOK_RELATIONS, MORE, OWN, STYLED, TOP, A, B, F, column, own
from support.sheets import (
    DONE,
    HEAD,
    MAIN,
    PACKAGE,
    PASSWORD,
    RELATIONS,
    TYPES,
    XML,
    cell,
    good,
    order,
    raw_excel,
    read,
    with_password,
)
from support.sheets import xml_row as row
from support.workbooks import add_results, differences, values_and_styles

from batch_updater.common.models import RESULT_COLUMNS
from batch_updater.inputs.pandas_io import read_results
from batch_updater.reports.workbook.layout import UnsuitableError, lay_out
from batch_updater.reports.workbook.splice import Splicer, with_attributes


@pytest.mark.filterwarnings("ignore::UserWarning:openpyxl")  # of what it leaves out
@pytest.mark.parametrize("case", OWN)
def test_everything_but_the_result_columns_stays(tmp_path: Path, case: str) -> None:
    """Other parts are the same bytes, the sheet is the same XML, and every row has its result where it is read."""
    before, after = own(tmp_path, case)
    header_row = 2 if "title" in case else 1
    source = read(before, header_row=header_row)
    assert source.user_sheet is not None
    assert differences(before, after, source.user_sheet) == []
    found = [value for value in column(after, "result_code", header_row) if value]
    assert found == ["ok"] * len(list(source.rows()))
    again = read(after, header_row=header_row)
    assert [(r.number, r.cells[:2]) for r in again.rows()] == [(r.number, r.cells[:2]) for r in source.rows()]


@pytest.mark.filterwarnings("ignore::UserWarning:openpyxl")  # of what it leaves out
@pytest.mark.parametrize("case", OWN)
def test_a_result_of_a_result_replaces_its_own_columns(tmp_path: Path, case: str) -> None:
    """No column is added the second time, and the newer run's words stand in place of the older's."""
    _before, first = own(tmp_path, case)
    source = read(first, header_row=2 if "title" in case else 1)
    assert add_results(source, tmp_path / "s.xlsx", run_id="newer").is_own
    assert source.user_sheet
    assert not lay_out(source.user_sheet).new
    assert set(column(tmp_path / "s.xlsx", "result_run_id", 2 if "title" in case else 1)) - {None} == {"newer"}


def test_rows_that_were_not_chosen_keep_what_they_have(tmp_path: Path) -> None:
    """The second run of one row leaves the others' results, and its own first ones are gone."""
    add_results(read(raw_excel(tmp_path, TOP + row(2, A, DONE) + row(3, B, DONE))), tmp_path / "r.xlsx")
    add_results(read(tmp_path / "r.xlsx", rows="3"), tmp_path / "s.xlsx", run_id="newer")
    assert column(tmp_path / "s.xlsx", "result_run_id") == ["20261123T101500Z-3f9a", "newer"]


def test_a_persons_own_result_column_stays(tmp_path: Path) -> None:
    """It is not one of ours, for the sheet is no result file."""
    _before, after = own(tmp_path, "a Result column of the person's own")
    assert column(after, "Result") == ["mine"]


REFUSED: dict[str, tuple[str, MORE, str]] = {
    "no room": (f'<row r="1">{cell("XFA1", "order_id")}{cell("XFB1", "status_id")}</row><row r="2">{cell("XFA2", A)}'
                f"{cell('XFB2', DONE)}</row>", {}, "the last column of Excel is XFD"),
    "macros in another name": (TOP + row(2, A, DONE), {"extra": {"[Content_Types].xml": f'{XML}<Types xmlns="{TYPES}">'
                               '<Override PartName="/xl/workbook.xml" ContentType='
                               '"application/vnd.ms-excel.sheet.macroEnabled.main+xml"/></Types>'}}, "it has macros"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_added_to_gets_a_plain_new_workbook_and_one_note(tmp_path: Path, case: str) -> None:
    """The note says why; the new workbook has every row."""
    data, more, reason = REFUSED[case]
    source = read(raw_excel(tmp_path, data, **more), max_cells=10**9)
    written = add_results(source, tmp_path / "r.xlsx")
    assert (written.is_own, len(written.notes)) == (False, 1)
    assert reason in written.notes[0]
    assert column(tmp_path / "r.xlsx", "result_code") == ["ok"]


def test_merged_result_columns_are_not_written_into(tmp_path: Path) -> None:
    """A value under a merged cell would not be seen."""
    add_results(read(raw_excel(tmp_path, TOP + row(2, A, DONE) + row(3, B, DONE))), tmp_path / "r.xlsx")
    book = openpyxl.load_workbook(tmp_path / "r.xlsx")
    book.worksheets[0].merge_cells("C2:C3")
    book.save(tmp_path / "m.xlsx")
    written = add_results(read(tmp_path / "m.xlsx"), tmp_path / "s.xlsx")
    assert "merged" in written.notes[0]


def table_sheet(path: Path, **options: Any) -> Path:
    """A workbook with a table over its orders."""
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet("Orders")
    titles = [{"header": title} for title in HEAD]
    sheet.add_table(0, 0, 3, 1, {"data": good(2)[1:], "columns": titles, **options})
    book.close()
    return path


def test_a_table_grows_and_one_with_totals_stays(tmp_path: Path) -> None:
    """Sorting a table must take the results along; where it can't, that is said."""
    add_results(read(table_sheet(tmp_path / "t.xlsx")), tmp_path / "r.xlsx")
    (table,) = openpyxl.load_workbook(tmp_path / "r.xlsx")["Orders"].tables.values()
    assert (table.ref, table.autoFilter.ref) == ("A1:O4", "A1:O4")
    assert [found.name for found in table.tableColumns] == [*HEAD, *RESULT_COLUMNS]
    written = add_results(read(table_sheet(tmp_path / "u.xlsx", total_row=True)), tmp_path / "s.xlsx")
    assert written.is_own
    assert "it has a row of totals" in written.notes[0]
    (table,) = openpyxl.load_workbook(tmp_path / "s.xlsx")["Orders"].tables.values()
    assert table.ref == "A1:B4"


def test_a_filter_grows_with_its_hidden_name(tmp_path: Path) -> None:
    """Excel repairs a file in which the two differ."""
    book = xlsxwriter.Workbook(str(tmp_path / "f.xlsx"))
    sheet = book.add_worksheet("My Orders")
    for line, texts in enumerate(good(2)):
        sheet.write_row(line, 0, texts)
    sheet.autofilter("A1:B3")
    book.close()
    add_results(read(tmp_path / "f.xlsx"), tmp_path / "r.xlsx")
    found = openpyxl.load_workbook(tmp_path / "r.xlsx")["My Orders"]
    assert found.auto_filter.ref == "A1:O3"
    with zipfile.ZipFile(tmp_path / "r.xlsx") as archive:
        assert b"'My Orders'!$A$1:$O$3<" in archive.read("xl/workbook.xml")


def test_a_signature_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    """It was for other bytes; its parts, relation and content type go with it."""
    origin = "http://schemas.openxmlformats.org/package/2006/relationships/digital-signature/origin"
    extra = {
        "_xmlsignatures/origin.sigs": "", "_xmlsignatures/sig1.xml": "<x/>",
        "_rels/.rels": f'{XML}<Relationships xmlns="{PACKAGE}"><Relationship Id="r1" Type="{RELATIONS}/officeDocument"'
        f' Target="xl/workbook.xml"/><Relationship Id="r2" Type="{origin}" Target="_xmlsignatures/origin.sigs"/>'
        "</Relationships>",
        "[Content_Types].xml": f'{XML}<Types xmlns="{TYPES}"><Override PartName="/_xmlsignatures/sig1.xml"'
        ' ContentType="x"/></Types>',
    }  # fmt: skip
    written = add_results(read(raw_excel(tmp_path, TOP + row(2, A, DONE), extra=extra)), tmp_path / "r.xlsx")
    assert "digital signature is left out" in written.notes[0]
    with zipfile.ZipFile(tmp_path / "r.xlsx") as archive:
        assert not [name for name in archive.namelist() if "signature" in name]
        assert b"signature" not in archive.read("_rels/.rels") + archive.read("[Content_Types].xml")


def test_an_overwritten_formula_takes_the_calculation_chain_along(tmp_path: Path) -> None:
    """Excel repairs a file whose chain names a cell without a formula."""
    names = [*HEAD, *RESULT_COLUMNS]
    header = "".join(cell(f"{chr(65 + place)}1", name) for place, name in enumerate(names))
    data = f'<row r="1">{header}</row><row r="2">{cell("A2", A)}{cell("B2", DONE)}<c r="D2">{F}</c></row>'
    extra = {
        "xl/calcChain.xml": "<calcChain/>",
        "xl/_rels/workbook.xml.rels": BOOK_RELATIONS.format(
            f'<Relationship Id="r2" Type="{RELATIONS}/calcChain" Target="calcChain.xml"/>'
        ),
    }
    assert add_results(read(raw_excel(tmp_path, data, extra=extra)), tmp_path / "r.xlsx").is_own
    with zipfile.ZipFile(tmp_path / "r.xlsx") as archive:
        assert "xl/calcChain.xml" not in archive.namelist()
        assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml")


def test_a_workbook_with_macros_keeps_them_and_its_name(tmp_path: Path) -> None:
    """A new workbook under that name has the content type that goes with it."""
    plain = raw_excel(tmp_path, TOP + row(2, A, DONE), extra={"[Content_Types].xml": f'{XML}<Types xmlns="{TYPES}">'
        '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'spreadsheetml.sheet.main+xml"/></Types>'})  # fmt: skip
    add_results(read(plain), tmp_path / "r.xlsm")
    with zipfile.ZipFile(tmp_path / "r.xlsm") as archive:
        assert b"sheet.macroEnabled.main+xml" in archive.read("[Content_Types].xml")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the library that encrypts
@pytest.mark.parametrize("spelling", ["<Types xmlns=", "<ct:Types xmlns:ct="])
def test_a_workbook_with_a_password_comes_back_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    """No plain copy is left anywhere, and the same password opens the result, however the workbook is spelled."""
    data = f"{XML}<Types xmlns='{TYPES}'/>".replace("<Types xmlns=", spelling)
    plain = raw_excel(tmp_path, TOP + row(2, A, DONE), extra={"[Content_Types].xml": data})
    (tmp_path / "password").write_text(PASSWORD)
    with zipfile.ZipFile(plain, "a") as archive:
        archive.comment = b" " * 4096  # the sample must be large enough for the library that encrypts it
    (tmp_path / "locked.xlsx").write_bytes(with_password(plain.read_bytes()))
    (tmp_path / "out").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    for before, after in (("locked.xlsx", "out/r.xlsx"), ("out/r.xlsx", "out/s.xlsx")):
        source = read(tmp_path / before, password_file=tmp_path / "password")
        assert len(list(source.rows())) == 1
        assert add_results(source, tmp_path / after).is_own
        assert not zipfile.is_zipfile(tmp_path / after)
        del source
    gc.collect()
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("size", [1, 2, 7, 100])
@pytest.mark.parametrize("case", ["plain rows", "styled cells beyond the values", "hidden columns to the end"])
def test_pieces_of_any_size_give_the_same_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, size: int
) -> None:
    """Tags and edits may lie across the ends of pieces."""
    before, after = own(tmp_path, case)
    monkeypatch.setattr("batch_updater.inputs.excel.worksheet._PIECE", size)
    add_results(read(before), tmp_path / "small.xlsx")
    with zipfile.ZipFile(after) as one, zipfile.ZipFile(tmp_path / "small.xlsx") as other:
        assert one.read("xl/worksheets/sheet1.xml") == other.read("xl/worksheets/sheet1.xml")


def test_prefixed_elements_get_prefixed_cells(tmp_path: Path) -> None:
    """Programs that write `x:row` are read by namespace, and so must be what is added."""
    plain = raw_excel(tmp_path, TOP + row(2, A, DONE))
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(tmp_path / "p.xlsx", "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if "sheet1" in info.filename:
                root = ET.fromstring(data)
                ET.register_namespace("x", MAIN)
                data = ET.tostring(root)
            new.writestr(info.filename, data)
    assert add_results(read(tmp_path / "p.xlsx"), tmp_path / "r.xlsx").is_own
    assert column(tmp_path / "r.xlsx", "result_code") == ["ok"]


def test_parts_are_found_in_any_spelling_of_their_names(tmp_path: Path) -> None:
    """Some programs write other letter case or backslashes; nothing of such a file is lost."""
    plain = table_sheet(tmp_path / "t.xlsx")
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(tmp_path / "p.xlsx", "w") as new:
        for info in old.infolist():
            new.writestr(info.filename.replace("worksheets/sheet", "Worksheets\\Sheet").upper(), old.read(info))
    written = add_results(read(tmp_path / "p.xlsx"), tmp_path / "r.xlsx")
    assert (written.is_own, written.notes) == (True, [])
    with zipfile.ZipFile(tmp_path / "p.xlsx") as old, zipfile.ZipFile(tmp_path / "r.xlsx") as new:
        assert old.namelist() == new.namelist()
        changed = {name for name in old.namelist() if old.read(name) != new.read(name)}
    assert changed == {"XL/WORKSHEETS\\SHEET1.XML", "XL/STYLES.XML", "XL/TABLES/TABLE1.XML"}
    assert [row.cells[:2] for row in read(tmp_path / "r.xlsx").rows()] == [row.cells for row in read(plain).rows()]


def test_odd_texts_are_cells_of_that_text(tmp_path: Path) -> None:
    """Markup, control characters and text that is too long can't damage the sheet; the cut is told."""
    source = read(raw_excel(tmp_path, TOP + row(2, A, DONE)))
    written = add_results(source, tmp_path / "r.xlsx", detail="<b>&\x01_x0041_ğ\n" + "y" * 40_000)
    assert "1 text is cut" in written.notes[0]
    (found,) = column(tmp_path / "r.xlsx", "result_detail")
    assert found.startswith("<b>&\x01_x0041_ğ\n") or found.startswith("<b>&_x0001__x005F_x0041_ğ\n")


def test_an_attribute_is_set_in_any_spelling() -> None:
    """Quotes, blanks and other attributes stay; a value that looks like an attribute is none."""
    assert with_attributes(b"<a x=' y=\"1\"' y = '2'/>", {"y": "3"}) == b'<a x=\' y="1"\' y = "3"/>'
    assert with_attributes(b"<a>", {"y": "3"}) == b'<a y="3">'


cells = st.lists(st.sampled_from(["", "v", "s", "f"]), min_size=3, max_size=20)


@given(st.lists(cells, min_size=1, max_size=8), st.sets(st.integers(2, 12), max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_any_sheet_stays_but_for_its_results(tmp_path: Path, grid: list[list[str]], gaps: set[int]) -> None:
    """Random rows of values, styles, formulas and gaps are the same XML afterwards, and openpyxl reads the same."""
    kinds: dict[str, Callable[[str], str]] = {
        "": lambda _place: "", "v": lambda place: cell(place, "x"), "s": STYLED.format,
        "f": lambda place: f'<c r="{place}">{F}</c>',
    }  # fmt: skip
    lines, number = [TOP], 1
    for kind_of in grid:
        number += 2 if number in gaps else 1
        more = "".join(kinds[kind](f"{chr(65 + place)}{number}") for place, kind in enumerate(kind_of) if place > 1)
        lines.append(f'<row r="{number}">{cell(f"A{number}", order(number))}{cell(f"B{number}", DONE)}{more}</row>')
    before = raw_excel(tmp_path, "".join(lines))
    source = read(before)
    assert add_results(source, tmp_path / "r.xlsx").is_own
    assert source.user_sheet
    assert differences(before, tmp_path / "r.xlsx", source.user_sheet) == []
    width = lay_out(source.user_sheet).first
    assert values_and_styles(before, "Orders", width) == values_and_styles(tmp_path / "r.xlsx", "Orders", width)


def test_a_part_in_utf_16_is_refused() -> None:
    """What is added is ASCII."""
    with pytest.raises(UnsuitableError, match="UTF-16"):
        Splicer(io.BytesIO("<a/>".encode("utf-16")), [].append).run()


def test_nothing_is_copied_twice_or_lost() -> None:
    """Without edits a copy has the bytes of its source."""
    data = b'<?xml version="1.0"?><a><!-- x --><b c="&gt;"/> \n<d/></a>\n'
    found: list[bytes] = []
    Splicer(io.BytesIO(data), found.append).run()
    assert b"".join(found) == data


def test_a_frame_has_the_rows_of_its_run_alone(tmp_path: Path) -> None:
    """Titles, blank rows and rows that were not chosen are none of it; the columns have the names of the header."""
    data = row(1, "Orders") + row(3, *HEAD) + row(4, A, DONE) + row(6, B, DONE) + row(7, order(3), DONE)
    source = read(raw_excel(tmp_path, data), header_row=3, rows="5-")
    assert add_results(source, tmp_path / "r.xlsx").is_own
    frame = read_results(tmp_path / "r.xlsx", sheet="Orders", header_row=3, rows=[row.number for row in source.rows()])
    assert list(frame.columns) == [*HEAD, *RESULT_COLUMNS]
    assert list(frame[HEAD[0]]) == [B, order(3)]
    assert list(frame["result_row"]) == ["6", "7"]


def test_a_row_below_one_with_an_extension_is_read_as_any_other(tmp_path: Path) -> None:
    """Elements of other programs within a row do not end the rows: hidden ones stay hidden, values keep their place."""
    extended = '<extLst><ext uri="x"><o:p xmlns:o="y"/></ext></extLst></row>'
    data = (
        TOP + row(2, A, DONE).replace("</row>", extended) + row(3, B, DONE, more='hidden="1"') + row(4, B, DONE, "mine")
    )
    source = read(raw_excel(tmp_path, data))
    assert [found.number for found in source.rows()] == [2, 4]
    assert source.user_sheet is not None
    assert lay_out(source.user_sheet).first == 3

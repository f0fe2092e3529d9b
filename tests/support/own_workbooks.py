"""Worksheets with what a careless change of their XML would break, and the results that are added to them."""

from pathlib import Path
from typing import Any

import openpyxl
from support.sheets import DONE, HEAD, MAIN, PACKAGE, RELATIONS, XML, cell, order, raw_excel, read
from support.sheets import xml_row as row
from support.workbooks import add_results

A, B = order(1), order(2)
TOP = row(1, *HEAD)
UNPLACED = '<c t="inlineStr"><is><t>%s</t></is></c>'
STYLED = '<c r="{}" s="0"/>'
F = "<f>1+1</f><v>2</v>"
STYLES = (
    f'{XML}<styleSheet xmlns="{MAIN}"><numFmts count="1"><numFmt numFmtId="0" formatCode="yyyy-mm-dd"/></numFmts>'
    "<fonts count='1'><font/></fonts><fills count='9'>"
    "<fill><patternFill/></fill><fill><patternFill/></fill></fills><borders><border/></borders>"
    "<cellXfs count='7'><xf/><xf><alignment wrapText='1'/></xf></cellXfs></styleSheet>"
)
BOOK_RELATIONS = (
    f'{XML}<Relationships xmlns="{PACKAGE}"><Relationship Id="r1" Type="{RELATIONS}/worksheet"'
    ' Target="worksheets/sheet1.xml"/>{}</Relationships>'
)
MORE = dict[str, Any]
OWN: dict[str, tuple[str, MORE]] = {  # what is in the sheet, and around it
    "plain rows": (TOP + row(2, A, DONE) + row(3, B, DONE), {}),
    "self-closed rows": (TOP + '<row r="2" ht="20"/>' + row(3, A, DONE) + '<row r="4"/>', {}),
    "attributes with >": (TOP + row(2, A, DONE, more='x="a>b" spans="1:2"'), {}),
    "comments and CDATA": (TOP + f'<!-- </row> --><row r="2">{cell("A2", A)}<c r="B2" t="inlineStr"><is><t>{DONE}'
                           "<![CDATA[</row>]]></t></is></c><!-- </row> --></row>", {}),
    "a row's extLst stays last": (TOP + f'<row r="2">{cell("A2", A)}{cell("B2", DONE)}<extLst><ext uri="x"/></extLst>'
                                  "</row>", {}),
    "a row's extLst has elements of others": (
        TOP + f'<row r="2">{cell("A2", A)}{cell("B2", DONE)}<extLst><ext uri="x"><o:p xmlns:o="y"/><q/></ext></extLst>'
        "</row>" + row(3, A, DONE, "", "far"), {"after": '<mergeCells><mergeCell ref="D3:G3"/></mergeCells>'}),
    "rows and cells without places": ("".join(
        f"<row>{UNPLACED % line[0]}{UNPLACED % line[1]}</row>" for line in (HEAD, (A, DONE))), {}),
    "styled cells beyond the values": (TOP + f'<row r="2">{cell("A2", A)}{cell("B2", DONE)}{STYLED.format("D2")}'
                                       f'{STYLED.format("Z2")}</row>', {}),
    "hidden columns to the end": (TOP + row(2, A, DONE), {"before": '<cols><col min="1" max="2" width="9"/>'
                                                          '<col min="3" max="16384" width="9" hidden="1"/></cols>'}),
    "columns with end tags": (TOP + row(2, A, DONE), {"before": '<cols><col min="1" max="20" width="9"></col></cols>'}),
    "empty cols": (TOP + row(2, A, DONE), {"before": "<cols/>"}),
    "columns far right": (TOP + row(2, A, DONE), {"before": '<cols><col min="40" max="50" width="9"/></cols>'}),
    "dimension": (TOP + row(2, A, DONE), {"before": '<dimension ref="A1:B2"/>'}),
    "filter of a custom view": (TOP + row(2, A, DONE), {"after": '<autoFilter ref="A1:B2"/><customSheetViews>'
                                '<customSheetView guid="x"><autoFilter ref="A1:A2"/></customSheetView>'
                                "</customSheetViews>"}),
    "a drawing's rows": (TOP + row(2, A, DONE), {"after": '<controls><from xmlns:x="y"><x:row>1</x:row><row>7</row>'
                         "</from></controls>"}),
    "merged below": (TOP + row(2, A, DONE) + row(9, "x"),
                     {"after": '<mergeCells><mergeCell ref="A9:F9"/></mergeCells>'}),
    "merged title": (row(1, "Orders") + row(2, *HEAD) + row(3, A, DONE),
                     {"after": '<mergeCells><mergeCell ref="A1:F1"/></mergeCells>'}),
    "array formula to the right": (TOP + f'<row r="2">{cell("A2", A)}{cell("B2", DONE)}<c r="C2"><f t="array" '
                                   'ref="C2:F2">1+1</f><v>2</v></c></row>', {}),
    "ignored errors": (TOP + row(2, A, DONE), {"after": '<ignoredErrors><ignoredError sqref="A1" evalError="1"/>'
                                               '</ignoredErrors><drawing r:id="r9" xmlns:r="x"/>'}),
    "styles whose counts lie, format 0 a date": (TOP + row(2, A, DONE), {"extra": {
        "xl/styles.xml": STYLES,
        "xl/_rels/workbook.xml.rels": BOOK_RELATIONS.format(
            f'<Relationship Id="r2" Type="{RELATIONS}/styles" Target="styles.xml"/>')}}),
    "a Result column of the person's own": (row(1, *HEAD, "Result") + row(2, A, DONE, "mine"), {}),
}  # fmt: skip


def own(folder: Path, case: str) -> tuple[Path, Path]:
    """The workbook of a case, and its result."""
    data, more = OWN[case]
    before, after = raw_excel(folder, data, **more), folder / "r.xlsx"
    written = add_results(read(before, **({"header_row": 2} if "title" in case else {})), after)
    assert (written.is_own, written.notes) == (True, [])
    return before, after


def column(path: Path, name: str, header_row: int = 1) -> list[Any]:
    """The cells under a header, as openpyxl reads them."""
    lines = list(openpyxl.load_workbook(path).worksheets[0].iter_rows(values_only=True))
    place = max(n for n, title in enumerate(lines[header_row - 1]) if title == name)
    return [line[place] for line in lines[header_row:]]

"""What a result may change in a person's workbook, and everything that it must leave as it was."""

import io
import os
import re
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from support.sheets import read

from batch_updater.common import files
from batch_updater.common.models import Result, ResultRow
from batch_updater.inputs.excel.ranges import column_number
from batch_updater.inputs.excel.worksheet import UserSheet
from batch_updater.inputs.source import Source
from batch_updater.reports.results import write_results
from batch_updater.reports.workbook import Written
from batch_updater.reports.workbook.layout import Layout, lay_out
from batch_updater.reports.workbook.parts import Package

RUN = "20261123T101500Z-3f9a"
WORDS = list(Result)


class SomeResults:
    """A made-up result for every row of a sheet."""

    def __init__(self, source: Source, run_id: str = RUN, detail: str = "why <{}> & ğ") -> None:
        self._source, self._run_id, self._detail = source, run_id, detail

    def __iter__(self) -> Iterator[ResultRow]:
        for place, row in enumerate(self._source.rows()):
            yield ResultRow(
                number=row.number, cells=row.cells if row.stored is None else row.stored, result=WORDS[place % 8],
                http_status=200 if place % 3 else None, code="ok", detail=self._detail.format(place), attempts=1,
                order_id="1b4e28ba-2fa1-41d2-883f-0016d3cca427", status_id="0f9c1d6e-5b0a-4c6e-9d61-2a8d3f7b1c11",
                status_name="Completed", previous_status_id="", row=row.root_row or row.number,
                sent_at="2026-11-23T10:00:00.000Z", duration_ms=12, run_id=self._run_id,
            )  # fmt: skip


def add_results(source: Source, path: Path, **more: Any) -> Written:
    """Write the result file of a sheet."""
    return write_results(path, source.header, SomeResults(source, **more), source.user_sheet, source.password)


def differences(before: Path, after: Path, sheet: UserSheet) -> list[str]:
    """What a result has changed that it must not, one sentence each."""
    layout = lay_out(sheet)
    with zipfile.ZipFile(before) as old, zipfile.ZipFile(after) as new:
        package = Package(old)
        may_change = {sheet.part, package.book, "[Content_Types].xml", "xl/_rels/workbook.xml.rels", "_rels/.rels"}
        may_change |= {name for _, name in package.related(package.book, "/styles")}
        may_change |= {name for _, name in package.related(sheet.part, "/table")}
        gone = set(old.namelist()) - set(new.namelist())
        found = [f"{name} is gone" for name in gone if "calcChain" not in name and "_xmlsignatures" not in name]
        found += [f"{name} is new" for name in set(new.namelist()) - set(old.namelist())]
        found += [f"{name} is corrupt" for name in [new.testzip()] if name]
        for name in set(old.namelist()) - gone - may_change:
            if old.read(name) != new.read(name):
                found.append(f"{name} differs")
        if canonical(old.read(sheet.part), sheet, layout) != canonical(new.read(sheet.part), sheet, layout):
            found.append("the sheet differs beyond the result columns")
    return found


def canonical(data: bytes, sheet: UserSheet, layout: Layout) -> str:
    """The sheet's XML without what results change: their cells, widths, the sizes that follow from them."""
    data = (
        re.sub(rb"<\?xml[^>]*\?>", b"", data) if b"encoding" in data[:100] and b"UTF-8" in data[:100].upper() else data
    )
    root = ET.fromstring(data)
    space = root.tag.removesuffix("worksheet")
    row_number = 0
    for row in root.iterfind(f"{space}sheetData/{space}row"):
        row_number = int(row.get("r", row_number + 1))
        row.attrib.pop("spans", None)
        column = -1
        for cell in list(row.iterfind(f"{space}c")):
            column = column_number(cell.get("r", "").rstrip("0123456789")) if cell.get("r") else column + 1
            if column in layout.places and row_number >= sheet.header_row:
                row.remove(cell)
        if not len(row) and not (row.text or "").strip():
            row.text = None
    for name, attribute in (("dimension", "ref"), ("autoFilter", "ref")):
        for found in root.iterfind(f"{space}{name}"):
            found.attrib.pop(attribute, None)
    _drop_ignored(root, space)
    _spread_columns(root, space, layout)
    return ET.canonicalize(ET.tostring(root, encoding="unicode"))


def _drop_ignored(root: ET.Element, space: str) -> None:
    for found in list(root.iterfind(f"{space}ignoredErrors")):
        for child in list(found):
            if child.get("numberStoredAsText") == "1" and set(child.attrib) == {"sqref", "numberStoredAsText"}:
                found.remove(child)
        if not len(found):
            root.remove(found)


def _spread_columns(root: ET.Element, space: str, layout: Layout) -> None:
    """Write the columns' formats one by one, without those of the new columns."""
    for columns in list(root.iterfind(f"{space}cols")):
        spread = []
        for found in list(columns):
            last = min(int(found.attrib.pop("max")), 200)
            first = int(found.attrib.pop("min"))
            for column in range(first, last + 1):
                if not layout.first <= column - 1 <= layout.last:
                    spread.append(ET.Element(found.tag, {**found.attrib, "min": str(column)}))
            columns.remove(found)
        columns.extend(spread)
        columns.text = None
        columns.tail = None
        if not spread:
            root.remove(columns)


def values_and_styles(path: Path, title: str, most_column: int) -> list[tuple[Any, ...]]:
    """The values and looks of a sheet's cells up to a column, as openpyxl reads them."""
    import openpyxl

    sheet = openpyxl.load_workbook(io.BytesIO(path.read_bytes()))[title]
    return [
        (
            cell.coordinate,
            getattr(cell.value, "text", cell.value),
            cell.number_format,
            cell.font.b,
            cell.fill.fgColor.rgb,
        )
        for row in sheet.iter_rows(max_col=most_column)
        for cell in row
        if cell.value is not None or cell.has_style
    ]


def write_and_die(sheet: Path, path: Path, moment: str) -> None:
    """Write the result file of a sheet, and end at this moment as the power does: for a process of its own."""
    source = read(sheet)

    class Rows(SomeResults):
        def __iter__(self) -> Iterator[ResultRow]:
            for place, row in enumerate(super().__iter__()):
                if (moment, place) in {("at the first row", 0), ("within the rows", 150)}:
                    _die()
                yield row

    if moment == "before the flush":
        files.sync = _die
    if moment == "after the replacement":
        replace, os.replace = os.replace, lambda *paths: (replace(*paths), _die())  # type: ignore[assignment]
    write_results(path, source.header, Rows(source, "newer"), source.user_sheet)


def _die(*_arguments: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)

"""Excel 97 workbooks (.xls) that xlrd can't read: values by calamine, what is hidden or merged from the records.

calamine does not tell number formats, so that only texts are certain; a number or date in a used column is refused.
"""

import struct
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from batch_updater.common.models import Flaw, Value
from batch_updater.inputs.excel.biff import RecordError, sheet_records, worksheets
from batch_updater.inputs.excel.cell_text import uncertain_format
from batch_updater.inputs.excel.merged_cells import MergedCells, Range
from batch_updater.inputs.excel.sheet_choice import Sheet, Top, choose_sheet, top_of
from batch_updater.inputs.excel.workbook import refuse_damage, too_many_cells
from batch_updater.inputs.pandas_io import open_workbook
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.table import Record, Table

if TYPE_CHECKING:
    import python_calamine

MOST_CELLS = 4_000_000  # calamine keeps the whole rectangle in memory, some 40 bytes for each
_ROW, _COLUMNS, _MERGED = 0x208, 0x7D, 0xE5  # [MS-XLS] 2.4.221, 2.4.53, 2.4.168


@dataclass
class _Layout:
    """What is hidden and merged in one worksheet; all numbers are 0-based."""

    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    merged: list[Range] = field(default_factory=list)


class DamagedExcelTable(Table):
    """One worksheet. Rows and columns have the same places as in Excel; `content` is the workbook's stream."""

    is_excel = True

    def __init__(self, path: Path, name: Path, options: ReadOptions, content: bytes) -> None:
        self._path, self._name, self._content, self._hidden_too = path, name, content, options.include_hidden
        with refuse_damage(name), open_workbook(path) as book:
            found = [one for one in book.sheets_metadata if str(one.typ).endswith("WorkSheet")]
            starts = worksheets(content)
            if len(starts) != len(found):
                raise RecordError("lists other sheets than it holds")
            sheets = {one.name: Sheet("", visible) for one, (_start, visible) in zip(found, starts, strict=True)}
            title, self.choice = choose_sheet(name, sheets, options, lambda title: self._peek(book, title))
            self._sheet = book.get_sheet_by_name(title)
            start, _visible = starts[[one.name for one in found].index(title)]
        self._layout = _read_layout(content, start)
        self._height, self._width = (last + 1 for last in self._sheet.end or (-1, -1))
        if (cells := self._height * self._width) > min(options.max_cells, MOST_CELLS):
            raise too_many_cells(name, title, cells, min(options.max_cells, MOST_CELLS))
        self.hidden_rows = sum(1 for row, cells in self._rows() if row in self._layout.hidden_rows and any(cells))
        self.hidden_columns = frozenset(self._layout.hidden_columns)
        self.description = f"Excel sheet {title!r}"

    @staticmethod
    def _peek(book: "python_calamine.CalamineWorkbook", title: str) -> list[Top]:
        rows = enumerate(book.get_sheet_by_name(title).to_python(skip_empty_area=False), 1)
        return top_of((number, values, None) for number, values in rows)

    def _rows(self) -> Generator[tuple[int, list[Value]]]:
        yield from enumerate(map(list, self._sheet.to_python(skip_empty_area=False)))

    def records(self) -> Generator[Record]:
        merges = MergedCells(self._layout.merged, self._width)
        for row, cells in self._rows():
            if row in self._layout.hidden_rows and not self._hidden_too:
                continue
            numbers = (place for place, value in enumerate(cells) if not isinstance(value, str))
            flaws: dict[int, Flaw] = dict.fromkeys(numbers, uncertain_format(""))
            yield row + 1, cells, (flaws | merges.flaws(row, cells)) or None


def _read_layout(content: bytes, start: int) -> _Layout:
    """Return what the records of the worksheet that starts here hide and merge. Raises RecordError."""
    layout = _Layout()
    for place, kind, length in sheet_records(content, start):
        at = place + 4
        if kind == _ROW and length >= 16:
            row, height, bits = (*struct.unpack_from("<H4xH", content, at), content[at + 12])
            if bits & 0x20 or not height & 0x7FFF:
                layout.hidden_rows.add(row)
        elif kind == _COLUMNS and length >= 10:
            first, last, _width, _format, bits = struct.unpack_from("<5H", content, at)
            if bits & 1:
                layout.hidden_columns.update(range(first, last + 1))
        elif kind == _MERGED and length >= 2:
            many = min(struct.unpack_from("<H", content, at)[0], (length - 2) // 8)
            ranges = struct.iter_unpack("<4H", content[at + 2 : at + 2 + 8 * many])
            layout.merged += [((top, left), (bottom, right)) for top, bottom, left, right in ranges]
    return layout

"""A result file of more rows than one Excel sheet holds: its sheets `results`, `results 2` … read as one."""

import zipfile
from collections.abc import Generator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from batch_updater.common.errors import InputError
from batch_updater.common.remedies import Remedy
from batch_updater.inputs.excel.cell_text import texts_of
from batch_updater.inputs.excel.workbook import ExcelTable, list_sheets, refuse_damage
from batch_updater.inputs.header_row import is_result_file
from batch_updater.inputs.pandas_io import SUMMARY_SHEET
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.table import Record, Table

RESULTS = "results"  # the name of the first sheet of rows; the others have a number after it


def open_excel(path: Path, name: Path, options: ReadOptions) -> Table:
    """Open the chosen sheet, the only one, or all row sheets of a result file. Raises InputError."""
    if options.sheet is None:
        with refuse_damage(name), zipfile.ZipFile(path) as archive:
            sheets = list_sheets(archive, name)
        shown = [title for title, sheet in sheets.items() if sheet.visible and title != SUMMARY_SHEET]
        if len(shown) > 1 and all(title == wanted for title, wanted in zip(shown, _titles(), strict=False)):
            first = ExcelTable(path, name, replace(options, sheet=shown[0]))
            if is_result_file(_row(first, options.header_row or 1)):
                return _ResultTable(first, path, name, options, shown[1:])
    return ExcelTable(path, name, options)


def _titles() -> Generator[str]:
    yield RESULTS
    for number in count(2):
        yield f"{RESULTS} {number}"


def _row(table: ExcelTable, wanted: int) -> list[str]:
    """Return the cells of a row without the blank ones at its end."""
    cells = texts_of(next((cells for number, cells, _ in table.records() if number >= wanted), []))
    while cells and not cells[-1].strip():
        cells.pop()
    return cells


class _ResultTable(Table):
    """Sheets one below the other, under the header of the first, numbered throughout. Raises InputError."""

    is_excel = True

    def __init__(self, first: ExcelTable, path: Path, name: Path, options: ReadOptions, others: Sequence[str]) -> None:
        self._header_row = options.header_row or 1
        self._tables = [first, *(ExcelTable(path, name, replace(options, sheet=title)) for title in others)]
        header = _row(first, self._header_row)
        for title, table in zip(others, self._tables[1:], strict=True):
            if _row(table, self._header_row) != header:
                raise InputError(
                    f"{name}: the sheets {RESULTS!r} and {title!r} have different headers.",
                    Remedy("make them alike, or read them one by one with {sheet}"),
                )
        self._width = max(table.width for table in self._tables)
        self.hidden_rows = sum(table.hidden_rows for table in self._tables)
        self.hidden_columns = frozenset[int]().union(*(table.hidden_columns for table in self._tables))
        self.description = f"Excel sheets {RESULTS!r} to {others[-1]!r}"

    def records(self) -> Generator[Record]:
        before = 0
        for table in self._tables:
            for number, cells, flaws in table.records():
                if table is self._tables[0] or number > self._header_row:
                    yield before + number, [*cells, *[""] * (self._width - len(cells))], flaws
            before += table.rows - self._header_row

"""Excel 97 workbooks (.xls) by xlrd: values, and what is hidden."""

import contextlib
import datetime
import os
import struct
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from batch_updater.common.errors import InputError
from batch_updater.common.models import Flaw, Value
from batch_updater.inputs.archive import MEGABYTE
from batch_updater.inputs.excel.biff import RecordError, blank_unneeded
from batch_updater.inputs.excel.cell_text import stored_value
from batch_updater.inputs.excel.damaged_xls import DamagedExcelTable
from batch_updater.inputs.excel.merged_cells import MergedCells
from batch_updater.inputs.excel.ole import OleContainer, OleError
from batch_updater.inputs.excel.sheet_choice import Sheet, Top, choose_sheet, top_of
from batch_updater.inputs.excel.workbook import too_many_cells
from batch_updater.inputs.excel.worksheet import SheetError
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.table import Record, Table

LARGEST = 64 * MEGABYTE  # 65,536 rows of text have 10; in memory it can become 30 times as much


def open_old_excel(path: Path, name: Path, options: ReadOptions) -> Table:
    """Open the chosen sheet: by xlrd, or by another library where that fails by a bug of its own. Raises InputError."""
    try:
        return OldExcelTable(path, name, options)
    except _XlrdFailedError as error:
        with _refuse_damage(name):
            return DamagedExcelTable(path, name, options, error.content)


class _XlrdFailedError(Exception):
    """xlrd can't read this stream of a workbook."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.content = content


class OldExcelTable(Table):
    """One worksheet of at most 65,536 rows. Rows and columns have the same places as in Excel."""

    is_excel = True

    def __init__(self, path: Path, name: Path, options: ReadOptions) -> None:
        self._hidden_too = options.include_hidden
        self._name = name
        self._book, self._sheet, self.choice = _open(path, name, options)
        sheet = self._sheet
        self._hidden = {row for row, info in sheet.rowinfo_map.items() if info.hidden}
        self.hidden_rows = sum(1 for row in self._hidden if row < sheet.nrows and any(map(str, sheet.row_values(row))))
        self.hidden_columns = frozenset(column for column, info in sheet.colinfo_map.items() if info.hidden)
        self._merged = [((top, left), (bottom - 1, right - 1)) for top, bottom, left, right in sheet.merged_cells]
        self.description = f"Excel sheet {sheet.name!r}"

    def records(self) -> Generator[Record]:
        merges = MergedCells(self._merged, self._sheet.ncols)
        with _refuse_damage(self._name):
            for row in range(self._sheet.nrows):
                if row in self._hidden and not self._hidden_too:
                    continue
                found = [self._stored(cell) for cell in self._sheet.row(row)]
                cells: list[Value] = [value for value, _flaw in found] + [""] * (self._sheet.ncols - len(found))
                flaws = {place: flaw for place, (_value, flaw) in enumerate(found) if flaw}
                yield row + 1, cells, (flaws | merges.flaws(row, cells)) or None

    def _stored(self, cell: Any) -> tuple[Value, Flaw | None]:
        import xlrd  # noqa: PLC0415 - rarely needed

        match cell.ctype:
            case xlrd.XL_CELL_TEXT:
                return stored_value(str(cell.value), self._format(cell))
            case xlrd.XL_CELL_NUMBER:
                return stored_value(cell.value, self._format(cell))
            case xlrd.XL_CELL_DATE:
                return stored_value(_moment(cell.value, self._book.datemode), self._format(cell))
            case xlrd.XL_CELL_BOOLEAN:
                return bool(cell.value), None
            case xlrd.XL_CELL_ERROR:
                return str(xlrd.error_text_from_code.get(cell.value, "#ERROR")), None
            case _:
                return "", None

    def _format(self, cell: Any) -> str:
        return str(self._book.format_map[self._book.xf_list[cell.xf_index].format_key].format_str)


def _moment(value: float, mode: int) -> datetime.datetime | datetime.time | float:
    import xlrd  # noqa: PLC0415 - rarely needed

    try:
        found: datetime.datetime = xlrd.xldate_as_datetime(value, mode)
    except (ValueError, OverflowError, xlrd.xldate.XLDateError):
        return value
    return found.time() if 0 <= value < 1 else found


@contextlib.contextmanager
def _refuse_damage(name: Path) -> Iterator[None]:
    """Turn whatever xlrd raises for a damaged workbook into an InputError."""
    hint = "open it in Excel, save it as .xlsx"
    try:
        yield
    except (InputError, MemoryError, _XlrdFailedError):
        raise
    except (OleError, RecordError, SheetError) as error:
        raise InputError(f"{name} is not a readable Excel file: it {error}.", hint) from None
    except Exception as error:
        if "encrypted" in str(error):
            raise InputError(f"{name} is protected with a password.", "save it in Excel without a password") from None
        raise InputError(f"{name} is not a readable Excel file ({error!r:.100}).", hint) from None


def _open(path: Path, name: Path, options: ReadOptions) -> tuple[Any, Any, str]:
    """Return the workbook, its chosen sheet, unless it is too large, and why that was chosen.

    Raises InputError, or _XlrdFailedError.
    """
    import xlrd  # noqa: PLC0415 - rarely needed

    if (size := path.stat().st_size) > LARGEST:
        raise InputError(
            f"{name} has {size // MEGABYTE:,} MB; an .xls of at most {LARGEST // MEGABYTE} MB is read.",
            "open it in Excel, save it as .xlsx",
        )
    with _refuse_damage(name), path.open("rb") as stream, Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        container = OleContainer(stream)
        content, found = blank_unneeded(container.read("Workbook" if "Workbook" in container else "Book"))
        with _xlrd_bugs(content):
            book = xlrd.open_workbook(
                file_contents=content, formatting_info=True, on_demand=True, ragged_rows=True, logfile=nowhere
            )
            titles = book.sheet_names()
        sheets = {title: Sheet("", sheet.visible) for title, sheet in zip(titles, found, strict=True)}

        def load(title: str) -> Any:
            extent = found[titles.index(title)]
            if (cells := extent.rows * extent.columns) > options.max_cells:
                raise too_many_cells(name, title, cells, options.max_cells)
            with _xlrd_bugs(content):
                return book.sheet_by_name(title)

        def peek(title: str) -> list[Top]:
            sheet = load(title)
            rows = ((row + 1, [cell.value for cell in sheet.row(row)], None) for row in range(sheet.nrows))
            top = top_of(rows)
            book.unload_sheet(title)
            return top

        title, choice = choose_sheet(name, sheets, options, peek)
        return book, load(title), choice


@contextlib.contextmanager
def _xlrd_bugs(content: bytes) -> Iterator[None]:
    """Turn what is a bug of xlrd, not a word of it about the file, into an error that lets another library try."""
    try:
        yield
    except (AssertionError, LookupError, TypeError, struct.error):
        raise _XlrdFailedError(content) from None

"""Excel 97 workbooks (.xls) by xlrd: values together with what is hidden and how numbers look."""

import contextlib
import datetime
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from batch_updater.common.errors import InputError
from batch_updater.common.models import Flaw
from batch_updater.common.remedies import Remedy
from batch_updater.inputs.excel.biff import RecordError, needed
from batch_updater.inputs.excel.cell_text import as_seen, as_text
from batch_updater.inputs.excel.merged_cells import Merges, Range
from batch_updater.inputs.excel.ole import OleError, OleFile
from batch_updater.inputs.excel.workbook import Sheet, characters, choose_sheet
from batch_updater.inputs.excel.worksheet import SheetError
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.sniff import MEGABYTE
from batch_updater.inputs.table import Record, Table

LARGEST = 64 * MEGABYTE  # 65,536 rows of text have 10; in memory it can become 30 times as much
WIDTH_UNITS = 256  # a width of 256 is one character


class OldExcelTable(Table):
    """One worksheet of at most 65,536 rows. Rows and columns keep the places that they have in Excel."""

    is_excel = True

    def __init__(self, path: Path, name: Path, options: ReadOptions) -> None:
        self._hidden_too = options.include_hidden
        self._name = name
        self._book, self._sheet = _open(path, name, options)
        sheet = self._sheet
        self._hidden = {row for row, info in sheet.rowinfo_map.items() if info.hidden}
        self.hidden_rows = sum(1 for row in self._hidden if row < sheet.nrows and any(map(str, sheet.row_values(row))))
        columns = sheet.colinfo_map
        self.hidden_columns = frozenset(column for column, info in columns.items() if info.hidden)
        self.widths = tuple(
            (0.0 if columns[column].hidden else characters(columns[column].width / WIDTH_UNITS))
            if column in columns
            else None
            for column in range(sheet.ncols)
        )
        self._merged: list[Range] = [
            ((top, left), (bottom - 1, right - 1)) for top, bottom, left, right in sheet.merged_cells
        ]
        self.description = f"Excel sheet {sheet.name!r}"

    def records(self) -> Generator[Record]:
        """Number, cells as they are seen, and flaws of each row that is not hidden."""
        merges = Merges(self._merged, self._sheet.ncols)
        with _readable(self._name):
            for row in range(self._sheet.nrows):
                if row in self._hidden and not self._hidden_too:
                    continue
                seen = [self._seen(cell) for cell in self._sheet.row(row)]
                cells = [text for text, _flaw in seen] + [""] * (self._sheet.ncols - len(seen))
                flaws = {place: flaw for place, (_text, flaw) in enumerate(seen) if flaw}
                yield row + 1, cells, (flaws | merges.flaws(row, cells)) or None

    def _seen(self, cell: Any) -> tuple[str, Flaw | None]:
        import xlrd  # noqa: PLC0415 - rarely needed

        match cell.ctype:
            case xlrd.XL_CELL_TEXT:
                return as_seen(str(cell.value), self._format(cell))
            case xlrd.XL_CELL_NUMBER:
                return as_seen(cell.value, self._format(cell))
            case xlrd.XL_CELL_DATE:
                return as_seen(_moment(cell.value, self._book.datemode), self._format(cell))
            case xlrd.XL_CELL_BOOLEAN:
                return as_text(bool(cell.value)), None
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
def _readable(name: Path) -> Iterator[None]:
    """Turn whatever is wrong with a damaged workbook into one sentence: xlrd raises what it happens to meet."""
    how = "open it in Excel, save it as .xlsx"
    try:
        yield
    except (InputError, MemoryError):
        raise
    except (OleError, RecordError, SheetError) as error:
        raise InputError(f"{name} is no readable Excel file: it {error}.", how) from None
    except Exception as error:
        if "encrypted" in str(error):
            raise InputError(f"{name} is protected with a password.", "save it in Excel without a password") from None
        raise InputError(f"{name} is no readable Excel file ({error!r:.100}).", how) from None


def _open(path: Path, name: Path, options: ReadOptions) -> tuple[Any, Any]:
    """The workbook and its chosen sheet, the only one that is loaded, and that only when it is not too large."""
    import xlrd  # noqa: PLC0415 - rarely needed

    if (size := path.stat().st_size) > LARGEST:
        raise InputError(
            f"{name} has {size // MEGABYTE:,} MB; an .xls of at most {LARGEST // MEGABYTE} MB is read.",
            "open it in Excel, save it as .xlsx",
        )
    with _readable(name):
        container = OleFile(path.read_bytes())
        content, found = needed(container.read("Workbook" if "Workbook" in container else "Book"))
        book = xlrd.open_workbook(
            file_contents=content, formatting_info=True, on_demand=True, ragged_rows=True, logfile=_Silence()
        )
        titles = book.sheet_names()
        sheets = {title: Sheet("", sheet.visible) for title, sheet in zip(titles, found, strict=True)}
        chosen = titles.index(choose_sheet(name, sheets, options.sheet))
        if (cells := found[chosen].rows * found[chosen].columns) > options.max_cells:
            raise InputError(
                f"{name}, sheet {titles[chosen]!r} reaches over {cells:,} cells;"
                f" at most {options.max_cells:,} are read.",
                Remedy("delete the columns and rows beyond your data and save, or raise {max_cells}"),
            )
        return book, book.sheet_by_index(chosen)


class _Silence:
    """Takes what xlrd would print."""

    def write(self, _text: str) -> None:
        """Drop it."""

    def flush(self) -> None:
        """Nothing to do."""

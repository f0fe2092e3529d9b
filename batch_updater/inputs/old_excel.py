"""Excel 97 workbooks (.xls) by xlrd: values together with what is hidden and how numbers look."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

from batch_updater.errors import InputError
from batch_updater.inputs.excel import Sheet, characters, choose_sheet
from batch_updater.inputs.looks import as_seen, as_text, changes_look
from batch_updater.inputs.merges import Merges, Range
from batch_updater.inputs.options import ReadOptions, Record, Table

WIDTH_UNITS = 256  # a width of 256 is one character


class OldExcelTable(Table):
    """One worksheet of at most 65,536 rows. Rows and columns keep the places that they have in Excel."""

    is_excel = True

    def __init__(self, path: Path, name: Path, options: ReadOptions) -> None:
        self._hidden_too = options.include_hidden
        self._book, self._sheet = _open(path, name, options.sheet)
        sheet = self._sheet
        if (cells := sheet.nrows * sheet.ncols) > options.max_cells:
            raise InputError(f"{name} has {cells:,} cells.", "delete what is not needed, or raise --max-cells")
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
        merges = Merges(self._merged)
        for row in range(self._sheet.nrows):
            if row in self._hidden and not self._hidden_too:
                continue
            cells = [self._text(cell) for cell in self._sheet.row(row)]
            cells += [""] * (self._sheet.ncols - len(cells))
            yield row + 1, cells, merges.flaws(row, cells) or None

    def _text(self, cell: Any) -> str:
        import xlrd  # noqa: PLC0415 - rarely needed

        match cell.ctype:
            case xlrd.XL_CELL_TEXT:
                return str(cell.value)
            case xlrd.XL_CELL_NUMBER:
                code = self._book.format_map[self._book.xf_list[cell.xf_index].format_key].format_str
                return as_seen(cell.value, code) if changes_look(code) else as_text(cell.value)
            case xlrd.XL_CELL_DATE:
                return _date(cell.value, self._book.datemode)
            case xlrd.XL_CELL_BOOLEAN:
                return as_text(bool(cell.value))
            case xlrd.XL_CELL_ERROR:
                return str(xlrd.error_text_from_code.get(cell.value, "#ERROR"))
            case _:
                return ""


def _date(value: float, mode: int) -> str:
    import xlrd  # noqa: PLC0415 - rarely needed

    try:
        return as_text(xlrd.xldate_as_datetime(value, mode))
    except (ValueError, OverflowError, xlrd.xldate.XLDateError):
        return as_text(value)


def _open(path: Path, name: Path, wanted: str | None) -> tuple[Any, Any]:
    import xlrd  # noqa: PLC0415 - rarely needed

    try:
        with Path.open(path, "rb") as stream:
            book = xlrd.open_workbook(file_contents=stream.read(), formatting_info=True, logfile=_Silence())
        sheets = {sheet.name: Sheet("", sheet.visibility == 0) for sheet in book.sheets()}
    except xlrd.XLRDError as error:
        if "encrypted" in str(error):
            raise InputError(f"{name} is protected with a password.", "save it in Excel without a password") from None
        raise InputError(f"{name} is no readable Excel file ({error}).", "open it in Excel, save it as .xlsx") from None
    except Exception as error:
        raise InputError(
            f"{name} is no readable Excel file ({error!r}).", "open it in Excel, save it as .xlsx"
        ) from None
    return book, book.sheet_by_name(choose_sheet(name, sheets, wanted))


class _Silence:
    """Takes what xlrd would print."""

    def write(self, _text: str) -> None:
        """Drop it."""

    def flush(self) -> None:
        """Nothing to do."""

"""Binary Excel workbooks (.xlsb) by pandas and calamine, which tell the values and nothing of how they are shown."""

import zipfile
from collections.abc import Generator
from pathlib import Path

import python_calamine

from batch_updater.common.errors import InputError
from batch_updater.common.remedies import Remedy
from batch_updater.inputs.excel.biff import binary_reach
from batch_updater.inputs.excel.cell_text import as_text, uncertain
from batch_updater.inputs.excel.workbook import Sheet, choose_sheet, readable
from batch_updater.inputs.pandas_io import open_workbook
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.table import Record, Table


class BinaryExcelTable(Table):
    """One worksheet. Which rows are hidden can't be told, so that all of them have to be asked for."""

    is_excel = True

    def __init__(self, path: Path, name: Path, options: ReadOptions) -> None:
        if not options.include_hidden:
            raise InputError(
                f"{name} is a binary workbook (.xlsb), in which hidden rows can't be told from others.",
                Remedy("save it as .xlsx, or add {include_hidden} to take every row, hidden ones too"),
            )
        self._path, self._name = path, name
        with readable(name):
            _check_size(path, name, options.max_cells)
        with readable(name), open_workbook(path) as book:
            sheets = {
                sheet.name: Sheet("", sheet.visible == python_calamine.SheetVisibleEnum.Visible)
                for sheet in book.sheets_metadata
                if sheet.typ == python_calamine.SheetTypeEnum.WorkSheet
            }
            self._sheet = choose_sheet(name, sheets, options.sheet)
        self.description = f"Excel sheet {self._sheet!r}"

    def records(self) -> Generator[Record]:
        """Number and cells of each row."""
        with readable(self._name), open_workbook(self._path) as book:
            sheet = book.get_sheet_by_name(self._sheet)
        left = [""] * (sheet.start or (0, 0))[1]
        for number, values in enumerate(sheet.iter_rows(), 1):
            hidden = {
                place: uncertain("")
                for place, value in enumerate(values, len(left))
                if not isinstance(value, str | bool)
            }
            yield number, left + [as_text(value) for value in values], hidden or None


def _check_size(path: Path, name: Path, max_cells: int) -> None:
    """Raise InputError when a sheet reaches too far: its cells are made before anybody can ask how many they are."""
    with zipfile.ZipFile(path) as archive:
        for part in archive.namelist():
            if "worksheets/" in part and not part.endswith(".rels"):
                with archive.open(part) as stream:
                    rows, columns = binary_reach(stream)
                if rows * columns > max_cells:
                    raise InputError(
                        f"{name} has a sheet that reaches over {rows * columns:,} cells;"
                        f" at most {max_cells:,} are read.",
                        Remedy("delete the columns and rows beyond your data and save, or raise {max_cells}"),
                    )

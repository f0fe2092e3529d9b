"""Binary Excel workbooks (.xlsb) by pandas and calamine, which tell the values and nothing of how they are shown."""

from collections.abc import Generator
from pathlib import Path

import python_calamine

from batch_updater.errors import InputError
from batch_updater.inputs.excel import Sheet, choose_sheet, readable
from batch_updater.inputs.frames import open_workbook
from batch_updater.inputs.looks import as_text
from batch_updater.inputs.options import ReadOptions, Record, Table


class BinaryExcelTable(Table):
    """One worksheet. Which rows are hidden can't be told, so that all of them have to be asked for."""

    is_excel = True

    def __init__(self, path: Path, name: Path, options: ReadOptions) -> None:
        if not options.include_hidden:
            raise InputError(
                f"{name} is a binary workbook (.xlsb), in which hidden rows can't be told from others.",
                "save it as .xlsx, or add --include-hidden to take every row, hidden ones too",
            )
        self._path, self._name = path, name
        with readable(name), open_workbook(path) as book:
            sheets = {
                sheet.name: Sheet("", sheet.visible == python_calamine.SheetVisibleEnum.Visible)
                for sheet in book.sheets_metadata
                if sheet.typ == python_calamine.SheetTypeEnum.WorkSheet
            }
            self._sheet = choose_sheet(name, sheets, options.sheet)
            found = book.get_sheet_by_name(self._sheet)
            if (cells := found.total_height * found.total_width) > options.max_cells:
                raise InputError(f"{name} has {cells:,} cells.", "delete what is not needed, or raise --max-cells")
        self.description = f"Excel sheet {self._sheet!r}"

    def records(self) -> Generator[Record]:
        """Number and cells of each row."""
        with readable(self._name), open_workbook(self._path) as book:
            sheet = book.get_sheet_by_name(self._sheet)
        left = [""] * (sheet.start or (0, 0))[1]
        for number, values in enumerate(sheet.iter_rows(), 1):
            yield number, left + [as_text(value) for value in values], None

"""Binary Excel workbooks (.xlsb) by pandas and calamine, which tell the values and nothing of how they are shown."""

from collections.abc import Generator
from pathlib import Path

import python_calamine

from batch_updater.errors import InputError
from batch_updater.inputs.excel import Sheet, choose_sheet, readable
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
        with readable(name), python_calamine.CalamineWorkbook.from_path(path) as book:
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
        import pandas as pd  # noqa: PLC0415 - takes half a second, and is rarely needed

        with readable(self._name):
            frame = pd.read_excel(
                self._path, sheet_name=self._sheet, engine="calamine", header=None, dtype=object,
                keep_default_na=False, na_filter=False,
            )  # fmt: skip
        columns = [frame[name].tolist() for name in frame.columns]
        for number, values in enumerate(zip(*columns, strict=True), 1):
            yield number, [as_text(value) for value in values], None

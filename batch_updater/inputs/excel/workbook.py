"""Excel workbooks (.xlsx, .xlsm): values by calamine, everything else from the XML. Macros never run."""

import contextlib
import struct
import zipfile
import zlib
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import python_calamine

from batch_updater.common.errors import InputError
from batch_updater.common.models import Flaw, Value
from batch_updater.common.remedies import Remedy
from batch_updater.inputs.archive import find_part
from batch_updater.inputs.excel import worksheet
from batch_updater.inputs.excel.cell_text import BUILT_IN, formats_numbers, formats_texts, stored_value
from batch_updater.inputs.excel.merged_cells import MergedCells
from batch_updater.inputs.excel.sheet_choice import Sheet, Top, choose_sheet, top_of
from batch_updater.inputs.excel.worksheet import (
    Attributes,
    CellFormats,
    Mark,
    Marks,
    SheetError,
    UserSheet,
    each_element,
)
from batch_updater.inputs.pandas_io import open_workbook
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.table import Flaws, Record, Table

# What the libraries raise for a damaged container or part.
DAMAGE = (
    python_calamine.CalamineError, zipfile.BadZipFile, zlib.error, struct.error, SheetError, LookupError, ValueError,
    EOFError, NotImplementedError,
)  # fmt: skip


class ExcelTable(Table):
    """One worksheet. Rows and columns have the same places as in Excel."""

    is_excel = True

    def __init__(self, path: Path, name: Path, options: ReadOptions) -> None:
        self._path, self._name, self._options = path, name, options
        with refuse_damage(name), zipfile.ZipFile(path) as archive:
            sheets = list_sheets(archive, name)
            self._sheet, self.choice = choose_sheet(name, sheets, options, self._peek)
            formats = _cell_formats(archive)
            self._part = sheets[self._sheet].part
            with archive.open(find_part(archive, self._part)) as stream:
                try:
                    self._facts = worksheet.scan(stream, formats, options.max_cells)
                except worksheet.TooManyCellsError as error:
                    raise too_many_cells(name, self._sheet, error.cells, options.max_cells) from None
        self.rows, self.width = self._facts.last_row + 1, self._facts.last_column + 1
        self.hidden_rows = self._facts.hidden_rows
        self.hidden_columns = frozenset(self._facts.hidden_columns)
        self._loaded: python_calamine.CalamineSheet | None = None
        self.description = f"Excel sheet {self._sheet!r}"

    @property
    def user_sheet(self) -> UserSheet:
        """The sheet in the person's own workbook, to which results can be added."""
        return UserSheet(self._path, self._part, self._sheet, self._facts)

    def _peek(self, title: str) -> list[Top]:
        whole = replace(self._options, sheet=title, include_hidden=True)
        return top_of(ExcelTable(self._path, self._name, whole).records())

    def records(self) -> Generator[Record]:
        with refuse_damage(self._name):
            if self._loaded is None:
                with open_workbook(self._path) as book:
                    self._loaded = book.get_sheet_by_name(self._sheet)
            sheet = self._loaded
            left: list[Value] = [""] * (sheet.start or (0, 0))[1]
            merges = MergedCells(sheet.merged_cell_ranges or [], self._facts.last_column + 1)
            for row, values in enumerate(sheet.iter_rows()):
                hidden, marks = self._facts.of_row(row)
                if hidden and not self._options.include_hidden:
                    continue
                cells = left + values
                flaws = merges.flaws(row, cells)
                if marks:
                    flaws |= _mark(cells, marks)
                yield row + 1, cells, flaws or None
            self._loaded = None  # to free the memory after the last row


@contextlib.contextmanager
def refuse_damage(name: Path) -> Iterator[None]:
    """Turn what libraries raise for a damaged workbook into an InputError."""
    try:
        yield
    except DAMAGE as error:
        lines = str(error).strip("'\"").splitlines()
        raise _damaged(name, lines[0] if lines else "damaged") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # raised by Rust code; the name can't be imported
            raise
        raise _damaged(name, "damaged") from None


def _damaged(name: Path, what: str) -> InputError:
    return InputError(f"{name} is not a readable Excel file ({what:.200}).", "open it in Excel and save it again")


def list_sheets(archive: zipfile.ZipFile, name: Path) -> dict[str, Sheet]:
    """Return the worksheets by name, in their order.

    Raises InputError for a binary workbook (.xlsb), SheetError and KeyError for a damaged one.
    """
    book = _workbook(archive)
    if book.endswith(".bin"):
        raise InputError(f"{name} is a binary Excel workbook (.xlsb).", "open it in Excel and save it as .xlsx")
    folder = PurePosixPath(book).parent
    parts: dict[str, str] = {}
    listed: list[tuple[str, str, bool]] = []

    def relation(name: str, attributes: Attributes) -> None:
        if name == "Relationship" and attributes.get("Type", "").endswith("/worksheet"):
            target = attributes["Target"].replace("\\", "/")
            parts[attributes["Id"]] = target.lstrip("/") if target.startswith("/") else str(folder / target)

    def sheet(name: str, attributes: Attributes) -> None:
        if name == "sheet":
            key = next((value for title, value in attributes.items() if title.endswith(":id")), "")
            listed.append((attributes["name"], key, attributes.get("state", "visible") == "visible"))

    with archive.open(find_part(archive, f"{folder}/_rels/{PurePosixPath(book).name}.rels")) as stream:
        each_element(stream, relation)
    with archive.open(find_part(archive, book)) as stream:
        each_element(stream, sheet)
    return {name: Sheet(parts[key], visible) for name, key, visible in listed if key in parts}


def _workbook(archive: zipfile.ZipFile) -> str:
    found: list[str] = []

    def relation(name: str, attributes: Attributes) -> None:
        if name == "Relationship" and attributes.get("Type", "").endswith("/officeDocument"):
            found.append(attributes["Target"].replace("\\", "/").lstrip("/"))

    with archive.open(find_part(archive, "_rels/.rels")) as stream:
        each_element(stream, relation)
    return found[0] if found else "xl/workbook.xml"


def _cell_formats(archive: zipfile.ZipFile) -> CellFormats:
    """Return the formats that change how cells are displayed."""
    codes = dict(BUILT_IN)
    formats: list[str] = []
    inside = False

    def style(name: str, attributes: Attributes) -> None:
        nonlocal inside
        if name == "numFmt":
            codes[attributes["numFmtId"]] = attributes["formatCode"]
        elif name in {"cellXfs", "cellStyles", "dxfs"}:
            inside = name == "cellXfs"
        elif name == "xf" and inside:
            formats.append(attributes.get("numFmtId", "0"))

    try:
        with archive.open(find_part(archive, "xl/styles.xml")) as stream:
            each_element(stream, style)
    except KeyError:
        return CellFormats({}, {})  # a workbook without styles
    named = {str(index): codes.get(number, f"no. {number}") for index, number in enumerate(formats)}
    return CellFormats(
        {index: code for index, code in named.items() if formats_numbers(code)},
        {index: code for index, code in named.items() if formats_texts(code)},
    )


def too_many_cells(name: Path, sheet: str, cells: int, max_cells: int) -> InputError:
    """Return the error for a sheet whose last row and column are too far away."""
    return InputError(
        f"{name}, sheet {sheet!r} reaches over {cells:,} cells; at most {max_cells:,} are read.",
        Remedy("delete the columns and rows beyond your data and save, or raise {max_cells}"),
    )


def _mark(cells: list[Value], marks: Marks) -> Flaws:
    """Write errors and padded numbers as they are displayed; return the flaws of what is displayed otherwise."""
    flaws: Flaws = {}
    for column, mark, text in marks:
        if mark is Mark.UNCALCULATED:
            flaws[column] = Flaw(
                "formula_without_value",
                "the cell has a formula that was never calculated; open and save the file in Excel",
            )
        elif mark is Mark.ERROR:
            cells[column] = text
        else:
            cells[column], flaw = stored_value(cells[column], text)
            if flaw:
                flaws[column] = flaw
    return flaws

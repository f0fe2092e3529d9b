"""OpenDocument sheets (.ods), streamed from their XML: OpenDocument 1.3, part 3, chapter 9."""

import zipfile
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.parsers import expat  # document types, and so entities, are refused by `walk`

from batch_updater.errors import InputError
from batch_updater.inputs.excel import Sheet, choose_sheet, readable
from batch_updater.inputs.options import Flaws, ReadOptions, Record, Table
from batch_updater.inputs.worksheet import LAST_COLUMN, LAST_ROW, walk
from batch_updater.models import Flaw

Attributes = Mapping[str, str]
_VALUES = {"float", "currency", "percentage", "date", "time", "boolean", "string"}


@dataclass
class _Row:
    number: int  # 0-based
    repeated: int = 1
    hidden: bool = False
    cells: list[str] = field(default_factory=list)
    flaws: Flaws = field(default_factory=dict)


class OpenDocumentTable(Table):
    """One sheet. Cells are the text that is stored beside each value, which is what the person saw."""

    is_excel = True

    def __init__(self, path: Path, name: Path, options: ReadOptions) -> None:
        self._hidden_too = options.include_hidden
        self._reader = _Reader(options.max_cells, name)
        with readable(name), zipfile.ZipFile(path) as archive:
            with archive.open("META-INF/manifest.xml") as stream:
                if b"encryption-data" in stream.read(1 << 20):
                    raise InputError(f"{name} is protected with a password.", "save it without a password")
            with archive.open("content.xml") as stream:
                sheets = self._reader.list_sheets(stream)
            self._sheet = choose_sheet(name, sheets, options.sheet)
            with archive.open("content.xml") as stream:
                self._rows = self._reader.read(stream, self._sheet)
        filled = [row for row in self._rows if any(row.cells) or row.flaws]
        self.hidden_rows = sum(row.repeated for row in filled if row.hidden)
        self.hidden_columns = frozenset(self._reader.hidden_columns)
        self._width = max((len(row.cells) for row in filled), default=0)
        self._rows = filled
        self.description = f"sheet {self._sheet!r}"

    def records(self) -> Generator[Record]:
        """Number, cells as they are seen, and flaws of each row that is not hidden."""
        for row in self._rows:
            if row.hidden and not self._hidden_too:
                continue
            for number in range(row.number, row.number + row.repeated):
                yield number + 1, row.cells + [""] * (self._width - len(row.cells)), row.flaws or None


class _Reader:
    """Reads sheets one after the other; a repeated row or cell is written once and counted."""

    def __init__(self, max_cells: int, name: Path) -> None:
        self._max_cells, self._name = max_cells, name
        self.hidden_columns: set[int] = set()

    def list_sheets(self, stream: IO[bytes]) -> dict[str, Sheet]:
        """Sheets by name; a sheet is hidden by its style."""
        found: dict[str, Sheet] = {}
        styles: dict[str, bool] = {}
        style = ""

        def start(name: str, attributes: Attributes) -> None:
            nonlocal style
            if name == "style:style":
                style = attributes.get("style:name", "")
            elif name == "style:table-properties":
                styles[style] = attributes.get("table:display", "true") == "true"
            elif name == "table:table":
                visible = styles.get(attributes.get("table:style-name", ""), True)
                found[attributes["table:name"]] = Sheet("content.xml", visible)

        parser = expat.ParserCreate()
        parser.StartElementHandler = start
        walk(stream, parser)
        return found

    def read(self, stream: IO[bytes], sheet: str) -> list[_Row]:
        """The rows of one sheet. Raises InputError when they are too many."""
        content = _Content(sheet, self._check)
        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = content.start, content.end
        parser.CharacterDataHandler = content.text
        walk(stream, parser)
        self.hidden_columns = content.hidden_columns
        return content.rows

    def _check(self, rows: int, columns: int) -> None:
        if rows * columns > self._max_cells or rows > LAST_ROW or columns > LAST_COLUMN:
            raise InputError(
                f"{self._name} has over {self._max_cells:,} cells.", "delete what is not needed, or raise --max-cells"
            )


class _Content:
    def __init__(self, sheet: str, check: Callable[[int, int], None]) -> None:
        self.rows: list[_Row] = []
        self.hidden_columns: set[int] = set()
        self._sheet, self._check = sheet, check
        self._inside, self._next, self._columns, self._depth = False, 0, 0, 0
        self._row = _Row(0)
        self._cell: Attributes = {}
        self._paragraphs: list[str] = []
        self._listening = False

    def start(self, name: str, attributes: Attributes) -> None:
        """An element begins."""
        if name == "table:table":
            self._inside = attributes.get("table:name") == self._sheet
        if not self._inside:
            return
        repeated = min(int(attributes.get("table:number-columns-repeated", "1")), LAST_COLUMN)
        if name == "table:table-column":
            if attributes.get("table:visibility", "visible") != "visible":
                self.hidden_columns.update(range(self._columns, self._columns + repeated))
            self._columns += repeated
        elif name == "table:table-row":
            many = min(int(attributes.get("table:number-rows-repeated", "1")), LAST_ROW)
            self._row = _Row(self._next, many, attributes.get("table:visibility", "visible") != "visible")
            self._next += many
        elif name in {"table:table-cell", "table:covered-table-cell"}:
            self._cell, self._paragraphs = {**attributes, "name": name}, []
        elif name == "office:annotation":
            self._depth += 1
        elif name == "text:p" and not self._depth:
            self._paragraphs.append("")
            self._listening = True
        elif name in {"text:s", "text:tab", "text:line-break"} and self._listening:
            blank = {"text:s": " ", "text:tab": "\t", "text:line-break": "\n"}[name]
            self._paragraphs[-1] += blank * min(int(attributes.get("text:c", "1")), 1000)

    def text(self, data: str) -> None:
        """Text between elements."""
        if self._listening:
            self._paragraphs[-1] += data

    def end(self, name: str) -> None:
        """An element ends."""
        if not self._inside:
            return
        if name == "text:p":
            self._listening = False
        elif name == "office:annotation":
            self._depth -= 1
        elif name in {"table:table-cell", "table:covered-table-cell"}:
            self._end_cell()
        elif name == "table:table-row":
            while self._row.cells and not self._row.cells[-1]:
                self._row.cells.pop()
            if not self._row.cells and all(code == "merged_cell" for code, _ in self._row.flaws.values()):
                return  # blank, but for the lower part of a merged cell
            if self._row.cells or self._row.flaws:
                self._check(self._row.number + self._row.repeated, max(len(self._row.cells), 1))
                self.rows.append(self._row)
        elif name == "table:table":
            self._inside = False

    def _end_cell(self) -> None:
        cell, column = self._cell, len(self._row.cells)
        text = "\n".join(self._paragraphs)
        if cell["name"] == "table:covered-table-cell":
            text = ""
            self._row.flaws[column] = Flaw("merged_cell", "the cell is covered by a merged one; unmerge it")
        elif not text and "table:formula" in cell and cell.get("office:value-type") not in _VALUES:
            self._row.flaws[column] = Flaw("formula_without_value", "the cell has a formula that was never calculated")
        repeated = min(int(cell.get("table:number-columns-repeated", "1")), LAST_COLUMN - column)
        self._row.cells.extend([text] * repeated)

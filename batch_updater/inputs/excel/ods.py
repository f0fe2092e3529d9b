"""OpenDocument sheets (.ods, and flat .fods), streamed from their XML: OpenDocument 1.3, part 3, chapter 9."""

import contextlib
import zipfile
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.parsers import expat  # document types, and so entities, are refused by `parse_in_pieces`

from batch_updater.common.errors import InputError
from batch_updater.common.models import Flaw, Value
from batch_updater.inputs.excel.cell_text import texts_of
from batch_updater.inputs.excel.ods_values import typed_value
from batch_updater.inputs.excel.sheet_choice import Sheet, Top, choose_sheet
from batch_updater.inputs.excel.workbook import refuse_damage, too_many_cells
from batch_updater.inputs.excel.worksheet import LAST_COLUMN, LAST_ROW, SheetError, parse_in_pieces
from batch_updater.inputs.header_row import HEADER_WITHIN
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.table import Flaws, Record, Table

Attributes = Mapping[str, str]
LONGEST_TEXT = 1 << 17  # characters of one cell, as in a CSV; Excel has 32,767
_MOST_BLANKS = 1000  # that one element can stand for
_VALUES = {"float", "currency", "percentage", "date", "time", "boolean", "string"}
_ASIDE = ("draw:", "dr3d:", "office:annotation", "table:shapes", "form:")
_CELLS = {"table:table-cell", "table:covered-table-cell"}
_BLANKS = {"text:s": " ", "text:tab": "\t", "text:line-break": "\n"}


@dataclass
class _Row:
    sheet: str
    number: int  # 0-based
    repeated: int = 1
    hidden: bool = False
    cells: list[Value] = field(default_factory=list)
    flaws: Flaws = field(default_factory=dict)


@dataclass
class _Facts:
    """The results of the first pass over a sheet."""

    rows: int = 0
    columns: int = 0
    hidden_rows: int = 0
    hidden_columns: set[int] = field(default_factory=set)
    top: list[Top] = field(default_factory=list)


class OpenDocumentTable(Table):
    """One sheet. Cells have their values, which are compared with the texts that are stored beside them.

    The XML is read once for its size, and again whenever its rows are streamed: no row stays in memory.
    """

    is_excel = True

    def __init__(self, path: Path, name: Path, options: ReadOptions) -> None:
        self._path, self._name, self._hidden_too = path, name, options.include_hidden
        with self._open() as stream:
            content = _Content()
            for row in _rows(stream, content):
                _measure(content.facts[row.sheet], row)
        tops = {title: facts.top for title, facts in content.facts.items()}
        self._sheet, self.choice = choose_sheet(name, content.sheets(), options, lambda title: tops[title])
        facts = content.facts[self._sheet]
        if facts.rows * facts.columns > options.max_cells:
            raise too_many_cells(name, self._sheet, facts.rows * facts.columns, options.max_cells)
        self.hidden_rows = facts.hidden_rows
        self.hidden_columns = frozenset(facts.hidden_columns)
        self._width = facts.columns
        self.description = f"sheet {self._sheet!r}"

    def records(self) -> Generator[Record]:
        with self._open() as stream:
            for row in _rows(stream, _Content(self._sheet)):
                if row.hidden and not self._hidden_too:
                    continue
                cells = row.cells + [""] * (self._width - len(row.cells))
                for number in range(row.number, row.number + row.repeated):
                    yield number + 1, list(cells), row.flaws or None

    @contextlib.contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        """Open the XML of the sheets. Raises InputError for a password, and for damage that is met in reading it."""
        with refuse_damage(self._name), zipfile.ZipFile(self._path) as archive:
            with archive.open("META-INF/manifest.xml") as stream:
                if b"encryption-data" in stream.read(1 << 20):
                    raise InputError(f"{self._name} is protected with a password.", "save it without a password")
            with archive.open("content.xml") as stream:
                yield stream


class FlatDocumentTable(OpenDocumentTable):
    """One sheet of a document that is a single XML file."""

    @contextlib.contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        with refuse_damage(self._name), self._path.open("rb") as stream:
            yield stream


def _measure(facts: _Facts, row: _Row) -> None:
    if row.cells and len(facts.top) < HEADER_WITHIN:
        facts.top.append((row.number + 1, texts_of(row.cells)))
    facts.rows, facts.columns = row.number + row.repeated, max(facts.columns, len(row.cells), 1)
    if row.hidden:
        facts.hidden_rows += row.repeated


def _rows(stream: IO[bytes], content: "_Content") -> Generator[_Row]:
    """Yield the rows that hold something while the XML is parsed. Raises SheetError."""
    for _piece in parse_in_pieces(stream, content.parser):
        yield from content.rows
        content.rows.clear()


class _Content:
    """Turns the parser's events into rows: of one sheet, or of all when none is named.

    A repeated row or cell is stored once, with a count. Sheets are hidden by their styles, which come first.
    """

    def __init__(self, only: str | None = None) -> None:
        self.rows: list[_Row] = []
        self.facts: dict[str, _Facts] = {}
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler, self.parser.EndElementHandler = self._start, self._end
        self.parser.CharacterDataHandler = self._add
        self._only = only
        self._visible: dict[str, bool] = {}
        self._styles: dict[str, bool] = {}
        self._style, self._sheet = "", ""
        self._next, self._columns, self._column = 0, 0, 0
        self._aside = 0  # elements around this one that only lie over the sheet: comments, drawings, charts
        self._row = _Row("", 0)
        self._cell: Attributes = {}
        self._text: list[str] = []
        self._length, self._paragraphs, self._in_text = 0, 0, False

    def sheets(self) -> dict[str, Sheet]:
        """Return every sheet by name."""
        return {name: Sheet("content.xml", visible) for name, visible in self._visible.items()}

    def _start(self, name: str, attributes: Attributes) -> None:
        if self._aside or name.startswith(_ASIDE):
            self._aside += 1
        elif not self._sheet:
            self._start_outside(name, attributes)
        elif name == "table:table-column":
            repeated = _number(attributes, "table:number-columns-repeated", LAST_COLUMN)
            if attributes.get("table:visibility", "visible") != "visible":
                hidden = range(self._columns, min(self._columns + repeated, LAST_COLUMN))
                self.facts[self._sheet].hidden_columns.update(hidden)
            self._columns = min(self._columns + repeated, LAST_COLUMN)
        elif name == "table:table-row":
            many = _number(attributes, "table:number-rows-repeated", LAST_ROW)
            hidden_row = attributes.get("table:visibility", "visible") != "visible"
            self._row = _Row(self._sheet, self._next, many, hidden_row)
            self._next += many
            self._column = 0
        elif name in _CELLS:
            self._cell, self._text = {**attributes, "name": name}, []
            self._length = self._paragraphs = 0
        else:
            self._start_text(name, attributes)

    def _start_outside(self, name: str, attributes: Attributes) -> None:
        if name == "style:style":
            self._style = attributes.get("style:name", "")
        elif name == "style:table-properties":
            self._styles[self._style] = attributes.get("table:display", "true") == "true"
        elif name == "table:table" and (found := attributes.get("table:name", "")):
            if found in self._visible:
                raise SheetError(f"has two sheets called {found!r}")
            self._visible[found] = self._styles.get(attributes.get("table:style-name", ""), True)
            if self._only in {None, found}:
                self._sheet, self._next, self._columns = found, 0, 0
                self.facts[found] = _Facts()

    def _start_text(self, name: str, attributes: Attributes) -> None:
        if name == "text:p":
            self._in_text = True
            self._paragraphs += 1
            if self._paragraphs > 1:
                self._add("\n")
        elif name in _BLANKS:
            self._add(_BLANKS[name] * _number(attributes, "text:c", _MOST_BLANKS))

    def _add(self, data: str) -> None:
        if self._in_text and not self._aside:
            self._length += len(data)
            if self._length > LONGEST_TEXT:
                raise SheetError(f"row {self._row.number + 1} has a cell of over {LONGEST_TEXT:,} characters")
            self._text.append(data)

    def _end(self, name: str) -> None:
        if self._aside:
            self._aside -= 1
            return
        if not self._sheet:
            return
        if name == "text:p":
            self._in_text = False
        elif name in _CELLS:
            self._end_cell()
        elif name == "table:table-row":
            self._end_row()
        elif name == "table:table":
            self._sheet = ""

    def _end_row(self) -> None:
        row = self._row
        if not row.cells and all(code == "merged_cell" for code, _ in row.flaws.values()):
            return  # blank, but for the lower part of a merged cell
        if row.number + row.repeated > LAST_ROW:
            raise SheetError(f"has a row {row.number + row.repeated}, beyond the last one of Excel")
        self.rows.append(row)

    def _end_cell(self) -> None:
        cell, column = self._cell, self._column
        value, flaw = typed_value(cell, "".join(self._text))
        if cell.get("name") == "table:covered-table-cell":
            value, flaw = "", Flaw("merged_cell", "the cell is covered by a merged one; unmerge it")
        elif value == "" and "table:formula" in cell and cell.get("office:value-type") not in _VALUES:
            flaw = Flaw("formula_without_value", "the cell has a formula that was never calculated")
        repeated = min(_number(cell, "table:number-columns-repeated", LAST_COLUMN), LAST_COLUMN - column)
        if flaw and repeated:
            self._row.flaws[column] = flaw
        self._column += repeated
        if value != "":  # each row of LibreOffice ends with 16,000 empty cells
            self._row.cells.extend([""] * (column - len(self._row.cells)) + [value] * repeated)


def _number(attributes: Attributes, name: str, most: int) -> int:
    """Return how often something is repeated, at most `most` times. Raises ValueError for what is no number."""
    return max(0, min(int(attributes.get(name, "1")), most))

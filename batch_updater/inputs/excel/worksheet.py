"""Read from a worksheet's XML what is hidden, which formulas were never calculated, number formats, and the layout.

One streaming pass with expat, without a tree. A document type is refused where it starts, so that no entity is ever
expanded. The format is ECMA-376, part 1, chapter 18.
"""

from array import array
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO, NamedTuple
from xml.parsers import expat  # document types, and so entities, are refused below

from batch_updater.inputs.excel.ranges import column_number, parse_range

LAST_ROW, LAST_COLUMN = 1_048_576, 16_384
LONGEST_TAG = 1 << 22  # bytes; attributes of real sheets have some hundred
_PIECE = 1 << 13


class Mark(Enum):
    """What is special about a cell."""

    UNCALCULATED = "a formula without a cached value"
    ERROR = "an error, such as #N/A"
    FORMAT = "a number or text with a format"


Marks = tuple[tuple[int, Mark, str], ...]  # column (0-based), its mark, the error or the number format
Attributes = Mapping[str, str]


class CellFormats(NamedTuple):
    """The formats that change how numbers, and how texts, are displayed, by the style's index as the XML has it."""

    numbers: Mapping[str, str]
    texts: Mapping[str, str]


class SheetError(ValueError):
    """The XML is damaged or hostile; the message is the end of a sentence about it."""


class TooManyCellsError(SheetError):
    """The rectangle of the sheet's cells has more cells than allowed: `cells`, so far."""

    def __init__(self, cells: int) -> None:
        super().__init__(f"reaches over {cells:,} cells")
        self.cells = cells


@dataclass
class SheetFacts:
    """The results of a scan; rows and columns are 0-based.

    `formulas` are the columns with formulas, `formula_spans` the first and last column of each range that one formula
    fills, `merges` the last row of the merged cells from one column to another, `filter` the range of the sheet's
    filter. `_marks` has each combination of marks once, `_rows` its index for each row.
    """

    last_row: int = -1
    last_column: int = -1
    hidden_columns: set[int] = field(default_factory=set)
    formulas: set[int] = field(default_factory=set)
    formula_spans: set[tuple[int, int]] = field(default_factory=set)
    merges: dict[tuple[int, int], int] = field(default_factory=dict)
    filter: str = ""
    hidden_rows: int = 0
    _combinations: dict[tuple[bool, Marks], int] = field(default_factory=lambda: {(False, ()): 0})
    _marks: list[tuple[bool, Marks]] = field(default_factory=lambda: [(False, ())])
    _rows: "array[int]" = field(default_factory=lambda: array("L"))

    def add_row(self, row: int, hidden: bool, marks: Marks) -> None:
        """Store what is special about a row that has values."""
        self.hidden_rows += hidden
        if not hidden and not marks:
            return
        key = (hidden, marks)
        number = self._combinations.setdefault(key, len(self._marks))
        if number == len(self._marks):
            self._marks.append(key)
        if row >= len(self._rows):
            self._rows.frombytes(bytes(self._rows.itemsize * (row + 1 - len(self._rows))))
        self._rows[row] = number

    def of_row(self, row: int) -> tuple[bool, Marks]:
        """Whether the row is hidden, and its marked cells."""
        return self._marks[self._rows[row]] if row < len(self._rows) else (False, ())


# What stands below the rows, and never within one; rows can have extensions with elements of any name.
_BELOW = (
    "sheetCalcPr", "sheetProtection", "protectedRanges", "scenarios", "autoFilter", "sortState", "dataConsolidate",
    "customSheetViews", "mergeCells", "conditionalFormatting", "dataValidations", "hyperlinks", "printOptions",
    "pageMargins", "pageSetup", "headerFooter", "rowBreaks", "colBreaks", "customProperties", "cellWatches",
    "ignoredErrors", "smartTags", "drawing", "legacyDrawing", "legacyDrawingHF", "drawingHF", "picture", "oleObjects",
    "controls", "webPublishItems", "tableParts",
)  # fmt: skip


class UserSheet(NamedTuple):
    """A sheet of a person's own workbook, to which results can be added.

    The file (plain, if it has a password), the name of the sheet's part in it, its title and layout; the row of its
    header (as a spreadsheet shows it) and the texts there.
    """

    path: Path
    part: str
    title: str
    facts: SheetFacts
    header_row: int = 0
    header: tuple[str, ...] = ()


def parse_in_pieces(stream: IO[bytes], parser: "expat.XMLParserType") -> Generator[None]:
    """Parse a stream piece by piece, so that what the handlers found can be used in between. Raises SheetError."""

    def refuse(*_names: object) -> None:
        raise SheetError("holds a document type, as no spreadsheet program writes it")

    parser.StartDoctypeDeclHandler = refuse
    parser.buffer_text = True
    fed = 0
    try:
        while piece := stream.read(_PIECE):
            parser.Parse(piece, False)
            fed += len(piece)
            if fed - parser.CurrentByteIndex > LONGEST_TAG:
                raise SheetError(f"has a tag of over {LONGEST_TAG:,} characters")
            yield
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise SheetError(f"is damaged ({error})") from None
    yield


def parse_stream(stream: IO[bytes], parser: "expat.XMLParserType") -> None:
    """Parse a stream to its end. Raises SheetError."""
    for _piece in parse_in_pieces(stream, parser):
        pass


def each_element(stream: IO[bytes], wanted: Callable[[str, Attributes], None]) -> None:
    """Call `wanted` with the local name and attributes of each element. Raises SheetError."""
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, attributes: wanted(name.rpartition(":")[2], attributes)
    parse_stream(stream, parser)


def scan(stream: IO[bytes], formats: CellFormats, max_cells: int) -> SheetFacts:
    """Return the facts of one worksheet; `formats` are those that change how a cell is displayed.

    Raises SheetError, or TooManyCellsError as soon as a far cell makes the sheet too large.
    """
    scanner = _Scanner(formats, max_cells)
    parse_stream(stream, scanner.parser)
    scanner.end_row()
    return scanner.facts


class _Scanner:
    def __init__(self, formats: CellFormats, max_cells: int) -> None:
        self.facts = SheetFacts()
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._root
        self._max_cells = max_cells
        numbers, texts = formats
        self._formats = {"n": numbers, "d": numbers, "s": texts, "str": texts, "inlineStr": texts}
        self._letters: dict[str, int] = {}
        self._row, self._row_digits, self._hidden, self._has_values = -1, "0", False, False
        self._column, self._cell, self._formula = -1, {}, False
        self._marks: list[tuple[int, Mark, str]] = []
        self._text: list[str] = []

    _cell: Attributes

    def _root(self, name: str, _attributes: Attributes) -> None:
        prefix = name.rpartition("worksheet")[0]
        handlers = {
            "c": self._start_cell, "v": self._start_value, "is": self._start_value, "f": self._start_formula,
            "row": self._start_row, "col": self._start_col,
        }  # fmt: skip
        found = {prefix + local: handler for local, handler in handlers.items()}
        below: dict[str, Callable[[Attributes], None]] = {
            prefix + "mergeCell": self._start_merge, prefix + "autoFilter": self._start_filter,
        }  # fmt: skip
        are_below = frozenset(prefix + local for local in _BELOW)
        data = prefix + "sheetData"

        def start(name: str, attributes: Attributes) -> None:
            if handler := found.get(name):
                handler(attributes)
            elif name == data:
                self.parser.StartElementHandler = start_in_data

        def start_in_data(name: str, attributes: Attributes) -> None:
            if handler := found.get(name):
                handler(attributes)
            elif name in are_below:
                self.parser.StartElementHandler = start_below
                start_below(name, attributes)

        def start_below(name: str, attributes: Attributes) -> None:
            if handler := below.get(name):
                handler(attributes)
            elif name == prefix + "customSheetViews":
                below.pop(prefix + "autoFilter", None)  # what follows is a filter of such a view

        self.parser.StartElementHandler = start

    def _start_col(self, attributes: Attributes) -> None:
        first, last = int(attributes["min"]) - 1, min(int(attributes["max"]), LAST_COLUMN)
        has_no_width = "width" in attributes and float(attributes["width"] or 0) == 0
        if attributes.get("hidden", "0") in {"1", "true"} or has_no_width:
            self.facts.hidden_columns.update(range(first, last))

    def _start_merge(self, attributes: Attributes) -> None:
        left, _top, right, bottom = parse_range(attributes["ref"])
        self.facts.merges[left, right] = max(bottom, self.facts.merges.get((left, right), -1))

    def _start_filter(self, attributes: Attributes) -> None:
        self.facts.filter = attributes.get("ref", "")

    def _start_row(self, attributes: Attributes) -> None:
        self.end_row()
        row = int(attributes["r"]) - 1 if "r" in attributes else self._row + 1
        if row <= self._row:
            raise SheetError(f"has row {row + 1} after row {self._row + 1}")
        self._row = row
        self._hidden = attributes.get("hidden", "0") in {"1", "true"} or attributes.get("ht") == "0"
        self._column = -1
        self._row_digits = str(row + 1)
        if self._row >= LAST_ROW:
            raise SheetError(f"has a row {self._row + 1}, beyond the last one of Excel")

    def end_row(self) -> None:
        """Store what is special about the row that ends."""
        self._end_cell()
        if self._has_values:
            self.facts.add_row(self._row, self._hidden, tuple(self._marks))
            self._marks, self._has_values = [], False

    def _start_cell(self, attributes: Attributes) -> None:
        if self._formula or self._text:
            self._end_cell()
        self._cell = attributes
        place = attributes.get("r")
        before, self._column = self._column, self._column + 1 if place is None else self._column_of(place)
        if self._column <= before or self._column >= LAST_COLUMN:
            raise SheetError(f"has a cell out of its place in row {self._row + 1}")

    def _column_of(self, place: str) -> int:
        letters = place.rstrip("0123456789")
        if place[len(letters) :] != self._row_digits:  # some readers put the cell into that other row
            raise SheetError(f"has a cell {place!r} in row {self._row + 1}")
        column = self._letters.get(letters)
        if column is None:
            column = column_number(letters)
            if not 0 <= column < LAST_COLUMN:
                raise SheetError(f"has a cell {place!r}, beyond the last one of Excel")
            self._letters[letters] = column
        return column

    def _start_formula(self, attributes: Attributes) -> None:
        self._formula = True
        self.facts.formulas.add(self._column)
        if "ref" in attributes:
            left, _top, right, _bottom = parse_range(attributes["ref"])
            self.facts.formula_spans.add((left, right))
        self._record_value()

    def _start_value(self, _attributes: Attributes) -> None:
        self._record_value()
        form = self._cell.get("t", "n")
        if form in self._formats and (code := self._formats[form].get(self._cell.get("s", ""))):
            self._marks.append((self._column, Mark.FORMAT, code))
        if self._formula or form == "e":
            self._text = [""]
            self.parser.CharacterDataHandler = self._text.append

    def _record_value(self) -> None:
        self._has_values = True
        facts = self.facts
        if self._column > facts.last_column or self._row > facts.last_row:
            facts.last_column = max(facts.last_column, self._column)
            facts.last_row = max(facts.last_row, self._row)
            if (cells := (facts.last_row + 1) * (facts.last_column + 1)) > self._max_cells:
                raise TooManyCellsError(cells)

    def _end_cell(self) -> None:
        text, form = "".join(self._text).strip(), self._cell.get("t", "n")
        if self._formula and not text and form != "str":
            self._marks.append((self._column, Mark.UNCALCULATED, ""))
        elif self._text and form == "e":
            self._marks.append((self._column, Mark.ERROR, text or "#ERROR"))
        self._formula, self._text = False, []
        self.parser.CharacterDataHandler = None

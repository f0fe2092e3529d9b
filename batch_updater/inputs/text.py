"""Delimited text: CSV and its kin, streamed row by row in constant memory.

The standard library's reader is used because it tells how many cells a row really has; a reader that fills rows up
or drops surplus cells can move a status to another order without a word.
"""

import csv
import io
import re
from collections.abc import Generator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO

from batch_updater.errors import InputError
from batch_updater.inputs.columns import find_header
from batch_updater.inputs.encoding import Opener, find_encoding
from batch_updater.inputs.options import Flaws, ReadOptions, Record, Table
from batch_updater.models import WHOLE_ROW, Flaw

MARKS = ",;\t|"
_SAMPLE = 1 << 16
_SEPARATOR = re.compile(r"\ufeff?sep=(.)\s*", re.IGNORECASE)
_INNER_ID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-")
csv.field_size_limit(1 << 17)


class TextTable(Table):
    """A delimited text file. Rows count from 1; Excel's `sep=;` line is none, as in Excel."""

    def __init__(self, open_file: Opener, name: Path, options: ReadOptions) -> None:
        self._open_file, self._name = open_file, name
        self._encoding = find_encoding(open_file, name, options.encoding)
        with self._open() as stream:
            sample = stream.read(_SAMPLE)
        self._has_separator, declared = _declared(sample, name)
        if self._has_separator:
            sample = sample.partition("\n")[2] if "\n" in sample else sample.partition("\r")[2]
        self._delimiter = options.delimiter or declared or _find_delimiter(sample, name, options)
        self._width, self._header_row = 0, 0
        self.description = f"CSV, {self._encoding}, delimiter {self._delimiter!r}"

    def expect(self, header_row: int, width: int) -> None:
        """From now on, rows below the header have to have that many cells."""
        self._header_row, self._width = header_row, width

    def records(self) -> Generator[Record]:
        """Number, cells and flaws of each row. Raises InputError for a row that can't be told from its neighbours."""
        width, header_row = self._width, self._header_row
        number, line = 0, 0
        with self._open() as stream:
            if self._has_separator:
                stream.readline()
            reader = csv.reader(stream, delimiter=self._delimiter, strict=True)
            try:
                for number, cells in enumerate(reader, 1):
                    flaws = None
                    if width and len(cells) != width and number > header_row:
                        flaws = self._misfit(number, cells)
                    if reader.line_num - line > 1:
                        self._check_swallowed(number, cells)
                    line = reader.line_num
                    yield number, cells, flaws
            except csv.Error as error:
                raise self._explain(number + 1, str(error)) from None

    def _open(self) -> TextIO:
        return io.TextIOWrapper(self._open_file(), encoding=self._encoding, newline="")

    def _misfit(self, number: int, cells: list[str]) -> Flaws | None:
        """Fill a short row up and say so, unless it is blank. Raises InputError for a long one."""
        found = len(cells)
        if found > self._width:
            raise InputError(
                f"{self._name}: row {number} has more cells ({found}) than the header ({self._width}).",
                f"put quotes around a cell that contains {self._delimiter!r}, or use --delimiter",
            )
        blank = not any(cell.strip() for cell in cells)
        cells.extend([""] * (self._width - found))
        if blank:
            return None
        detail = f"the row has {found} of {self._width} cells; add the missing ones or their {self._delimiter!r}"
        return {WHOLE_ROW: Flaw("short_row", detail)}

    def _check_swallowed(self, number: int, cells: Sequence[str]) -> None:
        """Refuse a cell whose inner lines are rows of their own: a stray quotation mark made them one."""
        for cell in cells:
            for line in cell.replace("\r", "\n").split("\n")[1:]:
                if self._delimiter in line and _INNER_ID.search(line):
                    raise self._explain(number, "swallowed")

    def _explain(self, number: int, said: str) -> InputError:
        row = f"{self._name}: a quotation mark in row {number}"
        if said == "swallowed":
            return InputError(f"{row} makes one row of several.", "close or remove the quotation mark")
        if "unexpected end" in said:
            return InputError(f"{row} is never closed.", "close it, or double it when it belongs to the text")
        if "field larger" in said:
            return InputError(
                f"{self._name}: row {number} has a cell of over {csv.field_size_limit():,} characters;"
                " a quotation mark is probably never closed.",
                "close it, or double it when it belongs to the text",
            )
        if "expected after" in said:
            return InputError(f"{row} ends its cell too early.", "double the quotation marks that belong to the text")
        return InputError(f"{self._name}: row {number} can't be read as CSV: {said}.", "save it again as CSV UTF-8")


def _declared(sample: str, name: Path) -> tuple[bool, str | None]:
    """Whether there is a `sep=` line, and the delimiter that it names."""
    first = re.split(r"[\r\n]", sample, maxsplit=1)[0]
    found = _SEPARATOR.fullmatch(first.strip('"'))
    if not found:
        return False, None
    if found[1] not in MARKS:
        raise InputError(f"{name}: the first line names {found[1]!r} as delimiter.", "use , ; | or tab")
    return True, found[1]


def _find_delimiter(sample: str, name: Path, options: ReadOptions) -> str:
    """The delimiter with which a header is found, else the one that cuts most rows alike. Raises InputError."""
    cut = {mark: _cut(sample, mark) for mark in MARKS}
    named = [m for m in MARKS if find_header(cut[m], options.order_column, options.status_column) is not None]
    if len(named) == 1:
        return named[0]
    scores = {mark: _alike(rows) for mark, rows in cut.items()}
    best = max(scores.values())
    if best == (0.0, 1):
        return ","
    winners = [mark for mark in MARKS if scores[mark] == best]
    if len(winners) > 1:
        both = " or ".join(repr(mark) for mark in winners)
        raise InputError(f"{name}: the delimiter could be {both}.", "say which with --delimiter")
    return winners[0]


def _cut(sample: str, mark: str) -> list[list[str]]:
    rows = csv.reader(io.StringIO(sample, newline=""), delimiter=mark)
    try:
        found = list(islice(rows, 50))
    except csv.Error:
        return []
    return found[:-1] if len(found) > 1 and len(sample) >= _SAMPLE else found


def _alike(rows: list[list[str]]) -> tuple[float, int]:
    """Share of the rows that have the commonest number of cells, and that number."""
    lengths = [len(row) for row in rows if row]
    if not lengths:
        return 0.0, 1
    common = max(set(lengths), key=lambda length: (lengths.count(length), length))
    return (lengths.count(common) / len(lengths), common) if common > 1 else (0.0, 1)

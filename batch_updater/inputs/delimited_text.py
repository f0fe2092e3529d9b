"""Delimited text, such as CSV, streamed in constant memory.

pandas reads the rows, in frames. Where it fails, the standard library's reader finds the row and its number of cells.
"""

import csv
import io
import re
from collections.abc import Generator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO, cast

from batch_updater.common.errors import InputError
from batch_updater.common.models import WHOLE_ROW, Flaw
from batch_updater.common.remedies import Remedy
from batch_updater.common.text import UUID_SHAPE
from batch_updater.inputs.encoding import Opener, find_encoding
from batch_updater.inputs.header_row import find_header
from batch_updater.inputs.pandas_io import NotSplitError, text_rows
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.table import Flaws, Record, Table

DELIMITERS = ",;\t|"
_SAMPLE = 1 << 16
_SEPARATOR = re.compile(r"\ufeff?sep=(.)\s*", re.IGNORECASE)
csv.field_size_limit(1 << 17)


class TextTable(Table):
    """A delimited text file. Rows are numbered from 1; as in Excel, its `sep=;` line is not a row."""

    escapes_formulas = True

    def __init__(self, open_file: Opener, name: Path, options: ReadOptions) -> None:
        self._open_file, self._name = open_file, name
        self._encoding = find_encoding(open_file, name, options.encoding)
        self._has_separator = False
        with self._open() as stream:
            sample = stream.read(_SAMPLE)
        self._has_separator, declared = _declared(sample, name)
        if self._has_separator:
            sample = sample.partition("\n")[2] if "\n" in sample else sample.partition("\r")[2]
        self.delimiter = options.delimiter or declared or _find_delimiter(sample, name, options)
        self._width, self._header_row = 0, 0
        self.description = f"CSV, {self._encoding}, delimiter {self.delimiter!r}"

    def require_width(self, header_row: int, width: int) -> None:
        self._header_row, self._width = header_row, width

    def records(self) -> Generator[Record]:
        """Yield number, cells and flaws of each row. Raises InputError where the end of a row is unclear."""
        if not self._width:
            yield from ((number, cells, None) for number, cells in self._lines())
            return
        try:
            yield from self._framed()
        except NotSplitError as error:
            self._find_fault()
            raise InputError(f"{self._name} can't be read as CSV: {error}.", "save it again as CSV UTF-8") from None

    def _framed(self) -> Generator[Record]:
        """Yield the rows from the header on, each as wide as the header."""
        number = self._header_row
        with self._open() as stream:
            for _title in islice(csv.reader(stream, delimiter=self.delimiter), number - 1):
                pass
            for found in text_rows(stream, self.delimiter, self._width):
                cells, flaws = self._filled(found) if found[-1] is None else (cast("Sequence[str]", found), None)
                text = "".join(cells)
                if "\n" in text or "\r" in text:
                    self._check_swallowed(number, cells)
                yield number, cells, flaws
                number += 1

    def _lines(self) -> Generator[tuple[int, list[str]]]:
        """Yield number and cells of every row, of any width. Raises InputError for a stray quotation mark."""
        number = 0
        with self._open() as stream:
            try:
                for number, cells in enumerate(csv.reader(stream, delimiter=self.delimiter, strict=True), 1):
                    yield number, cells
            except csv.Error as error:
                raise self._explain(number + 1, str(error)) from None

    def _find_fault(self) -> None:
        """Raise InputError for the first row that can't be read."""
        for number, cells in self._lines():
            if (
                (found := len(cells)) > self._width
                and number > self._header_row
                and any(map(str.strip, cells[self._width :]))
            ):
                raise InputError(
                    f"{self._name}: row {number} has more cells ({found}) than the header ({self._width}).",
                    Remedy(
                        "put quotes around a cell that contains {mark}, or use {delimiter}",
                        {"mark": repr(self.delimiter)},
                    ),
                )
            self._check_swallowed(number, cells)

    def _open(self) -> TextIO:
        stream = io.TextIOWrapper(self._open_file(), encoding=self._encoding, newline="")
        if self._has_separator:
            stream.readline()
        return stream

    def _filled(self, found: Sequence[str | None]) -> tuple[list[str], Flaws | None]:
        """Return a short row, filled up, and its flaw unless it is blank."""
        cells = [cell or "" for cell in found]
        if not any(cell.strip() for cell in cells):
            return cells, None
        filled = len(found) - found.count(None)
        detail = f"the row has {filled} of {self._width} cells; add the missing ones or their {self.delimiter!r}"
        return cells, {WHOLE_ROW: Flaw("short_row", detail)}

    def _check_swallowed(self, number: int, cells: Sequence[str]) -> None:
        """Refuse a cell whose lines are rows of their own: a stray quotation mark has joined them."""
        for cell in cells:
            for line in cell.replace("\r", "\n").split("\n")[1:]:
                if self.delimiter in line and UUID_SHAPE.search(line.lower()):
                    raise self._explain(number, "swallowed")

    def _explain(self, number: int, error: str) -> InputError:
        row = f"{self._name}: a quotation mark in row {number}"
        if error == "swallowed":
            return InputError(f"{row} makes one row of several.", "close or remove the quotation mark")
        if "unexpected end" in error:
            return InputError(f"{row} is never closed.", "close it, or double it when it belongs to the text")
        if "field larger" in error:
            return InputError(
                f"{self._name}: row {number} has a cell of over {csv.field_size_limit():,} characters;"
                " a quotation mark is probably never closed.",
                "close it, or double it when it belongs to the text",
            )
        if "expected after" in error:
            return InputError(f"{row} ends its cell too early.", "double the quotation marks that belong to the text")
        return InputError(f"{self._name}: row {number} can't be read as CSV: {error}.", "save it again as CSV UTF-8")


def _declared(sample: str, name: Path) -> tuple[bool, str | None]:
    """Return whether there is a `sep=` line, and the delimiter that it names."""
    first = re.split(r"[\r\n]", sample, maxsplit=1)[0]
    found = _SEPARATOR.fullmatch(first.strip('"'))
    if not found:
        return False, None
    if found[1] not in DELIMITERS:
        raise InputError(f"{name}: the first line names {found[1]!r} as delimiter.", "use , ; | or tab")
    return True, found[1]


def _find_delimiter(sample: str, name: Path, options: ReadOptions) -> str:
    """Return the delimiter that yields a header, else the one that splits rows most evenly. Raises InputError."""
    split = {mark: _split(sample, mark) for mark in DELIMITERS}
    named = [m for m in DELIMITERS if find_header(split[m], options.names) is not None]
    if len(named) == 1:
        return named[0]
    scores = {mark: _alike(rows) for mark, rows in split.items()}
    best = max(scores.values())
    if best == (0.0, 1):
        return ","
    winners = [mark for mark in DELIMITERS if scores[mark] == best]
    if len(winners) > 1:
        both = " or ".join(repr(mark) for mark in winners)
        raise InputError(f"{name}: the delimiter could be {both}.", Remedy("choose it with {delimiter}"))
    return winners[0]


def _split(sample: str, mark: str) -> list[list[str]]:
    rows = csv.reader(io.StringIO(sample, newline=""), delimiter=mark)
    try:
        found = list(islice(rows, 50))
    except csv.Error:
        return []
    return found[:-1] if len(found) > 1 and len(sample) >= _SAMPLE else found


def _alike(rows: list[list[str]]) -> tuple[float, int]:
    """Return the share of the rows that have the commonest number of cells, and that number."""
    lengths = [len(row) for row in rows if row]
    if not lengths:
        return 0.0, 1
    common = max(set(lengths), key=lambda length: (lengths.count(length), length))
    return (lengths.count(common) / len(lengths), common) if common > 1 else (0.0, 1)

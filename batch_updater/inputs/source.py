"""Open a sheet of any format and stream its rows as text: exactly the visible rows."""

import contextlib
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import cast

from batch_updater.common.errors import InputError
from batch_updater.common.models import WHOLE_ROW, SourceRow, Value
from batch_updater.common.remedies import Remedy
from batch_updater.common.secret import Secret
from batch_updater.common.text import shown, unescape_formula
from batch_updater.inputs.excel.cell_text import plain_text, texts_of
from batch_updater.inputs.excel.ranges import column_letters
from batch_updater.inputs.excel.worksheet import UserSheet
from batch_updater.inputs.formats import open_table
from batch_updater.inputs.header_row import (
    HEADER_WITHIN,
    find_header,
    is_result_file,
    looks_like_data,
    non_result_columns,
)
from batch_updater.inputs.selection import ReadOptions, RowFilter
from batch_updater.inputs.sniff import check_file, kind_of
from batch_updater.inputs.superseded import Superseded
from batch_updater.inputs.table import Flaws, Table

_ROW = re.compile(r"[1-9][0-9]{0,10}")
_EXAMPLES = 3  # of what stands in a column
_SHOW = Remedy("show them, or use {include_hidden}")
Picker = Callable[[Sequence[str]], tuple[str, ...]]


class Source:
    """A sheet that can be streamed repeatedly. `header` leaves out the result columns of an earlier run.

    `name` is its name in messages: that of your file, not of the copy.
    """

    def __init__(self, path: Path, name: Path, table: Table, options: ReadOptions) -> None:
        self.path, self.name, self.is_excel, self.delimiter = path, name, table.is_excel, table.delimiter
        self._table = table
        self._header_row, full = _header_of(table, name, options)
        table.require_width(self._header_row, len(full))
        self._width = len(full)
        self._places = non_result_columns(full)
        self._limit = options.limit
        self._root_row = full.index("result_row") if is_result_file(full) else None
        self._run_id = full.index("result_run_id") if is_result_file(full) else None
        self._is_escaped = table.escapes_formulas and is_result_file(full)
        self._filter = RowFilter(options, full, name)
        self.header = tuple((unescape_cells(full) if self._is_escaped else full)[place] for place in self._places)
        self.hidden_columns = frozenset(
            new
            for new, place in enumerate(self._places)
            if place in table.hidden_columns and not options.include_hidden
        )
        self._full = tuple(full)
        above = f", header in row {self._header_row}" if self._header_row > 1 else ""
        self.description = table.description + above
        self._hidden_are_sent = options.include_hidden
        self.left_out = 0  # rows that are not chosen; known when all have been streamed
        self._superseded = Superseded(full) if options.only else None
        self.is_empty = not self._has_some(name)

    @property
    def user_sheet(self) -> UserSheet | None:
        """The sheet in the person's own workbook, when results can be added there."""
        sheet = self._table.user_sheet
        return sheet and sheet._replace(header_row=self._header_row, header=self._full)

    @property
    def password(self) -> Secret | None:
        """The password that the sheet was opened with."""
        return self._table.password

    @property
    def selection(self) -> str:
        """The chosen rows, as the options name them; empty for all."""
        return "; ".join(self._filter.descriptions)

    @property
    def notes(self) -> list[str]:
        """Sentences about hidden, left out and chosen rows."""
        found = [self._table.choice] if self._table.choice else []
        if self.is_empty:
            found.append(self._nothing)
        if hidden := self._table.hidden_rows:
            which = "1 hidden or filtered row is" if hidden == 1 else f"{hidden:,} hidden or filtered rows are"
            treatment = "sent as well" if self._hidden_are_sent else "left out; --include-hidden sends them"
            found.append(f"{which} {treatment}")
        if self._table.hidden_columns:
            names = ", ".join(map(self._column, sorted(self.hidden_columns)))
            found.append(f"hidden columns: {names or len(self._table.hidden_columns)}")
        if self.selection:
            others = f"; {self.left_out:,} others are left out" if self.left_out else ""
            found.append(f"only these rows: {self.selection}{others}")
        return found

    @property
    def _nothing(self) -> str:
        """Say that there is nothing to do."""
        sheet = f"{self.name}, {self._table.description}" if self.is_excel else str(self.name)
        below = f" in row {self._header_row}" if self._header_row else ""
        return f"{sheet}: there is nothing under the header{below}, so there is nothing to do"

    def _column(self, place: int) -> str:
        """Return a column's header as a message shows it, or its letter when it has none."""
        title = self.header[place]
        return repr(shown(title)) if title.strip() else f"column {column_letters(self._places[place])}"

    def rows(self) -> Generator[SourceRow]:
        """Yield every chosen row that is not blank."""
        pick, header_row, row_filter, root = self._picker(), self._header_row, self._filter, self._root_row
        has_values = self._table.is_excel
        chosen, self.left_out = 0, 0
        with contextlib.closing(self._table.records()) as records:
            for number, seen, flaws in records:
                cells = self._texts(seen)
                if number <= header_row or (flaws is None and not any(map(str.strip, cells))):
                    continue
                taken = not row_filter or row_filter.accepts(number, cells)
                if self._superseded:
                    self._superseded.observe(number, cells, chosen=taken)
                if not taken or chosen == self._limit:
                    self.left_out += 1
                    continue
                chosen += 1
                root_row = None if root is None or not _ROW.fullmatch(cells[root]) else int(cells[root])
                stored = cast("tuple[Value, ...]", pick(cast("Sequence[str]", seen))) if has_values else None
                moved = None if flaws is None else self._renumbered(flaws)
                yield SourceRow(number, pick(cells), moved, root_row, stored)

    def _texts(self, cells: Sequence[Value]) -> Sequence[str]:
        texts = texts_of(cells) if self._table.is_excel else cast("Sequence[str]", cells)
        return unescape_cells(texts) if self._is_escaped else texts

    @property
    def superseded(self) -> Mapping[str, int]:
        """Orders to be sent again, each with its later row that is done already; complete after the last row."""
        return self._superseded.orders if self._superseded else {}

    def newest_run_id(self) -> str:
        """Return the id of the newest run that the rows of a result file name; empty for any other sheet."""
        newest = ""
        if self._run_id is not None:
            with contextlib.closing(self._table.records()) as records:
                newest = max(
                    (plain_text(cells[self._run_id]) for number, cells, _ in records if number > self._header_row),
                    default="",
                )
        return newest

    def _picker(self) -> Picker:
        if len(self._places) == self._width:
            return tuple
        if len(self._places) > 1:
            return cast("Picker", itemgetter(*self._places))
        return lambda cells: tuple(cells[place] for place in self._places)

    def _renumbered(self, flaws: Flaws) -> Flaws:
        moved = {new: flaws[old] for new, old in enumerate(self._places) if old in flaws}
        return {**moved, WHOLE_ROW: flaws[WHOLE_ROW]} if WHOLE_ROW in flaws else moved

    def _has_some(self, name: Path) -> bool:
        """Whether there is a row. Raises InputError when there are only some that are hidden, or not chosen."""
        with contextlib.closing(self.rows()) as rows:
            if next(rows, None) is not None:
                return True
        if self.left_out:
            raise InputError(
                f"{name}: no row is chosen by {self.selection}{self._readings()}.",
                Remedy("correct {only}, {where} or {rows}"),
            )
        if hidden := self._table.hidden_rows:
            raise InputError(f"{name}: all rows are hidden ({hidden:,}).", _SHOW)
        return False

    def _readings(self) -> str:
        """Say how the cells of the columns read that conditions name."""
        found: dict[int, dict[str, None]] = {place: {} for place in self._filter.compared}
        with contextlib.closing(self._table.records()) as records:
            for number, seen, _flaws in records:
                cells = self._texts(seen) if number > self._header_row else ()
                for place, texts in found.items() if cells else ():
                    if cells[place].strip() and len(texts) <= _EXAMPLES:
                        texts[cells[place].strip()] = None
                if all(len(texts) > _EXAMPLES for texts in found.values()):
                    break
        return "".join(f"; '{shown(self._full[place])}' reads {_some(list(texts))}" for place, texts in found.items())


def _some(texts: list[str]) -> str:
    listed = ", ".join(f"'{shown(text)}'" for text in texts[:_EXAMPLES])
    return f"{listed} and others" if len(texts) > _EXAMPLES else listed or "blank"


def unescape_cells(cells: Sequence[str]) -> list[str]:
    """Return cells of an earlier run's CSV without the apostrophes before formulas."""
    return [unescape_formula(cell) if cell[:1] == "'" else cell for cell in cells]


def _header_of(table: Table, name: Path, options: ReadOptions) -> tuple[int, Sequence[str]]:
    """Return number and cells of the header. Raises InputError when there is none, or data in its place."""
    if table.header is not None:
        return 0, table.header
    with contextlib.closing(table.records()) as records:
        most = max(HEADER_WITHIN, options.header_row or 0)
        top = [(number, texts_of(cells)) for number, cells, _ in islice(records, most)]
    filled = [(number, cells) for number, cells in top if any(cell.strip() for cell in cells)]
    if not filled:
        raise _blank(table, name, most)
    if options.header_row is not None:
        filled = [(number, cells) for number, cells in filled if number == options.header_row]
        if not filled:
            raise InputError(f"{name}: row {options.header_row} is empty.", Remedy("correct {header_row}"))
    found = find_header([cells for _, cells in filled], options.names)
    number, header = filled[found or 0]
    if looks_like_data(header):
        value = next(cell for cell in header if looks_like_data([cell]))
        raise InputError(
            f"{name}: row {number} should be the header, but looks like data: {shown(value)!r}.",
            Remedy("put a row with the columns' names above it, or name its row with {header_row}"),
        )
    return number, header


def _blank(table: Table, name: Path, looked_at: int) -> InputError:
    """Return the error of a sheet whose first rows are all blank."""
    with contextlib.closing(table.records()) as records:
        first = next((number for number, cells, _ in records if any(cell.strip() for cell in texts_of(cells))), None)
    if first is not None:
        return InputError(
            f"{name}: rows 1 to {looked_at} are blank.", Remedy("use {header_row} {row}", {"row": str(first)})
        )
    if table.hidden_rows:
        return InputError(f"{name}: all rows are hidden ({table.hidden_rows:,}).", _SHOW)
    return InputError(f"{name}: there is nothing in it.", "is it the right file and sheet?")


def open_source(path: Path, options: ReadOptions, shown_as: Path | None = None) -> Source:
    """Open a sheet. Raises InputError for anything that can't be read with certainty."""
    name = shown_as or path
    check_file(path)
    try:
        kind = kind_of(path, name)
        return Source(path, name, open_table(kind, path, name, options), options)
    except OSError as error:
        raise InputError(f"{name} can't be read: {error.strerror or error}.", "check its permissions") from None

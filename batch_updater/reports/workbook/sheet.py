"""Add the result columns to a worksheet's XML while it is copied: ECMA-376, part 1, 18.3.

Handlers follow the sheet from top to bottom: what stands above the rows, the rows, what stands below them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import IO

from batch_updater.common.models import RESULT_COLUMNS, ResultRow
from batch_updater.inputs.excel.ranges import column_letters, column_number, parse_range
from batch_updater.inputs.excel.worksheet import Attributes, UserSheet
from batch_updater.reports.workbook.cells import CellMaker, Cuts, width_of
from batch_updater.reports.workbook.layout import Layout, UnsuitableError, range_text
from batch_updater.reports.workbook.splice import Splicer, is_self_closed, with_attributes

# What comes after `ignoredErrors` in a worksheet.
_LATER = frozenset(
    ("smartTags", "drawing", "drawingHF", "legacyDrawing", "legacyDrawingHF", "picture", "oleObjects", "controls",
     "webPublishItems", "tableParts", "extLst", "AlternateContent")
)  # fmt: skip
_DIGITS = "0123456789"
Due = list[
    tuple[int, str, bytes | None]
]  # cells to come: column, text (empty: only clear it), style (None: the header's)


class SheetCopy:
    """Copies one worksheet with results in it; `rows` in the order of the sheet. `cuts` tells what was too long."""

    def __init__(
        self, sheet: UserSheet, layout: Layout, rows: Iterable[ResultRow], styles: Mapping[str, int]
    ) -> None:  # fmt: skip
        self.cuts = Cuts()
        self._sheet, self._layout, self._styles = sheet, layout, styles
        self._rows = iter(rows)
        self._next = next(self._rows, None)
        self._letters = {place: column_letters(place).encode() for place in layout.places}
        self._columns: dict[str, int] = {}
        self._row, self._column = -1, -1
        self._due: Due = []
        self._is_in_cell = self._is_cutting = self._row_is_open = False
        self._cell_style, self._header_style = b"", b""
        self._has_header = not layout.new
        self._above = _Above(layout)
        self._below = _Below(sheet, layout)

    def run(self, source: IO[bytes], write: Callable[[bytes], object]) -> None:
        """Copy the sheet. Raises SheetError, and UnsuitableError when rows or their header are not where they were."""
        self._splicer = Splicer(source, write)
        self._splicer.parser.StartElementHandler = self._root
        self._splicer.run()
        if not self._has_header or self._next is not None:
            where = f"row {self._next.number}" if self._next else "the header"
            raise UnsuitableError(f"{where} can't be found in its XML")

    def _root(self, name: str, _attributes: Attributes) -> None:
        prefix = name.rpartition("worksheet")[0]
        if name != f"{prefix}worksheet":
            raise UnsuitableError("the sheet is not a worksheet")
        self._maker = CellMaker(prefix, self._styles)
        self._names = {name: f"{prefix}{name}" for name in ("row", "c", "v", "is", "f", "sheetData")}
        self._valued = {self._names[name] for name in ("v", "is", "f")}
        self._above.begin(self._splicer, prefix, self._start_rows)

    def _start_rows(self) -> None:
        parser = self._splicer.parser
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end

    def _start(self, name: str, attributes: Attributes) -> None:
        if self._is_in_cell:
            if name in self._valued:
                self._header_style = self._cell_style
        elif name == self._names["c"]:
            self._start_cell(attributes)
        elif name == self._names["row"]:
            self._start_row(attributes)
        else:
            self._write_due()  # what is no cell comes after all of them

    def _end(self, name: str) -> None:
        if name == self._names["c"]:
            self._is_in_cell = False
            if self._is_cutting:
                self._splicer.end_cut(with_tag=self._closes)
                self._is_cutting = False
        elif name == self._names["row"]:
            if self._row_is_open:
                self._write_due()
            self._row_is_open = False
        elif name == self._names["sheetData"]:
            self._below.begin(self._splicer, self._maker)

    def _start_row(self, attributes: Attributes) -> None:
        self._row = int(attributes["r"]) - 1 if "r" in attributes else self._row + 1
        self._column = -1
        self._row_is_open = True
        self._due = self._cells_due()
        if not self._due:
            return
        tag = self._splicer.tag()
        changed = self._with_spans(tag, attributes)
        if is_self_closed(tag):
            self._splicer.insert(changed[:-2].rstrip() + b">")
            self._write_due()
            self._splicer.replace_tag(b"</%s>" % self._names["row"].encode())
            self._row_is_open = False
        elif changed != tag:
            self._splicer.replace_tag(changed)

    def _with_spans(self, tag: bytes, attributes: Attributes) -> bytes:
        ends = [int(end) for span in attributes.get("spans", "").split() for end in span.split(":")]
        if not ends or not any(text for _place, text, _style in self._due):
            return tag
        wanted = [place + 1 for place, _text, _style in self._due]
        return with_attributes(tag, {"spans": f"{min(*ends, *wanted)}:{max(*ends, *wanted)}"})

    def _cells_due(self) -> Due:
        """Return the cells that this row gets, from left to right."""
        number = self._row + 1
        if number == self._sheet.header_row:
            self._has_header = True
            return [(place, name, None) for place, name in sorted(self._layout.new)]
        row = self._next
        if row is None or row.number > number:
            return []
        if row.number < number:
            raise UnsuitableError(f"row {row.number} can't be found in its XML")
        self._next = next(self._rows, None)
        first, last, style = self._layout.first, self._layout.last, self._maker.style_of
        due: Due = []
        for place, name, value in zip(self._layout.places, RESULT_COLUMNS, row[2:], strict=True):
            text = "" if value is None else self.cuts.fit(str(value), row.row)
            if text or not first <= place <= last:
                due.append((place, text, style(text if name == "result" else "")))
        due.sort()
        return due

    def _start_cell(self, attributes: Attributes) -> None:
        self._is_in_cell = True
        place = attributes.get("r")
        self._column = self._column + 1 if place is None else self._column_of(place)
        if self._row + 1 == self._sheet.header_row:
            self._cell_style = b' s="%s"' % attributes["s"].encode() if "s" in attributes else b""
        if not self._due or self._due[0][0] > self._column:
            return
        self._write_due(before=self._column)
        if self._due and self._due[0][0] == self._column:
            self._write_due(before=self._column + 1)
            self._closes = not is_self_closed(self._splicer.tag())
            self._splicer.cut()
            self._is_cutting = True

    def _column_of(self, place: str) -> int:
        name = place.rstrip(_DIGITS)
        found = self._columns.get(name)
        if found is None:
            found = self._columns[name] = column_number(name)
        return found

    def _write_due(self, before: int = 1 << 20) -> None:
        """Write the cells that come before this column."""
        if not self._due:
            return
        count = next((count for count, cell in enumerate(self._due) if cell[0] >= before), len(self._due))
        number = b"%d" % (self._row + 1)
        made = [
            self._maker.cell(self._letters[place] + number, text, self._header_style if style is None else style)
            for place, text, style in self._due[:count]
            if text
        ]
        del self._due[:count]
        if made:
            self._splicer.insert(b"".join(made))


class _Above:
    """Edits what stands above the rows: the dimension, and the widths of the new columns."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._is_done, self._is_cutting = not layout.new, False

    def begin(self, splicer: Splicer, prefix: str, then: Callable[[], None]) -> None:
        """Follow the parser until the rows begin."""
        self._splicer, self._prefix, self._then = splicer, prefix, then
        splicer.parser.StartElementHandler, splicer.parser.EndElementHandler = self._start, self._end
        self._ours = b"".join(map(self._col, self._layout.new))

    def _col(self, column: tuple[int, str]) -> bytes:
        place, name = column
        values = (self._prefix.encode(), place + 1, place + 1, width_of(name))
        return b'<%scol min="%d" max="%d" width="%d" customWidth="1"/>' % values

    def _start(self, name: str, attributes: Attributes) -> None:
        local = name.removeprefix(self._prefix)
        if local == "dimension" and self._layout.new and "ref" in attributes:
            left, top, right, bottom = parse_range(attributes["ref"])
            ref = range_text(left, top, max(right, self._layout.last), bottom)
            self._splicer.replace_tag(with_attributes(self._splicer.tag(), {"ref": ref}))
        elif local == "cols" and is_self_closed(tag := self._splicer.tag()):
            self._splicer.replace_tag(tag[:-2] + b">" + self._left() + b"</%s>" % name.encode())
        elif local == "col":
            self._start_col(attributes)
        elif local == "sheetData":
            if ours := self._left():
                cols = f"{self._prefix}cols".encode()
                self._splicer.insert(b"<%s>%s</%s>" % (cols, ours, cols))
            self._then()

    def _end(self, name: str) -> None:
        if self._is_cutting:  # the end of a column that is replaced
            self._splicer.end_cut(with_tag=True)
            self._is_cutting = False
        elif name == f"{self._prefix}cols" and (ours := self._left()):
            self._splicer.insert(ours)

    def _left(self) -> bytes:
        """Return the widths of the new columns, the first time."""
        ours, self._is_done = b"" if self._is_done else self._ours, True
        return ours

    def _start_col(self, attributes: Attributes) -> None:
        """Keep a run of columns as it is, but for the part where the new ones stand."""
        first, last = int(attributes["min"]), int(attributes["max"])
        new_first, new_last = self._layout.first + 1, self._layout.last + 1
        if last < new_first or not self._layout.new:
            return
        tag = self._splicer.tag()
        if first > new_last:
            self._splicer.insert(self._left())
            return
        before = with_attributes(tag, {"max": str(new_first - 1)}) if first < new_first else b""
        after = with_attributes(tag, {"min": str(new_last + 1)}) if last > new_last else b""
        new = [part if is_self_closed(part) else part[:-1] + b"/>" for part in (before, after) if part]
        self._splicer.insert(b"".join([*new[:1], self._left(), *new[1:]] if before else [self._left(), *new]))
        if is_self_closed(tag):
            self._splicer.replace_tag(b"")
        else:
            self._splicer.cut()
            self._is_cutting = True


class _Below:
    """Edits what stands below the rows: the filter, and the columns whose texts look like numbers on purpose."""

    def __init__(self, sheet: UserSheet, layout: Layout) -> None:
        self._filter = layout.filter
        first, last = sheet.header_row, sheet.facts.last_row
        ranges = [range_text(column, first, column, last) for column in layout.numbers]
        self._ranges = " ".join(ranges).encode() if last >= first else b""
        self._depth = 0

    def begin(self, splicer: Splicer, maker: CellMaker) -> None:
        """Follow the parser to the end of the sheet."""
        self._splicer, self._prefix = splicer, maker.prefix
        splicer.parser.StartElementHandler, splicer.parser.EndElementHandler = self._start, self._end

    def _start(self, name: str, attributes: Attributes) -> None:
        self._depth += 1
        local = name.rpartition(":")[2]
        if self._depth > 1:
            if local == "ignoredError" and attributes.get("sqref", "").encode() == self._ranges:
                self._ranges = b""  # an earlier result has written it
            return
        if local == "autoFilter" and self._filter:
            self._splicer.replace_tag(with_attributes(self._splicer.tag(), {"ref": self._filter}))
        elif local == "ignoredErrors" and is_self_closed(self._splicer.tag()):
            self._ranges = b""
        elif local in _LATER and self._ranges:
            self._splicer.insert(self._ignored_errors())

    def _end(self, name: str) -> None:
        if self._depth == 1 and name.rpartition(":")[2] == "ignoredErrors" and self._ranges:
            self._splicer.insert(self._ignored_error())
        elif self._depth == 0 and self._ranges:
            self._splicer.insert(self._ignored_errors())
        self._depth -= 1

    def _ignored_errors(self) -> bytes:
        name = self._prefix + b"ignoredErrors"
        return b"<%s>%s</%s>" % (name, self._ignored_error(), name)

    def _ignored_error(self) -> bytes:
        ranges, self._ranges = self._ranges, b""
        return b'<%signoredError sqref="%s" numberStoredAsText="1"/>' % (self._prefix, ranges)

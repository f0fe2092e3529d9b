"""Where the result columns go in a person's own sheet. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from batch_updater.common.models import RESULT_COLUMNS
from batch_updater.inputs.excel.ranges import column_letters, parse_range
from batch_updater.inputs.excel.worksheet import LAST_COLUMN, SheetFacts, UserSheet
from batch_updater.inputs.header_row import is_result_file

_NUMBERS = ("result_http_status", "result_attempts", "result_row", "result_duration_ms")


class UnsuitableError(Exception):
    """Results can't be added to this workbook; the message goes on after `because`."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The positions (0-based) of the result columns, in their order, and the first and last of those that are new.

    Without new ones `last` is below `first`. `filter` is the sheet's filter with the new columns, empty when it stays;
    `overwrites_formulas` tells that columns of an earlier result have them.
    """

    places: tuple[int, ...]
    first: int
    last: int
    filter: str = ""
    overwrites_formulas: bool = False

    @property
    def new(self) -> list[tuple[int, str]]:
        """The new columns and their headers."""
        named = zip(self.places, RESULT_COLUMNS, strict=True)
        return [(place, name) for place, name in named if self.first <= place <= self.last]

    @property
    def numbers(self) -> list[int]:
        """The columns whose texts look like numbers."""
        return sorted(self.places[RESULT_COLUMNS.index(name)] for name in _NUMBERS)


def lay_out(sheet: UserSheet) -> Layout:
    """Return where results go: in the columns of an earlier result, else after everything. Raises UnsuitableError."""
    facts, top = sheet.facts, sheet.header_row - 1
    kept = _earlier_columns(sheet.header)
    spans = [span for span, bottom in facts.merges.items() if bottom >= top]
    if _overlap(kept.values(), spans):
        raise UnsuitableError("cells of its earlier result columns are merged")
    if _overlap(kept.values(), facts.formula_spans):
        raise UnsuitableError("one formula fills several cells of its earlier result columns")
    first = 1 + max([facts.last_column, *(right for _left, right in (*spans, *facts.formula_spans))])
    places, last = [], first - 1
    for name in RESULT_COLUMNS:
        if name not in kept:
            last += 1
        places.append(kept.get(name, last))
    if last >= LAST_COLUMN:
        raise UnsuitableError("it has no room for them: the last column of Excel is XFD")
    grown = _grown_filter(facts, top, first, last) if last >= first else ""
    return Layout(tuple(places), first, last, grown, bool(facts.formulas & set(kept.values())))


def _earlier_columns(header: tuple[str, ...]) -> dict[str, int]:
    """Return the columns of an earlier result; of two that are called alike, the last: a person's own comes first."""
    if not is_result_file(header):
        return {}
    return {name: place for place, name in enumerate(header) if name in RESULT_COLUMNS}


def _overlap(places: Iterable[int], spans: Iterable[tuple[int, int]]) -> bool:
    found = list(spans)
    return any(left <= place <= right for place in places for left, right in found)


def _grown_filter(facts: SheetFacts, top: int, first: int, last: int) -> str:
    """Return the range of a filter on the header's row with the new columns; empty when there is none."""
    try:
        left, filter_top, right, bottom = parse_range(facts.filter)
    except ValueError:
        return ""
    return range_text(left, top, last, bottom) if filter_top == top and left < first and right < last else ""


def range_text(left: int, top: int, right: int, bottom: int) -> str:
    """Return a range as a sheet writes it, from 0-based places."""
    return f"{column_letters(left)}{top + 1}:{column_letters(right)}{bottom + 1}"

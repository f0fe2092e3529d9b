"""Choose how a sheet is read, and which of its rows. Pure."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path

from batch_updater.common.errors import InputError
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import split_condition
from batch_updater.inputs.columns import ColumnNames, list_headers, normalise_header
from batch_updater.inputs.header_row import result_column

MAX_CELLS = 25_000_000


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a sheet, named like the settings; None means that it is detected.

    `columns` holds a person's own headers of the columns, `only` results of an earlier run, `where` conditions like
    `Column=value` or `Column!=value`, `rows` ranges like `2-500,700`. With `set_status`, the status of every row, no
    column of statuses is sought.
    """

    sheet: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    only: tuple[str, ...] = ()
    order_column: str | None = None
    status_column: str | None = None
    set_status: str | None = None
    expect_column: str | None = None
    order_by: str = "id"
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    header_row: int | None = None
    include_hidden: bool = False
    where: tuple[str, ...] = ()
    rows: str | None = None
    limit: int | None = None
    max_cells: int = MAX_CELLS
    password_file: Path | None = None

    @property
    def names(self) -> ColumnNames:
        """What a person says about the columns."""
        return ColumnNames(
            self.order_column, self.status_column, self.expect_column, self.columns,
            by_name=self.order_by == "name", needs_status=self.set_status is None,
        )  # fmt: skip


# Settings that decide what is read: a run can be resumed only with the same ones.
RESUME_KEYS = frozenset(field.name for field in fields(ReadOptions))


def parse_ranges(text: str) -> list[tuple[int, float]]:
    """Return the ranges in a text such as `2-500,700,900-`, which the settings have checked; the ends are inclusive."""
    ranges: list[tuple[int, float]] = []
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        ranges.append((int(first), float(last or ("inf" if dash else first))))
    return ranges


RowTest = Callable[[int, Sequence[str]], bool]


@lru_cache(10_000)
def _folded(text: str) -> str:
    """Return a cell or a value as they are compared: without letter case, and the Turkish i's are one letter."""
    return unicodedata.normalize("NFKC", text.strip()).casefold().replace("\u0307", "").replace("\u0131", "i")


class RowFilter:
    """Selects rows. Values asked for in one column are alternatives; all other conditions must be true.

    `compared` are the positions of the columns that conditions name.
    """

    def __init__(self, options: ReadOptions, header: Sequence[str], name: Path) -> None:
        self._tests: list[RowTest] = []
        self.descriptions: list[str] = []
        if options.only:
            place, words = result_column(header), frozenset(options.only)
            self._tests.append(lambda _number, cells: cells[place].strip() in words)
            self.descriptions.append("result=" + ",".join(options.only))
        self._add_where(options.where, header, name)
        if options.rows:
            ranges = parse_ranges(options.rows)
            self._tests.append(lambda number, _cells: any(low <= number <= high for low, high in ranges))
            self.descriptions.append(f"rows {options.rows}")
        if options.limit is not None:
            self.descriptions.append(f"at most {options.limit:,}")

    def _add_where(self, conditions: Sequence[str], header: Sequence[str], name: Path) -> None:
        wanted: dict[int, set[str]] = {}
        unwanted: dict[int, set[str]] = {}
        names = [normalise_header(title) for title in header]
        for condition in conditions:
            column, excludes, value = split_condition(condition)
            if names.count(normalise_header(column)) != 1:
                which = "no column" if normalise_header(column) not in names else "several columns"
                found = f"{name} has {which} {column.strip()!r}"
                raise InputError(
                    Remedy(
                        "{found} for {where}; the headers are {headers}.",
                        {"found": found, "headers": list_headers(header)},
                    ),
                    Remedy("correct {where}"),
                )
            values = unwanted if excludes else wanted
            values.setdefault(names.index(normalise_header(column)), set()).add(_folded(value))
            self.descriptions.append(condition)
        self.compared = sorted(wanted.keys() | unwanted.keys())
        for place, one_of in wanted.items():
            self._add_values(place, frozenset(one_of), excluded=False)
        for place, none_of in unwanted.items():
            self._add_values(place, frozenset(none_of), excluded=True)

    def _add_values(self, place: int, values: frozenset[str], *, excluded: bool) -> None:
        self._tests.append(lambda _number, cells: (_folded(cells[place]) in values) is not excluded)

    def __bool__(self) -> bool:
        return bool(self._tests)

    def accepts(self, number: int, cells: Sequence[str]) -> bool:
        """Whether a row is selected."""
        return all(test(number, cells) for test in self._tests)

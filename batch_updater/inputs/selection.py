"""How a sheet is to be read, and which of its rows are wanted. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from batch_updater.common.errors import InputError
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings
from batch_updater.inputs.columns import listed, plain, result_column

MAX_CELLS = 25_000_000


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read, in the words of the command line; None means that it is found out.

    `only` holds results of an earlier run, `where` conditions like `Column=value`, `rows` ranges like `2-500,700`.
    """

    sheet: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    only: tuple[str, ...] = ()
    order_column: str | None = None
    status_column: str | None = None
    header_row: int | None = None
    include_hidden: bool = False
    where: tuple[str, ...] = ()
    rows: str | None = None
    limit: int | None = None
    max_cells: int = MAX_CELLS
    password_file: Path | None = None


# Settings that decide what is read; a run is picked up again only when they are the same.
READING = frozenset({"order_by", "expect_column", *(field.name for field in fields(ReadOptions))})


def read_options(settings: Settings) -> ReadOptions:
    """The settings that matter for reading."""
    return ReadOptions(**{field.name: getattr(settings, field.name) for field in fields(ReadOptions)})


def parse_ranges(text: str) -> list[tuple[int, float]]:
    """Row ranges such as `2-500`, `700` and `900-`, separated by commas, as the settings let them through."""
    ranges: list[tuple[int, float]] = []
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        ranges.append((int(first), float(last or ("inf" if dash else first))))
    return ranges


Test = Callable[[int, Sequence[str]], bool]


class Choice:
    """The rows that a person chose. Conditions on one column are alternatives, on several columns all must hold."""

    def __init__(self, options: ReadOptions, header: Sequence[str], name: Path) -> None:
        self._tests: list[Test] = []
        self.words: list[str] = []
        if options.only:
            self._add_values(result_column(header), frozenset(options.only), "result=" + ",".join(options.only))
        self._add_where(options.where, header, name)
        if options.rows:
            ranges = parse_ranges(options.rows)
            self._tests.append(lambda number, _cells: any(low <= number <= high for low, high in ranges))
            self.words.append(f"rows {options.rows}")
        if options.limit is not None:
            self.words.append(f"at most {options.limit:,}")

    def _add_where(self, conditions: Sequence[str], header: Sequence[str], name: Path) -> None:
        wanted: dict[int, set[str]] = {}
        names = [plain(title) for title in header]
        for condition in conditions:
            column, _sign, value = condition.partition("=")
            if names.count(plain(column)) != 1:
                how = "no column" if plain(column) not in names else "several columns"
                raise InputError(
                    f"{name} has {how} {column.strip()!r} for --where; the headers are {listed(header)}.",
                    Remedy("correct {where}"),
                )
            wanted.setdefault(names.index(plain(column)), set()).add(value.strip())
            self.words.append(condition)
        for place, values in wanted.items():
            self._add_values(place, frozenset(values))

    def _add_values(self, place: int, values: frozenset[str], words: str = "") -> None:
        self._tests.append(lambda _number, cells: cells[place].strip() in values)
        if words:
            self.words.append(words)

    def __bool__(self) -> bool:
        return bool(self._tests)

    def takes(self, number: int, cells: Sequence[str]) -> bool:
        """Whether a row is wanted."""
        return all(test(number, cells) for test in self._tests)

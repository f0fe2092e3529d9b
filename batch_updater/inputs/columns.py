"""Find the columns of a sheet by its header. Pure."""

import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from batch_updater.common.errors import InputError
from batch_updater.common.remedies import Remedy
from batch_updater.common.text import shown
from batch_updater.inputs.header_words import split_header
from batch_updater.inputs.ranking import OrderRank, StatusRank, rank_expected, rank_order, rank_status, same_header

MOST_LISTED = 30  # headers in a message
MOST_PROPOSED = 3  # columns whose headers tell nothing
MOST_NAMED = 10  # columns with the same right, in a message
Rank = Callable[[str], int]
ORDER_OPTION, STATUS_OPTION = Remedy("{order_column}"), Remedy("{status_column}")
EXPECT_OPTION = Remedy("{expect_column}")
OTHER_ROW = Remedy("if the headers stand in another row: {header_row} N")
SAME_STATUS = Remedy("if every row should get the same status: {set_status} STATUS")


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """What a person says about the columns: their headers, own words for them, and whether orders are named.

    `own` has a person's own headers under `order`, `status` and `expected`. No column of statuses is needed when every
    row gets the same one.
    """

    order: str | None = None
    status: str | None = None
    expect: str | None = None
    own: Mapping[str, Collection[str]] = field(default_factory=dict)
    by_name: bool = False
    needs_status: bool = True

    def rank_order(self, header: str) -> OrderRank:
        """Return how well a header says that its column holds the orders."""
        return rank_order(header, self.own.get("order", ()), by_name=self.by_name)

    def rank_status(self, header: str) -> StatusRank:
        """Return how well a header says that its column holds the statuses to set."""
        return rank_status(header, self.own.get("status", ()))

    def rank_expected(self, header: str) -> int:
        """Return how well a header says that its column holds the statuses that orders must have now."""
        return rank_expected(header, self.own.get("expected", ()))


@dataclass(frozen=True, slots=True)
class Columns:
    """Positions (0-based) and headers of the used columns; `expect` has the status that an order must have now.

    `status` is None when no column is needed, because every row gets the same status. `alike` are the positions of
    other columns that may hold the status with the same right: only their cells can tell whether one of them holds ids
    and the others the names of these. `unused` are headers of such columns that are not taken.
    """

    order: int
    status: int | None
    order_header: str
    status_header: str
    expect: int | None = None
    expect_header: str = ""
    alike: tuple[int, ...] = ()
    unused: tuple[str, ...] = ()


def normalise_header(name: str) -> str:
    """Return a header without case, blanks, `_` and `-`."""
    return "".join(c for c in name.casefold() if c not in "_-" and not c.isspace())


def find_columns(
    header: Sequence[str], names: ColumnNames, *,
    compares: bool = False, hidden: Collection[int] = (), name: object = "the sheet",
) -> Columns:  # fmt: skip
    """Find the columns by the given names, else by the rank of their headers. Raises InputError.

    That of statuses is only sought when it is needed; that of expected statuses is optional, and sought when orders are
    compared. Columns whose positions are in `hidden` are refused. The errors name the sheet, the headers and the
    options to type.
    """
    search = _Search(header, name)
    order = search.orders(names)
    statuses = search.statuses(names) if names.needs_status else []
    if order in statuses[:1]:
        raise InputError(
            f"{name}: column {header[order]!r} can't be both order and status.",
            Remedy("choose {order_column} and {status_column}"),
        )
    expect = search.expected(names, compares=compares)
    if expect is not None and expect in {order, *statuses[:1]}:
        raise InputError(
            f"{name}: column {header[expect]!r} can't be both that and the expected status.",
            Remedy("choose another {expect_column}"),
        )
    for place in (order, *statuses, expect):
        if place is not None and place in hidden:
            raise InputError(f"{name}: column {header[place]!r} is hidden.", Remedy("show it, or use {include_hidden}"))
    status = statuses[0] if statuses else None
    return columns_at(header, names, order=order, status=status, expect=expect, alike=tuple(statuses[1:]))


def columns_at(
    header: Sequence[str], names: ColumnNames, *,
    order: int, status: int | None, expect: int | None, alike: tuple[int, ...] = (),
) -> Columns:  # fmt: skip
    """Return the columns at these positions, and the headers that could be mistaken for theirs."""
    unused = tuple(
        title
        for place, title in enumerate(header)
        if place not in {order, status, expect}
        and (names.rank_status(title) or names.rank_order(title) > OrderRank.RELATED)
    )
    headers = ["" if place is None else header[place] for place in (order, status, expect)]
    return Columns(order, status, headers[0], headers[1], expect, headers[2], alike, unused)


@dataclass(frozen=True, slots=True)
class _Search:
    """Finds columns in one header; `name` is that of the sheet in messages. All methods raise InputError."""

    header: Sequence[str]
    name: object

    def orders(self, names: ColumnNames) -> int:
        """Return the position of the orders."""
        if names.order is not None:
            return self._named(names.order, "order", ORDER_OPTION)
        ranks = list(map(names.rank_order, self.header))
        best = _best(ranks)
        if max(ranks, default=0) <= OrderRank.RELATED:
            raise self._missing("order", ORDER_OPTION, best if any(ranks) else self._few(names.rank_status))
        if len(best) > 1:
            raise self.several("order", ORDER_OPTION, best)
        return best[0]

    def statuses(self, names: ColumnNames) -> list[int]:
        """Return the position of the statuses to set, and after it those of other columns with the same right."""
        if names.status is not None:
            return [self._named(names.status, "status", STATUS_OPTION)]
        ranks = list(map(names.rank_status, self.header))
        best, found = _best(ranks), max(ranks, default=StatusRank.NONE)
        doubtful = [place for place, rank in enumerate(ranks) if rank is StatusRank.DOUBTFUL]
        if found <= StatusRank.RELATED:
            raise self._missing("status", STATUS_OPTION, best if any(ranks) else self._few(names.rank_order))
        if found in {StatusRank.CURRENT, StatusRank.EXPECTED}:
            raise self._only_current(best)
        if found is StatusRank.DOUBTFUL or (found is StatusRank.PLAIN and doubtful):
            raise self.several("new status", STATUS_OPTION, sorted({*best, *doubtful}))
        if len({self.header[place].strip() for place in best}) < len(best):
            raise self.several("status", STATUS_OPTION, best)
        return best

    def expected(self, names: ColumnNames, *, compares: bool) -> int | None:
        """Return the position of the statuses that orders must have now, when there is one."""
        if names.expect is not None:
            return self._named(names.expect, "expected status", EXPECT_OPTION)
        ranks = list(map(names.rank_expected, self.header)) if compares else []
        if not any(ranks):
            return None
        best = _best(ranks)
        if len(best) > 1:
            raise self.several("expected status", EXPECT_OPTION, best)
        return best[0]

    def _named(self, chosen: str, what: str, option: Remedy) -> int:
        found = named_columns(self.header, chosen)
        if len(found) > 1:
            raise InputError(f"{self.name}: two columns are called {chosen!r}.", "give each its own header")
        if found:
            return found[0]
        raise InputError(
            f"{self.name}: no {what} column {chosen!r}; the headers are {list_headers(self.header)}.",
            Remedy("correct {option}, or use {header_row}", {"option": option}),
        )

    def several(self, what: str, option: Remedy, places: Iterable[int], why: str = "") -> InputError:
        """Return the error of several columns with the same right, and `why` they are not the same."""
        found = list(places)
        listed = self._listed(found)
        many = f"{len(found)} columns" if len(found) != 2 else "two columns"
        message = f"{many} may hold the {what}: {listed}{why and f'; {why}'}."
        if len(found) == 1:
            message = f"it is not certain that {listed} holds the {what}."
        return InputError(f"{self.name}: {message}", self._options(option, found, "name the right one:"))

    def _only_current(self, places: list[int]) -> InputError:
        listed = self._listed(places)
        return InputError(
            f"{self.name}: no column of the statuses to set; {listed} says what the orders have now or had before.",
            [*self._options(STATUS_OPTION, places, "if it is what they should get:"), SAME_STATUS],
        )

    def _listed(self, places: Sequence[int]) -> str:
        named = [repr(shown(self.header[place])) for place in places[:MOST_NAMED]]
        more = len(places) - len(named)
        return " and ".join([*named, f"{more:,} more"] if more else named)

    def _missing(self, what: str, option: Remedy, near: list[int]) -> InputError:
        message = f"{self.name}: no {what} column; the headers are {list_headers(self.header)}."
        same = [SAME_STATUS] if option is STATUS_OPTION else []
        if near:
            return InputError(message, [*self._options(option, near, "if that is the one:"), *same, OTHER_ROW])
        chosen = Remedy("use {option} HEADER with one of these, or {header_row}", {"option": option})
        return InputError(message, [chosen, *same])

    def _few(self, rank: Rank) -> list[int]:
        """Return the positions of the columns that are named like no other, when they are few."""
        found = [place for place, title in enumerate(self.header) if title.strip() and not rank(title)]
        return found if len(found) <= MOST_PROPOSED else []

    def _options(self, option: Remedy, places: Iterable[int], why: str) -> list[Remedy]:
        """Return the options to type, each finished; for columns that can't be named, what to do first."""
        few = islice(places, MOST_NAMED)
        typed = [name for place in few if (name := typed_name(self.header, place))]
        found = [
            Remedy(
                "{why} {option} {header}",
                {"why": "or" if number else why, "option": option, "header": shlex.quote(name)},
            )
            for number, name in enumerate(typed)
        ]
        return found or [Remedy("give each column its own header")]


def several_columns(header: Sequence[str], name: object, places: Iterable[int], why: str) -> InputError:
    """Return the error of several columns that may hold the status, with the options to type; `name` is the sheet's."""
    return _Search(header, name).several("status", STATUS_OPTION, places, why)


def _best(ranks: Sequence[int]) -> list[int]:
    best = max(ranks, default=0)
    return [place for place, rank in enumerate(ranks) if rank == best]


def named_columns(header: Sequence[str], chosen: str) -> list[int]:
    """Return the positions of the columns of this name: exactly, else but for case and blanks, else for marks too."""
    exact = [place for place, title in enumerate(header) if title.strip() == chosen.strip()]
    plain = [place for place, title in enumerate(header) if normalise_header(title) == normalise_header(chosen)]
    return exact or plain or [place for place, title in enumerate(header) if same_header(title, chosen)]


def typed_name(header: Sequence[str], place: int) -> str:
    """Return what to type for this column on one line; empty when another column would be found by it."""
    title = " ".join(header[place].split())
    typed = title if title.isprintable() else " ".join(split_header(title))
    return typed if typed and named_columns(header, typed) == [place] else ""


def list_headers(header: Sequence[str]) -> str:
    """Return the headers as a message shows them."""
    more = len(header) - MOST_LISTED
    there = ", ".join(f"'{shown(title)}'" for title in header[:MOST_LISTED])
    return f"{there} and {more:,} more" if more > 0 else there

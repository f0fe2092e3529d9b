"""Find the header and the columns of a sheet. Pure."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from batch_updater.common.errors import InputError
from batch_updater.common.models import RESULT_COLUMNS
from batch_updater.common.remedies import Remedy
from batch_updater.common.text import UUID_SHAPE, shown

_ORDER = ("orderid", "orderuuid", "evrekaorderid", "order", "id")
_STATUS = ("statusid", "newstatusid", "targetstatusid", "statusuuid", "newstatus", "targetstatus", "status")
_EXPECT = ("expectedstatus", "expectedstatusid", "currentstatus", "currentstatusid", "from", "fromstatus")
_OF_RESULTS = {"result", "result_row", "result_run_id"}
_NUMBER = re.compile(r"[0-9]{9,}")
MOST_LISTED = 30  # headers in a message
HEADER_WITHIN = 30  # rows; a title block is not longer


@dataclass(frozen=True, slots=True)
class Columns:
    """Positions (0-based) and headers of the used columns; `expect` has the status that an order must have now.

    `status` is None when no column is needed, because every row gets the same status.
    """

    order: int
    status: int | None
    order_header: str
    status_header: str
    expect: int | None = None
    expect_header: str = ""


@dataclass(frozen=True, slots=True)
class _Sought:
    """A column to find: what it holds, the option that names it, and the normalised headers that it may have."""

    what: str
    option: Remedy
    aliases: Sequence[str]


def normalise_header(name: str) -> str:
    """Return a header without case, blanks, `_` and `-`."""
    return "".join(c for c in name.casefold() if c not in " _-\u00a0\t")


def find_header(
    rows: Sequence[Sequence[str]], order_column: str | None, status_column: str | None, *, needs_status: bool = True
) -> int | None:
    """Return the index of the first row that names an order and (where it is needed) a status column, or None.

    Rows above it must look like titles: fewer filled cells than the header, and no ids.
    """
    wanted_order = {normalise_header(order_column)} if order_column else set(_ORDER)
    wanted_status = {normalise_header(status_column)} if status_column else set(_STATUS)
    most = 0
    for index, row in enumerate(rows[:HEADER_WITHIN]):
        filled = [cell for cell in row if cell.strip()]
        names = {normalise_header(cell.strip()) for cell in filled}
        if names & wanted_order and (not needs_status or (names & wanted_status and len(names) > 1)):
            return index if most < len(filled) else None
        if looks_like_data(filled):
            return None
        most = max(most, len(filled))
    return None


def looks_like_data(cells: Sequence[str]) -> bool:
    """Whether a row that should be a header holds an id or a long number."""
    return any(UUID_SHAPE.search(cell.lower()) or _NUMBER.fullmatch(cell.strip()) for cell in cells)


def is_result_file(header: Sequence[str]) -> bool:
    """Whether the sheet is an earlier run's result file."""
    return set(header) >= _OF_RESULTS


def non_result_columns(header: Sequence[str]) -> list[int]:
    """Return the positions of the columns that an earlier run did not add as its results."""
    ours = {normalise_header(name) for name in RESULT_COLUMNS}
    return [place for place, name in enumerate(header) if normalise_header(name) not in ours]


def result_column(header: Sequence[str]) -> int:
    """Return the position of an earlier run's `result` column. Raises InputError when there is none."""
    names = [normalise_header(name) for name in header]
    if "result" not in names:
        raise InputError("The sheet has no 'result' column.", Remedy("{only} takes the result file of an earlier run"))
    return names.index("result")


def find_columns(
    header: Sequence[str], order_column: str | None, status_column: str | None, expect_column: str | None = None, *,
    needs_status: bool = True, compares: bool = False, hidden: Collection[int] = (), name: object = "the sheet",
) -> Columns:  # fmt: skip
    """Find the columns by the given names, else by alias. Raises InputError, naming sheet, headers and option.

    That of statuses is only sought when it is needed; that of expected statuses is optional, and sought when orders are
    compared. Columns whose positions are in `hidden` are refused.
    """
    order = _find(name, header, order_column, _Sought("order", Remedy("{order_column}"), _ORDER))
    status = None
    if needs_status:
        status = _find(name, header, status_column, _Sought("status", Remedy("{status_column}"), _STATUS))
    if order == status:
        raise InputError(
            f"{name}: column {header[order]!r} can't be both order and status.",
            Remedy("choose {order_column} and {status_column}"),
        )
    expect = None
    if expect_column or (compares and any(normalise_header(title) in _EXPECT for title in header)):
        expect = _find(name, header, expect_column, _Sought("expected status", Remedy("{expect_column}"), _EXPECT))
    if expect is not None and expect in {order, status}:
        raise InputError(
            f"{name}: column {header[expect]!r} can't be both that and the expected status.",
            Remedy("choose another {expect_column}"),
        )
    for place in (order, status, expect):
        if place is not None and place in hidden:
            raise InputError(f"{name}: column {header[place]!r} is hidden.", Remedy("show it, or use {include_hidden}"))
    headers = ["" if place is None else header[place] for place in (order, status, expect)]
    return Columns(order, status, headers[0], headers[1], expect, headers[2])


def _find(name: object, header: Sequence[str], chosen: str | None, sought: _Sought) -> int:
    names = [normalise_header(title.strip()) for title in header]
    for wanted in [normalise_header(chosen)] if chosen is not None else sought.aliases:
        if names.count(wanted) > 1:
            raise InputError(f"{name}: two columns are called {chosen or wanted!r}.", "give each its own header")
        if wanted in names:
            return names.index(wanted)
    which = f" {chosen!r}" if chosen else ""
    raise InputError(
        f"{name}: no {sought.what} column{which}; the headers are {list_headers(header)}.",
        Remedy("use {option}, or {header_row}", {"option": sought.option}),
    )


def list_headers(header: Sequence[str]) -> str:
    """Return the headers as a message shows them."""
    more = len(header) - MOST_LISTED
    there = ", ".join(f"'{shown(title)}'" for title in header[:MOST_LISTED])
    return f"{there} and {more:,} more" if more > 0 else there

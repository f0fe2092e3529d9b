"""Find the header among the first rows of a sheet, and the columns of an earlier run in it. Pure."""

import re
from collections.abc import Sequence

from batch_updater.common.errors import InputError
from batch_updater.common.models import RESULT_COLUMNS
from batch_updater.common.remedies import Remedy
from batch_updater.common.text import UUID_SHAPE
from batch_updater.inputs.columns import ColumnNames, Rank, normalise_header
from batch_updater.inputs.ranking import StatusRank, same_header

_OF_RESULTS = {"result", "result_row", "result_run_id"}
_NUMBER = re.compile(r"[0-9]{9,}")
HEADER_WITHIN = 30  # rows; a title block is not longer


def find_header(rows: Sequence[Sequence[str]], names: ColumnNames) -> int | None:
    """Return the index of the first row that names an order and, where it is needed, a status column; or None.

    Rows above it must look like titles: fewer filled cells than the header, and no ids. A title alone may name the
    orders too, so where no status is needed the last such row above the ids is taken.
    """
    most, found = 0, None
    for index, row in enumerate(rows[:HEADER_WITHIN]):
        filled = [cell for cell in row if cell.strip()]
        if names_needed(filled, names) and (names.needs_status or not looks_like_data(filled)):
            found = index if most < len(filled) else found
            if names.needs_status or names.by_name:
                return found
        elif looks_like_data(filled):
            return found
        most = max(most, len(filled))
    return found


def names_needed(cells: Sequence[str], names: ColumnNames) -> bool:
    """Whether these cells, as a header, name a column of orders and, where it is needed, another one of statuses."""
    orders = {place for place, cell in enumerate(cells) if _is_column(cell, names.order, names.rank_order)}
    if not names.needs_status:
        return bool(orders)
    statuses = {place for place, cell in enumerate(cells) if _is_column(cell, names.status, names.rank_status)}
    return bool(orders and statuses) and len(orders | statuses) > 1


def _is_column(cell: str, chosen: str | None, rank: Rank) -> bool:
    return rank(cell) > StatusRank.RELATED if chosen is None else same_header(cell, chosen)


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

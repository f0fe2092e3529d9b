"""Of several columns that may hold the status, find the one of ids beside those of their names. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from batch_updater.common.models import SourceRow
from batch_updater.planning.identifiers import bare_text, normalise_id
from batch_updater.planning.statuses import StatusBook, UnknownStatusError, folded


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The first row in which the columns are not an id and its names."""

    row: int


def find_id_column(rows: Iterable[SourceRow], places: Sequence[int], book: StatusBook) -> int | Disagreement:
    """Return the position of the column that holds a status id in every row, while the others hold its name.

    Rows in which all of the columns are empty tell nothing; without others the first column is returned.
    """
    found: int | None = None
    agreed: set[tuple[str, ...]] = set()  # few statuses, many rows
    for row in rows:
        cells = tuple(bare_text(row.cells[place]) for place in places)
        if cells in agreed or not any(cells):
            continue
        holding = [place for place, cell in zip(places, cells, strict=True) if normalise_id(cell)]
        if len(holding) != 1 or found not in {None, holding[0]}:
            return Disagreement(row.number)
        found = holding[0]
        status = normalise_id(row.cells[found]) or ""
        if not all(_means(book, cell, status) for place, cell in zip(places, cells, strict=True) if place != found):
            return Disagreement(row.number)
        agreed.add(cells)
    return places[0] if found is None else found


def _means(book: StatusBook, text: str, status: str) -> bool:
    try:
        return book.find(text) == status
    except UnknownStatusError:  # none has this name, or several have
        return status in book.names and folded(text) == folded(book.names[status])

"""Merged cells: only the first has a value; whether it is meant for the others is unknown. Pure."""

from collections.abc import Iterable, Sequence

from batch_updater.common.models import Flaw, Value
from batch_updater.inputs.excel.worksheet import SheetError
from batch_updater.inputs.table import Flaws

Range = tuple[tuple[int, int], tuple[int, int]]  # first and last row and column, 0-based: (top, left), (bottom, right)


class MergedCells:
    """The merged cells of a sheet, read row by row from the top. Memory grows with the number of ranges."""

    def __init__(self, ranges: Iterable[Range], width: int) -> None:
        self._coming = sorted((found for found in ranges if found[0][1] < width), reverse=True)
        self._here: list[Range] = []
        self._width = width

    def flaws(self, row: int, cells: Sequence[Value]) -> Flaws:
        """Return flaws for the cells that a merged cell hides in this row; none for a row that is blank otherwise.

        Raises SheetError when ranges overlap, which no program writes and which would cost time for each row.
        """
        coming = bool(self._coming and self._coming[-1][0][0] <= row)
        while self._coming and self._coming[-1][0][0] <= row:
            self._here.append(self._coming.pop())
        if not self._here:
            return {}
        self._here = [found for found in self._here if found[1][0] >= row]
        if coming and len(self._here) > self._width:
            raise SheetError("has merged cells that overlap")
        if not any(cell is not None and str(cell).strip() for cell in cells):
            return {}
        return {column: flaw for found in self._here for column, flaw in _covered(found, row, len(cells))}


def _covered(found: Range, row: int, width: int) -> Iterable[tuple[int, Flaw]]:
    (top, left), (_bottom, right) = found
    where = "the cell left of it" if row == top else f"row {top + 1}"
    flaw = Flaw("merged_cell", f"the cell is merged with {where}; unmerge it and fill in the value")
    first = left + 1 if row == top else left
    return ((column, flaw) for column in range(first, min(right + 1, width)))

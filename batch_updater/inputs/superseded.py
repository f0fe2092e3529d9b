"""Rows of a result file that a later row of their order has superseded. Pure."""

from collections.abc import Sequence

from batch_updater.inputs.columns import normalise_header
from batch_updater.inputs.header_row import result_column

SENT, DONE = frozenset({"failed", "unknown"}), frozenset({"updated", "unchanged"})


class Superseded:
    """Finds in a streamed result file the orders to be sent again of which a later row is done already.

    After `--on-conflict sequence` an order may have its last status although an earlier one failed. `orders` maps
    such orders to the last row that is done and not chosen. Memory grows with the chosen rows only.
    """

    def __init__(self, header: Sequence[str]) -> None:
        self.orders: dict[str, int] = {}
        self._result = result_column(header)
        names, wanted = [normalise_header(name) for name in header], normalise_header("result_order_id")
        self._order = names.index(wanted) if wanted in names else None
        self._again: set[str] = set()

    def observe(self, number: int, cells: Sequence[str], *, chosen: bool) -> None:
        """Consider one row; rows come in the order of the file."""
        if self._order is None:
            return
        order, result = cells[self._order].strip(), cells[self._result].strip()
        if chosen and order and result in SENT:
            self._again.add(order)
        elif not chosen and result in DONE and order in self._again:
            self.orders[order] = number

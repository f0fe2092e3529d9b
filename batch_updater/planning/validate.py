"""Validate one row: a StatusUpdate or a RejectedRow. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from batch_updater.common.models import WHOLE_ROW, Flaw, RejectedRow, SourceRow, StatusUpdate
from batch_updater.common.text import encodable, shown
from batch_updater.planning.identifiers import BLANKS, bare_text, is_name, normalise_id, why_not_an_id
from batch_updater.planning.statuses import StatusBook, UnknownStatusError
from batch_updater.planning.swapped import ORDER_IS_STATUS

MOST_SEEN = 10_000


@dataclass(frozen=True, slots=True)
class RejectedOrder:
    """Why a row names no usable order: a machine word and a sentence."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class RowValidator:
    """Validates rows by the positions of their columns (0-based) and the tenant's statuses, when they are known.

    Without a column of statuses every row gets `set_status`, an id or a name.
    """

    order: int
    status: int | None
    expect: int | None = None
    book: StatusBook | None = None
    orders: Mapping[str, str | RejectedOrder] | None = None  # by name, when the order column holds names
    set_status: str = ""
    _seen: dict[str, str] = field(default_factory=dict, repr=False, compare=False)  # statuses: few texts, many rows

    def validate(self, row: SourceRow) -> StatusUpdate | RejectedRow:
        """Return the update that the row asks for, or why it can't be used."""
        order_text, status_text = row.cells[self.order], self._status_text(row)
        if row.flaws and (flaw := self._flaw(row.flaws)):
            return self._rejected(row, *flaw)
        if not order_text.strip(BLANKS) or not status_text.strip(BLANKS):
            empty = "status" if order_text.strip(BLANKS) else "order id"
            return self._rejected(row, "missing_value", f"the {empty} is empty")
        order_id = self._order(order_text)
        if isinstance(order_id, RejectedOrder):
            return self._rejected(row, order_id.code, order_id.detail)
        expect_text = "" if self.expect is None else row.cells[self.expect]
        if self.book is not None and order_id in self.book.names:
            name = self.book.names[order_id]
            return self._rejected(row, ORDER_IS_STATUS, f"order id {order_id} is the id of the status '{name}'")
        try:
            status_id = self._status(status_text)
            expected_id = self._status(expect_text) if expect_text.strip(BLANKS) else ""
        except _BadStatusError as error:
            return self._rejected(row, error.code, error.detail)
        tidied = (self.orders is None and order_id != order_text) or (
            self.status is not None and status_id != status_text and status_id in status_text.lower()
        )
        return StatusUpdate(row.number, order_id, status_id, tidied, expected_id, row.root_row)

    def _rejected(self, row: SourceRow, code: str, detail: str) -> RejectedRow:
        order, status = encodable(row.cells[self.order]), encodable(self._status_text(row))
        return RejectedRow(row.number, code, detail, order, status, row.root_row)

    def _status_text(self, row: SourceRow) -> str:
        return self.set_status if self.status is None else row.cells[self.status]

    def why_not_sendable(self) -> str:
        """Return why the status of every row can't be sent; empty when it can, or when each row has its own."""
        try:
            if self.status is None:
                self._status(self.set_status)
            return ""
        except _BadStatusError as error:
            return error.detail

    def _flaw(self, flaws: Mapping[int, Flaw]) -> Flaw | None:
        """Return what is wrong with the row or a cell in a used column; other cells may hold anything."""
        if WHOLE_ROW in flaws:
            return flaws[WHOLE_ROW]
        for name, place in (("order id", self.order), ("status", self.status), ("expected status", self.expect)):
            if place is not None and place in flaws:
                code, detail = flaws[place]
                return Flaw(code, f"{name}: {detail}")
        return None

    def order_name(self, row: SourceRow) -> str:
        """Return the order's name in this row, without surrounding blanks."""
        return row.cells[self.order].strip(BLANKS)

    def _order(self, text: str) -> str | RejectedOrder:
        if self.orders is not None:
            return self.orders[text.strip(BLANKS)]
        return normalise_id(text) or RejectedOrder("bad_order_id", f"order id {why_not_an_id(text)}")

    def _status(self, text: str) -> str:
        found = self._seen.get(text)
        if found is None:
            found = self._find_status(text)
            if len(self._seen) < MOST_SEEN:
                self._seen[text] = found
        return found

    def _find_status(self, text: str) -> str:
        status_id = normalise_id(text)
        try:
            if status_id is not None:
                if self.book is not None:
                    self.book.check_id(status_id)
                return status_id
            if self.book is not None:
                return self.book.find(bare_text(text))
        except UnknownStatusError as error:
            if status_id is None and not is_name(text):
                raise _BadStatusError("bad_status_id", f"status {why_not_an_id(text)}") from None
            raise _BadStatusError("unknown_status", f"'{shown(text)}': {error}") from None
        if is_name(text):
            raise _BadStatusError("unknown_status", f"'{shown(text)}' is a name, and names can't be looked up now")
        raise _BadStatusError("bad_status_id", f"status {why_not_an_id(text)}")


class _BadStatusError(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail

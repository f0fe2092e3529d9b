"""Judge one row: a StatusUpdate or a RejectedRow. Pure."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from batch_updater.models import WHOLE_ROW, Flaw, RejectedRow, SourceRow, StatusUpdate
from batch_updater.statuses import StatusBook, UnknownStatusError

_SHAPE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_BLANKS = " \t\r\n\u00a0\u202f\u2007\u3000"
ORDER_IS_STATUS = "order_is_status"
ROWS_THAT_TELL = 20
MOST_SEEN = 10_000
_MISSING = {"na", "n/a", "nan", "null", "none", "-", "nil"}


def normalise_id(text: str) -> str | None:
    """The canonical form of a UUID, or None.

    Surrounding blanks (no-break ones too), upper case, braces and `urn:uuid:` are taken off;
    nothing within the id is ever changed.
    """
    if _SHAPE.fullmatch(text):
        return text
    bare = text.strip(_BLANKS)
    if not bare.isascii():
        return None
    bare = bare.lower().removeprefix("urn:uuid:")
    if bare.startswith("{") and bare.endswith("}"):
        bare = bare[1:-1]
    return bare if _SHAPE.fullmatch(bare) else None


def shown(text: str) -> str:
    """The text as a message may show it: controls and invisible characters escaped, at most 60 characters."""
    visible = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return visible if len(visible) <= 60 else visible[:59] + "…"


# What a text is that is no id, and what the person should know about it; the first that matches speaks.
_EXAMPLE = "ids look like 1b4e28ba-2fa1-41d2-883f-0016d3cca427"
_REASONS = tuple(
    (re.compile(pattern), sentence)
    for pattern, sentence in (
        (
            r"[0-9.,]+[eE][+-]?[0-9]+",
            "is a number that a spreadsheet shortened; format the column as text and copy the id again",
        ),
        (
            r"[1-9][0-9]{15,}([.,]0+)?",
            "is a number, of which spreadsheets keep only 15 digits; format the column as text and copy the id again",
        ),
        (r"[0-9]+[.,]0+", "is a number; a spreadsheet made it a decimal number"),
        (
            r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9:.]+)?|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}",
            "is a date, or a spreadsheet made it one; format the column as text and copy the id again",
        ),
        (r"[+-]?[0-9.,]+", f"is a number; {_EXAMPLE}"),
        (r"#.*", "is a spreadsheet error; repair the formula"),
    )
)


def why_not_an_id(text: str) -> str:
    """One sentence for a person on why this text is not a UUID."""
    bare = text.strip(_BLANKS)
    if bare.casefold() in _MISSING:
        return f"'{shown(bare)}' stands for an empty cell; put the id there"
    if odd := next((c for c in bare if unicodedata.category(c) in {"Cc", "Cf"}), ""):
        return f"'{_escaped(bare)}' holds an invisible character (U+{ord(odd):04X}); type or copy the id again"
    if odd := next((c for c in bare if not c.isascii()), ""):
        return f"'{_escaped(bare)}' holds '{shown(odd)}' (U+{ord(odd):04X}), which only looks like part of an id"
    for pattern, sentence in _REASONS:
        if pattern.fullmatch(bare):
            return f"'{shown(bare)}' {sentence}"
    if re.fullmatch(r"[0-9a-fA-F-]+", bare):
        digits = len(bare.replace("-", ""))
        return f"'{shown(bare)}' has {digits} digits; an id has 32 in groups of 8-4-4-4-12"
    return f"'{shown(bare)}' is not an id; {_EXAMPLE}"


def _escaped(text: str) -> str:
    """The text with every character escaped that can be taken for another one."""
    return shown(text.encode("ascii", "backslashreplace").decode("ascii"))


@dataclass(frozen=True, slots=True)
class RejectedOrder:
    """Why the order of a row can't be told: a machine word and a sentence."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Rules:
    """How to judge rows: positions of the columns (0-based), and the tenant's statuses when they are known."""

    order: int
    status: int
    expect: int | None = None
    book: StatusBook | None = None
    orders: Mapping[str, str | RejectedOrder] | None = None  # by name, when the order column holds names
    _seen: dict[str, str] = field(default_factory=dict, repr=False, compare=False)  # statuses: few texts, many rows

    def judge(self, row: SourceRow) -> StatusUpdate | RejectedRow:
        """A usable update, or why there is none."""
        if row.flaws and (flaw := self._flaw(row.flaws)):
            return RejectedRow(row.number, *flaw)
        order_text, status_text = row.cells[self.order], row.cells[self.status]
        if not order_text.strip(_BLANKS) or not status_text.strip(_BLANKS):
            name = "status" if order_text.strip(_BLANKS) else "order id"
            return RejectedRow(row.number, "missing_value", f"the {name} is empty")
        order_id = self._order(order_text)
        if isinstance(order_id, RejectedOrder):
            return RejectedRow(row.number, order_id.code, order_id.detail)
        expect_text = "" if self.expect is None else row.cells[self.expect]
        if self.book is not None and order_id in self.book.names:
            name = self.book.names[order_id]
            return RejectedRow(row.number, ORDER_IS_STATUS, f"order id {order_id} is the id of the status '{name}'")
        try:
            status_id = self._status(status_text)
            expected_id = self._status(expect_text) if expect_text.strip(_BLANKS) else ""
        except _BadStatusError as error:
            return RejectedRow(row.number, error.code, error.detail)
        tidied = (self.orders is None and order_id != order_text) or (
            status_id != status_text and status_id in status_text.lower()
        )
        return StatusUpdate(row.number, order_id, status_id, tidied, expected_id)

    def _flaw(self, flaws: Mapping[int, Flaw]) -> Flaw | None:
        """What the reader saw wrong with the row or with a cell that matters; other cells may be as they like."""
        if WHOLE_ROW in flaws:
            return flaws[WHOLE_ROW]
        for name, place in (("order id", self.order), ("status", self.status), ("expected status", self.expect)):
            if place is not None and place in flaws:
                code, detail = flaws[place]
                return Flaw(code, f"{name}: {detail}")
        return None

    def order_name(self, row: SourceRow) -> str:
        """The order's name in this row, without blanks around it."""
        return row.cells[self.order].strip(_BLANKS)

    def _order(self, text: str) -> "str | RejectedOrder":
        if self.orders is not None:
            return self.orders[text.strip(_BLANKS)]
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
                return self.book.find(text.strip(_BLANKS))
        except UnknownStatusError as error:
            if status_id is None and not is_name(text):
                raise _BadStatusError("bad_status_id", f"status {why_not_an_id(text)}") from None
            raise _BadStatusError("unknown_status", f"'{shown(text)}': {error}") from None
        if is_name(text):
            raise _BadStatusError("unknown_status", f"'{shown(text)}' is a name, and names can't be looked up now")
        raise _BadStatusError("bad_status_id", f"status {why_not_an_id(text)}")


def swapped(judged: Sequence[StatusUpdate | RejectedRow]) -> str:
    """How the first rows of a sheet show that orders and statuses stand in each other's columns; empty if not.

    With the service's statuses known, most orders are statuses. Without them, many rows name few orders, and each
    row a status of its own: no tenant has so many.
    """
    wrong = [found for found in judged if isinstance(found, RejectedRow) and found.code == ORDER_IS_STATUS]
    if len(wrong) * 2 > len(judged):
        return f"row {wrong[0].row} and {len(wrong) - 1:,} more have a status as their order"
    updates = [found for found in judged if isinstance(found, StatusUpdate)]
    orders, statuses = {update.order_id for update in updates}, {update.status_id for update in updates}
    if len(updates) >= ROWS_THAT_TELL and len(statuses) == len(updates) and len(orders) * 5 <= len(updates):
        return f"{len(updates):,} rows name {len(orders)} different orders and {len(statuses):,} different statuses"
    return ""


class _BadStatusError(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


def is_name(text: str) -> bool:
    """Whether a text looks like a status name a person wrote, rather than a damaged id or a number."""
    bare = text.strip(_BLANKS)
    if bare.casefold() in _MISSING or bare.startswith("#") or re.fullmatch(r"[0-9a-fA-F{}-]{16,}", bare):
        return False
    return bare.isprintable() and sum(c.isalpha() for c in bare) >= 2

"""Compare by the paged order list, where that is fewer requests than reading order by order."""

from collections.abc import Awaitable, Callable

from batch_updater.common.models import Answer, ListedOrder, RowOutcome, Verdict

ReadPage = Callable[[int], Awaitable[Answer[list[ListedOrder]]]]
CountRows = Callable[[], Awaitable[int]]
Settle = Callable[[list[ListedOrder]], Awaitable[list[RowOutcome]]]
FEWEST_ROWS = 20


class Listing:
    """Reads the pages of the list; rows that a page settles need not be read any more. Several workers may use it.

    Rows whose order is listed with the wanted status are `unchanged`; all others are still read one by one.
    Orders may move between pages meanwhile: one that is missed is merely not settled by the list.
    """

    def __init__(
        self, count_rows: CountRows, read_page: ReadPage, settle: Settle, stopping: Callable[[], bool]
    ) -> None:
        self._count_rows, self._read_page, self._settle, self._stopping = count_rows, read_page, settle, stopping
        self._rows = self._last = self._next = 0
        self._why_not: str | None = None  # why the list does not help here; None until that is known
        self._given_up = False
        self._pages = self._settled = 0

    async def next_page(self) -> list[int]:
        """Return the number of the next page to read; empty after the last one, or where the list does not help."""
        if self._next == 0:
            self._rows, self._next = await self._count_rows(), 1
            self._why_not = await self._find_last()
        if self._next > self._last or self._given_up:
            return []
        self._next += 1
        return [self._next - 1]

    async def _find_last(self) -> str | None:
        """Find the last page; return why the list does not help here, None when the run stops."""
        if self._rows < FEWEST_ROWS:
            return "they are few"
        last, beyond = 0, self._rows
        answer = await self._read_page(beyond)
        if answer.payload:
            return f"it has {beyond:,} pages or more"
        while answer.verdict is Verdict.DONE and beyond - last > 1:
            middle = (last + beyond) // 2
            answer = await self._read_page(middle)
            last, beyond = (middle, beyond) if answer.payload else (last, middle)
        if answer.verdict is Verdict.DONE:
            self._last = last
            return ""
        return None if self._stopping() else f"it can't be read: {answer.detail}"

    async def read(self, page: int) -> list[RowOutcome]:
        """Read one page; return the outcomes of the rows that it settles. Give up a list that settles too few."""
        if self._given_up:
            return []
        answer = await self._read_page(page)
        found = await self._settle(answer.payload) if answer.payload else []
        self._pages += 1
        self._settled += len(found)
        self._given_up = self._pages - self._settled > FEWEST_ROWS + self._rows // 20
        return found

    def describe(self) -> str:
        """Return one sentence on what the list achieved; empty when it was not used."""
        if self._why_not is None:
            return ""
        if self._why_not:
            return f"Compared by reading {self._rows:,} orders one by one, not by the list: {self._why_not}."
        if self._given_up:
            return (
                f"Gave the order list up after {self._pages:,} pages, for hardly any order on them has its status"
                f" already; the orders are read one by one."
            )
        return (
            f"Compared by the order list: {self._pages:,} pages instead of {self._rows:,} orders;"
            f" {self._settled:,} rows already had this status, the others are read one by one."
        )

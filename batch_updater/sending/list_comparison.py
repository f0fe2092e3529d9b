"""The paged order list, read by several workers at once where that is fewer requests than reading order by order."""

from collections.abc import Awaitable, Callable

from batch_updater.common.models import Answer, ListedOrder, RowOutcome, Verdict

ReadPage = Callable[[int], Awaitable[Answer[list[ListedOrder]]]]
Settle = Callable[[list[ListedOrder]], Awaitable[list[RowOutcome]]]
FEWEST_ROWS = 20


class Listing:
    """Reads the pages of the list for so many `rows`; each row that a page settles need not be read any more.

    Orders may move between pages while it reads: one that is missed is only not settled by the list.
    """

    def __init__(self, read_page: ReadPage, settle: Settle, rows: int) -> None:
        self._read_page, self._settle, self._rows = read_page, settle, rows
        self._next = 1
        self._last = 0
        self._given_up = False
        self._pages = 0
        self._settled = 0

    async def why_not(self) -> str:
        """Find out how many pages there are; the reason why the list is of no use here, empty when it is."""
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
        self._last = last
        return "" if answer.verdict is Verdict.DONE else f"it can't be read: {answer.detail}"

    async def next_page(self) -> list[int]:
        """The number of the next page to read; empty after the last one."""
        if self._next > self._last or self._given_up:
            return []
        self._next += 1
        return [self._next - 1]

    async def read(self, page: int) -> list[RowOutcome]:
        """Read one page; gives the rows that it settles. A list that does not pay is given up."""
        if self._given_up:
            return []
        answer = await self._read_page(page)
        found = await self._settle(answer.payload) if answer.payload else []
        self._pages += 1
        self._settled += len(found)
        self._given_up = self._pages - self._settled > FEWEST_ROWS + self._rows // 20
        return found

    def describe(self) -> str:
        """What the list was good for, as a sentence for a person."""
        if self._given_up:
            return (
                f"Gave the order list up after {self._pages:,} pages, for hardly any order on them has its status"
                f" already; the orders are read one by one."
            )
        return (
            f"Compared by the order list: {self._pages:,} pages instead of {self._rows:,} orders;"
            f" {self._settled:,} rows were so already, the others are read one by one."
        )

"""The paged order list, read to its end by several workers at once."""

from collections.abc import Awaitable, Callable

from batch_updater.models import Answer, ListedOrder, RowOutcome, Verdict

ReadPage = Callable[[int], Awaitable[tuple[Answer, list[ListedOrder]]]]


class Listing:
    """Gives out page numbers until one is past the end. `pages` is how many there were.

    Orders may move between pages while it reads: one that is missed is only not settled by the list.
    """

    def __init__(
        self, read_page: ReadPage, settle: Callable[[list[ListedOrder]], Awaitable[list[RowOutcome]]], at_once: int
    ) -> None:
        self._read_page, self._settle, self._at_once = read_page, settle, at_once
        self._next = 1
        self._ended = False
        self.pages = 0

    async def next_pages(self) -> list[int]:
        """The next page numbers to read; empty when the end was seen."""
        if self._ended:
            return []
        first, self._next = self._next, self._next + self._at_once
        return list(range(first, self._next))

    async def read(self, page: int) -> list[RowOutcome]:
        """Read one page; gives the rows that it settles."""
        if self._ended:
            return []
        answer, orders = await self._read_page(page)
        if answer.verdict is not Verdict.DONE or not orders:
            self._ended = True
            return []
        self.pages += 1
        return await self._settle(orders)

"""What a run has to say to other runs of the same orders: the next edition of its sheet, and its follow-ups."""

from collections.abc import Iterator
from typing import Any

from batch_updater.common.models import SENT, StatusUpdate
from batch_updater.journal import lifecycle
from batch_updater.journal.queries import Queries
from batch_updater.journal.schema import CARRIED, UPDATE, update_of


class AcrossRuns(Queries):
    """Which rows are done, by order and by the row numbers of the first sheet."""

    def kept(self) -> int:
        """Return how many rows an earlier run has done, so that this one has only kept them."""
        return int(self._value("SELECT count(*) FROM rows WHERE carried_from <> ''") or 0)

    def sent_anything(self) -> bool:
        """Return whether any update may have been carried out, or a row has ended; a refused token does neither."""
        query = f"SELECT EXISTS (SELECT 1 FROM rows WHERE {lifecycle.MAY_HAVE_BEEN_SENT})"  # noqa: S608 - constants
        return any(found for (found,) in self._select(query, (self.facts().compare,)))

    def done(self) -> int:
        """Return how many rows are done, duplicates among them."""
        done = lifecycle.DONE.format("d.")
        return int(self._value(f"SELECT count(*) FROM rows r JOIN rows d ON {lifecycle.DECIDES} WHERE {done}") or 0)  # noqa: S608 - constants

    def done_orders(self) -> Iterator[tuple[Any, ...]]:
        """Yield the orders whose last row is done: id, what was sent, and the values of `CARRIED`."""
        own = ", ".join(f"d.{name}" for name in CARRIED[:-1])
        query = (
            f"SELECT {', '.join(f'r.{name}' for name in UPDATE.split(', '))}, {own},"  # noqa: S608 - constants
            " coalesce(nullif(d.carried_from, ''), ?)"
            f" FROM rows r JOIN rows d ON {lifecycle.DECIDES}"
            f" WHERE {lifecycle.LAST_OF_ITS_ORDER} AND {lifecycle.DONE.format('d.')}"
        )
        width = len(StatusUpdate._fields) + 1
        for found in self._select(query, (self.facts().run_id,)):
            update = update_of(found[:width])
            yield (update.order_id, *(getattr(update, name) for name in SENT), *found[width:])

    def rows_not_done(self) -> Iterator[tuple[int, int, bool]]:
        """Yield the rows that are not done: the number in the first sheet, rows that have their result, whether open.

        A duplicate is counted with the row that it repeats.
        """
        query = (
            "SELECT coalesce(d.root_row, d.row), count(*), d.state <> 'ended'"  # noqa: S608 - constants
            f" FROM rows r JOIN rows d ON {lifecycle.DECIDES} WHERE NOT ({lifecycle.DONE.format('d.')}) GROUP BY d.row"
        )
        yield from self._select(query)

    def rows_of_root(self) -> Iterator[tuple[int, bool, bool]]:
        """Yield the rows that have a number in the first sheet: that, whether done, whether open."""
        query = (
            f"SELECT r.root_row, {lifecycle.DONE.format('d.')}, d.state <> 'ended'"  # noqa: S608 - constants
            f" FROM rows r JOIN rows d ON {lifecycle.DECIDES} WHERE r.root_row IS NOT NULL"
        )
        yield from self._select(query)

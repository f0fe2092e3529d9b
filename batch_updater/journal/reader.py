"""Read a journal, also while another process writes it. Every query has a name."""

import contextlib
import sqlite3
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from batch_updater.common.errors import JournalError
from batch_updater.common.models import ListedOrder, ReadBack, StatusUpdate
from batch_updater.journal import lifecycle
from batch_updater.journal.across_runs import AcrossRuns
from batch_updater.journal.integrity import find_damage, find_loss, read_number
from batch_updater.journal.schema import SCHEMA_VERSION, UPDATE, UPGRADES, update_of


class Entry(NamedTuple):
    """One row as the journal has it, and for a duplicate the result and state of its leader.

    `may_have_left`: whether an update of a claimed row may have been sent.
    """

    row: int
    order_id: str
    status_id: str
    state: str
    leader: int | None
    result: str | None
    code: str
    detail: str
    http_status: int | None
    attempts: int
    sent_at: float | None
    duration_ms: int | None
    previous_status_id: str | None
    remark: str
    root_row: int | None
    uncounted: int
    carried_from: str
    may_have_left: bool
    leader_result: str | None
    leader_state: str | None
    leader_root_row: int | None


class JournalReader(AcrossRuns):
    """A run's journal, to be read. One thread at a time may use it. Every method raises JournalError."""

    def check(self) -> None:
        """Raise JournalError when the files are damaged, or lack what was written to them."""
        claims = self.path.with_suffix(".claims")
        if (announced := read_number(claims)) is None:
            raise JournalError(f"{claims} is missing or damaged: what was sent can't be known.")
        self._db.execute("BEGIN")  # one moment of the file, whoever writes to it meanwhile
        try:
            self._check(announced)
        finally:
            self._db.execute("ROLLBACK")

    def _check(self, announced: int) -> None:
        if found := find_damage(self._db, self.path):
            raise JournalError(f"The journal {self.path} is damaged: {found}")
        version = self.version
        if version > SCHEMA_VERSION:
            made_by = self._meta().get("program", "a newer version")
            raise JournalError(
                f"The journal {self.path} was written by batch-updater {made_by}, which this version can't read.",
                "install that version or a newer one",
            )
        if version < SCHEMA_VERSION and version not in UPGRADES:
            if not (made_by := self._meta().get("program")):
                raise JournalError(f"The journal {self.path} was never finished, or is of a version that is too old.")
            raise JournalError(
                f"The journal {self.path} was written by batch-updater {made_by}, which is too old for this version.",
                "install that version to open it",
            )
        if lost := find_loss(self._db, announced):
            raise JournalError(
                f"The journal {self.path} {lost}: its -wal file was cut or taken away."
                " What was sent can't be known from it."
            )

    @property
    def claims(self) -> int:
        """The number of claims over all starts of the run."""
        return int(self._value("SELECT sum(claims) FROM counts") or 0)

    # Counts

    def _counts(self, column: str, condition: str = "1") -> dict[str, int]:
        query = (
            f"SELECT {column}, count(*) FROM rows WHERE {column} IS NOT NULL AND {condition}"  # noqa: S608 - constants
            " GROUP BY 1 ORDER BY 2 DESC, 1"
        )
        return {str(value): number for value, number in self._select(query)}

    def states(self) -> dict[str, int]:
        """Return how many rows are in each state."""
        return self._counts("state")

    def results(self) -> dict[str, int]:
        """Return how many rows have ended with each result."""
        return self._counts("result", "state = 'ended'")

    def results_of_duplicates(self) -> dict[str, int]:
        """Return how many duplicates have each result, that of the row which they repeat, if it has ended."""
        of_leader = "(SELECT l.result FROM rows l WHERE l.row = rows.leader AND l.state = 'ended')"
        return self._counts(of_leader, "state = 'waiting'")

    def codes(self) -> dict[str, int]:
        """Return how many rows have each code."""
        return self._counts("code", "code <> ''")

    def tidied(self) -> int:
        """Return how many rows hold an id that was not in its canonical form."""
        return self._counts("normalised").get("1", 0)

    def updates_per_status(self) -> dict[str, int]:
        """Return how many rows may still be sent for each status id, the most frequent first."""
        return self._counts("status_id", lifecycle.TO_SEND)

    def to_send_in_all(self) -> int:
        """Return how many rows the run was to send when it was planned."""
        return int(self._value(f"SELECT count(*) FROM rows WHERE {lifecycle.EVER_TO_SEND}"))  # noqa: S608 - constants

    def refusals(self) -> dict[tuple[str, int | None], int]:
        """Return how many rows have failed or are unknown, by code and HTTP status."""
        query = (
            "SELECT code, http_status, count(*) FROM rows WHERE state = 'ended' AND result IN ('failed', 'unknown')"
            " GROUP BY 1, 2"
        )
        return {(code, status): number for code, status, number in self._select(query)}

    def attempts(self) -> int:
        """Return how many PUTs were sent so far, over all starts of the run."""
        return int(self._value("SELECT sum(attempts) FROM rows WHERE carried_from = ''") or 0)

    # Rows

    def _page(self, condition: str, after: int, count: int) -> list[StatusUpdate]:
        query = f"SELECT {UPDATE} FROM rows WHERE row > ? AND {condition} ORDER BY row LIMIT ?"  # noqa: S608 - constants
        return [update_of(found) for found in list(self._select(query, (after, count)))]

    def in_doubt(self, after: int, count: int) -> list[StatusUpdate]:
        """Return claimed rows, whose updates may have been applied, in order, after row `after`."""
        return self._page(lifecycle.IN_DOUBT, after, count)

    def unknown(self, after: int, count: int) -> list[StatusUpdate]:
        """Return ended rows of which nobody knows whether they were applied, in order, after row `after`."""
        return self._page(lifecycle.UNKNOWN, after, count)

    def possibly_overwritten(self, after: int, count: int) -> list[StatusUpdate]:
        """Return last rows of sequences that a late answer may have undone, in order, after row `after`."""
        if self.facts().on_conflict != "sequence":
            return []
        return self._page(lifecycle.POSSIBLY_OVERWRITTEN, after, count)

    def to_verify(self, after: int, count: int) -> list[StatusUpdate]:
        """Return the rows that set the final status of their order, in order, after row `after`."""
        return self._page(lifecycle.LAST_WORD_ON_ITS_ORDER, after, count)

    def count_to_verify(self) -> int:
        """Return how many rows `to_verify` has in all."""
        return int(self._value(f"SELECT count(*) FROM rows WHERE {lifecycle.LAST_WORD_ON_ITS_ORDER}"))  # noqa: S608 - constants

    def has_planned(self) -> bool:
        """Return whether some row can be sent now."""
        return bool(self._value(f"SELECT {lifecycle.ANY_PLANNED}"))

    def an_updated_order(self) -> str:
        """Return an order that this run has updated; "" when there is none."""
        query = "SELECT order_id FROM rows WHERE state = 'ended' AND result = 'updated' LIMIT 1"
        return str(self._value(query) or "")

    def planned_for(self, orders: Iterable[ListedOrder]) -> list[StatusUpdate]:
        """Return planned rows whose order has the wanted status already."""
        query = f"SELECT {UPDATE} FROM rows WHERE order_id = ? AND status_id = ? AND state = 'planned'"  # noqa: S608 - constants
        return [update_of(row) for order in orders for row in self._select(query, (order.id, order.status_id))]

    def to_undo(self) -> Generator[tuple[str, str, str], None, None]:
        """Yield orders that the run has or may have changed: id, previous status ('' if not known), status set last.

        When it is not known which of several statuses was set last there are several, separated by spaces.
        """
        query = (
            "WITH orders AS (SELECT order_id, min(row) AS first,"  # noqa: S608 - constants
            " max(CASE result WHEN 'updated' THEN row ELSE 0 END) AS sure FROM rows"
            f" WHERE {lifecycle.MAY_HAVE_CHANGED} GROUP BY order_id)"
            " SELECT o.order_id, coalesce(f.previous_status_id, ''),"
            " replace(group_concat(DISTINCT l.status_id), ',', ' ') FROM orders o JOIN rows f ON f.row = o.first"
            f" JOIN (SELECT row, order_id, status_id FROM rows WHERE {lifecycle.MAY_HAVE_CHANGED}) l"
            " ON l.order_id = o.order_id AND l.row >= o.sure GROUP BY o.first ORDER BY o.first"
        )
        yield from self._select(query, (self.facts().compare,) * 2)

    def has_previous(self) -> bool:
        """Return whether it is known of any order that the run may have changed which status it had before."""
        query = f"SELECT EXISTS (SELECT 1 FROM rows WHERE previous_status_id <> '' AND ({lifecycle.MAY_HAVE_CHANGED}))"  # noqa: S608 - constants
        return any(found for (found,) in self._select(query, (self.facts().compare,)))

    def readings(self) -> Iterator[tuple[ReadBack, str, str]]:
        """Yield what `verify` has read, in order, each with the order's id and the status it should have."""
        query = (
            "SELECT coalesce(r.root_row, r.row), v.symbol, v.status_id, v.detail, r.order_id, r.status_id"
            " FROM readings v JOIN rows r USING (row) ORDER BY v.row"
        )
        for *reading, order_id, status_id in self._select(query):
            yield ReadBack(*reading), order_id, status_id

    def reading_symbols(self) -> dict[str, int]:
        """Return how many orders were read with each symbol."""
        return dict(self._select("SELECT symbol, count(*) FROM readings GROUP BY 1"))

    def reading_statuses(self) -> dict[tuple[str, str], int]:
        """Return how many orders were read with each status, by that and the one that their row asks for."""
        query = (
            "SELECT v.status_id, r.status_id, count(*) FROM readings v JOIN rows r USING (row)"
            " WHERE v.status_id <> '' GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"
        )
        return {(found, wanted): number for found, wanted, number in self._select(query)}

    def orders_read_as(self, symbol: str, limit: int) -> list[tuple[int, str]]:
        """Return the first rows, with the order's id, that were read with this symbol."""
        query = (
            "SELECT coalesce(r.root_row, r.row), r.order_id FROM readings v JOIN rows r USING (row)"
            " WHERE v.symbol = ? ORDER BY v.row LIMIT ?"
        )
        return list(self._select(query, (symbol, limit)))

    def ends(self) -> Iterator[tuple[int, bool, int, int]]:
        """Yield when rows ended, in order: tenth of a second since the epoch, whether updated, milliseconds, rows.

        Milliseconds run from the first send to the last answer and are cut to two digits to keep the groups few.
        """
        cut = "CASE WHEN ms < 100 THEN ms WHEN ms < 1000 THEN ms / 10 * 10 WHEN ms < 10000 THEN ms / 100 * 100"
        query = (
            f"SELECT CAST(sent_at * 10 + ms / 100 AS INTEGER), result = 'updated', {cut} ELSE ms / 1000 * 1000 END,"  # noqa: S608 - constants
            " count(*) FROM (SELECT sent_at, result, coalesce(duration_ms, 0) AS ms FROM rows"
            " WHERE sent_at IS NOT NULL AND state = 'ended' AND carried_from = '') GROUP BY 1, 2, 3 ORDER BY 1"
        )
        for tenth, done, milliseconds, number in self._select(query):
            yield tenth, bool(done), milliseconds, number

    def problems(self, limit: int, *, planned: bool = False) -> list[tuple[int, int | None, str, str]]:
        """Return the first invalid and conflicting rows, `planned` only those never claimed.

        Each with its number, that in the first sheet, result and detail.
        """
        query = (
            "SELECT row, root_row, result, detail FROM rows WHERE result IN ('invalid', 'conflict')"
            " AND (claim = 0 OR NOT ?) ORDER BY row LIMIT ?"
        )
        return list(self._select(query, (planned, limit)))

    def first(self, code: str) -> tuple[int, int | None, str] | None:
        """Return the number, that in the first sheet, and the detail of the first row with this code."""
        found = list(
            self._select("SELECT row, root_row, detail FROM rows WHERE code = ? ORDER BY row LIMIT 1", (code,))
        )
        return found[0] if found else None

    def entries(self) -> Iterator[Entry]:
        """Yield every row in order."""
        own = ", ".join(f"r.{name}" for name in Entry._fields[:-4])
        query = (
            f"SELECT {own}, NOT ({lifecycle.CERTAINLY_NOT_SENT.format('r.')}), f.result, f.state, f.root_row"  # noqa: S608 - constants
            " FROM rows r LEFT JOIN rows f ON f.row = r.leader ORDER BY r.row"
        )
        yield from map(Entry._make, self._select(query, (self.facts().compare,)))


@contextlib.contextmanager
def read_journal(path: Path) -> Iterator[JournalReader]:
    """Open a journal, which another process may be writing, without a check. Raises JournalError."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            yield JournalReader(path, db)
    except (sqlite3.Error, OSError, ValueError) as error:
        raise JournalError(f"The journal {path} can't be read: {error}") from None

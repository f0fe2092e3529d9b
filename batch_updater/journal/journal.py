"""The journal: one SQLite file per run, and the truth about it.

The plan is in it before anything is sent, a claim before its request leaves, an outcome soon after the answer.
`synchronous=FULL`: what is committed survives a power cut. Beside it `journal.claims` holds the number of the last
claim, so that a journal that lost its newest commits (a cut or missing `-wal` file) is recognised. The journal counts
the changes of its rows, so that pages from different times (half a checkpoint without its `-wal`) are recognised too.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from batch_updater.common.errors import JournalError
from batch_updater.common.models import (
    Checkpoint,
    ListedOrder,
    Reading,
    RejectedRow,
    Result,
    RowOutcome,
    State,
    StatusUpdate,
)
from batch_updater.journal import schema
from batch_updater.journal.duplicates import REPEATS
from batch_updater.journal.integrity import find_damage, find_loss, read_number
from batch_updater.journal.reader import _UPDATE, SCHEMA_VERSION

PLANNING = "planning.sqlite"  # what a journal is called until it is whole


class Journal:
    """A run's journal. One thread at a time may use it; a context manager that closes the file.

    Every method that writes raises JournalError when it can't: nothing may be sent after that.
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db
        self._cursor = 0  # rows up to here are not planned
        self._queued = False
        self._claims = path.with_suffix(".claims")

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new journal to plan into; `seal` makes it ready to send, and only then is it at `path`.

        Raises JournalError.
        """
        if path.exists():
            raise JournalError(f"The journal {path} exists already.")
        try:
            db = _connect(path.with_name(PLANNING))
            db.executescript("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;" + schema.SCHEMA)
        except sqlite3.Error as error:
            raise JournalError(f"The journal {path} can't be written: {error}") from None
        return cls(path, db)

    @classmethod
    def open(cls, path: Path) -> Self:
        """A sealed journal. Raises JournalError when it is damaged, incomplete or of another version."""
        if not path.is_file():
            raise JournalError(f"There is no journal {path}.")
        with cls.peek(path) as found:
            found.check()  # before it is opened to be written: SQLite fills what is missing with zeros
        db = _connect(path)
        try:
            journal = cls(path, db)
            journal._start()
        except sqlite3.Error as error:
            db.close()
            raise JournalError(f"The journal {path} can't be read: {error}") from None
        return journal

    @classmethod
    @contextlib.contextmanager
    def peek(cls, path: Path) -> Iterator[Self]:
        """A journal to read while somebody else may be writing it; nothing is checked. Raises JournalError."""
        try:
            with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
                yield cls(path, db)
        except (sqlite3.Error, OSError, ValueError) as error:
            raise JournalError(f"The journal {path} can't be read: {error}") from None

    def _start(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        query = "SELECT EXISTS (SELECT 1 FROM rows INDEXED BY rows_queued WHERE state = 'queued')"
        self._queued = bool(self._db.execute(query).fetchone()[0])

    def check(self) -> None:
        """Raise JournalError when the files are damaged, or lack what was written to them."""
        if (announced := read_number(self._claims)) is None:
            raise JournalError(f"{self._claims} is missing or damaged: what was sent can't be known.")
        self._db.execute("BEGIN")  # one moment of the file, whoever writes to it meanwhile
        try:
            self._check(announced)
        finally:
            self._db.execute("ROLLBACK")

    def _check(self, announced: int) -> None:
        if found := find_damage(self._db, self.path):
            raise JournalError(f"The journal {self.path} is damaged: {found}")
        if self.meta().get("schema") != SCHEMA_VERSION:
            raise JournalError(f"The journal {self.path} was never finished, or is of another version.")
        if lost := find_loss(self._db, announced):
            raise JournalError(
                f"The journal {self.path} {lost}: its -wal file was cut or taken away."
                " What was sent can't be known from it."
            )

    def seal(self, facts: dict[str, Any]) -> None:
        """End planning: keep the facts of the run, make everything durable, and move it to its place."""
        try:
            self._claims.write_bytes(b"%020d" % 0)
            self._write(("INSERT INTO counts SELECT 0, 0, count(*) FROM rows", [()]))
            self.set_meta({**facts, "schema": SCHEMA_VERSION})
            self._db.execute("PRAGMA journal_mode = WAL")  # later, a kill could leave a rollback journal in the way
            self._db.close()
            planning = self.path.with_name(PLANNING)
            for path in (planning, self._claims):
                sync(path)
            planning.rename(self.path)
            sync(self.path.parent)
            self._db = _connect(self.path)
            self._start()
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"The journal {self.path} can't be written: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _write(self, *changes: tuple[str, Iterable[tuple[Any, ...]]]) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for statement, values in changes:
                    self._db.executemany(statement, values)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.ProgrammingError:
            raise  # a bug, no trouble with the file
        except sqlite3.Error as error:
            raise JournalError(
                f"The journal {self.path} can't be written: {error}.", "free some disk space, then run again"
            ) from None

    def _change(self, *changes: tuple[str, Iterable[tuple[Any, ...]]], claims: int = 0) -> None:
        """Change rows in one commit, and count that."""
        self._write(*changes, (schema.COUNT, [(claims, self._db.total_changes)]))

    def _select(self, query: str, values: tuple[Any, ...] = (), *, named: bool = False) -> Iterator[Any]:
        """What a query gives, as tuples or as rows that know the columns' names. Raises JournalError."""
        try:
            cursor = self._db.execute(query, values)
            cursor.row_factory = sqlite3.Row if named else None
            yield from cursor
        except sqlite3.ProgrammingError:
            raise  # a bug, no trouble with the file
        except sqlite3.Error as error:
            raise JournalError(f"The journal {self.path} can't be read: {error}") from None

    def set_meta(self, values: dict[str, Any]) -> None:
        """Keep facts about the run, as JSON."""
        self._write(_meta(values))

    def meta(self) -> dict[str, Any]:
        """The facts about the run."""
        return {key: json.loads(value) for key, value in self._select("SELECT key, value FROM meta")}

    def add(self, judged: Iterable[StatusUpdate | RejectedRow]) -> None:
        """Add judged rows to the plan in one commit."""
        items = list(judged)
        self._write(
            (
                "INSERT INTO rows (row, order_id, status_id, state, normalised, expected_id, checksum)"
                " VALUES (?, ?, ?, 'planned', ?, ?, ?)",
                (
                    (i.row, i.order_id, i.status_id, i.normalised, i.expected_id, schema.checksum(i))
                    for i in items
                    if isinstance(i, StatusUpdate)
                ),
            ),
            (
                "INSERT INTO rows (row, state, result, code, detail) VALUES (?, 'ended', ?, ?, ?)",
                ((i.row, Result.INVALID.value, i.code, i.detail) for i in items if isinstance(i, RejectedRow)),
            ),
        )

    def hold_back(self, overtaken: Mapping[str, int]) -> None:
        """Withdraw planned rows that stand before this row of their order, which is done already."""
        self._write((schema.HOLD_BACK, [(after, order, after) for order, after in overtaken.items()]))

    def settle_repeats(self, on_conflict: str) -> None:
        """Decide what several rows of one order mean, by `hold`, `first`, `last` or `sequence`."""
        try:
            self._db.executescript(schema.INDEXES)
            for statement in REPEATS[on_conflict]:
                self._db.execute(statement)
        except sqlite3.Error as error:
            raise JournalError(f"The journal {self.path} can't be written: {error}") from None

    @property
    def claims(self) -> int:
        """How many claims were made, over all starts of the run."""
        return sum(number for (number,) in self._select("SELECT claims FROM counts"))

    def claim(self, count: int) -> list[StatusUpdate]:
        """Announce the next `count` planned rows as about to be sent; durable when this returns."""
        return self._claim(
            f"SELECT {_UPDATE} FROM rows WHERE row > ? AND state = 'planned' ORDER BY row LIMIT ?",  # noqa: S608 - a constant
            (self._cursor, count),
        )

    def claim_canary(self, count: int) -> list[StatusUpdate]:
        """Announce `count` planned rows spread over the statuses; durable when this returns."""
        nth = "row_number() OVER (PARTITION BY status_id ORDER BY row)"
        query = f"SELECT {_UPDATE} FROM rows WHERE state = 'planned' ORDER BY {nth}, row LIMIT ?"  # noqa: S608 - constants
        return self._claim(query, (count,))

    def _claim(self, query: str, values: tuple[int, ...]) -> list[StatusUpdate]:
        found = [schema.update_of(row) for row in list(self._select(query, values))]
        if not found:
            return []
        number = self.claims + 1
        self._change((schema.CLAIM, [(number, update.row) for update in found]), claims=1)
        self._note_claim(number)
        if len(values) == 2:
            self._cursor = found[-1].row
        return found

    def _note_claim(self, number: int) -> None:
        """Overwrite the number in place, in one piece: it needs no space, and a kill leaves the old or the new one."""
        try:
            handle = os.open(self._claims, os.O_WRONLY)
            try:
                os.pwrite(handle, b"%020d" % number, 0)
            finally:
                os.close(handle)
        except OSError as error:
            raise JournalError(f"{self._claims} can't be written: {error.strerror}.") from None

    def unclaim(self, rows: Iterable[int]) -> None:
        """Take back the claim of rows that certainly never left."""
        self._change((schema.UNCLAIM, [(row,) for row in rows]))
        self._cursor = 0

    def unclaim_unread(self, *, compares: bool) -> None:
        """Take back claims of orders that are read first and were not: the reading is noted before anything is sent."""
        self._change((schema.UNCLAIM_UNREAD, [(compares,)]))

    def checkpoint(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Keep what must be durable before the next request of a row leaves."""
        values = [(c.attempts, c.sent_at, c.previous_status_id, c.remark, c.row) for c in checkpoints]
        self._change((schema.NOTE, values))

    def record_readings(self, readings: Iterable[Reading]) -> None:
        """Keep what `verify` has read."""
        values = [(reading.row, reading.symbol, reading.status_id, reading.detail) for reading in readings]
        self._write(("INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?)", values))

    def clear_readings(self) -> None:
        """Forget what an earlier `verify` has read."""
        self._write(("DELETE FROM readings", [()]))

    def readings(self) -> Iterator[tuple[Reading, str, str]]:
        """What `verify` has read, in order, each with the order's id and the status it should have."""
        query = (
            "SELECT v.row, v.symbol, v.status_id, v.detail, r.order_id, r.status_id"
            " FROM readings v JOIN rows r USING (row) ORDER BY v.row"
        )
        for row, symbol, found, detail, order_id, status_id in self._select(query):
            yield Reading(row, symbol, found, detail), order_id, status_id

    def to_verify(self, after: int, count: int) -> list[StatusUpdate]:
        """Rows that say what an order should have: the last usable one of each order."""
        condition = (
            "order_id <> '' AND (result IS NULL OR result NOT IN ('invalid', 'conflict')) AND state <> 'waiting'"
            " AND NOT EXISTS (SELECT 1 FROM rows l WHERE l.order_id = rows.order_id AND l.row > rows.row"
            " AND l.state <> 'waiting' AND (l.result IS NULL OR l.result NOT IN ('invalid', 'conflict')))"
        )
        return self._page(condition, after, count)

    def to_undo(self) -> Iterator[tuple[str, str, str]]:
        """Orders this run has changed, or may have: id, the status before (empty when not known), the one set last."""
        query = (
            "WITH changed AS (SELECT order_id, min(row) AS first, max(row) AS last FROM rows"
            " WHERE state = 'ended' AND result IN ('updated', 'unknown') GROUP BY order_id)"
            " SELECT c.order_id, coalesce(f.previous_status_id, ''), l.status_id FROM changed c"
            " JOIN rows f ON f.row = c.first JOIN rows l ON l.row = c.last ORDER BY c.first"
        )
        yield from self._select(query)

    def record(self, outcomes: Iterable[RowOutcome]) -> None:
        """Write outcomes in one commit, and let rows that waited for them be sent next."""
        items = list(outcomes)
        ended = [(o.row,) for o in items if o.state is State.ENDED] if self._queued else []
        unchanged = [(o.row,) for o in items if o.result is Result.UNCHANGED]
        values = [
            (
                o.state.value, o.result.value, o.code, o.detail, o.http_status, o.attempts, o.sent_at, o.duration_ms,
                o.previous_status_id, o.remark, o.row,
            )
            for o in items
        ]  # fmt: skip
        self._change((schema.OUTCOME, values), (schema.CONFIRM, unchanged), (schema.RELEASE, ended))
        if ended or any(o.state is State.PLANNED for o in items):
            self._cursor = 0

    @property
    def sequenced(self) -> bool:
        """Whether some orders get several statuses, one after the other."""
        return self._queued

    def has_open(self) -> bool:
        """Whether rows wait for an earlier row of their order, or may be sent as that has ended meanwhile."""
        query = "SELECT EXISTS (SELECT 1 FROM rows WHERE state IN ('queued', 'planned'))"
        return self._queued and any(found for (found,) in self._select(query))

    def planned_for(self, orders: Iterable[ListedOrder]) -> list[StatusUpdate]:
        """Planned rows that ask for the very status which their order has."""
        query = f"SELECT {_UPDATE} FROM rows WHERE order_id = ? AND status_id = ? AND state = 'planned'"  # noqa: S608 - a constant
        return [
            schema.update_of(row) for order in orders for row in self._db.execute(query, (order.id, order.status_id))
        ]

    def in_doubt(self, after: int, count: int) -> list[StatusUpdate]:
        """Claimed rows without an outcome, in order, from beyond row `after`."""
        return self._page("state = 'claimed'", after, count)

    def unknown(self, after: int, count: int) -> list[StatusUpdate]:
        """Rows that ended unknown, in order, from beyond row `after`."""
        return self._page("state = 'ended' AND result = 'unknown'", after, count)

    def overtaken(self, after: int, count: int) -> list[StatusUpdate]:
        """Last rows of a sequence that followed one whose answers were lost: a late answer may have undone them."""
        condition = (
            "state = 'ended' AND result IN ('updated', 'unchanged') AND leader IS NOT NULL"
            " AND row = (SELECT max(l.row) FROM rows l WHERE l.order_id = rows.order_id AND l.state = 'ended')"
            " AND EXISTS (SELECT 1 FROM rows e WHERE e.order_id = rows.order_id AND e.row < rows.row"
            " AND e.claim > 0 AND NOT (e.code IN ('ok', 'already_set') AND e.attempts <= 1 AND e.remark = ''))"
        )
        return self._page(condition, after, count) if self.meta().get("on_conflict") == "sequence" else []

    def _page(self, condition: str, after: int, count: int) -> list[StatusUpdate]:
        query = f"SELECT {_UPDATE} FROM rows WHERE row > ? AND {condition} ORDER BY row LIMIT ?"  # noqa: S608 - the conditions stand above
        return [schema.update_of(found) for found in list(self._select(query, (after, count)))]

    def count(self, column: str, where: str = "1") -> dict[str, int]:
        """How many rows have each value of a column; rows without one are left out. For code, not for input."""
        query = (
            f"SELECT {column}, count(*) FROM rows WHERE {column} IS NOT NULL AND {where} GROUP BY 1 ORDER BY 2 DESC, 1"  # noqa: S608 - callers name columns literally
        )
        return {str(value): number for value, number in self._select(query)}

    def attempts(self) -> int:
        """PUTs sent so far, over all starts of the run."""
        return sum(number for (number,) in self._select("SELECT coalesce(sum(attempts), 0) FROM rows"))

    def ends(self) -> Iterator[tuple[int, bool, int, int]]:
        """When rows ended, in order: tenth of a second since the epoch, whether done, milliseconds, rows of this kind.

        Milliseconds run from the first send to the last answer and are cut to two digits, so that groups are few.
        """
        cut = "CASE WHEN ms < 100 THEN ms WHEN ms < 1000 THEN ms / 10 * 10 WHEN ms < 10000 THEN ms / 100 * 100"
        query = (
            f"SELECT CAST(sent_at * 10 + ms / 100 AS INTEGER), result = 'updated', {cut} ELSE ms / 1000 * 1000 END,"  # noqa: S608 - constants
            " count(*) FROM (SELECT sent_at, result, coalesce(duration_ms, 0) AS ms FROM rows"
            " WHERE sent_at IS NOT NULL AND state = 'ended') GROUP BY 1, 2, 3 ORDER BY 1"
        )
        for tenth, done, milliseconds, number in self._db.execute(query):
            yield tenth, bool(done), milliseconds, number

    def problems(self, limit: int, *, planned: bool = False) -> list[tuple[int, str, str]]:
        """The first rows that will not be sent: row, result, detail; `planned`: only those that the sheet tells of."""
        query = (
            "SELECT row, result, detail FROM rows WHERE result IN ('invalid', 'conflict') AND (claim = 0 OR NOT ?)"
            " ORDER BY row LIMIT ?"
        )
        return [(row, result, detail) for row, result, detail in self._select(query, (planned, limit))]

    def first(self, code: str) -> tuple[int, str] | None:
        """The first row with this code, and its detail."""
        query = "SELECT row, detail FROM rows WHERE code = ? ORDER BY row LIMIT 1"
        return next(((row, detail) for row, detail in self._select(query, (code,))), None)

    def entries(self) -> Iterator[sqlite3.Row]:
        """Every row in order, with `leader_result` and `leader_state` of the row that speaks for a duplicate."""
        yield from self._select(
            "SELECT r.*, f.result AS leader_result, f.state AS leader_state"
            " FROM rows r LEFT JOIN rows f ON f.row = r.leader ORDER BY r.row",
            named=True,
        )


def _connect(path: Path) -> sqlite3.Connection:
    """For one thread after the other; nothing is begun or committed unasked."""
    return sqlite3.connect(path, check_same_thread=False, isolation_level=None)


def sync(path: Path) -> None:
    """Flush a file or folder to the disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _meta(values: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    return "INSERT OR REPLACE INTO meta VALUES (?, ?)", [(key, json.dumps(value)) for key, value in values.items()]

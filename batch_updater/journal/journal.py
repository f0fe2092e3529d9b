"""The journal: one SQLite file per run, the source of truth for everything that is reported.

It holds the plan before anything is sent, a claim before its request leaves, an outcome soon after the answer.
`synchronous=FULL`: what is committed survives a power cut. Beside it `journal.claims` holds the number of the last
claim, so that a journal without its newest commits (a cut or missing `-wal` file) is recognised. The journal counts
the changes of its rows, so that pages of different times (half a checkpoint without its `-wal`) are recognised too.
"""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from batch_updater.common.errors import JournalError
from batch_updater.common.files import overwrite
from batch_updater.common.models import Checkpoint, ReadBack, RowOutcome, State, StatusUpdate
from batch_updater.journal import lifecycle, schema
from batch_updater.journal.facts import RunFacts
from batch_updater.journal.reader import JournalReader, read_journal

Change = tuple[str, Iterable[tuple[Any, ...]]]


class JournalWriter(JournalReader):
    """A journal that can be written, a draft or a sealed one; a context manager that closes the file.

    Every method that writes raises JournalError when it can't: nothing may be sent after that.
    """

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _write(self, *changes: Change) -> None:
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
            raise  # a bug, not a damaged file
        except sqlite3.Error as error:
            raise JournalError(
                f"The journal {self.path} can't be written: {error}.", "free some disk space, then run again"
            ) from None

    def _write_meta(self, values: dict[str, Any]) -> None:
        rows = [(key, json.dumps(value)) for key, value in values.items()]
        self._write(("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows))


class Journal(JournalWriter):
    """The sealed journal of a run. One thread at a time may use it."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        super().__init__(path, db)
        self._claims = path.with_suffix(".claims")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        # Whether some orders get several statuses, one after the other.
        self.sequenced = bool(self._value(f"SELECT {lifecycle.ANY_QUEUED}"))

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a sealed journal, one of an older version too.

        Raises JournalError when it is damaged, incomplete or of a newer version.
        """
        if not path.is_file():
            raise JournalError(f"There is no journal {path}.")
        with read_journal(path) as found:
            found.check()  # before it is opened to be written: SQLite fills what is missing with zeros
        db = connect(path)
        try:
            journal = cls(path, db)
            journal._upgrade()
        except sqlite3.Error as error:
            db.close()
            raise JournalError(f"The journal {path} can't be read: {error}") from None
        except BaseException:
            db.close()
            raise
        return journal

    def _upgrade(self) -> None:
        """Upgrade an older journal to the present schema, in one commit."""
        if (version := self.version) == schema.SCHEMA_VERSION:
            return
        steps = [step for old in range(version, schema.SCHEMA_VERSION) for step in schema.UPGRADES[old]]
        keep = ("UPDATE meta SET value = ? WHERE key = 'schema'", [(str(schema.SCHEMA_VERSION),)])
        self._write(*((step, [()]) for step in steps), keep)

    def _change(self, *changes: Change, claims: int = 0) -> None:
        """Change rows in one commit, and count the changes."""
        self._write(*changes, (schema.COUNT, [(claims, self._db.total_changes)]))

    def update_facts(self, **changes: Any) -> RunFacts:
        """Write new values of these facts, and return all facts."""
        facts = self.facts().with_changes(**changes)
        self._write_meta({name: value for name, value in facts.to_json().items() if name in changes})
        return facts

    def claim(self, count: int) -> list[StatusUpdate]:
        """Announce the next `count` planned rows as about to be sent; durable when this returns."""
        found = self._planned("row", count)
        if found:
            self._announce(schema.CLAIM_UP_TO, [found[-1].row])
        return found

    def claim_canary(self, count: int) -> list[StatusUpdate]:
        """Announce `count` planned rows spread over the statuses; durable when this returns."""
        found = self._planned("row_number() OVER (PARTITION BY status_id ORDER BY row), row", count)
        if found:
            self._announce(schema.CLAIM, [update.row for update in found])
        return found

    def _planned(self, order: str, count: int) -> list[StatusUpdate]:
        query = (
            f"SELECT {schema.UPDATE} FROM rows INDEXED BY rows_planned WHERE state = 'planned'"  # noqa: S608 - constants
            f" ORDER BY {order} LIMIT ?"
        )
        return [schema.update_of(row) for row in list(self._select(query, (count,)))]

    def _announce(self, claim: str, rows: list[int]) -> None:
        number = self.claims + 1
        self._change((claim, [(number, row) for row in rows]), claims=1)
        self._write_claim_number(number)

    def _write_claim_number(self, number: int) -> None:
        """Overwrite the number in one write: it needs no disk space, and a kill leaves the old or the new number."""
        try:
            overwrite(self._claims, b"%020d" % number)
        except OSError as error:
            raise JournalError(f"{self._claims} can't be written: {error.strerror}.") from None

    def unclaim(self, rows: Iterable[int]) -> None:
        """Take back the claim of rows that were certainly not sent."""
        self._change((schema.UNCLAIM, [(row,) for row in rows]))

    def plan_unauthorized(self) -> None:
        """Plan the rows again whose token was refused: it was no good for any row.

        Not in a sequence, where later rows of the order may be on their way.
        """
        if not self.sequenced:
            self._change((schema.PLAN_UNAUTHORIZED, [()]))

    def mark_interrupted(self) -> None:
        """Prepare to go on after a start that may have been killed.

        Claims of orders that are read first and were not are taken back: a reading is durable before anything is sent.
        Of other rows without an outcome an update may have left that was never counted.
        """
        self._change(
            (schema.UNCLAIM_UNREAD, [(self.facts().compare,)]),
            (schema.MARK_UNCOUNTED, [()]),
        )

    def checkpoint(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Write checkpoints; they are durable when this returns."""
        self._change((schema.CHECKPOINT, checkpoints))

    def record(self, outcomes: Iterable[RowOutcome]) -> None:
        """Write outcomes in one commit, and release the rows that waited for them."""
        items = list(outcomes)
        ended = [(o.row,) for o in items if o.state is State.ENDED] if self.sequenced else []
        values = [(o.row, o.state.value, o.result.value, *o[3:]) for o in items]  # SQLite takes plain texts faster
        self._change((schema.OUTCOME, values), (schema.RELEASE, ended))

    def has_open(self) -> bool:
        """Whether rows of a sequence are still to be sent, now or after an earlier row of their order."""
        return self.sequenced and bool(self._value(f"SELECT {lifecycle.ANY_QUEUED} OR {lifecycle.ANY_PLANNED}"))

    def record_readings(self, readings: Iterable[ReadBack]) -> None:
        """Write what `verify` has read."""
        values = [(reading.row, reading.symbol, reading.status_id, reading.detail) for reading in readings]
        self._write(("INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?)", values))

    def clear_readings(self) -> None:
        """Delete what an earlier `verify` has read."""
        self._write(("DELETE FROM readings", [()]))


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection for one thread at a time, without implicit transactions."""
    return sqlite3.connect(path, check_same_thread=False, isolation_level=None)

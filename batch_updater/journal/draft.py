"""A journal in the making: nothing can be sent from it before its duplicates are settled and it is sealed."""

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from batch_updater.common.errors import JournalError
from batch_updater.common.files import make_private, sync
from batch_updater.common.models import SENT, RejectedRow, StatusUpdate
from batch_updater.journal import schema
from batch_updater.journal.duplicates import DUPLICATES
from batch_updater.journal.facts import RunFacts, program_version
from batch_updater.journal.journal import Journal, JournalWriter, connect

PLANNING = "planning.sqlite"  # what a journal is called until it is whole


class Draft(JournalWriter):
    """A new journal to plan into: `add` the rows, then `settle` their duplicates and conflicts."""

    @classmethod
    def create(cls, path: Path) -> Self:
        """Create a journal; it is at `path` only once it is sealed. Raises JournalError."""
        if path.exists():
            raise JournalError(f"The journal {path} exists already.")
        try:
            db = connect(path.with_name(PLANNING))
            make_private(path.with_name(PLANNING))  # SQLite gives the files beside it the same permissions
            db.executescript("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;" + schema.SCHEMA)
        except sqlite3.Error as error:
            raise JournalError(f"The journal {path} can't be written: {error}") from None
        return cls(path, db)

    def add(self, rows: Iterable[StatusUpdate | RejectedRow]) -> None:
        """Add validated rows to the plan in one commit."""
        items = list(rows)
        updates = [item for item in items if isinstance(item, StatusUpdate)]
        self._write(
            (schema.INSERT_PLANNED, ((*update, schema.checksum(update)) for update in updates)),
            (schema.INSERT_REJECTED, (item for item in items if isinstance(item, RejectedRow))),
        )

    def settle(self, on_conflict: str, superseded: Mapping[str, int] = MappingProxyType({})) -> "SettledDraft":
        """Settle orders that several rows name, by `hold`, `first`, `last` or `sequence`.

        `superseded` maps orders to a later row that is done already: the rows before it are held back.
        """
        try:
            self._db.executescript(schema.INDEXES)
            self._db.execute(schema.FORGET_REPEATED)
            self._write((schema.HOLD_BACK, [(row, order) for order, row in superseded.items()]))
            for statement in DUPLICATES[on_conflict]:
                self._db.execute(statement)
        except sqlite3.Error as error:
            raise JournalError(f"The journal {self.path} can't be written: {error}") from None
        return SettledDraft(self.path, self._db)


class SettledDraft(JournalWriter):
    """A complete plan, to be read, then sealed."""

    def ask_otherwise(self, updates: Iterable[StatusUpdate]) -> bool:
        """Return whether some row asks one of these orders for something else than its update did."""
        query = f"SELECT 1 FROM rows WHERE order_id = ? AND ({schema.SENT_COLUMNS}) <> ({schema.SENT_VALUES})"  # noqa: S608 - constants
        asked = ((update.order_id, *(getattr(update, name) for name in SENT)) for update in updates)
        return any(found for one in asked for found in self._select(query, one))

    def keep(self, done: Iterable[tuple[Any, ...]]) -> None:
        """End the rows that ask for what an earlier run has done; `done` is as `JournalReader.done_orders` has it."""
        self._write((schema.KEEP, done))

    def seal(self, facts: RunFacts) -> Journal:
        """End planning: write the facts of the run, make everything durable, and move it into place."""
        claims, planning = self.path.with_suffix(".claims"), self.path.with_name(PLANNING)
        try:
            claims.write_bytes(b"%020d" % 0)
            make_private(claims)
            self._write(("INSERT INTO counts SELECT 0, 0, count(*) FROM rows", [()]))
            self._write_meta({**facts.to_json(), "schema": schema.SCHEMA_VERSION, "program": program_version()})
            self._db.execute("PRAGMA journal_mode = WAL")  # later, a kill could leave a rollback journal in the way
            self._db.close()
            for path in (planning, claims):
                sync(path)
            planning.rename(self.path)
            sync(self.path.parent)
            return Journal(self.path, connect(self.path))
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"The journal {self.path} can't be written: {error}") from None

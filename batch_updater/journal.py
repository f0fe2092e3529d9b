"""The journal: one SQLite file per run, and the truth about it.

The plan is in it before anything is sent, a claim before its request leaves, an outcome soon after the answer.
`synchronous=FULL`: what is committed survives a power cut.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from batch_updater.errors import StoppedError
from batch_updater.models import RejectedRow, Result, RowOutcome, StatusUpdate

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rows (
  row INTEGER PRIMARY KEY,
  order_id TEXT NOT NULL DEFAULT '',
  status_id TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL,               -- planned, waiting (spoken for by leader), claimed, ended
  leader INTEGER,                    -- row that speaks for a duplicate
  result TEXT, code TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '',
  http_status INTEGER, attempts INTEGER NOT NULL DEFAULT 0, sent_at REAL, duration_ms INTEGER,
  normalised INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX rows_state ON rows (state, row);
"""
_OUTCOME = (
    "UPDATE rows SET state = ?, result = ?, code = ?, detail = ?, http_status = ?,"
    " attempts = attempts + ?, sent_at = coalesce(sent_at, ?), duration_ms = ? WHERE row = ?"
)


class Journal:
    """A run's journal. One thread at a time may use it.

    Every method raises StoppedError when the file can't be written: nothing may be sent after that.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create == path.exists():
            raise StoppedError(f"The journal {path} {'exists already' if create else 'does not exist'}.")
        self.path = path
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        if create:
            self._db.executescript(_SCHEMA)
            self.set_meta({"schema": SCHEMA_VERSION})
        elif self.meta().get("schema") != SCHEMA_VERSION:
            raise StoppedError(f"The journal {path} was written by another version of the program.")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _write(self, statement: str, values: Iterable[tuple[Any, ...]]) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(statement, values)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoppedError(f"The journal {self.path} can't be written: {error}", "free some disk space") from error

    def set_meta(self, values: dict[str, Any]) -> None:
        """Keep facts about the run, as JSON."""
        self._write("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(k, json.dumps(v)) for k, v in values.items()])

    def meta(self) -> dict[str, Any]:
        """The facts about the run."""
        return {key: json.loads(value) for key, value in self._db.execute("SELECT key, value FROM meta")}

    def add_planned(self, updates: Iterable[StatusUpdate]) -> None:
        """Add updates in one commit."""
        self._write(
            "INSERT INTO rows (row, order_id, status_id, state, normalised) VALUES (?, ?, ?, 'planned', ?)",
            ((u.row, u.order_id, u.status_id, u.normalised) for u in updates),
        )

    def add_rejected(self, rows: Iterable[RejectedRow]) -> None:
        """Add rows that are never sent in one commit."""
        self._write(
            "INSERT INTO rows (row, state, result, code, detail) VALUES (?, 'ended', ?, ?, ?)",
            ((r.row, Result.INVALID.value, r.code, r.detail) for r in rows),
        )

    def settle_repeats(self, on_conflict: str) -> None:
        """Decide what the second and later rows of one order mean (see `plan`)."""
        statements = [
            "CREATE INDEX IF NOT EXISTS rows_order ON rows (order_id, row)",
            "CREATE TEMP TABLE many AS SELECT order_id FROM rows WHERE state = 'planned'"
            " GROUP BY order_id HAVING min(status_id) <> max(status_id)",
            _HOLD if on_conflict == "hold" else _KEEP_ONE.format(pick="min" if on_conflict == "first" else "max"),
            "UPDATE rows SET state = 'waiting', code = 'duplicate_row', leader = "
            "(SELECT min(f.row) FROM rows f WHERE f.order_id = rows.order_id AND f.state = 'planned')"
            " WHERE state = 'planned' AND row > "
            "(SELECT min(f.row) FROM rows f WHERE f.order_id = rows.order_id AND f.state = 'planned')",
            "UPDATE rows SET detail = 'same order and status as row ' || leader WHERE state = 'waiting'",
            "DROP TABLE many",
        ]
        for statement in statements:
            self._write(statement, [()])

    def claim(self, count: int) -> list[StatusUpdate]:
        """Announce the next `count` planned rows as about to be sent; durable when this returns."""
        found = self._db.execute(
            "SELECT row, order_id, status_id FROM rows WHERE state = 'planned' ORDER BY row LIMIT ?", (count,)
        ).fetchall()
        self._write("UPDATE rows SET state = 'claimed' WHERE row = ?", [(row,) for row, _, _ in found])
        return [StatusUpdate(row, order_id, status_id) for row, order_id, status_id in found]

    def unclaim(self, rows: Iterable[int]) -> None:
        """Take back the claim of rows that certainly never left."""
        self._write("UPDATE rows SET state = 'planned' WHERE row = ? AND state = 'claimed'", [(r,) for r in rows])

    def record(self, outcomes: Iterable[RowOutcome]) -> None:
        """Write outcomes in one commit. A `not_sent` row is planned again, for the next start."""
        self._write(
            _OUTCOME,
            [
                (
                    _state(o.result),
                    o.result.value,
                    o.code,
                    o.detail,
                    o.http_status,
                    o.attempts,
                    o.sent_at,
                    o.duration_ms,
                    o.row,
                )
                for o in outcomes
            ],
        )

    def count(self, column: str) -> dict[str, int]:
        """How many rows have each value of `state`, `result`, `code` or `status_id`; rows without one are left out."""
        if column not in {"state", "result", "code", "status_id", "normalised"}:
            raise ValueError(column)
        query = f"SELECT {column}, count(*) FROM rows WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"  # noqa: S608 - column is one of the five above
        return {str(value): number for value, number in self._db.execute(query)}

    def planned_statuses(self) -> dict[str, int]:
        """How many planned updates set each status."""
        query = "SELECT status_id, count(*) FROM rows WHERE state = 'planned' GROUP BY 1 ORDER BY 2 DESC, 1"
        return dict(self._db.execute(query).fetchall())

    def problems(self, limit: int) -> list[tuple[int, str, str]]:
        """The first rows that will not be sent: row, result, detail."""
        query = "SELECT row, result, detail FROM rows WHERE result IN ('invalid', 'conflict') ORDER BY row LIMIT ?"
        return [(row, result, detail) for row, result, detail in self._db.execute(query, (limit,))]

    def entries(self) -> Iterator[dict[str, Any]]:
        """Every row in order, with a duplicate's result taken from the row that speaks for it."""
        cursor = self._db.execute(
            "SELECT r.*, f.result AS leader_result, f.code AS leader_code FROM rows r"
            " LEFT JOIN rows f ON f.row = r.leader ORDER BY r.row"
        )
        names = [column[0] for column in cursor.description]
        for values in cursor:
            yield dict(zip(names, values, strict=True))


def _state(result: Result) -> str:
    return "planned" if result is Result.NOT_SENT else "ended"


_HOLD = (
    "UPDATE rows SET state = 'ended', result = 'conflict', code = 'conflicting_rows', detail ="
    " 'other rows give this order another status; correct the sheet or choose --on-conflict'"
    " WHERE state = 'planned' AND order_id IN (SELECT order_id FROM many)"
)
_KEEP_ONE = (
    "UPDATE rows SET state = 'ended', result = 'conflict', code = 'conflicting_rows', detail ="
    " 'another row of this order was chosen by --on-conflict' WHERE state = 'planned'"
    " AND order_id IN (SELECT order_id FROM many) AND status_id <> (SELECT s.status_id FROM rows s WHERE s.row ="
    " (SELECT {pick}(f.row) FROM rows f WHERE f.order_id = rows.order_id AND f.state IN ('planned', 'ended')"
    " AND (f.result IS NULL OR f.result = 'conflict')))"
)

"""The tables of a journal, the statements that change a row, and the upgrades of older journals."""

import zlib
from operator import itemgetter
from typing import Any

from batch_updater.common.errors import JournalError
from batch_updater.common.models import SENT, Checkpoint, RejectedRow, RowOutcome, StatusUpdate
from batch_updater.journal.lifecycle import CERTAINLY_NOT_SENT, OPEN_CLAIM

SCHEMA_VERSION = 7
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- One row. Every commit that changes rows changes it too, so that a lost commit shows.
CREATE TABLE counts (claims INTEGER NOT NULL, changes INTEGER NOT NULL, rows INTEGER NOT NULL);
CREATE TABLE rows (
  row INTEGER PRIMARY KEY,
  order_id TEXT NOT NULL DEFAULT '',
  status_id TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL,
  leader INTEGER,  -- the row whose result a waiting one has, or that must end before a queued one
  result TEXT, code TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '',
  http_status INTEGER, attempts INTEGER NOT NULL DEFAULT 0, sent_at REAL, duration_ms INTEGER,
  normalised INTEGER NOT NULL DEFAULT 0, expected_id TEXT NOT NULL DEFAULT '', previous_status_id TEXT,
  claim INTEGER NOT NULL DEFAULT 0,  -- the number of the claim that announced it last; 0: never announced
  remark TEXT NOT NULL DEFAULT '',
  changes INTEGER NOT NULL DEFAULT 0,  -- since it was planned
  checksum INTEGER NOT NULL DEFAULT 0,  -- of what is sent; SQLite does not notice a flipped bit in a value
  root_row INTEGER,  -- its number in the sheet that the work began with, when that is another one
  order_text TEXT NOT NULL DEFAULT '', status_text TEXT NOT NULL DEFAULT '',  -- a rejected row's cells, to be corrected
  uncounted INTEGER NOT NULL DEFAULT 0,  -- 1: a start was killed while an update may have left that no count holds
  carried_from TEXT NOT NULL DEFAULT ''  -- the earlier run that did this row; what is said of it is that run's
);
CREATE TABLE readings (row INTEGER PRIMARY KEY, symbol TEXT NOT NULL, status_id TEXT NOT NULL, detail TEXT NOT NULL);
"""
INDEXES = """
CREATE INDEX rows_order ON rows (order_id, row);
CREATE INDEX rows_queued ON rows (leader) WHERE state = 'queued';
CREATE INDEX rows_planned ON rows (row) WHERE state = 'planned';
"""
# The statements that upgrade a journal of each older version to the next one.
UPGRADES: dict[int, tuple[str, ...]] = {
    4: (
        "ALTER TABLE rows ADD COLUMN root_row INTEGER",
        "ALTER TABLE rows ADD COLUMN order_text TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE rows ADD COLUMN status_text TEXT NOT NULL DEFAULT ''",
    ),
    5: (
        "ALTER TABLE rows ADD COLUMN uncounted INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX rows_planned ON rows (row) WHERE state = 'planned'",
        # Version 5 sent again unread, and called failed, what may have been applied.
        "UPDATE rows SET changes = changes + 1, state = 'claimed', result = 'unknown'"
        " WHERE state = 'planned' AND attempts > 0",
        "UPDATE rows SET changes = changes + 1, result = 'unknown' WHERE state = 'ended' AND result = 'failed'"
        " AND attempts > 0 AND (http_status IS NULL OR http_status = 408 OR http_status >= 500)"
        " AND code NOT IN ('not_applied', 'overtaken')",
        "UPDATE counts SET changes = (SELECT sum(changes) FROM rows)",
    ),
    6: ("ALTER TABLE rows ADD COLUMN carried_from TEXT NOT NULL DEFAULT ''",),
}
UPDATE = ", ".join((*StatusUpdate._fields, "checksum"))  # the columns that `update_of` reads
INSERT_PLANNED = f"INSERT INTO rows (state, {UPDATE}) VALUES ('planned'{', ?' * (len(StatusUpdate._fields) + 1)})"  # noqa: S608 - constants
INSERT_REJECTED = (
    f"INSERT INTO rows (state, result, {', '.join(RejectedRow._fields)})"  # noqa: S608 - constants
    f" VALUES ('ended', 'invalid'{', ?' * len(RejectedRow._fields)})"
)
SENT_COLUMNS, _SENT_OF_L = ", ".join(SENT), ", ".join(f"l.{name}" for name in SENT)
SENT_VALUES = ", ".join(f"?{n}" for n in range(2, 2 + len(SENT)))
_CHECKED = itemgetter(*map(StatusUpdate._fields.index, ("row", "order_id", *SENT, "expected_id")))
_CHECKED_TEXT = "%d %s" + " %s" * len(SENT) + " %s"
HOLD_BACK = (
    "UPDATE rows SET state = 'ended', result = 'conflict', code = 'conflicting_rows', detail ="
    " 'row ' || ?1 || iif(root_row <> row, ' here', '') ||"
    " ' of this order comes later and is done; sent now, this one would undo that'"
    " WHERE order_id = ?2 AND row < ?1 AND state = 'planned'"
)
# A number that several rows have from the first sheet names none of them.
FORGET_REPEATED = (
    "UPDATE rows SET root_row = NULL WHERE root_row IN"
    " (SELECT root_row FROM rows WHERE root_row IS NOT NULL GROUP BY 1 HAVING count(*) > 1)"
)
# What a row has from an earlier run that has done it.
CARRIED = (
    "result", "code", "detail", "http_status", "attempts", "sent_at", "duration_ms", "previous_status_id", "remark",
    "uncounted", "carried_from",
)  # fmt: skip
# Only what the last row of an order asks for is kept: the order is to have that in the end.
_KEPT = ", ".join(f"{name} = ?{n}" for n, name in enumerate(CARRIED, 2 + len(SENT)))
KEEP = (
    f"UPDATE rows SET state = 'ended', {_KEPT}"  # noqa: S608 - constants
    f" WHERE state = 'planned' AND order_id = ?1 AND ({SENT_COLUMNS}) = ({SENT_VALUES})"
    " AND EXISTS (SELECT 1 FROM rows l"
    f" WHERE l.row = (SELECT max(row) FROM rows WHERE order_id = ?1) AND ({_SENT_OF_L}) = ({SENT_VALUES}))"
)
# How a new value joins the old one; others replace it.
_MERGE = {
    "attempts": "attempts + {0}",
    "sent_at": "coalesce(sent_at, {0})",
    # The last reading that shows another status than the wanted one counts.
    "previous_status_id": "coalesce(nullif({0}, status_id), previous_status_id, {0})",
    "http_status": "coalesce({0}, http_status)",
    "duration_ms": "coalesce({0}, duration_ms)",
    # A row that an earlier start has sent is never said to be unsent: what was said of it then stays.
    "result": "CASE WHEN {0} = 'not_sent' AND attempts > 0 THEN 'failed' ELSE {0} END",
    "code": "CASE WHEN {0} = '' OR (?3 = 'not_sent' AND attempts > 0) THEN code ELSE {0} END",
    "detail": "CASE WHEN {0} = '' OR (?3 = 'not_sent' AND attempts > 0) THEN detail ELSE {0} END",
    "remark": "coalesce(nullif({0}, ''), remark)",
}


def _merge(fields: tuple[str, ...], *more: str) -> str:
    """Return the statement that merges a tuple of these fields, of which the first is the row, into its row."""
    merged = (f"{name} = {_MERGE.get(name, '{0}').format(f'?{n}')}" for n, name in enumerate(fields[1:], 2))
    changes = (*merged, *more)
    return f"UPDATE rows SET changes = changes + 1, {', '.join(changes)} WHERE row = ?1"  # noqa: S608 - constants


OUTCOME = _merge(RowOutcome._fields)
# An update may leave after a checkpoint: what an outcome said of the row before holds no longer.
CHECKPOINT = _merge(Checkpoint._fields, "result = CASE WHEN state = 'claimed' THEN NULL ELSE result END")
CLAIM = "UPDATE rows SET changes = changes + 1, state = 'claimed', claim = ? WHERE row = ?"
CLAIM_UP_TO = (  # one statement for a block of planned rows takes less time than one for each
    "UPDATE rows INDEXED BY rows_planned SET changes = changes + 1, state = 'claimed', claim = ?"
    " WHERE state = 'planned' AND row <= ?"
)
MARK_UNCOUNTED = f"UPDATE rows SET changes = changes + 1, uncounted = 1 WHERE {OPEN_CLAIM}"  # noqa: S608 - a constant
UNCLAIM = "UPDATE rows SET changes = changes + 1, state = 'planned' WHERE row = ? AND state = 'claimed'"
UNCLAIM_UNREAD = f"UPDATE rows SET changes = changes + 1, state = 'planned' WHERE {CERTAINLY_NOT_SENT.format('')}"  # noqa: S608 - constants
PLAN_UNAUTHORIZED = (
    "UPDATE rows SET changes = changes + 1, state = 'planned' WHERE state = 'ended' AND code = 'unauthorized'"
)
RELEASE = "UPDATE rows SET changes = changes + 1, state = 'planned' WHERE state = 'queued' AND leader = ?"
COUNT = "UPDATE counts SET claims = claims + ?, changes = changes + total_changes() - ?"


def checksum(update: StatusUpdate) -> int:
    """Return the checksum of what is sent."""
    return zlib.crc32((_CHECKED_TEXT % _CHECKED(update)).encode())


def update_of(values: tuple[Any, ...]) -> StatusUpdate:
    """Return the update in a row's columns `UPDATE`. Raises JournalError when it is not what was planned."""
    update = StatusUpdate(*values[:-1])
    if checksum(update) != values[-1]:
        raise JournalError(f"The journal is damaged: row {update.row} is not what was planned.")
    return update

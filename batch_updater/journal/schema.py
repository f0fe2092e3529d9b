"""The tables of a journal, how a row in them changes, and how it is told from a damaged one."""

import zlib

from batch_updater.common.errors import JournalError
from batch_updater.common.models import StatusUpdate

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- One row. Every commit that changes rows changes it too, so that it tells whether all of them have been kept.
CREATE TABLE counts (claims INTEGER NOT NULL, changes INTEGER NOT NULL, rows INTEGER NOT NULL);
CREATE TABLE rows (
  row INTEGER PRIMARY KEY,
  order_id TEXT NOT NULL DEFAULT '',
  status_id TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL,
  leader INTEGER,  -- the row that speaks for a waiting one, or has to end before a queued one
  result TEXT, code TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '',
  http_status INTEGER, attempts INTEGER NOT NULL DEFAULT 0, sent_at REAL, duration_ms INTEGER,
  normalised INTEGER NOT NULL DEFAULT 0, expected_id TEXT NOT NULL DEFAULT '', previous_status_id TEXT,
  claim INTEGER NOT NULL DEFAULT 0,  -- the number of the claim that announced it last; 0: never announced
  remark TEXT NOT NULL DEFAULT '',
  changes INTEGER NOT NULL DEFAULT 0,  -- since it was planned
  checksum INTEGER NOT NULL DEFAULT 0  -- of what is sent; SQLite does not notice a flipped bit in a value
);
CREATE TABLE readings (row INTEGER PRIMARY KEY, symbol TEXT NOT NULL, status_id TEXT NOT NULL, detail TEXT NOT NULL);
"""
INDEXES = """
CREATE INDEX rows_order ON rows (order_id, row);
CREATE INDEX rows_queued ON rows (leader) WHERE state = 'queued';
"""
HOLD_BACK = (
    "UPDATE rows SET state = 'ended', result = 'conflict', code = 'conflicting_rows', detail ="
    " 'row ' || ? || ' of this order comes later and is done; sent now, this one would undo that'"
    " WHERE order_id = ? AND row < ? AND state = 'planned'"
)
OUTCOME = (
    "UPDATE rows SET changes = changes + 1, state = ?, result = ?, code = ?, detail = ?,"
    " http_status = coalesce(?, http_status), attempts = attempts + ?,"
    " sent_at = coalesce(sent_at, ?), duration_ms = coalesce(?, duration_ms),"
    " previous_status_id = coalesce(previous_status_id, ?), remark = coalesce(nullif(?, ''), remark) WHERE row = ?"
)
# An order that had another status before it was sent an update has this one by that, though nobody said so.
CONFIRM = (
    "UPDATE rows SET changes = changes + 1, result = 'updated', code = 'confirmed_by_reading',"
    " detail = 'an earlier start sent it and no answer confirmed it; read back, the order has the status'"
    " WHERE row = ? AND attempts > 0 AND previous_status_id <> status_id"
)
NOTE = (
    "UPDATE rows SET changes = changes + 1, attempts = attempts + ?, sent_at = coalesce(sent_at, ?),"
    " previous_status_id = coalesce(previous_status_id, ?), remark = coalesce(nullif(?, ''), remark) WHERE row = ?"
)
CLAIM = "UPDATE rows SET changes = changes + 1, state = 'claimed', claim = ? WHERE row = ?"
UNCLAIM = "UPDATE rows SET changes = changes + 1, state = 'planned' WHERE row = ? AND state = 'claimed'"
UNCLAIM_UNREAD = (
    "UPDATE rows SET changes = changes + 1, state = 'planned'"
    " WHERE state = 'claimed' AND previous_status_id IS NULL AND (? OR expected_id <> '')"
)
RELEASE = "UPDATE rows SET changes = changes + 1, state = 'planned' WHERE state = 'queued' AND leader = ?"
COUNT = "UPDATE counts SET claims = claims + ?, changes = changes + total_changes() - ?"


def checksum(update: StatusUpdate) -> int:
    """Of what is sent; SQLite does not notice a flipped bit in a value."""
    return zlib.crc32(f"{update.row} {update.order_id} {update.status_id} {update.expected_id}".encode())


def update_of(values: tuple[int, str, str, str, int]) -> StatusUpdate:
    """The update in a row: its number, order, status, expected status, checksum. Raises JournalError for another."""
    row, order_id, status_id, expected_id, kept = values
    update = StatusUpdate(row, order_id, status_id, expected_id=expected_id)
    if checksum(update) != kept:
        raise JournalError(f"The journal is damaged: row {row} is not what was planned.")
    return update

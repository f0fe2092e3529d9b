"""Whether a journal's file still has all that was written to it: SQLite alone does not notice every cut."""

import re
import sqlite3
from pathlib import Path

_HEADER = 32  # bytes, as "WAL File Format" in SQLite's fileformat2.html has it
_FRAME = 24
_CHOOSING = {"rows_planned": "planned", "rows_queued": "queued"}  # the indexes that choose what is sent, by state


def find_damage(db: sqlite3.Connection, path: Path) -> str:
    """Return what is wrong with the file, empty for nothing. Raises sqlite3.Error for what SQLite notices itself."""
    size = db.execute("PRAGMA page_size").fetchone()[0]
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    whole = path.stat().st_size // size
    if missing := set(range(whole + 1, pages + 1)) - _committed(path.with_name(f"{path.name}-wal")):
        return f"it was cut off, {len(missing)} of its {pages} pages are missing"
    found: str = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    return "" if found == "ok" else found


def find_loss(db: sqlite3.Connection, announced: int) -> str:
    """Return what a file that is intact by itself has lost of `announced` claims or of its changes; empty for nothing.

    Each row, and the one of `counts`, counts every change; in pages of different times these numbers differ, or an
    index lists other rows.
    """
    query = (
        "SELECT c.claims, c.changes = r.changes AND c.rows = r.rows FROM counts c,"
        " (SELECT coalesce(sum(changes), 0) AS changes, count(*) AS rows FROM rows) r"
    )
    claims, agrees = db.execute(query).fetchone() or (0, False)
    if claims < announced:
        return f"has lost its last {announced - claims} claims"
    indexes = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")]
    agrees = agrees and all(_lists_its_rows(db, name) for name in indexes if name in _CHOOSING)
    return "" if agrees else "has parts of different times"


def _lists_its_rows(db: sqlite3.Connection, index: str) -> bool:
    """Whether an index has exactly the rows in its state; a quick check does not compare them."""
    state = _CHOOSING[index]
    listed = f"FROM rows i INDEXED BY {index} WHERE i.state = '{state}'"
    query = (
        f"SELECT count(*) = (SELECT count(*) {listed})"  # noqa: S608 - constants
        f" AND count(*) = total(EXISTS (SELECT 1 {listed} AND i.leader IS t.leader AND i.row = t.row))"
        f" FROM rows t NOT INDEXED WHERE t.state = '{state}'"
    )
    return bool(db.execute(query).fetchone()[0])


def _committed(wal: Path) -> set[int]:
    """Return the pages that the committed part of a -wal file holds."""
    found: set[int] = set()
    pending: set[int] = set()
    try:
        stream = wal.open("rb")
    except FileNotFoundError:
        return found
    with stream:
        header = stream.read(_HEADER)
        size, salts = int.from_bytes(header[8:12], "big"), header[16:24]
        while len(frame := stream.read(_FRAME)) == _FRAME and frame[8:16] == salts:
            if len(stream.read(size)) < size:
                break
            pending.add(int.from_bytes(frame[:4], "big"))
            if any(frame[4:8]):  # the last page of a commit
                found |= pending
                pending.clear()
    return found


def read_number(path: Path) -> int | None:
    """Return the number that a claims file holds; None when the file is missing or incomplete."""
    try:
        text = path.read_bytes()
    except OSError:
        return None
    return int(text) if re.fullmatch(rb"[0-9]{20}", text) else None

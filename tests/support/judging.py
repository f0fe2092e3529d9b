"""One judge for every run: what must hold afterwards, by the service's ledger, the journal and the result file."""

import contextlib
import csv
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.ledger import Doubts, Request

Rows = list[dict[str, str]]
NEVER_SENT = {"invalid", "conflict", "duplicate", "not_sent"}
DONE = {"updated", "unchanged"}


def judge_rows(
    rows: Rows,
    sheet_rows: int,
    ledger: Sequence[Request],
    orders: Mapping[str, str],
    *,
    kills: int = 0,
    unseen: int = 0,
    before: str = "",
) -> None:
    """The guarantees, from the result rows, the service's ledger and what its orders have in the end.

    `kills`: how often the program may have died before it counted what it had sent. `unseen`: updates that may have
    been counted without arriving. `before`: the status that all orders had; one that it was asked for may be read as
    right without an update.
    """
    sent = [request for request in ledger if not request.is_reading]
    doubts = Doubts(ledger)
    assert [int(row["result_row"]) for row in rows] == list(range(2, sheet_rows + 2)), "every row once, in order"
    asked = {row["result_order_id"]: row for row in rows if row["result_order_id"]}
    assert {one.order for one in sent} <= set(asked), "nothing was sent that was not asked for"
    assert not doubts.unread, doubts.unread[:10]
    assert not doubts.needless, doubts.needless[:10]
    for row in rows:
        _judge_row(row, doubts, kills, before)
    _judge_failed(rows, doubts)
    _judge_attempts(rows, sent, unseen)
    last = {row["result_order_id"]: row for row in rows if row["result"] not in NEVER_SENT}
    for order, row in last.items():
        if row["result"] in DONE:
            assert orders[order] == row["result_status_id"], f"row {row['result_row']} does not have its status"


def _judge_row(row: dict[str, str], doubts: Doubts, kills: int, before: str) -> None:
    name, result, attempts = f"row {row['result_row']}", row["result"], row["result_attempts"]
    update = row["result_order_id"], row["result_status_id"]
    assert result in {*DONE, *NEVER_SENT, "failed", "unknown"}, f"{name} has no result"
    assert row["result_code"], f"{name} has no reason"
    assert row["result_code"] == "ok" or row["result_detail"], f"{name} has no sentence"
    assert attempts or (kills and result not in NEVER_SENT), f"{name} does not say how often it was sent"
    if result == "updated" and not (update[1] == before and row["result_code"].startswith("confirmed_")):
        assert update in doubts.applied, f"{name} was never applied"
        assert update in doubts.confirmed, f"{name} was neither confirmed nor read"
    if result in NEVER_SENT:
        assert attempts == "0", f"{name} was sent"
    if result == "unknown":
        assert attempts != "0", f"{name} was not sent, which is known"


def _judge_failed(rows: Rows, doubts: Doubts) -> None:
    unknown = {(row["result_order_id"], row["result_status_id"]) for row in rows if row["result"] == "unknown"}
    for row in rows:
        update = row["result_order_id"], row["result_status_id"]
        if row["result"] == "failed" and row["result_code"] != "order_not_found" and update not in unknown:
            assert doubts.cannot_read or not doubts.has(*update), f"row {row['result_row']} is called failed unread"


def _judge_attempts(rows: Rows, sent: Sequence[Request], unseen: int) -> None:
    arrived = Counter((one.order, one.status) for one in sent if one.status)
    without_body = Counter(one.order for one in sent if not one.status)
    counted: Counter[tuple[str, str]] = Counter()
    for row in rows:
        counted[row["result_order_id"], row["result_status_id"]] += int(row["result_attempts"] or 0)
    for row in rows:
        if not row["result_attempts"]:
            del counted[row["result_order_id"], row["result_status_id"]]
    for key, number in counted.items():
        assert arrived[key] <= number, f"{key} was sent {arrived[key]} times and counted {number} times"
    surplus = {key: number - arrived[key] - without_body[key[0]] for key, number in counted.items()}
    assert sum(max(number, 0) for number in surplus.values()) <= unseen, f"counted more often than sent: {surplus}"


def judge_undo(sheet: Path, ledger: Sequence[Request], rows: Rows) -> None:
    """The sheet of an undo has every order whose only update may have been applied, and none that was refused.

    Orders that got several statuses are left to the tests of sequences; those that are gone can't be undone.
    """
    doubts = Doubts(ledger)
    statuses: dict[str, set[str | None]] = {}
    for request in ledger:
        if not request.is_reading:
            statuses.setdefault(request.order, set()).add(request.status)
    once = {order for order, found in statuses.items() if len(found - {None}) <= 1}
    changed = {order for order, _status in doubts.applied | doubts.confirmed} | set(filter(doubts.has, statuses))
    with sheet.open(encoding="utf-8", newline="") as stream:
        undone = {row["order_id"] for row in csv.DictReader(stream)}
    gone = {row["result_order_id"] for row in rows if row["result_code"] == "order_not_found"}
    unknown = {row["result_order_id"] for row in rows if row["result"] == "unknown"}
    left = once & changed - undone - gone
    assert not left, f"an undo leaves orders changed: {sorted(left)[:10]}"
    never_sent, refused = undone - set(statuses) - unknown, once & undone - changed - unknown
    assert not never_sent, f"an undo touches what was never sent: {sorted(never_sent)[:10]}"
    assert not refused, f"an undo touches what was refused: {sorted(refused)[:10]}"


def judge_folder(run: Path, rows: Rows, ledger: Sequence[Request], *, secrets: Sequence[str]) -> None:
    """The guarantees that the other files of a run folder show: claims, counts, summary, and no secret anywhere."""
    with contextlib.closing(sqlite3.connect(run / "journal.sqlite")) as journal:
        noted = {
            row: (order, status, claim, attempts, state)
            for row, order, status, claim, attempts, state in journal.execute(
                "SELECT row, order_id, status_id, claim, attempts, state FROM rows"
            )
        }
    claimed = {entry[:2] for entry in noted.values() if entry[2]}
    arrived = {(one.order, one.status) for one in ledger if one.status and not one.is_reading}
    assert arrived <= claimed, "an update left without a claim"
    for row in rows:
        counted = row["result_attempts"]
        assert not counted or noted[int(row["result_row"])][3] == int(counted), "journal and results count differently"
    summary: dict[str, Any] = json.loads((run / "summary.json").read_text())
    found = Counter(row["result"] for row in rows)
    assert summary["results"] == dict(found), "the summary counts otherwise than the rows"
    assert summary["resumable"] or not any(e[4] in {"planned", "claimed", "queued"} for e in noted.values())
    if summary["exit_code"] in {0, 3}:
        assert (summary["exit_code"] == 0) == (set(found) <= {*DONE, "duplicate"}), "the exit code lies"
    if not summary["resumable"]:
        assert not found["not_sent"], "a run that is at its end has left rows out"
    for path in run.iterdir():
        text = path.read_bytes()
        assert not any(secret.encode() in text for secret in secrets), f"a secret is in {path.name}"


class Witness:
    """Looks into the journal at the moment when an update arrives at the service."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._arrived: Counter[tuple[str, str | None]] = Counter()
        self.wrongs: list[str] = []

    def see(self, order: str, status: str | None) -> None:
        """The update must be claimed, and all attempts before it counted, durably."""
        journal = max(self._runs.glob("2*/journal.sqlite"))
        with contextlib.closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as db:
            query = "SELECT coalesce(max(state = 'claimed' AND claim > 0), 0), coalesce(sum(attempts), 0) FROM rows"
            where = " WHERE order_id = ? AND ? IN (status_id, '')"
            claimed, noted = db.execute(query + where, (order, status or "")).fetchone()
        if not claimed:
            self.wrongs.append(f"an update of {order} arrived without a claim")
        if self._arrived[order, status] > noted:
            self.wrongs.append(f"an update of {order} arrived before {self._arrived[order, status]} were counted")
        self._arrived[order, status] += 1

"""One judge for every run: what must hold afterwards, by the service's ledger, the journal and the result file."""

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Rows = list[dict[str, str]]
NEVER_SENT = {"invalid", "conflict", "duplicate"}
DONE = {"updated", "unchanged"}


@dataclass(frozen=True)
class Sent:
    """One update as a service received it; `status` is None when its body did not arrive."""

    order: str
    status: str | None
    applied: bool


def judge_rows(
    rows: Rows,
    sheet_rows: int,
    sent: Sequence[Sent],
    orders: Mapping[str, str],
    *,
    unnoted: int = 0,
    unseen: int = 0,
) -> None:
    """The guarantees, from the result rows, the service's ledger and what its orders have in the end.

    `unnoted`: updates that may have left without being counted, as after a kill. `unseen`: those that may have been
    counted without arriving.
    """
    assert [int(row["result_row"]) for row in rows] == list(range(2, sheet_rows + 2)), "every row once, in order"
    asked = {row["result_order_id"]: row for row in rows if row["result_order_id"]}
    assert {one.order for one in sent} <= set(asked), "nothing was sent that was not asked for"
    applied = {(one.order, one.status) for one in sent if one.applied}
    attempts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        attempts[row["result_order_id"], row["result_status_id"]] += int(row["result_attempts"])
        _judge_row(row, applied)
    _judge_attempts(attempts, sent, unnoted, unseen)
    last = {row["result_order_id"]: row for row in rows if row["result"] not in NEVER_SENT}
    for order, row in last.items():
        if row["result"] in DONE:
            assert orders[order] == row["result_status_id"], f"row {row['result_row']} does not have its status"


def _judge_row(row: dict[str, str], applied: Set[tuple[str, str | None]]) -> None:
    name, result = f"row {row['result_row']}", row["result"]
    assert result in {*DONE, *NEVER_SENT, "failed", "unknown", "not_sent"}, f"{name} has no result"
    assert row["result_code"], f"{name} has no reason"
    assert row["result_code"] == "ok" or row["result_detail"], f"{name} has no sentence"
    if result == "updated":
        assert (row["result_order_id"], row["result_status_id"]) in applied, f"{name} was never applied"
    if result in NEVER_SENT:
        assert row["result_attempts"] == "0", f"{name} was sent"


def _judge_attempts(attempts: Counter[tuple[str, str]], sent: Sequence[Sent], unnoted: int, unseen: int) -> None:
    arrived = Counter((one.order, one.status) for one in sent if one.status)
    without_body = Counter(one.order for one in sent if not one.status)
    for key, number in arrived.items():
        assert number <= attempts[key] + unnoted, f"{key} was sent {number} times and counted {attempts[key]} times"
    surplus = {key: number - arrived[key] - without_body[key[0]] for key, number in attempts.items()}
    assert sum(max(number, 0) for number in surplus.values()) <= unseen, f"counted more often than sent: {surplus}"


def judge_folder(run: Path, rows: Rows, sent: Sequence[Sent], *, secrets: Sequence[str]) -> None:
    """The guarantees that the other files of a run folder show: claims, counts, summary, and no secret anywhere."""
    with contextlib.closing(sqlite3.connect(run / "journal.sqlite")) as journal:
        noted = {
            row: (order, status, claim, attempts, state)
            for row, order, status, claim, attempts, state in journal.execute(
                "SELECT row, order_id, status_id, claim, attempts, state FROM rows"
            )
        }
    claimed = {entry[:2] for entry in noted.values() if entry[2]}
    assert {(one.order, one.status) for one in sent if one.status} <= claimed, "an update left without a claim"
    for row in rows:
        assert noted[int(row["result_row"])][3] == int(row["result_attempts"]), "journal and results count differently"
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

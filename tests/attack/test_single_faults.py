import asyncio
import contextlib
import csv
import sqlite3
import uuid
from collections import Counter
from pathlib import Path

import pytest
from attack_faults import CONFIRMATION, Exchange, Fault, FaultServer, answer
from support import quick_folder, write_sheet

from batch_updater import Secret, Settings, run_batch

BEFORE, WANTED = str(uuid.UUID(int=900)), str(uuid.UUID(int=901))
ORDERS = [str(uuid.UUID(int=n)) for n in range(1, 7)]
BOMB = b"{" * 2_000_000
TRUNCATED = answer()[:-10]


def says(data: bytes, *, applied: bool = False, closes: bool = False, resets: bool = False) -> Fault:
    async def fault(exchange: Exchange) -> None:
        if applied:
            exchange.apply()
        exchange.writer.write(data)
        with contextlib.suppress(OSError):
            await exchange.writer.drain()
        if resets:
            exchange.reset()
        elif closes:
            exchange.writer.close()

    return fault


async def silent(_exchange: Exchange) -> None:
    await asyncio.sleep(1.0)


async def drips(exchange: Exchange) -> None:
    for byte in answer():
        exchange.writer.write(bytes([byte]))
        await asyncio.sleep(0.05)


FAULTS: dict[str, tuple[Fault, str]] = {
    "reset": (says(b"", resets=True), "updated"),
    "closed": (says(b"", closes=True), "updated"),
    "reset after applying": (says(b"", applied=True, resets=True), "updated"),
    "reset within the headers": (says(answer()[:20], resets=True), "updated"),
    "silent": (silent, "updated"),
    "drips": (drips, "updated"),
    "truncated": (says(TRUNCATED, closes=True), "updated"),
    "truncated after applying": (says(TRUNCATED, applied=True, closes=True), "updated"),
    "length too large": (says(answer(length=999), closes=True), "updated"),
    "length too small": (says(answer(length=10)), "updated"),
    "length negative": (says(answer(length=-5), closes=True), "updated"),
    "two lengths": (says(answer(200, CONFIRMATION, "Content-Length: 3"), closes=True), "updated"),
    "garbage": (says(b"\x00\xff garbage \r\n\r\n", closes=True), "updated"),
    "garbage header": (says(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", closes=True), "updated"),
    "huge header": (says(answer(200, CONFIRMATION, "X: " + "a" * 1_000_000), closes=True), "updated"),
    "continue, then yes": (says(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(), applied=True), "updated"),
    "html": (says(answer(200, b"<html>welcome")), "updated"),
    "enormous json": (says(answer(200, BOMB)), "updated"),
    "gzip": (says(answer(200, b"\x1f\x8b\x08\x00rubbish", "Content-Encoding: gzip")), "updated"),
    "wrong charset": (says(answer(200, b"\xff\xfe\x00{", "Content-Type: text/html; charset=none")), "updated"),
    "yes to nothing": (says(answer(204, b"")), "updated"),
    **{str(code): (says(answer(code, b"{}")), "failed") for code in (400, 403, 404, 405, 409, 410, 412, 422, 451)},
    **{str(code): (says(answer(code, b"{}")), "updated") for code in (408, 425, 429, 500, 502, 503, 504, 599)},
    **{
        f"429, {wait or 'empty'}": (says(answer(429, b"{}", f"Retry-After: {wait}")), "updated")
        for wait in ("0", "-1", "soon", "1e99", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "")
    },
    "redirect": (says(answer(302, b"", "Location: http://127.0.0.1:1/")), "stops"),
    "401": (says(answer(401, b"{}")), "stops"),
}


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("api.retry.FIRST_WAIT", "api.retry.LONGEST_WAIT", "api.pace.LONGEST_PAUSE", "api.pace.BARE_PAUSE"):
        monkeypatch.setattr(f"batch_updater.{name}", 0.01)


def judge(folder: Path, server: FaultServer) -> list[dict[str, str]]:
    """The guarantees, from the service's ledger, the journal and the result file; gives the result rows."""
    run = max(folder.glob("*.runs/2*"))
    with (run / "results.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["result_row"]) for row in rows] == list(range(2, len(ORDERS) + 2)), "every row once, in order"
    with contextlib.closing(sqlite3.connect(run / "journal.sqlite")) as journal:
        noted = dict(journal.execute("SELECT order_id, attempts FROM rows"))
    received = Counter(entry.order for entry in server.ledger)
    for row in rows:
        order = row["result_order_id"]
        assert noted[order] == int(row["result_attempts"]) == received[order], "every PUT is counted, none is hidden"
        if row["result"] == "updated":
            assert server.orders[order] == WANTED, "updated means applied"
        assert row["result_code"]
    assert {entry.status for entry in server.ledger} <= {WANTED}
    assert set(received) <= set(ORDERS)
    return rows


@pytest.mark.parametrize("place", [0, 3, 5])
@pytest.mark.parametrize("name", FAULTS)
async def test_one_fault_costs_nothing_and_lies_about_nothing(tmp_path: Path, name: str, place: int) -> None:
    """After any one fault the guarantees hold, the row ends as it must, and a run that stopped goes on to its end."""
    fault, end = FAULTS[name]
    with quick_folder(tmp_path) as folder:
        sheet = write_sheet(folder / "o.csv", [(order, WANTED) for order in ORDERS])
        async with FaultServer({place: fault}, dict.fromkeys(ORDERS, BEFORE), keep_alive=place != 3) as server:
            settings = Settings(base_url=server.base_url, timeout=0.4, concurrency=1)
            summary = await asyncio.wait_for(run_batch(sheet, settings, token=Secret("t0k")), 20)
            rows = judge(folder, server)
            if end == "stops":
                assert summary.exit_code in {5, 6}
                assert summary.resumable
                assert rows[place]["result"] == ("failed" if name == "redirect" else "not_sent")
                summary = await asyncio.wait_for(run_batch(sheet, settings, token=Secret("t0k")), 20)
                rows = judge(folder, server)
    refused = end == "failed"
    assert summary.exit_code == (3 if refused else 0)
    assert rows[place]["result"] == ("failed" if refused else "updated")
    assert all(row["result"] == "updated" for row in rows if row is not rows[place])

"""The clients that the throughput bench compares; each is run as a process of its own.

    python tests/bench/clients.py KIND SHEET URL [CONCURRENCY]

Prints one JSON object: rows sent, and wall and CPU seconds of the sending alone, without start-up and imports.
"""

import asyncio
import csv
import json
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1])]

TOKEN = "bench-token"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


class Meter:
    """Measures wall and CPU seconds of a block."""

    def __enter__(self) -> "Meter":
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu


def read_sheet(sheet: Path) -> list[dict[str, str]]:
    """The rows of the sheet as dicts."""
    with sheet.open(encoding="ascii", newline="") as stream:
        return list(csv.DictReader(stream))


def bare(sheet: Path, url: str, concurrency: int) -> Meter:
    """The plainest aiohttp loop: tasks that PUT and read the answer, and keep nothing."""
    import aiohttp

    async def work(session: aiohttp.ClientSession, rows: Any) -> None:
        for row in rows:
            target = f"{url}/engagement/orders/{row['order_id']}/status"
            async with session.put(target, json={"status_id": row["status_id"]}, headers=HEADERS) as response:
                await response.json()

    async def send(rows: list[dict[str, str]]) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:
            shared = iter(rows)
            await asyncio.gather(*(work(session, shared) for _ in range(concurrency)))

    rows = read_sheet(sheet)
    with Meter() as meter:
        asyncio.run(send(rows))
    return meter


def script(sheet: Path, url: str, concurrency: int) -> Meter:
    """The script that people write: iterrows, Semaphore and gather, a retry decorator, a list of dicts."""
    import aiohttp
    import pandas as pd
    import tenacity

    @tenacity.retry(stop=tenacity.stop_after_attempt(5), wait=tenacity.wait_exponential(max=10))
    async def update(session: aiohttp.ClientSession, order_id: str, status_id: str) -> dict[str, Any]:
        target = f"{url}/engagement/orders/{order_id}/status"
        async with session.put(target, json={"status_id": status_id}, headers=HEADERS) as response:
            response.raise_for_status()
            return {"order_id": order_id, "status": response.status, "detail": (await response.json())["detail"]}

    async def limited(turns: asyncio.Semaphore, session: aiohttp.ClientSession, row: Any) -> dict[str, Any]:
        async with turns:
            return await update(session, row["order_id"], row["status_id"])

    async def send() -> list[dict[str, Any]]:
        frame = pd.read_csv(sheet, dtype=str)
        turns = asyncio.Semaphore(concurrency)
        async with aiohttp.ClientSession() as session:
            return await asyncio.gather(*(limited(turns, session, row) for _, row in frame.iterrows()))

    with Meter() as meter:
        results = asyncio.run(send())
        pd.DataFrame(results).to_csv(sheet.with_suffix(".out.csv"), index=False)
    return meter


def loop(sheet: Path, url: str, _concurrency: int) -> Meter:
    """requests, one row after the other over one session."""
    import requests

    rows = read_sheet(sheet)
    with Meter() as meter, requests.Session() as session:
        session.headers.update(HEADERS)
        for row in rows:
            target = f"{url}/engagement/orders/{row['order_id']}/status"
            session.put(target, json={"status_id": row["status_id"]}, timeout=30).json()
    return meter


def threads(sheet: Path, url: str, concurrency: int) -> Meter:
    """requests in a pool of threads, a session for each."""
    import threading

    import requests

    local = threading.local()

    def send(row: dict[str, str]) -> None:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        target = f"{url}/engagement/orders/{row['order_id']}/status"
        local.session.put(target, json={"status_id": row["status_id"]}, headers=HEADERS, timeout=30).json()

    rows = read_sheet(sheet)
    with Meter() as meter, ThreadPoolExecutor(concurrency) as pool:
        list(pool.map(send, rows))
    return meter


def sending(sheet: Path, url: str, concurrency: int, beside: Callable[[], Any] | None = None) -> Meter:
    """The sending part of the program: claims, PUTs and outcomes over a journal that is planned already.

    `beside` makes a coroutine that runs in the same loop meanwhile.
    """
    from batch_updater.api.auth import Tokens
    from batch_updater.api.client import OrderClient
    from batch_updater.api.credentials import Credentials
    from batch_updater.api.pacing.pacer import Pacer
    from batch_updater.app.batch import run_loop
    from batch_updater.common.models import StatusUpdate
    from batch_updater.common.secret import Secret
    from batch_updater.common.settings import SendOptions
    from batch_updater.journal.journal import Journal
    from batch_updater.sending.stages import Runner

    async def send(journal: Journal) -> None:
        tokens = Tokens(Credentials(Secret(TOKEN)))
        other = asyncio.create_task(beside()) if beside else None
        async with OrderClient(url, tokens, timeout=30.0, concurrency=concurrency, prepared=True) as client:
            await Runner(journal, client, Pacer(None), SendOptions(concurrency=concurrency)).run()
        if other:
            other.cancel()

    from support.journals import sealed

    from batch_updater.journal.draft import Draft

    rows = read_sheet(sheet)
    with tempfile.TemporaryDirectory() as place:
        draft = Draft.create(Path(place) / "journal.sqlite")
        draft.add([StatusUpdate(n, row["order_id"], row["status_id"]) for n, row in enumerate(rows, 2)])
        journal = sealed(draft, "hold")
        with Meter() as meter:
            run_loop(send(journal))
        done = journal.results().get("updated")
        journal.close()
    if done != len(rows):
        raise SystemExit(f"only {done} of {len(rows)} rows were updated")
    return meter


KINDS: dict[str, Callable[[Path, str, int], Meter]] = {
    "bare": bare, "script": script, "loop": loop, "threads": threads, "sending": sending,
}  # fmt: skip

if __name__ == "__main__":
    kind, sheet_name, base_url, *more = sys.argv[1:]
    measured = KINDS[kind](Path(sheet_name), base_url, int(more[0]) if more else 64)
    with Path(sheet_name).open(encoding="ascii") as lines:
        count = sum(1 for _ in lines) - 1
    print(json.dumps({"rows": count, "wall": measured.wall, "cpu": measured.cpu}))

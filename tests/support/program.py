"""What the integration and acceptance tests share: running the program, a sandbox, and judging a run by it."""

import asyncio
import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.commands import check_understood
from support.judging import Rows, judge_rows
from support.ledger import Request
from support.secrecy import TOKEN, WATCH

from batch_updater.sandbox.server import Sandbox, SandboxOptions, order_id, status_id

PROGRAM = [sys.executable, "-m", "batch_updater"]
DONE = status_id("Completed")
PLANNED = status_id("Planned")
WIRES = {"session": 1_000_000_000, "prepared": 0}  # the rows from which a run is sent as prepared bytes


def environment(base_url: str = "", **more: str) -> dict[str, str]:
    """The environment without any setting of the program but these."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("EVREKA360", "ACCESS_TOKEN", "BATCH_UPDATER"))}
    base = {"EVREKA360_BASE_URL": base_url, "EVREKA360_ACCESS_TOKEN": TOKEN} if base_url else {}
    return {**keep, **base, **more}


def program(*arguments: object, env: dict[str, str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, without a terminal; the commands that it proposes must be ones."""
    ended = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL, check=False, env=env, cwd=cwd,
    )  # fmt: skip
    check_understood(ended.stdout + ended.stderr)
    return ended


def start(*arguments: object, env: dict[str, str]) -> subprocess.Popen[str]:
    """Start the program and go on."""
    return subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, env=env,
    )  # fmt: skip


@contextmanager
def served(**options: Any) -> Iterator[Sandbox]:
    """A sandbox in a thread of its own, so that a test may block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    sandbox = Sandbox(SandboxOptions(**{"token": TOKEN, **options}))
    try:
        asyncio.run_coroutine_threadsafe(sandbox.start(), loop).result(10)
        yield sandbox
    finally:
        asyncio.run_coroutine_threadsafe(_end(sandbox), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def quick_folder(otherwise: Path) -> Iterator[Path]:
    """A folder in memory, where an fsync costs nothing; another one where there is no such file system."""
    if not os.access("/dev/shm", os.W_OK):
        yield otherwise
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        yield Path(made)
        WATCH.look_into(Path(made))


def write_sheet(path: Path, rows: list[tuple[str, str]]) -> Path:
    """A CSV of order ids and status ids."""
    path.write_text("order_id,status_id\n" + "".join(f"{a},{b}\n" for a, b in rows), encoding="utf-8")
    return path


async def _end(sandbox: Sandbox) -> None:
    """Stop, and cancel what still waits to be answered."""
    await sandbox.stop()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def good_rows(count: int, first: int = 1, status: str = DONE) -> list[tuple[str, str]]:
    """Updates of orders that exist."""
    return [(order_id(n), status) for n in range(first, first + count)]


def read_result(path: Path) -> Rows:
    """The rows of a result file in CSV."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def newest_run(sheet: Path) -> Path:
    """The newest run folder of a sheet."""
    return max((sheet.parent / f"{sheet.stem}.runs").glob("2*"))


def summary_of(sheet: Path) -> dict[str, Any]:
    """summary.json of the newest run."""
    found: dict[str, Any] = json.loads((newest_run(sheet) / "summary.json").read_text())
    return found


def puts(sandbox: Sandbox) -> list[dict[str, Any]]:
    """The updates that the sandbox has received, in order."""
    return [entry for entry in sandbox.ledger if entry["method"] == "PUT"]


def requests(sandbox: Sandbox) -> list[Request]:
    """The updates and readings of orders that the sandbox has received, in order."""
    return [Request.of_sandbox(entry) for entry in sandbox.ledger if entry["order_id"]]


def judge(rows: Rows, sheet_rows: int, sandbox: Sandbox, *, kills: int = 0) -> None:
    """The guarantees that must hold after any run, from the result rows and the sandbox's ledger."""
    orders = {order: found["status"]["id"] for order, found in sandbox.orders.items()}
    judge_rows(rows, sheet_rows, requests(sandbox), orders, kills=kills, before=status_id("Planned"))

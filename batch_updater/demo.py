"""The demo: a local service with faults, a sheet with a few bad rows, and the whole job on it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from batch_updater.sandbox import STATUSES, order_id, status_id

_BAD_ROWS = (
    ("not-an-id", status_id("Completed")),
    ("1.23E+15", status_id("Completed")),
    (order_id(3), ""),
    (order_id(9_999_999), status_id("Completed")),
)
_TOKEN = "sandbox-token"  # noqa: S105 - the sandbox's own, worth nothing elsewhere


def write_sheet(path: Path, rows: int) -> None:
    """A CSV of `rows` updates of the sandbox's orders, and four rows that can't succeed."""
    lines = ["Order No,order_id,status_id"]
    lines += [f"WO-{n:05},{order_id(n)},{status_id(STATUSES[n % len(STATUSES)])}" for n in range(4, rows)]
    lines += [f"WO-X{n},{order},{status}" for n, (order, status) in enumerate(_BAD_ROWS)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def run_demo(rows: int, folder: Path | None, say: Callable[[str], None]) -> int:
    """Run the real program against a sandbox process on a free port; 0 when the demo went as it should."""
    folder = folder or Path(tempfile.mkdtemp(prefix="batch-updater-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    sheet = folder / "orders.csv"
    write_sheet(sheet, rows)
    program = [sys.executable, "-m", "batch_updater.cli"]
    faults = ["--port", "0", "--latency", "0.02", "--error-rate", "0.03"]
    server = subprocess.Popen([*program, "sandbox", *faults], stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own program
    try:
        base_url = server.stderr.readline().split()[0] if server.stderr else ""
        say(f"A local service with faults is running at {base_url}.")
        say(f"$ batch-updater run {sheet} --yes --rate 400\n")
        environment = {**os.environ, "EVREKA360_BASE_URL": base_url, "EVREKA360_ACCESS_TOKEN": _TOKEN}
        arguments = ["run", str(sheet), "--yes", "--rate", "400"]
        ended = subprocess.run([*program, *arguments], env=environment, check=False)  # noqa: S603 - our own program
    finally:
        server.terminate()
        server.wait(10)
    say("\nFour rows were wrong on purpose; the result file says why, row by row.")
    return 0 if ended.returncode == 3 else 1

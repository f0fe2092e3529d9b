"""The demo: a local service with faults, a sheet with a few bad rows, and the whole job on it."""

import csv
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from batch_updater.common.remedies import command_line
from batch_updater.common.text import escape_controls, shortened, unescape_formula
from batch_updater.sandbox.server import STATUSES, order_id, status_id

_BAD_ROWS = (
    ("WO-X1", "not-an-id", "Completed"),
    ("WO-X2", "1.23E+15", "Completed"),
    ("WO-X3", order_id(3), ""),
    ("WO-X4", order_id(4), "Complted"),
    ("WO-X5", order_id(9_999_999), "Completed"),
    ("WO-X6", order_id(5), "Cancelled"),
    ("WO-X7", order_id(5), "Completed"),
    ("WO-00008", order_id(8), STATUSES[8 % len(STATUSES)]),
)
_FIRST = 6
_FAULTS = ("--latency", "0.02", "--error-rate", "0.03", "--lose-answers", "0.01", "--rate-limit", "800")
_TOKEN = "sandbox-token"  # noqa: S105 - the sandbox's own, worth nothing elsewhere
_PROGRAM = (sys.executable, "-m", "batch_updater")
Say = Callable[[str], None]


def write_sheet(path: Path, rows: int) -> None:
    """Write a CSV of `rows` updates of the sandbox's orders, with names and ids of statuses; eight of them are bad."""
    last = _FIRST + rows - len(_BAD_ROWS)
    good = [(f"WO-{n:05}", order_id(n), STATUSES[n % len(STATUSES)]) for n in range(_FIRST, last)]
    good[1] = (*good[1][:2], status_id("Completed"))
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("Order No", "order_id", "New status"), *good, *_BAD_ROWS])


def run_demo(rows: int, folder: Path | None, say: Say) -> int:
    """Run the real program against a sandbox process on a free port; return 0 when all went as expected."""
    folder = folder or Path(tempfile.mkdtemp(prefix="batch-updater-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    write_sheet(folder / "orders.csv", rows)
    server = subprocess.Popen(  # noqa: S603 - our own program
        [*_PROGRAM, "sandbox", "--port", "0", *_FAULTS], stderr=subprocess.PIPE, text=True, env=_environment()
    )
    try:
        base_url = server.stderr.readline().split()[0] if server.stderr else ""
        say(f"A local order service is running at {base_url}. It answers after 20 ms, fails 3 % of the updates,")
        say("loses 1 % of its answers and accepts 800 requests a second, which the program has to find out.")
        return _play(folder, base_url, say)
    finally:
        server.terminate()
        server.wait(10)
        if server.stderr:
            server.stderr.close()


def _environment() -> dict[str, str]:
    """Return your environment without settings and credentials of the program."""
    ours = ("BATCH_UPDATER_", "EVREKA360_", "ACCESS_TOKEN")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _play(folder: Path, base_url: str, say: Say) -> int:
    environment = {**_environment(), "EVREKA360_BASE_URL": base_url, "EVREKA360_ACCESS_TOKEN": _TOKEN}

    def type_in(*command: str) -> int:
        say(f"\n$ {command_line(command)}\n")
        return subprocess.run([*_PROGRAM, *command], env=environment, cwd=folder, check=False).returncode  # noqa: S603 - our own program

    ran = type_in("run", "orders.csv", "--yes", "--compare")
    run = max((folder / "orders.runs").glob("2*"), default=None)
    if run is None:
        return 1
    say("\nThe result file says for every row what happened. These were not done, some of them wrong on purpose:\n")
    _show_not_done(run / "results.csv", say)
    verified = type_in("verify", str(run.relative_to(folder)))
    say(f"\nAll files are in {escape_controls(str(run))}:")
    say("  results.csv       the sheet with what happened to each row")
    say("  report.html       the same as a page")
    say("  journal.sqlite    the full record: what was planned, announced, sent and answered")
    say("\nYour turn: this serves the orders as they were at first, until Ctrl-C:")
    say(f"  {command_line(['sandbox', '--port', base_url.rpartition(':')[2]])}")
    say("\nIn another terminal set what it prints, and type the commands above, or your own, in this folder:")
    say(f"  cd {shlex.quote(escape_controls(str(folder)))}")
    return 0 if (ran, verified) == (3, 3) else 1


def _show_not_done(path: Path, say: Say) -> None:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["result"] not in {"updated", "unchanged", "duplicate"}]
    for row in rows[:12]:
        say(f"  row {row['result_row']:>5}  {row['result']:<9} {shortened(unescape_formula(row['result_detail']), 58)}")

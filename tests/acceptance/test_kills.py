"""SIGKILL at random moments and at every kind of journal boundary: nothing is lost, nothing untrue is said."""

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support import environment, good_rows, judge, program, puts, read_result, served, start, write_sheet

from batch_updater.journal import Journal
from batch_updater.sandbox import Sandbox, status_id

KILLS_PER_CASE = 5
FAULTS = {"latency": 0.005, "error_rate": 0.05, "lose_answers": 0.02}
DYING = Path(__file__).with_name("dying.py")
MOMENTS = {"before-commit": 40, "after-commit": 40, "after-claim-number": 12, "before-move": 3, "after-move": 3}
Kill = Callable[[random.Random, Path, Sandbox], int]


def kill_at_random(randomness: random.Random, sheet: Path, sandbox: Sandbox) -> int:
    """Kill at a random time after the start, or after its first request for an order; the exit status."""
    process = start("run", sheet, "--yes", "--on-conflict", "sequence", env=environment(sandbox.base_url))
    known = len(sandbox.ledger)
    if randomness.random() < 0.75:
        while process.poll() is None and not any(entry["order_id"] for entry in sandbox.ledger[known:]):
            time.sleep(0.002)
        wait = randomness.uniform(0, 0.5)
    else:
        wait = randomness.uniform(0.3, 1.5)  # starting and planning
    try:
        process.wait(wait)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()
    return process.returncode


def kill_at_a_boundary(randomness: random.Random, sheet: Path, sandbox: Sandbox) -> int:
    """Let the program kill itself at the nth boundary of a kind; the exit status."""
    moment = randomness.choice(list(MOMENTS))
    number = randomness.randint(1, MOMENTS[moment])
    arguments = ["run", str(sheet), "--yes", "--on-conflict", "sequence"]
    return subprocess.run(
        [sys.executable, str(DYING), moment, str(number), *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=240, check=False, env=environment(sandbox.base_url),
    ).returncode  # fmt: skip


def check_announced(sheet: Path, sandbox: Sandbox, copy: Path) -> None:
    """On a copy of the journal: it opens, and every PUT so far was announced by a claim that is in it."""
    sent = {(entry["order_id"], entry["status_id"]) for entry in puts(sandbox)}
    announced: set[tuple[str, str]] = set()
    for journal in sheet.parent.glob(f"{sheet.stem}.runs/*/journal.sqlite"):
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for file in journal.parent.glob("journal.*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, copy)
        Journal.open(copy / journal.name).close()
        with sqlite3.connect(copy / journal.name) as db:
            announced |= set(db.execute("SELECT order_id, status_id FROM rows WHERE claim > 0"))
        db.close()
    orders = {order for order, _status in announced}
    assert {key for key in sent if key[1]} <= announced
    assert {order for order, _status in sent} <= orders  # those under way have no status in the ledger yet


def kill_and_resume(kill: Callable[[Path, Sandbox], int], here: Path, sandbox: Sandbox, most: int) -> int:
    """Kill a run at most so many times, checking after each kill; let it finish, and judge. How often it was killed."""
    rows = [*good_rows(300), *good_rows(60, status=status_id("Assigned")), *good_rows(60, 200, status_id("Cancelled"))]
    here.mkdir()
    sheet = write_sheet(here / "o.csv", rows)
    code, kills = 0, 0
    while kills < most and (code := kill(sheet, sandbox)) == -signal.SIGKILL:
        kills += 1
        check_announced(sheet, sandbox, here / "copy")
    if code not in {0, 3}:
        ended = program("run", sheet, "--yes", "--on-conflict", "sequence", env=environment(sandbox.base_url))
        assert ended.returncode in {0, 3}, ended.stderr
    check_announced(sheet, sandbox, here / "copy")
    found = read_result(max((here / "o.runs").glob("*/results.csv")))
    judge(found, len(rows), sandbox, kills=kills)
    assert {row["result"] for row in found} <= {"updated", "failed"}, "a start that nobody stops leaves nothing"
    assert len(list((here / "o.runs").glob("2*/journal.sqlite"))) == 1, "one run, picked up each time"
    return kills


@pytest.mark.parametrize("kill", [kill_at_random, kill_at_a_boundary])
def test_a_kill_at_any_moment_loses_nothing(tmp_path: Path, kill: Kill, kill_seed: int, kill_log: list[str]) -> None:
    """Killed again and again and resumed until finished, ledger, journal, result file and orders agree."""
    randomness = random.Random(kill_seed)
    killed = sheets = 0
    while killed < KILLS_PER_CASE:
        sheets += 1
        assert sheets < 20
        with served(seed=kill_seed, **FAULTS) as sandbox:
            killed += kill_and_resume(
                partial(kill, randomness), tmp_path / str(sheets), sandbox, KILLS_PER_CASE - killed
            )
    kill_log.append(f"{kill.__name__} {killed}")

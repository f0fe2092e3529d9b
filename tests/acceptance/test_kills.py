"""SIGKILL at random moments and at every kind of journal boundary: nothing is lost, nothing untrue is said."""

import json
import os
import random
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from support import environment, good_rows, judge, program, puts, read_result, served, write_sheet

from batch_updater.journal import Journal
from batch_updater.sandbox import Sandbox, status_id

KILLS_PER_CASE = 5
FAULTS = {"latency": 0.005, "error_rate": 0.05, "lose_answers": 0.02}
DYING = Path(__file__).with_name("dying.py")
MOMENTS = {"before-commit": 40, "after-commit": 40, "after-claim-number": 12, "before-move": 3, "after-move": 3}
Kill = Callable[["Starter", random.Random, Path, Sandbox], int]


class Starter:
    """Starts the program in forks of a process that has everything loaded."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(DYING)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment()
        )

    def start(self, sheet: Path, sandbox: Sandbox, moment: str = "", number: int = 0) -> int:
        """Start a run of a sheet that dies at a moment; its process id."""
        arguments = ["run", str(sheet), "--yes", "--on-conflict", "sequence"]
        order = {"moment": moment, "number": number, "arguments": arguments}
        assert self._process.stdin
        self._process.stdin.write(json.dumps({**order, "environment": environment(sandbox.base_url)}).encode() + b"\n")
        return self._read()

    def has_ended(self, seconds: float = 0.0) -> bool:
        """Whether the run has ended, now or within some seconds."""
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def wait(self) -> int:
        """The exit status of the run."""
        return self._read()

    def _read(self) -> int:
        assert self._process.stdout
        assert self.has_ended(240), "it hangs"
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@pytest.fixture(scope="module")
def starter() -> Iterator[Starter]:
    """One process for all the kills."""
    made = Starter()
    yield made
    made.close()


def kill_at_random(starter: Starter, randomness: random.Random, sheet: Path, sandbox: Sandbox) -> int:
    """Kill at a random time after the  or after its first request for an order; the exit status."""
    known = len(sandbox.ledger)
    process = starter.start(sheet, sandbox)
    if randomness.random() < 0.75:
        while not starter.has_ended(0.002) and not any(entry["order_id"] for entry in sandbox.ledger[known:]):
            pass
    if not starter.has_ended(randomness.uniform(0, 0.5)):
        os.kill(process, signal.SIGKILL)
    return starter.wait()


def kill_at_a_boundary(starter: Starter, randomness: random.Random, sheet: Path, sandbox: Sandbox) -> int:
    """Let the program kill itself at the nth boundary of a kind; the exit status."""
    moment = randomness.choice(list(MOMENTS))
    starter.start(sheet, sandbox, moment, randomness.randint(1, MOMENTS[moment]))
    return starter.wait()


def check_announced(sheet: Path, sandbox: Sandbox, copy: Path) -> bool:
    """On a copy of the journal: it opens, and every PUT was announced by a claim in it. Whether the run is finished."""
    finished = False
    sent = {(entry["order_id"], entry["status_id"]) for entry in puts(sandbox)}
    announced: set[tuple[str, str]] = set()
    for journal in sheet.parent.glob(f"{sheet.stem}.runs/*/journal.sqlite"):
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for file in journal.parent.glob("journal.*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, copy)
        with Journal.open(copy / journal.name) as opened:
            finished = opened.meta()["phase"] == "finished"
        with sqlite3.connect(copy / journal.name) as db:
            announced |= set(db.execute("SELECT order_id, status_id FROM rows WHERE claim > 0"))
        db.close()
    orders = {order for order, _status in announced}
    assert {key for key in sent if key[1]} <= announced
    assert {order for order, _status in sent} <= orders  # those under way have no status in the ledger yet
    return finished


def kill_and_resume(kill: Callable[[Path, Sandbox], int], here: Path, sandbox: Sandbox, most: int) -> int:
    """Kill a run at most so many times, checking after each kill; let it finish, and judge. How often it was killed."""
    rows = [*good_rows(300), *good_rows(60, status=status_id("Assigned")), *good_rows(60, 200, status_id("Cancelled"))]
    here.mkdir()
    sheet = write_sheet(here / "o.csv", rows)
    code, kills = 0, 0
    while kills < most and (code := kill(sheet, sandbox)) == -signal.SIGKILL:
        kills += 1
        if check_announced(sheet, sandbox, here / "copy"):
            code = 0  # killed after its very end
            break
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
def test_a_kill_at_any_moment_loses_nothing(
    tmp_path: Path, starter: Starter, kill: Kill, kill_seed: int, kill_log: list[str]
) -> None:
    """Killed again and again and resumed until finished, ledger, journal, result file and orders agree."""
    randomness = random.Random(kill_seed)
    killed = sheets = 0
    while killed < KILLS_PER_CASE:
        sheets += 1
        assert sheets < 20
        with served(seed=kill_seed, **FAULTS) as sandbox:
            killed += kill_and_resume(
                partial(kill, starter, randomness), tmp_path / str(sheets), sandbox, KILLS_PER_CASE - killed
            )
    kill_log.append(f"{kill.__name__} {killed}")

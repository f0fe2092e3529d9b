"""SIGKILL at random moments and journal boundaries, and a failing disk: nothing is lost, nothing untrue is said."""

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
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import xlsxwriter
from support.journals import undo_sheet
from support.judging import judge_undo
from support.program import (
    DONE,
    PLANNED,
    environment,
    good_rows,
    judge,
    program,
    puts,
    requests,
    served,
    write_sheet,
)

from batch_updater.inputs.pandas_io import read_results
from batch_updater.journal.facts import Phase
from batch_updater.journal.journal import Journal
from batch_updater.sandbox.server import Sandbox, status_id

KILLS_PER_CASE = 5
NO_FAULT = 98  # as dying.py says it
FAULTS = {"latency": 0.005, "error_rate": 0.05, "lose_answers": 0.02, "gateway_timeouts": 0.02}
DYING = Path(__file__).parents[1] / "support" / "dying.py"
MOMENTS = {"before-commit": 40, "after-commit": 40, "after-claim-number": 12, "before-move": 3, "after-move": 3}
Row = dict[str, str]


@dataclass(frozen=True)
class Job:
    """What is killed: the command, where its runs are, how many rows it has, and what holds at its end."""

    arguments: list[str]
    runs: Path
    rows: int
    check: Callable[[list[Row]], None]


Kill = Callable[["Starter", random.Random, Job, Sandbox], int]


class Starter:
    """Starts the program in forks of a process that has everything loaded."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(DYING)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment()
        )

    def start(self, job: Job, sandbox: Sandbox, moment: str = "", number: int = 0, fault: str = "") -> int:
        """Start a job that dies, or whose disk fails, at a moment; its process id."""
        order = {"moment": moment, "number": number, "fault": fault, "arguments": job.arguments}
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


def kill_at_random(starter: Starter, randomness: random.Random, job: Job, sandbox: Sandbox) -> int:
    """Kill at a random time after the start or after its first request for an order; the exit status."""
    known = len(sandbox.ledger)
    process = starter.start(job, sandbox)
    if randomness.random() < 0.75:
        while not starter.has_ended(0.002) and not any(entry["order_id"] for entry in sandbox.ledger[known:]):
            pass
    if not starter.has_ended(randomness.uniform(0, 0.5)):
        os.kill(process, signal.SIGKILL)
    return starter.wait()


def kill_at_a_boundary(starter: Starter, randomness: random.Random, job: Job, sandbox: Sandbox) -> int:
    """Let the program kill itself at the nth boundary of a kind; the exit status."""
    moment = randomness.choice(list(MOMENTS))
    starter.start(job, sandbox, moment, randomness.randint(1, MOMENTS[moment]))
    return starter.wait()


def check_announced(job: Job, sandbox: Sandbox, copy: Path) -> bool:
    """On a copy of the journal: it opens, and every PUT was announced by a claim in it. Whether the run is finished."""
    finished = False
    sent = {(entry["order_id"], entry["status_id"]) for entry in puts(sandbox)}
    announced: set[tuple[str, str]] = set()
    for journal in job.runs.glob("*/journal.sqlite"):
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for file in journal.parent.glob("journal.*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, copy)
        with Journal.open(copy / journal.name) as opened:
            finished = opened.facts().phase is Phase.FINISHED
        with sqlite3.connect(copy / journal.name) as db:
            announced |= set(db.execute("SELECT order_id, status_id FROM rows WHERE claim > 0"))
        db.close()
    orders = {order for order, _status in announced}
    assert {key for key in sent if key[1]} <= announced
    assert {order for order, _status in sent} <= orders  # those under way have no status in the ledger yet
    return finished


def plain(here: Path, _sandbox: Sandbox, *options: str, kind: str = "csv") -> Job:
    """A run of a sheet with some repeated rows."""
    rows = [*good_rows(300), *good_rows(30)]
    sheet = write_excel(here / "o.xlsx", rows) if kind == "xlsx" else write_sheet(here / "o.csv", rows)

    def check(found: list[Row]) -> None:
        assert {row["result"] for row in found[:300]} <= {"updated", "failed"}
        assert {row["result"] for row in found[300:]} == {"duplicate"}

    return Job(["run", str(sheet), "--yes", *options], here / "o.runs", len(rows), check)


def sequence(here: Path, _sandbox: Sandbox) -> Job:
    """A run with up to three statuses in turn for an order."""
    rows = [*good_rows(300), *good_rows(60, status=status_id("Assigned")), *good_rows(60, 200, status_id("Cancelled"))]
    sheet = write_sheet(here / "o.csv", rows)

    def check(found: list[Row]) -> None:
        assert {row["result"] for row in found} <= {"updated", "failed"}

    return Job(["run", str(sheet), "--yes", "--on-conflict", "sequence"], here / "o.runs", len(rows), check)


def compare(here: Path, sandbox: Sandbox, *options: str, how: str = "--compare") -> Job:
    """A run that reads first; every tenth order has its status already."""
    right = good_rows(300)[::10]
    for order, status in right:
        sandbox.set_status(order, status)
    sheet = write_sheet(here / "o.csv", good_rows(300))

    def check(found: list[Row]) -> None:
        assert {row["result"] for row in found[::10]} == {"unchanged"}
        others = [row for n, row in enumerate(found) if n % 10]
        assert {row["result"] for row in others} <= {"updated", "failed"}
        assert {row["result_previous_status_id"] for row in others} == {PLANNED}, "undo needs it"

    return Job(["run", str(sheet), "--yes", how, *options], here / "o.runs", 300, check)


def undo(here: Path, sandbox: Sandbox) -> Job:
    """The undo of a run that nobody killed."""
    faults = sandbox.options
    sandbox.options = replace(faults, error_rate=0.0, lose_answers=0.0, gateway_timeouts=0.0)
    sheet = write_sheet(here / "o.csv", good_rows(300))
    ended = program("run", sheet, "--yes", "--compare", env=environment(sandbox.base_url))
    assert ended.returncode == 0, ended.stderr
    sandbox.ledger.clear()
    sandbox.options = faults
    run = next((here / "o.runs").glob("2*"))

    def check(found: list[Row]) -> None:
        for row in found:
            now = sandbox.orders[row["result_order_id"]]["status"]["id"]
            assert (row["result"], now) == ("updated", PLANNED) or (
                row["result"] == "failed" and now in {PLANNED, DONE}
            )

    return Job(["undo", str(run), "--yes"], run / "undo.runs", 300, check)


MIXES: list[Callable[[Path, Sandbox], Job]] = [
    sequence,
    compare,
    undo,
    partial(plain, kind="xlsx"),  # type: ignore[list-item]  # the kind has a default
    lambda here, sandbox: compare(here, sandbox, how="--compare-list"),
    lambda here, sandbox: plain(here, sandbox, "--canary", "30"),
    lambda here, sandbox: compare(here, sandbox, "--canary", "30"),
]


def write_excel(path: Path, rows: list[tuple[str, str]]) -> Path:
    """An Excel sheet of order ids and status ids."""
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate([("order_id", "status_id"), *rows]):
            sheet.write_row(number, 0, row)
    return path


def rows_of(runs: Path) -> list[Row]:
    """The rows of the newest result file, as text."""
    return list(read_results(max(runs.glob("2*/results.*"))).to_dict("records"))


def kill_and_resume(kill: Callable[[Job, Sandbox], int], job: Job, copy: Path, sandbox: Sandbox, most: int) -> int:
    """Kill a job at most so many times, checking after each kill; let it finish, and judge. How often it was killed."""
    code, kills = 0, 0
    while kills < most and (code := kill(job, sandbox)) == -signal.SIGKILL:
        kills += 1
        if check_announced(job, sandbox, copy):
            code = 0  # killed after its very end
            break
    if code not in {0, 3}:
        ended = program(*job.arguments, env=environment(sandbox.base_url))
        assert ended.returncode in {0, 3}, ended.stderr
    check_announced(job, sandbox, copy)
    found = rows_of(job.runs)
    judge(found, job.rows, sandbox, kills=kills)
    job.check(found)
    (journal,) = job.runs.glob("2*/journal.sqlite")  # one run, picked up each time
    judge_undo(undo_sheet(journal.parent, copy / "undo.csv"), requests(sandbox), found)
    return kills


@pytest.mark.parametrize("kill", [kill_at_random, kill_at_a_boundary])
def test_a_kill_at_any_moment_loses_nothing(
    tmp_path: Path, starter: Starter, kill: Kill, kill_seed: int, record_property: Callable[[str, object], None]
) -> None:
    """Killed again and again and resumed until finished, ledger, journal, result file and orders agree."""
    randomness = random.Random(kill_seed)
    make = MIXES[(2 * kill_seed + (kill is kill_at_a_boundary)) % len(MIXES)]
    killed = sheets = 0
    while killed < KILLS_PER_CASE:
        sheets += 1
        assert sheets < 20
        here = tmp_path / str(sheets)
        here.mkdir()
        with served(seed=kill_seed, **FAULTS) as sandbox:
            once = partial(kill, starter, randomness)
            killed += kill_and_resume(once, make(here, sandbox), here / "copy", sandbox, KILLS_PER_CASE - killed)
    record_property("killed_by", kill.__name__)
    record_property("kills", killed)


@pytest.mark.parametrize("fault", ["fsync", "pwrite"])
@pytest.mark.parametrize(("moment", "number"), [("add", 1), ("_announce", 3), ("record", 3), ("update_facts", 3)])
def test_a_disk_that_fails_below_sqlite_stops_the_run(
    tmp_path: Path, starter: Starter, moment: str, number: int, fault: str
) -> None:
    """The kernel refuses fsync or pwrite while planning, claiming, recording or ending: exit 6, no further PUT.

    What was under way is recorded or in doubt, and the same command brings the run to its end.
    """
    with served(latency=0.005) as sandbox:
        job = plain(tmp_path, sandbox)
        starter.start(job, sandbox, moment, number, fault)
        if (code := starter.wait()) == NO_FAULT:
            pytest.skip("the kernel can't be made to refuse calls here")
        assert code == 6
        sent = {entry["order_id"] for entry in puts(sandbox)}
        if moment == "add":
            assert sent == set()
            assert list(job.runs.glob("2*")) == []
        else:
            check_announced(job, sandbox, tmp_path / "copy")
            with Journal.open(tmp_path / "copy" / "journal.sqlite") as journal:
                states = {entry.order_id: entry.state for entry in journal.entries() if not entry.leader}
            assert {states[order] for order in sent} <= {"ended", "claimed"}
            assert (len(sent) == 300) == (moment == "update_facts")
            summary = json.loads(next(job.runs.glob("2*/summary.json")).read_text())
            if moment != "update_facts":  # there the file is older than the failure
                assert summary["exit_code"] == 6
                assert "can't be written" in summary["reason"]
        ended = program(*job.arguments, env=environment(sandbox.base_url))
        assert ended.returncode == 0, ended.stderr
        found = rows_of(job.runs)
        judge(found, job.rows, sandbox, kills=1)
        job.check(found)

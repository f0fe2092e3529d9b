"""SIGINT, SIGTERM and SIGHUP in every state of a run: right status, how to go on, nothing lost."""

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from support.program import (
    DONE,
    PROGRAM,
    environment,
    good_rows,
    judge,
    newest_run,
    program,
    puts,
    read_result,
    served,
    start,
    summary_of,
    write_sheet,
)
from support.secrecy import WATCH

from batch_updater.sandbox.server import Sandbox

SIGNALS = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


def wait_until(happened: Callable[[], object], process: "subprocess.Popen[str] | None" = None) -> None:
    """Wait for an event for at most a minute; fails when the process ends before it."""
    until = time.monotonic() + 60
    while not happened():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.003)


def ends_well(process: "subprocess.Popen[str]", code: int, sheet: Path) -> str:
    """The process ends soon with this status, its command to go on, and no traceback; what it said."""
    shown, said = process.communicate(timeout=40)
    assert process.returncode == code, said
    assert re.search(rf"^  batch-updater run {re.escape(str(sheet))} .*--yes$", shown + said, re.MULTILINE)
    assert "Traceback" not in said
    return said


def finishes(sheet: Path, rows: int, sandbox: Sandbox, kills: int = 0) -> None:
    """The same command brings the run to its end."""
    ended = program("run", sheet, "--yes", env=environment(sandbox.base_url))
    assert ended.returncode == 0, ended.stderr
    judge(read_result(newest_run(sheet) / "results.csv"), rows, sandbox, kills=kills)


def folders(sheet: Path) -> list[Path]:
    return list((sheet.parent / f"{sheet.stem}.runs").glob("2*"))


@SIGNALS
def test_a_signal_while_planning_leaves_nothing(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Nothing was sent, so nothing stays: no run folder, no request."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(1000) * 300)
    with served() as sandbox:
        process = start("run", sheet, "--yes", env=environment(sandbox.base_url))
        wait_until(lambda: list(tmp_path.glob("o.runs/*/planning.sqlite")), process)
        process.send_signal(number)
        assert "nothing is under way" in ends_well(process, code, sheet)
        assert folders(sheet) == []
        assert puts(sandbox) == []


@SIGNALS
@pytest.mark.parametrize("resumed", [False, True])
def test_a_signal_at_the_question_sends_nothing(
    tmp_path: Path, number: signal.Signals, code: int, resumed: bool
) -> None:
    """On a terminal, a signal instead of an answer: a new run is removed, an older one stays to be picked up."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(100))
    with served(latency=0.05) as sandbox:
        if resumed:
            process = start("run", sheet, "--yes", "--concurrency", "2", env=environment(sandbox.base_url))
            wait_until(lambda: len(puts(sandbox)) > 10, process)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=40)
        sent = len(puts(sandbox))
        ours, theirs = pty.openpty()
        asked = subprocess.Popen(
            [*PROGRAM, "run", str(sheet)], stdin=theirs, stdout=theirs, stderr=theirs, env=environment(sandbox.base_url)
        )
        os.close(theirs)
        said = read_until(ours, "[y/N]")
        assert f"Send {100 - sent if resumed else 100} updates" in said
        said = signal_until(asked, number, ours, "To go on:\r\n  batch-updater run")
        assert asked.wait(20) == code
        os.close(ours)
        assert "Traceback" not in said
        assert len(folders(sheet)) == resumed
        assert len(puts(sandbox)) == sent


def signal_until(process: "subprocess.Popen[bytes]", number: signal.Signals, terminal: int, words: str) -> str:
    """Signal until these words are shown: one that comes just as the interpreter begins to read a line gets lost."""
    process.send_signal(number)
    if not select.select([terminal], [], [], 10)[0]:
        process.send_signal(number)
    return read_until(terminal, words)


def read_until(terminal: int, words: str) -> str:
    """What a terminal shows up to these words."""
    shown, until = "", time.monotonic() + 60
    while words not in shown:
        assert time.monotonic() < until, shown
        if select.select([terminal], [], [], 1)[0]:
            try:
                shown += os.read(terminal, 4096).decode()
            except OSError:  # the other end is closed
                break
    WATCH.hear("the terminal", shown)
    assert words in shown
    return shown


@SIGNALS
def test_a_signal_while_paused_does_not_wait_for_the_pause(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Two minutes of Retry-After can't hold the program."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(200))
    busy = web.json_response
    with served(latency=0.02) as sandbox:
        accept = sandbox._gate
        sandbox._gate = lambda request: (  # type: ignore[method-assign]
            busy({"detail": "busy"}, status=429, headers={"Retry-After": "120"})
            if request.method == "PUT" and len(puts(sandbox)) > 50
            else accept(request)
        )
        process = start("run", sheet, "--yes", env=environment(sandbox.base_url))
        wait_until(lambda: any(entry["answer"] == 429 for entry in sandbox.ledger), process)
        began = time.monotonic()
        process.send_signal(number)
        ends_well(process, code, sheet)
        assert time.monotonic() - began < 30
        assert summary_of(sheet)["results"]["not_sent"] > 100
        judge(read_result(newest_run(sheet) / "results.csv"), 200, sandbox)
        sandbox._gate = accept  # type: ignore[method-assign]
        finishes(sheet, 200, sandbox)


@SIGNALS
def test_a_signal_while_settling_keeps_what_is_in_doubt(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Rows that were not read back yet stay in doubt, and the next start reads them."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(300))
    with served(latency=0.02) as sandbox:
        process = start("run", sheet, "--yes", env=environment(sandbox.base_url))
        wait_until(lambda: len(puts(sandbox)) > 60, process)
        process.kill()
        process.communicate()
        sandbox.options = replace(sandbox.options, latency=0.5)
        process = start("run", sheet, "--yes", env=environment(sandbox.base_url))
        wait_until(lambda: any(e["method"] == "GET" and e["order_id"] for e in sandbox.ledger), process)
        sent = len(puts(sandbox))
        process.send_signal(number)
        said = ends_well(process, code, sheet)
        assert "to settle" in said
        assert len(puts(sandbox)) == sent, "nothing is sent while rows are in doubt"
        judge(read_result(newest_run(sheet) / "results.csv"), 300, sandbox, kills=1)
        sandbox.options = replace(sandbox.options, latency=0.0)
        finishes(sheet, 300, sandbox, kills=1)


@SIGNALS
def test_a_signal_while_results_are_written_lets_them_be_whole(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """The result file is complete; the exit status tells of the signal."""
    sheet = write_sheet(tmp_path / "o.csv", [*good_rows(20), *[("broken", DONE)] * 60_000])
    with served() as sandbox:
        process = start("run", sheet, "--yes", env=environment(sandbox.base_url))
        wait_until(lambda: list(tmp_path.glob("o.runs/*/.results.part.csv")), process)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert process.returncode == code, said
        assert "they are complete" in said
        assert "Traceback" not in said
        judge(read_result(newest_run(sheet) / "results.csv"), 60_020, sandbox)
        assert summary_of(sheet)["exit_code"] == 3


@SIGNALS
@pytest.mark.parametrize("state", ["sending", "writing"])
def test_a_second_signal_ends_at_once_and_loses_nothing(
    tmp_path: Path, number: signal.Signals, code: int, state: str
) -> None:
    """The second signal waits for nobody; the same command goes on, or `results` writes the file."""
    count = 40_000 if state == "writing" else 0
    sheet = write_sheet(tmp_path / "o.csv", [*good_rows(40), *[("broken", DONE)] * count])
    with served(latency=60 if state == "sending" else 0) as sandbox:
        sandbox.options = replace(sandbox.options, latency=0.0)
        process = start("run", sheet, "--yes", env=environment(sandbox.base_url))
        if state == "sending":
            wait_until(lambda: sandbox.ledger, process)  # the statuses were read
            sandbox.options = replace(sandbox.options, latency=5.0)
            wait_until(lambda: len(puts(sandbox)) >= 20, process)
        else:
            wait_until(lambda: list(tmp_path.glob("o.runs/*/.results.part.csv")), process)
        process.send_signal(number)
        time.sleep(0.1)  # two signals at the very same time are one
        process.send_signal(number)
        _, said = process.communicate(timeout=4)
        assert process.returncode == code, said
        assert "Traceback" not in said
        sandbox.options = replace(sandbox.options, latency=0.0)
        ended = program("run", sheet, "--yes", env=environment(sandbox.base_url))
        assert ended.returncode == (3 if count else 0), ended.stderr
        judge(read_result(newest_run(sheet) / "results.csv"), 40 + count, sandbox, kills=1)
        assert len(folders(sheet)) == 1


def results_by_order(sheet: Path) -> dict[str, tuple[str, str]]:
    """What the newest result file says of each order: the result and the attempts."""
    rows = read_result(newest_run(sheet) / "results.csv")
    return {row["order_id"]: (row["result"], row["result_attempts"]) for row in rows}


def resent_without_reading(sandbox: Sandbox) -> list[str]:
    """The orders of which an update that may have been applied was followed by another, with no reading between."""
    found, sent = [], set()
    for entry in sandbox.ledger:
        order = entry["order_id"]
        if entry["method"] == "PUT":
            found += [order] * (order in sent)
            sent.add(order)
        else:
            sent.discard(order)
    return found


@SIGNALS
def test_a_second_signal_leaves_only_what_is_under_way_in_doubt(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Twenty requests are in flight and hundreds of rows in line: those in line were never sent, and are called so."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(2000))
    with served(latency=2.0) as sandbox:
        env = environment(sandbox.base_url)
        process = start("run", sheet, "--yes", "--concurrency", "20", env=env)
        wait_until(lambda: len(puts(sandbox)) >= 20, process)
        process.send_signal(number)
        time.sleep(0.5)
        process.send_signal(number)
        _, said = process.communicate(timeout=4)
        assert (process.returncode, "Traceback" in said) == (code, False), said
        assert "Stopped at once. 20 requests were in flight" in said
        assert said.endswith(f"To go on:\n  batch-updater run {sheet} --base-url {sandbox.base_url} --concurrency 20\n")
        sent = {entry["order_id"] for entry in puts(sandbox)}
        assert len(sent) == 20
        assert program("results", newest_run(sheet), env=env).returncode == 0
        found = results_by_order(sheet)
        others = Counter(found[order] for order in found if order not in sent)
        assert others == {("not_sent", "0"): 1980}
        assert {found[order][0] for order in sent} == {"unknown"}
        sandbox.options = replace(sandbox.options, latency=0.0)
        finishes(sheet, 2000, sandbox, kills=1)
        assert resent_without_reading(sandbox) == []


@SIGNALS
def test_a_row_that_only_waited_for_its_turn_was_not_sent(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """With `--rate 2` twenty workers hold a row each: those that did not leave have no attempt and no doubt."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(100))
    with served() as sandbox:
        words = ("run", sheet, "--yes", "--rate", "2", "--concurrency", "20")
        process = start(*words, env=environment(sandbox.base_url))
        wait_until(lambda: len(puts(sandbox)) >= 4, process)
        process.send_signal(number)
        ends_well(process, code, sheet)
        sent = {entry["order_id"] for entry in puts(sandbox)}
        found = results_by_order(sheet)
        others = Counter(found[order] for order in found if order not in sent)
        assert others == {("not_sent", "0"): 100 - len(sent)}
        assert {found[order] for order in sent} == {("updated", "1")}


def test_a_closed_terminal_lets_requests_in_flight_finish(tmp_path: Path) -> None:
    """SIGHUP, which often comes twice, ends a run as SIGTERM does: everything in flight is recorded."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(200))
    with served(latency=1.0) as sandbox:
        process = start("run", sheet, "--yes", "--concurrency", "5", env=environment(sandbox.base_url))
        wait_until(lambda: len(puts(sandbox)) >= 5, process)
        for _ in range(2):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.1)
        ends_well(process, 143, sheet)
        found = Counter(row["result"] for row in read_result(newest_run(sheet) / "results.csv"))
        assert found == {"updated": len(puts(sandbox)), "not_sent": 200 - len(puts(sandbox))}
        assert len(puts(sandbox)) < 200


def test_nohup_keeps_a_run_alive(tmp_path: Path) -> None:
    """A SIGHUP that the program was started to ignore changes nothing."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(40))
    with served(latency=0.2) as sandbox:
        env = environment(sandbox.base_url)
        words = ["nohup", *PROGRAM, "run", str(sheet), "--yes", "--concurrency", "5"]
        process = subprocess.Popen(
            words, env=env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        wait_until(lambda: len(puts(sandbox)) >= 5, process)
        process.send_signal(signal.SIGHUP)
        _, said = process.communicate(timeout=40)
        assert process.returncode == 0, said

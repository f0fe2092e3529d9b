"""Killed at any moment and started again, the program loses nothing and says nothing untrue."""

import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.commands import proposed_after
from support.program import (
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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("state", ["sending", "throttled"])
def test_a_signal_lets_requests_finish_and_the_same_command_goes_on(
    tmp_path: Path, number: signal.Signals, code: int, state: str
) -> None:
    """The first signal ends cleanly, with the way to go on; the next start finishes the run."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(600))
    limit = 60 if state == "throttled" else 0
    with served(latency=0.02, rate_limit=limit) as sandbox:
        process = start("run", sheet, "--yes", env=environment(sandbox.base_url))
        while len(sandbox.ledger) < 60:
            time.sleep(0.005)
        process.send_signal(number)
        shown, said = process.communicate(timeout=30)
        assert process.returncode == code, said
        assert re.search(rf"run {re.escape(str(sheet))}( .*)? --yes\n", shown)
        summary = summary_of(sheet)
        assert summary["resumable"]
        assert summary["results"]["not_sent"] > 0
        assert "unknown" not in summary["results"]
        judge(read_result(newest_run(sheet) / "results.csv"), 600, sandbox)
        if state == "sending":
            ended = program("run", sheet, "--yes", env=environment(sandbox.base_url))
            assert ended.returncode == 0, ended.stderr
            assert "Picking up" in ended.stderr
            judge(read_result(newest_run(sheet) / "results.csv"), 600, sandbox)
            assert len(puts(sandbox)) == 600


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    """A service that does not answer can't hold the program after the second Ctrl-C."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(50))
    with served(latency=0.5) as sandbox:
        process = start("run", sheet, "--yes", "--concurrency", "32", env=environment(sandbox.base_url))
        while not sandbox.ledger:
            time.sleep(0.005)
        sandbox.options = replace(sandbox.options, latency=20)  # from the updates on
        while len(puts(sandbox)) < 20:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5)
        assert process.returncode == 130
    with served() as sandbox:
        other = program("run", sheet, "--yes", env=environment(sandbox.base_url))
        assert other.returncode == 2, "another address is another tenant"
        assert "--base-url" in other.stderr
        assert puts(sandbox) == []


def test_a_second_run_of_the_same_sheet_is_refused(tmp_path: Path) -> None:
    """Two runs at once: the second ends with 7 and names the first one's process."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(300))
    with served(latency=0.1) as sandbox:
        first = start("run", sheet, "--yes", env=environment(sandbox.base_url))
        while not sandbox.ledger:
            time.sleep(0.005)
        sandbox.options = replace(sandbox.options, latency=2.0)  # so that it lasts, however slow this machine is
        second = program("run", sheet, "--yes", env=environment(sandbox.base_url))
        sandbox.options = replace(sandbox.options, latency=0.0)
        first.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 7)
    assert f"process {first.pid}" in second.stderr


@pytest.mark.parametrize("change", ["bytes", "choice"])
def test_a_run_is_not_picked_up_on_something_else(tmp_path: Path, change: str) -> None:
    """Other bytes or choices: exit 2, what differs, nothing sent; --restart starts anew."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(400))
    with served(latency=0.02) as sandbox:
        process = start("run", sheet, "--yes", env=environment(sandbox.base_url))
        while len(sandbox.ledger) < 50:
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        sent = len(sandbox.ledger)
        more = []
        if change == "bytes":
            write_sheet(sheet, good_rows(399))
        else:
            more = ["--on-conflict", "first"]
        refused = program("run", sheet, "--yes", *more, env=environment(sandbox.base_url))
        assert refused.returncode == 2
        assert ("bytes differ" if change == "bytes" else "--on-conflict differs: was hold, now first") in refused.stderr
        if change == "bytes":
            assert "put the file back as it was\n" in refused.stderr
        else:
            same = ["run", str(sheet), "--base-url", sandbox.base_url]
            assert proposed_after(refused.stderr, "to finish that run:\n") == same
        assert "--restart" in refused.stderr
        assert len(sandbox.ledger) == sent
        anew = program("run", sheet, "--yes", "--restart", *more, env=environment(sandbox.base_url))
        assert anew.returncode == 0, anew.stderr


def test_a_sequence_ends_with_the_last_status(tmp_path: Path) -> None:
    """With lost answers and errors each order ends as its last row says, or the file says that it does not."""
    first, last = good_rows(60, status=good_rows(1)[0][1]), good_rows(60)
    from batch_updater.sandbox.server import status_id

    middle = [(order, status_id("Assigned")) for order, _ in first]
    rows = [*[(order, status_id("In Progress")) for order, _ in first], *middle, *last]
    sheet = write_sheet(tmp_path / "o.csv", rows)
    with served(latency=0.002, lose_answers=0.05, error_rate=0.1) as sandbox:
        ended = program("run", sheet, "--yes", "--on-conflict", "sequence", env=environment(sandbox.base_url))
        assert ended.returncode in {0, 3}, ended.stderr
        found = read_result(newest_run(sheet) / "results.csv")
        assert len(found) == 180
        applied: dict[str, list[str]] = {}
        for entry in puts(sandbox):
            if entry["applied"]:
                seen = applied.setdefault(entry["order_id"], [])
                if seen[-1:] != [entry["status_id"]]:
                    seen.append(entry["status_id"])
        wanted = [status_id("In Progress"), status_id("Assigned"), status_id("Completed")]
        for row in found[120:]:
            if row["result"] == "updated":
                assert applied[row["result_order_id"]][-1] == wanted[2]
        assert sum(seen == wanted for seen in applied.values()) >= 55

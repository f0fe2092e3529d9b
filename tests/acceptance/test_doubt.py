"""What may have been applied: read before it is sent again, called failed, or undone. Seen on the whole program."""

import json
import signal
import time
from pathlib import Path

import pytest
from support.journals import undo_sheet
from support.judging import judge_undo
from support.program import (
    DONE,
    PLANNED,
    environment,
    good_rows,
    judge,
    newest_run,
    program,
    puts,
    read_result,
    requests,
    served,
    start,
    summary_of,
    write_sheet,
)

from batch_updater.sandbox.server import Sandbox, order_id, status_id

ASSIGNED = status_id("Assigned")


def readings(sandbox: Sandbox) -> list[str]:
    """The orders that were read, in order."""
    return [entry["order_id"] for entry in sandbox.ledger if entry["method"] == "GET" and entry["order_id"]]


@pytest.mark.parametrize("wire", [(), ("--compare",)], ids=["plain", "compare"])
def test_what_a_gateway_hides_is_updated_once_and_undone(tmp_path: Path, wire: tuple[str, ...]) -> None:
    """Every update is applied and answered 504: one PUT each, read back; undo includes every one of them."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(40))
    with served(gateway_timeouts=1.0) as sandbox:
        ended = program("run", sheet, "--yes", "--timeout", 2, *wire, env=environment(sandbox.base_url))
        assert ended.returncode == 0, ended.stderr
        assert len(puts(sandbox)) == 40
        assert len(readings(sandbox)) == (80 if wire else 40)
        rows = read_result(newest_run(sheet) / "results.csv")
        assert {(row["result"], row["result_code"], row["result_attempts"]) for row in rows} == {
            ("updated", "confirmed_by_reading", "1")
        }
        judge(rows, 40, sandbox)
        judge_undo(undo_sheet(newest_run(sheet), tmp_path / "undo.csv"), requests(sandbox), rows)


@pytest.mark.parametrize(("status", "words"), [(204, "204 without"), (202, '202 "Saved"'), (200, '200 "Saved"')])
def test_a_yes_in_other_words_is_read_back_once_and_named(tmp_path: Path, status: int, words: str) -> None:
    """One PUT and one reading for each row, never six; the end names the wording, which the config file can accept."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(30))
    with served(answer_with=status) as sandbox:
        ended = program("run", sheet, "--yes", env=environment(sandbox.base_url))
        assert ended.returncode == 0, ended.stderr
        assert (len(puts(sandbox)), len(readings(sandbox))) == (30, 30)
        judge(read_result(newest_run(sheet) / "results.csv"), 30, sandbox)
        assert words in ended.stderr
        setting = [line for line in ended.stderr.splitlines() if line.startswith("confirmations = ")]
        assert bool(setting) is (status == 200)
        if setting:
            config = tmp_path / "accepting.toml"
            config.write_text(setting[0] + "\n", encoding="utf-8")
            other = write_sheet(tmp_path / "p.csv", good_rows(30, first=31))
            again = program("run", other, "--yes", "--config", config, env=environment(sandbox.base_url))
            assert again.returncode == 0, again.stderr
            assert (len(puts(sandbox)), len(readings(sandbox))) == (60, 30)
            assert {row["result_code"] for row in read_result(newest_run(other) / "results.csv")} == {"ok"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_before_rows_are_read_back_leaves_them_in_doubt(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Resumable; the same command reads them, and sends none of them a second time."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(15))
    with served(lose_answers=1.0) as sandbox:
        asked = ("run", sheet, "--yes", "--retries", 0, "--timeout", 20)
        process = start(*asked, env=environment(sandbox.base_url))
        while len(puts(sandbox)) < 15:
            time.sleep(0.01)
        time.sleep(0.5)
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode == code
        summary = summary_of(sheet)
        assert summary["resumable"]
        assert summary["results"]["unknown"] >= 10  # one may have been read back before the stop
        assert sum(summary["results"].values()) == 15
        again = program(*asked, env=environment(sandbox.base_url))
        assert again.returncode == 0, again.stderr
        assert (len(puts(sandbox)), len(readings(sandbox))) == (15, 15)
        judge(read_result(newest_run(sheet) / "results.csv"), 15, sandbox)


def test_the_status_that_undo_puts_back_is_the_last_one_that_was_read(tmp_path: Path) -> None:
    """Read and interrupted, then set by somebody else, then updated: undo gives back what that person had set."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(30))
    with served(latency=0.3) as sandbox:
        process = start("run", sheet, "--yes", "--compare", "--concurrency", 30, env=environment(sandbox.base_url))
        while len(readings(sandbox)) < 30:
            time.sleep(0.01)
        process.kill()
        process.communicate(timeout=30)
        time.sleep(0.7)
        unsent = [n for n in range(1, 31) if order_id(n) not in {entry["order_id"] for entry in puts(sandbox)}]
        for n in unsent:
            sandbox.set_status(order_id(n), ASSIGNED)
        again = program("run", sheet, "--yes", "--compare", env=environment(sandbox.base_url))
        assert again.returncode == 0, again.stderr
        rows = read_result(newest_run(sheet) / "results.csv")
        assert unsent
        for row in rows:
            moved = int(row["result_row"]) - 1 in unsent
            assert row["result_previous_status_id"] == (ASSIGNED if moved else PLANNED)


def test_readings_that_are_refused_are_tried_once_and_said(tmp_path: Path) -> None:
    """403 to a reading: what is lost is sent again unread, what is never confirmed is unknown, and the end says so."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(10))
    with served(lose_answers=1.0) as sandbox:
        sandbox.unreadable = {order_id(n): 403 for n in range(1, 11)}
        asked = ("run", sheet, "--yes", "--retries", 1, "--timeout", 2, "--concurrency", 1)
        ended = program(*asked, env=environment(sandbox.base_url))
        assert ended.returncode == 3, ended.stderr
        assert len(readings(sandbox)) == 1
        assert len(puts(sandbox)) == 20
        assert "Orders can't be read here" in " ".join(ended.stderr.split())
        rows = read_result(newest_run(sheet) / "results.csv")
        assert {row["result"] for row in rows} == {"unknown"}
        judge(rows, 10, sandbox)
        assert not summary_of(sheet)["resumable"]


def test_a_row_takes_as_long_as_its_requests(tmp_path: Path) -> None:
    """The wait for --rate is not in its duration."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(10))
    with served() as sandbox:
        assert program("run", sheet, "--yes", "--rate", 4, env=environment(sandbox.base_url)).returncode == 0
    rows = read_result(newest_run(sheet) / "results.csv")
    assert max(int(row["result_duration_ms"]) for row in rows) < 1000
    summary = json.loads((newest_run(sheet) / "summary.json").read_text())
    assert summary["seconds"] > 1.5
    assert {row["result_status_id"] for row in rows} == {DONE}


def test_what_is_unknown_is_read_before_it_is_tried_again(tmp_path: Path) -> None:
    """The command that the program proposes for such rows overwrites nobody who has set an order since."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(5))
    with served(gateway_timeouts=1.0) as sandbox:
        sandbox.unreadable = {order_id(n): 410 for n in range(1, 6)}
        program("run", sheet, "--yes", "--retries", 0, "--timeout", 1, env=environment(sandbox.base_url))
        rows = read_result(newest_run(sheet) / "results.csv")
        assert {row["result"] for row in rows} == {"unknown"}
        sandbox.unreadable = {}
        again = program(
            "run", newest_run(sheet) / "results.csv", "--only", "failed,unknown", "--yes", "--timeout", 1,
            env=environment(sandbox.base_url),
        )  # fmt: skip
        assert again.returncode == 0, again.stderr
        assert "orders are read first" in " ".join(again.stderr.split())
        assert len(puts(sandbox)) == 5

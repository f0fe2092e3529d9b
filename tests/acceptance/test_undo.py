"""Verify and undo: what a run has done is read back and put back, and nobody else's work is touched."""

import csv
import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.commands import proposed_in
from support.program import (
    DONE,
    PLANNED,
    TOKEN,
    environment,
    good_rows,
    newest_run,
    puts,
    read_result,
    served,
    write_sheet,
)
from support.watched import Ended, Watched

from batch_updater.app.resume import resume
from batch_updater.app.service import find_service
from batch_updater.common.errors import LockedError
from batch_updater.common.secret import Secret
from batch_updater.common.settings import Settings
from batch_updater.sandbox.server import STATUSES, Sandbox, order_id, status_id

MISSING = order_id(99_999_999)
CANCELLED = status_id("Cancelled")


def run_dir(ended: Ended) -> Path:
    """The run folder that a summary in JSON names."""
    return Path(json.loads(ended.stdout)["run_dir"])


def statuses_of(sandbox: Sandbox, count: int) -> dict[str, str]:
    """The present status of the first orders."""
    return {order_id(n): sandbox.orders[order_id(n)]["status"]["id"] for n in range(1, count + 1)}


def varied(sandbox: Sandbox, count: int) -> dict[str, str]:
    """Give the first orders several statuses, none of them Completed; what each has now."""
    for number in range(1, count + 1):
        sandbox.set_status(order_id(number), status_id(("Planned", "Assigned", "In Progress")[number % 3]))
    return statuses_of(sandbox, count)


def made(watched: Watched, sandbox: Sandbox, rows: list[tuple[str, str]], *words: str, code: int = 0) -> Path:
    """The folder of a finished run of these rows."""
    sheet = write_sheet(watched.folder / "o.csv", rows)
    ended = watched.call("run", sheet, "--yes", "--json", *words, env=environment(sandbox.base_url))
    assert ended.returncode == code, ended.stderr
    return run_dir(ended)


def verified(watched: Watched, sandbox: Sandbox, run: Path, *words: str) -> tuple[Ended, list[dict[str, str]]]:
    """`verify` and the rows of its file."""
    ended = watched.call("verify", run, *words, env=environment(sandbox.base_url))
    return ended, read_result((run if run.is_dir() else run.parent) / "verify.csv")


def undone(watched: Watched, sandbox: Sandbox, run: Path, *words: str) -> tuple[Ended, list[dict[str, str]]]:
    """`undo` and the rows of its result file."""
    ended = watched.call("undo", run, "--yes", "--json", *words, env=environment(sandbox.base_url))
    return ended, read_result(run_dir(ended) / "results.csv")


def test_the_round_trip(watched: Watched) -> None:
    """Run, verify all `=`, five orders changed by others, undo: those kept and named, the rest as before."""
    with served() as sandbox:
        before = varied(sandbox, 120)
        run = made(watched, sandbox, good_rows(120), "--compare")
        ended, rows = verified(watched, sandbox, run)
        assert (ended.returncode, {row["symbol"] for row in rows}, len(rows)) == (0, {"="}, 120)
        theirs = [order_id(n) for n in (3, 40, 41, 77, 120)]
        for order in theirs:
            sandbox.set_status(order, CANCELLED)
        ended, rows = verified(watched, sandbox, run)
        assert ended.returncode == 3
        assert [row["order_id"] for row in rows if row["symbol"] == "*"] == theirs
        sent = len(puts(sandbox))
        ended, rows = undone(watched, sandbox, run)
        assert ended.returncode == 3
        kept = [row for row in rows if row["result"] == "conflict"]
        assert [row["result_order_id"] for row in kept] == theirs
        assert {row["result_code"] for row in kept} == {"status_moved"}
        assert {row["result_detail"] for row in kept} == {
            "not sent, for the order is 'Cancelled', and 'Completed' was expected"
        }
        assert statuses_of(sandbox, 120) == before | dict.fromkeys(theirs, CANCELLED)
        assert len(puts(sandbox)) == sent + 115
        assert not {entry["order_id"] for entry in puts(sandbox)[sent:]} & set(theirs)


def test_an_undo_can_be_undone_and_repeated(watched: Watched) -> None:
    """Undone, the orders are as the run left them; undone twice, nothing is sent the second time."""
    with served() as sandbox:
        before = varied(sandbox, 30)
        run = made(watched, sandbox, good_rows(30), "--compare")
        after = statuses_of(sandbox, 30)
        first, _ = undone(watched, sandbox, run)
        assert first.returncode == 0
        assert statuses_of(sandbox, 30) == before
        sent = len(puts(sandbox))
        ended, rows = undone(watched, sandbox, run)
        assert (ended.returncode, {row["result"] for row in rows}, len(puts(sandbox))) == (0, {"unchanged"}, sent)
        back, _ = undone(watched, sandbox, run_dir(first))
        assert back.returncode == 0
        assert statuses_of(sandbox, 30) == after
        assert verified(watched, sandbox, run_dir(back))[0].returncode == 0


def test_an_interrupted_undo_is_picked_up_by_the_same_command(watched: Watched) -> None:
    """SIGTERM in the middle: exit 143 and the command to go on; that command finishes the same undo run."""
    with served(latency=0.03) as sandbox:
        before = varied(sandbox, 200)
        run = made(watched, sandbox, good_rows(200), "--compare", "--concurrency", "50")
        sent = len(puts(sandbox))

        def interrupt(process: subprocess.Popen[str]) -> None:
            while len(puts(sandbox)) < sent + 20:
                time.sleep(0.005)
            process.send_signal(signal.SIGTERM)

        ended = watched.process("undo", run, "--yes", env=environment(sandbox.base_url), meanwhile=interrupt)
        assert ended.returncode == 143, ended.stderr
        assert proposed_in(ended.stdout) == [f"batch-updater undo {run} --base-url {sandbox.base_url} --yes"]
        ended, rows = undone(watched, sandbox, run)
        assert ended.returncode == 0, ended.stderr
        assert "Picking up" in ended.stderr
        assert [row["result"] for row in rows] == ["updated"] * 200
        assert statuses_of(sandbox, 200) == before
        assert len(list((run / "undo.runs").glob("2*"))) == 1
        assert len(puts(sandbox)) == sent + 200


def test_a_run_that_was_killed_can_still_be_undone(watched: Watched) -> None:
    """SIGKILL in the middle, finished by the same command: undo finds the status before of every order."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(200))
    with served(latency=0.02, lose_answers=0.05) as sandbox:
        before = varied(sandbox, 200)
        env = environment(sandbox.base_url)
        with watched.started("run", sheet, "--yes", "--compare", env=env) as process:
            while len(puts(sandbox)) < 60:
                time.sleep(0.002)
            process.kill()
        ended = watched.call("run", sheet, "--yes", "--compare", env=env)
        assert ended.returncode == 0, ended.stderr
        assert set(statuses_of(sandbox, 200).values()) == {DONE}
        ended, rows = undone(watched, sandbox, newest_run(sheet))
        assert (ended.returncode, len(rows)) == (0, 200), ended.stderr
        assert statuses_of(sandbox, 200) == before


def test_only_what_was_changed_is_undone(watched: Watched) -> None:
    """Failed, invalid, unchanged and duplicate rows are no part of an undo; nothing changed is exit 2, and said."""
    rows = [(order_id(1), DONE), (order_id(1), DONE), (order_id(2), PLANNED), (MISSING, DONE), ("x", DONE)]
    with served() as sandbox:
        run = made(watched, sandbox, rows, "--compare", code=3)
        ended, found = undone(watched, sandbox, run)
        assert ended.returncode == 0, ended.stderr
        assert [(row["order_id"], row["result"]) for row in found] == [(order_id(1), "updated")]
        nothing = made(watched, sandbox, [(order_id(5), PLANNED)], "--compare", "--restart")
        ended = watched.call("undo", nothing, "--yes", env=environment(sandbox.base_url))
        assert (ended.returncode, "nothing to undo" in ended.stderr) == (2, True)


def test_a_sequence_is_undone_to_what_was_before_its_first_row(watched: Watched) -> None:
    """Three statuses in turn: undo goes back in one step, and only where the last of them still stands."""
    steps = [status_id(name) for name in ("Assigned", "In Progress", "Completed")]
    rows = [(order_id(n), step) for step in steps for n in (1, 2)]
    with served() as sandbox:
        run = made(watched, sandbox, rows, "--compare", "--on-conflict", "sequence")
        assert statuses_of(sandbox, 2) == {order_id(1): DONE, order_id(2): DONE}
        sandbox.set_status(order_id(2), steps[1])
        sent = len(puts(sandbox))
        ended, found = undone(watched, sandbox, run)
        assert ended.returncode == 3
        assert [row["result"] for row in found] == ["updated", "conflict"]
        assert statuses_of(sandbox, 2) == {order_id(1): PLANNED, order_id(2): steps[1]}
        assert len(puts(sandbox)) == sent + 1


@pytest.mark.parametrize("applied", [True, False])
def test_a_sequence_that_ends_unknown_is_undone(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, applied: bool
) -> None:
    """Its last update was lost and could not be read back: applied or not, undo puts back what was before."""
    update, read, lost, sent = Sandbox._update, Sandbox._detail, [True], [False]

    async def silent(sandbox: Sandbox, request: web.Request) -> web.StreamResponse:
        if not lost or (await request.json())["status_id"] != DONE:
            return await update(sandbox, request)
        sent[0] = True
        if applied:
            await update(sandbox, request)
        return web.Response(status=504)

    async def unreadable(sandbox: Sandbox, request: web.Request) -> web.StreamResponse:
        return web.Response(status=422) if lost and sent[0] else await read(sandbox, request)

    monkeypatch.setattr(Sandbox, "_update", silent)
    monkeypatch.setattr(Sandbox, "_detail", unreadable)
    with served() as sandbox:
        rows = [(order_id(1), CANCELLED), (order_id(1), DONE)]
        words = ("--compare", "--on-conflict", "sequence", "--retries", "0", "--timeout", "1")
        run = made(watched, sandbox, rows, *words, code=3)
        assert [row["result"] for row in read_result(run / "results.csv")] == ["updated", "unknown"]
        lost.clear()
        ended, found = undone(watched, sandbox, run)
        assert ended.returncode == 0, ended.stderr
        assert [row["result"] for row in found] == ["updated"]
        assert statuses_of(sandbox, 1) == {order_id(1): PLANNED}


@pytest.mark.parametrize(
    ("name", "value"), [("LIMIT", "2"), ("ROWS", "2-3"), ("HEADER_ROW", "2"), ("WHERE", "Region=North")]
)
def test_an_undo_is_whole_whatever_is_set_for_sheets(watched: Watched, name: str, value: str) -> None:
    """Settings that say how a person's sheets are read, from the environment here, leave no order out of an undo."""
    with served() as sandbox:
        before = varied(sandbox, 10)
        run = made(watched, sandbox, good_rows(10), "--compare")
        env = environment(sandbox.base_url, **{f"BATCH_UPDATER_{name}": value})
        ended = watched.call("undo", run, "--yes", env=env)
        assert ended.returncode == 0, ended.stderr
        assert statuses_of(sandbox, 10) == before


def test_a_dry_undo_shows_the_plan_and_sends_nothing(watched: Watched) -> None:
    """`undo --dry-run` counts the way back per status; without a terminal and --yes, undo refuses."""
    with served() as sandbox:
        varied(sandbox, 9)
        run = made(watched, sandbox, good_rows(9), "--compare")
        sent = len(puts(sandbox))
        env = environment(sandbox.base_url)
        ended = watched.call("undo", run / "journal.sqlite", "--dry-run", env=env)
        assert ended.returncode == 0, ended.stderr
        for words in ("to send   9", "3  Planned", "3  Assigned", "3  In Progress"):
            assert words in ended.stdout
        assert watched.call("undo", run, env=env).returncode == 2
        assert len(puts(sandbox)) == sent


@pytest.mark.parametrize("command", ["undo", "verify"])
def test_another_tenant_is_refused(watched: Watched, command: str) -> None:
    """A run of one service is never read back from, or undone on, another; the command for its own is named."""
    with served() as sandbox, served() as other:
        run = made(watched, sandbox, good_rows(3), "--compare")
        words = ["--yes"] if command == "undo" else []
        ended = watched.call(command, run, *words, env=environment(other.base_url))
        assert ended.returncode == 2
        assert proposed_in(ended.stderr) == [f"batch-updater {command} {run} --base-url {sandbox.base_url}"]
        assert other.ledger == []
        assert watched.call(command, watched.folder, *words, env=environment(sandbox.base_url)).returncode == 2


def test_verify_writes_a_symbol_for_each_order(watched: Watched) -> None:
    """As planned, moved, gone and unreadable orders: the file, the counts, exit 3; the same as JSON."""
    rows = [
        *good_rows(6),
        (order_id(6), DONE),
        (MISSING, DONE),
        ("x", DONE),
        (order_id(8), DONE),
        (order_id(8), PLANNED),
    ]
    with served() as sandbox:
        run = made(watched, sandbox, rows, code=3)
        sandbox.set_status(order_id(2), CANCELLED)
        del sandbox.orders[order_id(3)]
        sandbox.unreadable = {order_id(4): 500, order_id(5): 403}
        sent = len(puts(sandbox))
        ended, found = verified(watched, sandbox, run, "--retries", "0")
        assert ended.returncode == 3
        assert [row["symbol"] for row in found] == ["=", "*", "-", "!", "!", "=", "-"]
        assert [row["row"] for row in found] == ["2", "3", "4", "5", "6", "7", "9"]
        assert found[1] == {
            "row": "3", "symbol": "*", "order_id": order_id(2), "status_id": DONE, "status_name": "Completed",
            "found_id": CANCELLED, "found_name": "Cancelled", "detail": "",
        }  # fmt: skip
        assert all(row["detail"] for row in found if row["symbol"] in {"-", "!"})
        for words in ("7 orders read back", "=         2  as planned", "*         1", "-         2", "!         2"):
            assert words in ended.stdout
        ended, _ = verified(watched, sandbox, run, "--quiet", "--retries", "0")
        assert (ended.stdout, "7 orders read back" in ended.stderr) == ("", True)
        ended, _ = verified(watched, sandbox, run / "results.csv", "--json", "--retries", "0")
        summary: dict[str, Any] = json.loads(ended.stdout)
        assert summary["symbols"] == {"=": 2, "*": 1, "-": 2, "!": 2}
        assert (summary["schema"], summary["exit_code"], summary["orders"]) == (1, 3, 7)
        assert Path(summary["verify_file"]) == run / "verify.csv"
        assert len(puts(sandbox)) == sent


def test_verify_of_a_sequence_looks_at_its_last_row(watched: Watched) -> None:
    """One order, several statuses in turn: one line, compared with the last one."""
    rows = [(order_id(1), status_id(name)) for name in STATUSES[1:4]]
    with served() as sandbox:
        run = made(watched, sandbox, rows, "--on-conflict", "sequence")
        ended, found = verified(watched, sandbox, run)
        assert (ended.returncode, [(row["row"], row["symbol"]) for row in found]) == (0, [("4", "=")])


def test_verify_stops_when_the_token_is_refused(watched: Watched) -> None:
    """Exit 5, and no order is called right or wrong that was not read."""
    with served() as sandbox:
        run = made(watched, sandbox, good_rows(30))
        ended = watched.call("verify", run, env=environment(sandbox.base_url, EVREKA360_ACCESS_TOKEN="another-token"))
        assert ended.returncode == 5
        assert "did not accept the token" in ended.stderr
        with (run / "verify.csv").open(encoding="utf-8-sig") as stream:
            assert list(csv.DictReader(stream)) == []


def test_an_undo_waits_for_no_run_that_is_under_way(watched: Watched) -> None:
    """While the run still sends, undo and verify are refused with 7."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(200))
    with served(latency=0.2) as sandbox:
        env = environment(sandbox.base_url)
        with watched.started("run", sheet, "--yes", "--compare", env=env) as process:
            while not puts(sandbox):
                time.sleep(0.005)
            run = newest_run(sheet)
            assert watched.call("undo", run, "--yes", env=env).returncode == 7
            assert watched.call("verify", run, env=env).returncode == 7
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 143
        ended, rows = undone(watched, sandbox, run)
        assert ended.returncode == 0, ended.stderr
        assert rows
        assert set(statuses_of(sandbox, 200).values()) == {PLANNED}


@pytest.mark.parametrize("back", [1, 2])
@pytest.mark.parametrize("command", ["run", "verify", "undo"])
def test_nothing_else_works_on_a_run_while_it_is_undone(watched: Watched, command: str, back: int) -> None:
    """While its undo or the undo of that sends, a run of the sheet, a verify and an undo of it end with 7.

    They send nothing, and `runs` says who works.
    """
    sheet = watched.folder / "o.csv"
    with served() as sandbox:
        run = undoing = made(watched, sandbox, good_rows(200), "--compare")
        if back == 2:
            undoing = run_dir(undone(watched, sandbox, run)[0])
        sandbox.options = replace(sandbox.options, latency=0.2)
        env = environment(sandbox.base_url)
        sent = len(puts(sandbox))
        with watched.started("undo", undoing, "--yes", env=env) as process:
            while len(puts(sandbox)) < sent + 5:
                assert process.poll() is None, process.communicate()
                time.sleep(0.005)
            words = [sheet, "--yes"] if command == "run" else [run, "--yes"] if command == "undo" else [run]
            ended = watched.call(command, *words, env=env)
            assert ended.returncode == 7, ended.stderr
            assert f"process {process.pid}" in ended.stderr
            listed = json.loads(watched.call("runs", undoing, "--json", env=env).stdout.splitlines()[0])
            assert listed["state"].startswith(f"under way, process {process.pid}")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 143
        assert {entry["status_id"] for entry in puts(sandbox)[sent:]} == {PLANNED if back == 1 else DONE}
        sandbox.options = replace(sandbox.options, latency=0.0)
        assert undone(watched, sandbox, undoing)[0].returncode == 0
        assert len(list(sheet.with_name("o.runs").glob("2*"))) == 1


def from_folder(run: Path, place: Path) -> Path:
    """The run as somebody in that folder names it."""
    return Path(os.path.relpath(run, place))


@pytest.mark.parametrize("more", [(), ("--runs-dir", "elsewhere")])
@pytest.mark.parametrize("undo_in", ["the sheet's folder", "the run's", "the undo's"])
def test_a_run_is_held_from_wherever_its_undo_was_started(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], undo_in: str
) -> None:
    """While the undo of its undo sends, everything on the first run ends with 7, in whatever folder either is typed."""
    if more:
        more = (more[0], str(watched.folder / more[1]))
    monkeypatch.chdir(watched.folder)
    write_sheet(Path("o.csv"), good_rows(300))
    with served() as sandbox:
        env = environment(sandbox.base_url)
        run = run_dir(watched.call("run", "o.csv", "--yes", "--json", "--compare", *more, env=env)).absolute()
        back = run_dir(watched.call("undo", from_folder(run, Path()), "--yes", "--json", *more, env=env)).absolute()
        sandbox.options = replace(sandbox.options, latency=0.5)
        sent = len(puts(sandbox))
        place = {"the sheet's folder": watched.folder, "the run's": run, "the undo's": back}[undo_in]
        monkeypatch.chdir(place)
        with watched.started("undo", from_folder(back, place), "--yes", *more, env=env) as process:
            while len(puts(sandbox)) < sent + 5:
                assert process.poll() is None, process.communicate()
                time.sleep(0.005)
            for where in (watched.folder, run, watched.folder.parent):
                monkeypatch.chdir(where)
                for command in (["verify"], ["undo", "--yes", *more], ["results"]):
                    ended = watched.call(command[0], from_folder(run, where), *command[1:], env=env)
                    assert ended.returncode == 7, (command, where, ended.stderr)
            monkeypatch.chdir(watched.folder)
            assert watched.call("run", "o.csv", "--yes", *more, env=env).returncode == 7
            assert process.poll() is None


def test_an_unfinished_run_is_held_while_its_undo_is_undone(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the same command nor `resume` goes on with it meanwhile; afterwards it does."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(300))
    with served(latency=0.03) as sandbox:
        env = environment(sandbox.base_url)

        def interrupt(process: subprocess.Popen[str]) -> None:
            while len(puts(sandbox)) < 100:
                time.sleep(0.005)
            process.send_signal(signal.SIGTERM)

        assert watched.process("run", sheet, "--yes", "--compare", env=env, meanwhile=interrupt).returncode == 143
        run = newest_run(sheet)
        back = run_dir(undone(watched, sandbox, run)[0])
        sandbox.options = replace(sandbox.options, latency=0.3)
        sent = len(puts(sandbox))
        monkeypatch.chdir(run)
        with watched.started("undo", from_folder(back, run), "--yes", env=env) as process:
            while len(puts(sandbox)) < sent + 5:
                assert process.poll() is None, process.communicate()
                time.sleep(0.005)
            assert watched.call("run", sheet, "--yes", "--compare", env=env).returncode == 7
            settings = Settings(base_url=sandbox.base_url)
            tenant = find_service(settings, {}, token=Secret(TOKEN))
            for place in (run, Path()):
                with pytest.raises(LockedError), resume(place, settings, tenant):
                    pass
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 143
        sandbox.options = replace(sandbox.options, latency=0.0)
        assert watched.call("run", sheet, "--yes", "--compare", env=env).returncode == 0


def test_a_run_is_named_by_its_folder_from_within(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.` and a file beside stand for the run: its id is in the results and in what verify says."""
    with served() as sandbox:
        run = made(watched, sandbox, good_rows(3))
        monkeypatch.chdir(run)
        for place in (".", "results.csv"):
            ended = watched.call("verify", place, "--json", env=environment(sandbox.base_url))
            assert (ended.returncode, json.loads(ended.stdout)["run_id"]) == (0, run.name)
            assert watched.call("results", place, env=environment(sandbox.base_url)).returncode == 0
            assert {row["result_run_id"] for row in read_result(run / "results.csv")} == {run.name}


def test_a_row_that_ended_unknown_is_undone_where_it_was_applied(watched: Watched) -> None:
    """Sent, never answered, not to be read: undo reads it, and puts back only what has our status."""
    with served(lose_answers=1.0) as sandbox:
        before = varied(sandbox, 3)
        orders = list(before)

        def hide(order: str) -> None:
            sandbox.unreadable[order] = 500

        sandbox.on_update = hide
        words = ("--compare", "--retries", "0", "--concurrency", "1", "--timeout", "1")
        run = made(watched, sandbox, good_rows(3), *words, code=3)
        assert [row["result"] for row in read_result(run / "results.csv")] == ["unknown"] * 3
        sandbox.on_update = lambda _order: None
        sandbox.unreadable.clear()
        sandbox.options = replace(sandbox.options, lose_answers=0.0)
        sandbox.set_status(orders[1], before[orders[1]])  # as if it had not been applied
        sandbox.set_status(orders[2], CANCELLED)
        ended, rows = undone(watched, sandbox, run)
        assert ended.returncode == 3, ended.stderr
        assert [row["result"] for row in rows] == ["updated", "unchanged", "conflict"]
        assert statuses_of(sandbox, 3) == before | {orders[2]: CANCELLED}


def test_an_update_that_was_only_confirmed_by_a_later_start_is_undone(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Applied, answered by a redirect, found right when the run goes on: it is `updated`, and undo puts it back."""
    update, confused = Sandbox._update, {order_id(2)}

    async def redirected(sandbox: Sandbox, request: web.Request) -> web.StreamResponse:
        answer = await update(sandbox, request)
        return web.Response(status=302) if request.match_info["order"] in confused else answer

    monkeypatch.setattr(Sandbox, "_update", redirected)
    with served() as sandbox:
        before = statuses_of(sandbox, 6)
        sheet = write_sheet(watched.folder / "o.csv", good_rows(6))
        words = ("run", sheet, "--yes", "--compare", "--concurrency", "1")
        assert watched.call(*words, env=environment(sandbox.base_url)).returncode == 6
        confused.clear()
        run = made(watched, sandbox, good_rows(6), "--compare")
        row = read_result(run / "results.csv")[1]
        assert (row["result"], row["result_code"]) == ("updated", "confirmed_after_interruption")
        assert row["result_attempts"] == "1"
        assert undone(watched, sandbox, run)[0].returncode == 0
        assert statuses_of(sandbox, 6) == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_verify_says_so_and_can_be_repeated(watched: Watched, number: signal.Signals, code: int) -> None:
    """Its file has only what was read, the exit status tells of the signal, and the next verify reads everything."""
    with served() as sandbox:
        run = made(watched, sandbox, good_rows(300))
        sandbox.options = replace(sandbox.options, latency=0.1)
        known = len(sandbox.ledger)

        def interrupt(process: subprocess.Popen[str]) -> None:
            while sum(bool(entry["answer"]) for entry in sandbox.ledger[known:]) < 40:
                assert process.poll() is None, process.communicate()
                time.sleep(0.005)
            process.send_signal(number)

        ended = watched.process("verify", run, "--json", env=environment(sandbox.base_url), meanwhile=interrupt)
        assert ended.returncode == code, ended.stderr
        assert "Interrupted" in ended.stderr
        assert "Traceback" not in ended.stderr
        listed = read_result(run / "verify.csv")
        assert 20 <= len(listed) < 300
        summary = json.loads(ended.stdout)
        assert (summary["exit_code"], summary["orders"]) == (code, len(listed))
        assert {row["symbol"] for row in listed} == {"="}
        sandbox.options = replace(sandbox.options, latency=0.0)
        again, rows = verified(watched, sandbox, run)
        assert (again.returncode, len(rows)) == (0, 300)
        assert len(puts(sandbox)) == 300

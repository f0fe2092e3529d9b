"""Picking up, refusing, locking, listing and making results again, through the program."""

import csv
import html
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.commands import proposed_after
from support.program import (
    DONE,
    PROGRAM,
    TOKEN,
    environment,
    good_rows,
    judge,
    newest_run,
    program,
    puts,
    read_result,
    served,
    start,
    write_sheet,
)
from support.watched import Watched

from batch_updater.common.errors import InputError
from batch_updater.journal.frozen_input import freeze
from batch_updater.journal.run_folder import new_run
from batch_updater.sandbox.server import Sandbox, order_id


def wait_until(happened: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    """Wait for an event for at most a minute; fails when the process ends before it."""
    until = time.monotonic() + 60
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.003)


def break_off(sheet: Path, sandbox: Sandbox, number: signal.Signals, *more: str) -> None:
    """Start a run and end it by a signal after some sixty updates."""
    sent = len(puts(sandbox))
    process = start("run", sheet, "--yes", *more, env=environment(sandbox.base_url))
    wait_until(lambda: len(puts(sandbox)) > sent + 60, process)
    process.send_signal(number)
    process.communicate(timeout=40)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 5000)  # the -wal file may have the last page, not the one before


DAMAGE: dict[str, Callable[[Path], None]] = {
    "journal cut": lambda folder: cut(folder / "journal.sqlite"),
    "journal gone": lambda folder: (folder / "journal.sqlite").unlink(),
    "journal empty": lambda folder: os.truncate(folder / "journal.sqlite", 0),
    "wal gone": lambda folder: (folder / "journal.sqlite-wal").unlink(),
    "wal emptied": lambda folder: os.truncate(folder / "journal.sqlite-wal", 0),
    "claims gone": lambda folder: (folder / "journal.claims").unlink(),
    "claims cut": lambda folder: os.truncate(folder / "journal.claims", 19),
}


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_a_damaged_run_is_refused_and_restart_is_offered(tmp_path: Path, damage: str) -> None:
    """Exit 2, a clear message, nothing sent; `runs` calls it damaged; --restart starts anew."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(3000))  # more than are in the -wal file
    with served(latency=0.02) as sandbox:
        break_off(sheet, sandbox, signal.SIGKILL)
        DAMAGE[damage](newest_run(sheet))
        sent = len(sandbox.ledger)
        for _ in range(2):  # a refusal must not mend or hide anything
            refused = program("run", sheet, "--yes", env=environment(sandbox.base_url))
            assert refused.returncode == 2, refused.stderr
            assert "can't be picked up" in refused.stderr
            assert "--restart" in refused.stderr
            assert "Traceback" not in refused.stderr
        listed = json.loads(program("runs", sheet, "--json", env=environment()).stdout)
        assert (listed["state"], listed["resumable"]) == ("damaged", False)
        assert len(sandbox.ledger) == sent
        anew = program("run", sheet, "--yes", "--restart", env=environment(sandbox.base_url))
        assert anew.returncode == 0, anew.stderr


@pytest.mark.parametrize("how", ["same", "symlink", "runs-dir"])
def test_two_runs_of_one_sheet_are_never_under_way(tmp_path: Path, how: str) -> None:
    """The second ends with 7, the first one's process id and start time, by whatever name it comes."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(400))
    other, more = sheet, []
    if how == "symlink":
        (tmp_path / "elsewhere").mkdir()
        other = tmp_path / "elsewhere" / "link.csv"
        other.symlink_to(sheet)
    elif how == "runs-dir":
        more = ["--runs-dir", tmp_path / "other"]
    with served(latency=2.0) as sandbox:
        first = start("run", sheet, "--yes", env=environment(sandbox.base_url))
        wait_until(lambda: puts(sandbox), first)
        second = program("run", other, "--yes", *more, env=environment(sandbox.base_url))
        assert second.returncode == 7, second.stderr
        assert f"process {first.pid} of " in second.stderr
        listed = json.loads(program("runs", sheet, "--json", env=environment()).stdout)
        assert listed["state"].startswith(f"under way, process {first.pid}")
        assert not listed["resumable"]
        first.kill()
        first.communicate()
        sandbox.options = replace(sandbox.options, latency=0.0)
        after = program("run", sheet, "--yes", "--restart", env=environment(sandbox.base_url))
        assert after.returncode == 0, "the lock of a dead process is no obstacle"
    assert list(tmp_path.glob(".*.owner")) == []


def test_stdin_is_picked_up_by_its_bytes(tmp_path: Path) -> None:
    """The same bytes on stdin go on; other bytes are refused until they have."""

    def pipe(name: str, sandbox: Sandbox) -> subprocess.CompletedProcess[str]:
        with (tmp_path / name).open("rb") as sheet:
            return subprocess.run(
                [*PROGRAM, "run", "-", "--yes"], stdin=sheet, capture_output=True, text=True, timeout=120,
                check=False, env=environment(sandbox.base_url), cwd=tmp_path,
            )  # fmt: skip

    write_sheet(tmp_path / "a.csv", good_rows(300))
    write_sheet(tmp_path / "b.csv", good_rows(5, 400))
    with served(latency=0.02) as sandbox:
        with (tmp_path / "a.csv").open("rb") as sheet:
            first = subprocess.Popen(
                [*PROGRAM, "run", "-", "--yes"], stdin=sheet, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                text=True, env=environment(sandbox.base_url), cwd=tmp_path,
            )  # fmt: skip
        wait_until(lambda: len(puts(sandbox)) > 60, first)
        first.send_signal(signal.SIGTERM)
        _, said = first.communicate(timeout=40)
        assert first.returncode == 143, said
        other = pipe("b.csv", sandbox)
        assert (other.returncode, "the file's bytes differ" in other.stderr) == (2, True)
        again = pipe("a.csv", sandbox)
        assert (again.returncode, "Picking up" in again.stderr) == (0, True)
        other = pipe("b.csv", sandbox)
        assert (other.returncode, "Picking up" in other.stderr) == (0, False)
        assert len(puts(sandbox)) == 305


def test_a_sheet_that_changes_while_it_is_copied_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody saves the sheet meanwhile: refused, whether it grows, is replaced or is changed in place."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(50))
    content = sheet.read_bytes()

    def grow() -> None:
        with sheet.open("ab") as stream:
            stream.write(b"more\n")

    def replace() -> None:
        (tmp_path / "new").write_bytes(content)
        (tmp_path / "new").replace(sheet)

    def edit() -> None:
        with sheet.open("rb+") as stream:
            stream.write(b"O")

    for number, change in enumerate((grow, replace, edit)):
        sheet.write_bytes(content)

        def digest(*, change: Callable[[], None] = change) -> "Changing":
            return Changing(change)

        monkeypatch.setattr("batch_updater.journal.frozen_input.hashlib.sha256", digest)
        with pytest.raises(InputError, match="changed while it was being read"):
            freeze(sheet, new_run(tmp_path / str(number)))


class Changing:
    """Stands for a digest; changes the sheet when the first piece comes."""

    def __init__(self, change: Callable[[], None]) -> None:
        self._change: Callable[[], None] | None = change

    def update(self, _piece: bytes) -> None:
        """A piece has been read."""
        if self._change:
            time.sleep(0.02)  # file systems stamp times in ticks of some milliseconds
            self._change()
            self._change = None

    def hexdigest(self) -> str:
        """Nothing."""
        return ""


def test_results_can_be_made_again_for_any_run(tmp_path: Path) -> None:
    """A killed, a stopped and a finished run: `results` says of each row what the journal knows, and sends nothing."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(400))
    with served(latency=0.02) as sandbox:
        for number, state in ((signal.SIGKILL, "broken off"), (signal.SIGINT, "stopped"), (None, "finished")):
            if number:
                break_off(sheet, sandbox, number)
            else:
                program("run", sheet, "--yes", env=environment(sandbox.base_url))
            folder = newest_run(sheet)
            (folder / "results.csv").unlink(missing_ok=True)
            (folder / "summary.json").unlink(missing_ok=True)
            sent = len(sandbox.ledger)
            listed = json.loads(program("runs", tmp_path, "--json", env=environment()).stdout)
            assert (listed["state"], listed["resumable"]) == (state, state != "finished")
            again = program("results", folder, env=environment())
            assert again.returncode == 0, again.stderr
            judge(read_result(folder / "results.csv"), 400, sandbox, kills=1)
            summary = json.loads((folder / "summary.json").read_text())
            assert summary["resumable"] == (state != "finished")
            left = summary["results"].get("not_sent", 0) + summary["results"].get("unknown", 0)  # in doubt after a kill
            assert (left > 0) == (state != "finished")
            assert len(sandbox.ledger) == sent


def test_results_are_not_made_under_the_hands_of_a_run(tmp_path: Path) -> None:
    """While the run is under way `results` ends with 7 and writes nothing: it could replace what the run writes."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(400))
    with served(latency=2.0) as sandbox:
        process = start("run", sheet, "--yes", env=environment(sandbox.base_url))
        wait_until(lambda: puts(sandbox), process)
        refused = program("results", newest_run(sheet), env=environment())
        assert (refused.returncode, f"process {process.pid}" in refused.stderr) == (7, True)
        assert not (newest_run(sheet) / "results.csv").exists()
        process.kill()
        process.communicate()
    assert program("results", newest_run(sheet), env=environment()).returncode == 0


def test_only_the_rows_that_failed_are_run_again_after_a_correction(tmp_path: Path) -> None:
    """A result file with a corrected cell is a sheet: --only takes the rows with these results, as they are now."""
    rows = [*good_rows(5), (order_id(99_999_999), DONE), ("broken", DONE)]
    sheet = write_sheet(tmp_path / "o.csv", rows)
    with served() as sandbox:
        assert program("run", sheet, "--yes", env=environment(sandbox.base_url)).returncode == 3
        again = tmp_path / "again.csv"
        shutil.copy(newest_run(sheet) / "results.csv", again)
        found = read_result(again)
        assert [row["result"] for row in found[5:]] == ["failed", "invalid"]
        found[5]["order_id"] = order_id(77)
        with again.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, found[0].keys())
            writer.writeheader()
            writer.writerows(found)
        sent = len(puts(sandbox))
        ended = program("run", again, "--yes", "--only", "failed,unknown", env=environment(sandbox.base_url))
        assert ended.returncode == 0, ended.stderr
        assert [entry["order_id"] for entry in puts(sandbox)[sent:]] == [order_id(77)]
        result = read_result(newest_run(sheet) / "results.csv")
        assert [(row["result"], row["result_order_id"]) for row in result] == [("updated", order_id(77))]


def listing(place: Path) -> list[tuple[str, bool]]:
    """State and resumability of the runs at a place, the newest first."""
    lines = program("runs", place, "--json", env=environment()).stdout.splitlines()
    return [(found["state"], found["resumable"]) for found in map(json.loads, lines)]


def test_a_run_that_is_being_planned_is_called_so(tmp_path: Path) -> None:
    """While its process lives, planning goes on; after a kill it broke off, also while another one plans."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(1000) * 300)
    with served() as sandbox:
        for number in range(2):
            process = start("run", sheet, "--yes", env=environment(sandbox.base_url))
            wait_until(lambda: len(list(tmp_path.glob("o.runs/*/planning.sqlite"))) > number, process)  # noqa: B023
            process.send_signal(signal.SIGSTOP)  # it shall not end meanwhile
            states = [state for state, _ in listing(sheet)]
            process.kill()
            process.communicate()
            assert states[0].startswith(f"being planned, process {process.pid} of ")
            assert states[1:] == ["planning broke off; nothing was sent"] * number
        assert listing(sheet) == [("planning broke off; nothing was sent", False)] * 2
        assert puts(sandbox) == []


def test_a_run_that_was_left_behind_is_not_under_way(tmp_path: Path) -> None:
    """With --restart the new run is under way; the older one is broken off, and nothing picks it up."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(200))
    with served(latency=0.05) as sandbox:
        break_off(sheet, sandbox, signal.SIGKILL)
        assert listing(sheet) == [("broken off", True)]
        sent = len(puts(sandbox))
        process = start("run", sheet, "--yes", "--restart", env=environment(sandbox.base_url))
        wait_until(lambda: len(puts(sandbox)) > sent, process)
        sandbox.options = replace(sandbox.options, latency=2.0)  # so that it lasts, however slow this machine is
        newer, older = listing(sheet)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=40)
        assert newer[0].startswith(f"under way, process {process.pid}")
        assert older == ("broken off, then left by a newer run", False)
        assert listing(sheet) == [("stopped", True), older]


def test_only_rows_that_may_have_left_are_unknown_after_a_kill(tmp_path: Path) -> None:
    """With --compare the journal knows what was read, and nothing else can have been sent."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(300))
    with served(latency=0.02) as sandbox:
        break_off(sheet, sandbox, signal.SIGKILL, "--compare")
        folder = newest_run(sheet)
        assert program("results", folder, env=environment()).returncode == 0
        found = read_result(folder / "results.csv")
        sent = {entry["order_id"] for entry in puts(sandbox)}
        read = {entry["order_id"] for entry in sandbox.ledger if entry["method"] == "GET"}
        unknown = {row["result_order_id"] for row in found if row["result"] == "unknown"}
        assert unknown <= read
        assert sent <= unknown | {row["result_order_id"] for row in found if row["result"] == "updated"}
        assert {row["result"] for row in found if row["result_order_id"] not in read} == {"not_sent"}
        ended = program("run", sheet, "--yes", "--compare", env=environment(sandbox.base_url))
        assert ended.returncode == 0, ended.stderr
        assert f"{len(unknown)} to settle" in ended.stderr


def test_the_commands_that_are_proposed_work_as_they_stand(watched: Watched) -> None:
    """The report, `results` and a start that asks for something else name one command, which goes on unchanged."""
    rows = [(order_id(99_999_999), "a"), *((order_id(number), "b") for number in range(1, 4)), (order_id(4), "c")]
    sheet = watched.folder / "my orders.csv"
    lines = [f"{order}\t{DONE}\t{depot}\n" for order, depot in rows]
    sheet.write_text("ref\tstatus\tdepot\n" + "".join(lines), encoding="utf-8")
    chosen = ["--order-column", "ref", "--delimiter", "tab", "--where", "depot=a", "--where", "depot=b",
              "--include-hidden", "--on-conflict", "last", "--compare-list"]  # fmt: skip
    place = ["--runs-dir", watched.folder / "elsewhere"]
    with served() as sandbox:
        env, brakes = environment(sandbox.base_url), ["--max-failures", "0", "--concurrency", "1"]
        assert watched.call("run", sheet, "--yes", *chosen, *place, *brakes, env=env).returncode == 6
        (run,) = (watched.folder / "elsewhere").glob("2*")
        refused = watched.call("run", sheet, "--yes", *chosen[:-1], *place, env=env)
        assert refused.returncode == 2
        again = watched.call("results", run, env=environment()).stdout.splitlines()[-1].strip()
        page = (run / "report.html").read_text(encoding="utf-8")
        assert html.unescape(page.split("<pre>")[1].split("</pre>")[0]) == again
        assert ["batch-updater", *proposed_after(refused.stderr, "to finish that run:\n")] == shlex.split(again)
        ended = watched.call(*shlex.split(again)[1:], "--yes", env=environment(EVREKA360_ACCESS_TOKEN=TOKEN))
        assert f"Picking up the unfinished run {run.name}:" in ended.stderr
        assert ended.returncode == 3, ended.stderr
        assert len(puts(sandbox)) == 3

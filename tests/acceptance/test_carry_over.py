"""A sheet changes while its run is unfinished: what is done is kept, what is in doubt is settled, the rest sent."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import proposed_after
from support.program import (
    DONE,
    PLANNED,
    environment,
    good_rows,
    newest_run,
    puts,
    read_result,
    requests,
    served,
    start,
    write_sheet,
)
from support.watched import Watched

from batch_updater.sandbox.server import Sandbox, order_id, status_id

OTHER = status_id("Cancelled")
DYING = Path(__file__).parents[1] / "support" / "dying.py"
SHORT = ("--timeout", "1")  # an update may be applied late by so many seconds


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with served(latency=0.05) as found:
        yield found


def kill(sheet: Path, sandbox: Sandbox, after: int, *more: str) -> Path:
    """Kill a run of this sheet after so many updates; its folder."""
    sent = len(puts(sandbox))
    process = start("run", sheet, "--yes", "--concurrency", "4", *SHORT, *more, env=environment(sandbox.base_url))
    while len(puts(sandbox)) < sent + after:
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=40)
    return newest_run(sheet)


def statuses(sandbox: Sandbox, numbers: range) -> list[str]:
    return [sandbox.orders[order_id(number)]["status"]["id"] for number in numbers]


def test_a_changed_sheet_keeps_what_is_done_and_sends_the_rest(watched: Watched, sandbox: Sandbox) -> None:
    """Killed twice between: as the refusal proposes it; no row is lost, kept wrongly, or sent again without need."""
    env, sheet = environment(sandbox.base_url), write_sheet(watched.folder / "o.csv", good_rows(60))
    first = kill(sheet, sandbox, 20)
    rows = good_rows(60)
    rows[0], rows[50] = (rows[0][0], OTHER), (rows[50][0], OTHER)  # one that is done, one that is not
    write_sheet(sheet, [rows[-1], *rows[:-1][5:], *rows[:5], *good_rows(5, first=61)])
    refused = watched.call("run", sheet, "--yes", env=env)
    assert refused.returncode == 2
    assert f"the sheet as it was then is {first / 'input.csv'}" in refused.stderr
    assert proposed_after(refused.stderr, "to finish that run from its copy")[:2] == ["resume", str(first)]
    words = proposed_after(refused.stderr, "to keep what is done there")
    assert words[-1] == "--carry-over"
    sent = len(puts(sandbox))
    kill(sheet, sandbox, 10, *words[2:])
    ended = watched.call("run", sheet, "--yes", *SHORT, env=env)  # simply goes on
    assert (ended.returncode, "Picking up" in ended.stderr) == (0, True), ended.stderr
    results = read_result(newest_run(sheet) / "results.csv")
    assert {row["result"] for row in results} == {"updated"}
    assert statuses(sandbox, range(1, 66)) == [OTHER, *[DONE] * 49, OTHER, *[DONE] * 14]
    kept = {row["order_id"] for row in results if row["result_run_id"] == first.name}
    assert len(kept) >= 12
    assert not kept & {entry["order_id"] for entry in puts(sandbox)[sent:]}, "a kept row was sent again"
    assert order_id(1) not in kept
    settled = [request for request in requests(sandbox) if request.is_reading]
    assert settled, "what was in doubt was read"
    resumed = watched.call("resume", first, "--yes", env=env)
    assert (resumed.returncode, "is superseded" in resumed.stderr) == (2, True)
    assert "superseded by" in watched.call("runs", sheet, env=env).stdout
    undone = watched.call("undo", newest_run(sheet), "--dry-run", env=env)
    assert re.search(rf"{len(kept)} rows stay as they are: {first.name}", undone.stdout), undone.stdout


MOMENTS = {
    "before-commit": (1, 2, 3, 4, 6, 9), "after-commit": (1, 2, 3, 5), "after-claim-number": (1,), "before-move": (1,),
    "after-move": (1, 2),
}  # fmt: skip


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Sandbox, list[str]]]:
    """A sheet that has changed since its run was killed, the service that it is sent to, and what its orders have."""
    folder = tmp_path_factory.mktemp("broken")
    with served(latency=0.01) as sandbox:
        sheet = write_sheet(folder / "o.csv", good_rows(60))
        kill(sheet, sandbox, 15, "--rate", "30")
        write_sheet(sheet, good_rows(50))
        yield folder, sandbox, statuses(sandbox, range(1, 61))


@pytest.mark.parametrize(("moment", "number"), [(name, number) for name in MOMENTS for number in MOMENTS[name]])
def test_a_kill_while_rows_are_carried_over_loses_nothing(
    broken_off: tuple[Path, Sandbox, list[str]], tmp_path: Path, watched: Watched, moment: str, number: int
) -> None:
    """Whenever it dies, the same command goes on: kept rows stay done, and the two runs are never both resumable."""
    folder, sandbox, before = broken_off
    for row, status in enumerate(before, 1):
        sandbox.set_status(order_id(row), status)
    sheet = shutil.copytree(folder, tmp_path / "here") / "o.csv"
    (first,) = (tmp_path / "here" / "o.runs").glob("2*")
    env, words = environment(sandbox.base_url), ["run", str(sheet), "--yes", "--carry-over", *SHORT]
    sent = len(puts(sandbox))
    order = {"moment": moment, "number": number, "fault": "", "arguments": words, "environment": env}
    died = subprocess.run(
        [sys.executable, DYING],
        input=json.dumps(order) + "\n", capture_output=True, text=True, timeout=120, check=True, env=environment(),
    )  # fmt: skip
    assert died.stdout.split()[1] == str(-signal.SIGKILL), "it was to die"
    infos = [json.loads(line) for line in watched.call("runs", sheet, "--json", env=env).stdout.splitlines()]
    assert sum(info["resumable"] for info in infos) <= 1
    if not (infos[0]["state"] == "finished" and len(infos) > 1):
        ended = watched.call(*words, env=env)
        assert ended.returncode == 0, ended.stderr
    results = read_result(newest_run(sheet) / "results.csv")
    assert [row["result"] for row in results] == ["updated"] * 50
    kept = {row["order_id"] for row in results if row["result_run_id"] == first.name}
    assert len(kept) >= 8
    assert not kept & {entry["order_id"] for entry in puts(sandbox)[sent:]}, "a kept row was sent again"
    resumed = watched.call("resume", first, "--yes", env=env)
    assert (resumed.returncode, "is superseded" in resumed.stderr) == (2, True)


def test_a_new_run_that_is_not_confirmed_leaves_the_old_one_as_it_was(watched: Watched, sandbox: Sandbox) -> None:
    """Its rows in doubt are settled, none is sent, and it goes on by its own name."""
    env, sheet = environment(sandbox.base_url), write_sheet(watched.folder / "o.csv", good_rows(40))
    first, count = kill(sheet, sandbox, 15), len(puts(sandbox))
    write_sheet(sheet, good_rows(30))
    trial = watched.call("plan", sheet, "--carry-over", *SHORT, env=env)
    assert (trial.returncode, "in doubt of the unfinished run are read back first" in trial.stdout) == (0, True)
    assert watched.call("run", sheet, "--carry-over", *SHORT, env=env).returncode == 2, "nobody to ask"
    refused = watched.call("run", sheet, "--carry-over", "--yes", "-o", sheet, *SHORT, env=env)
    assert (refused.returncode, len(puts(sandbox))) == (2, count)
    ended = watched.call("resume", first, "--yes", *SHORT, env=env)
    assert (ended.returncode, len(read_result(first / "results.csv"))) == (0, 40), ended.stderr
    assert statuses(sandbox, range(1, 41)) == [DONE] * 40


def test_what_may_be_applied_late_is_waited_for_before_another_status_is_sent(watched: Watched) -> None:
    """The service applies what the killed run has sent, however slow it is, before the new status leaves."""
    late = ("--timeout", "5")
    with served(latency=1.0) as slow:
        env, sheet = environment(slow.base_url), write_sheet(watched.folder / "o.csv", good_rows(12))
        kill(sheet, slow, 1, *late)
        write_sheet(sheet, good_rows(12, status=OTHER))
        (newest_run(sheet) / "journal.claims").touch()  # it was killed just now, however busy this machine is
        ended = watched.call("run", sheet, "--yes", "--carry-over", *late, env=env)
        assert (ended.returncode, "Waiting " in ended.stderr) == (0, True), ended.stderr
        assert statuses(slow, range(1, 13)) == [OTHER] * 12


@pytest.mark.parametrize("more", [("--restart",), ("--on-conflict", "sequence")])
def test_carry_over_is_refused_with_what_it_contradicts(watched: Watched, sandbox: Sandbox, more: list[str]) -> None:
    """Exit 2, and the sentence says why."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(3))
    refused = watched.call("run", sheet, "--yes", "--carry-over", *more, env=environment(sandbox.base_url))
    assert (refused.returncode, "--carry-over can't be" in refused.stderr) == (2, True)


def test_there_must_be_an_unfinished_run_to_carry_over_from(watched: Watched, sandbox: Sandbox) -> None:
    """Without one, after a finished one, and after one in sequence: exit 2, nothing sent, and the way on is named."""
    env, sheet = environment(sandbox.base_url), write_sheet(watched.folder / "o.csv", good_rows(2))
    none = watched.call("run", sheet, "--yes", "--carry-over", env=env)
    assert (none.returncode, "it has no run here" in none.stderr) == (2, True)
    assert watched.call("run", sheet, "--yes", env=env).returncode == 0
    finished = watched.call("run", sheet, "--yes", "--carry-over", env=env)
    assert (finished.returncode, "leave out --carry-over" in finished.stderr) == (2, True)
    other = write_sheet(watched.folder / "p.csv", good_rows(60))
    kill(other, sandbox, 8, "--on-conflict", "sequence")
    write_sheet(other, good_rows(20))
    sequence = watched.call("run", other, "--yes", "--carry-over", env=env)
    assert (sequence.returncode, "several statuses in turn" in sequence.stderr) == (2, True)
    assert proposed_after(sequence.stderr, "to finish that run from its copy")[0] == "resume"


@pytest.mark.parametrize("how", ["undo", "undo elsewhere", "follow-up"])
def test_a_run_that_was_undone_or_followed_up_is_not_carried_over(watched: Watched, sandbox: Sandbox, how: str) -> None:
    """Its rows say that they are done, and its orders may not have that status any more; looking at an undo is none."""
    env, sheet = environment(sandbox.base_url), write_sheet(watched.folder / "o.csv", good_rows(40))
    first = kill(sheet, sandbox, 12, "--compare")
    assert watched.call("undo", first, "--dry-run", env=env).returncode == 0
    write_sheet(sheet, good_rows(30))
    assert watched.call("plan", sheet, "--carry-over", "--compare", env=env).returncode == 0
    if how == "follow-up":
        assert watched.call("results", first, env=env).returncode == 0
        words = ["run", first / "results.csv", "--only", "updated", "--compare"]
    else:
        words = ["undo", first, *(["--runs-dir", watched.folder / "u"] if how == "undo elsewhere" else [])]
    assert watched.call(*words, "--yes", *SHORT, env=env).returncode in {0, 3}
    refused = watched.call("run", sheet, "--yes", "--carry-over", "--compare", env=env)
    assert (refused.returncode, "has undone it, or followed it up" in refused.stderr) == (2, True), refused.stderr


def test_the_results_of_a_superseded_run_can_be_written_again(watched: Watched, sandbox: Sandbox) -> None:
    """It stays superseded: it is neither finished by that, nor is its resuming proposed."""
    env, sheet = environment(sandbox.base_url), write_sheet(watched.folder / "o.csv", good_rows(40))
    first = kill(sheet, sandbox, 12)
    write_sheet(sheet, good_rows(30))
    assert watched.call("run", sheet, "--yes", "--carry-over", *SHORT, env=env).returncode == 0
    written = watched.call("results", first, env=env)
    assert (written.returncode, "To go on" in written.stdout) == (0, False)
    assert "superseded by" in watched.call("runs", sheet, env=env).stdout


def test_a_corrected_sheet_simply_starts_when_nothing_was_sent(watched: Watched, sandbox: Sandbox) -> None:
    """The token was wrong: nobody has to say --restart."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(3))
    env = environment(sandbox.base_url)
    wrong = watched.call("run", sheet, "--yes", env={**env, "EVREKA360_ACCESS_TOKEN": "wrong-token-of-somebody"})
    assert wrong.returncode == 5, wrong.stderr
    write_sheet(sheet, good_rows(2, status=PLANNED))
    ended = watched.call("run", sheet, "--yes", env=env)
    assert ended.returncode == 0, ended.stderr
    assert len(read_result(newest_run(sheet) / "results.csv")) == 2


def test_the_plan_says_that_these_bytes_were_finished_before(watched: Watched, sandbox: Sandbox) -> None:
    """By `plan` and by `run`: which run, when, and how many rows are done; not of a sheet that has changed."""
    env, sheet = environment(sandbox.base_url), write_sheet(watched.folder / "o.csv", [*good_rows(3), ("x", DONE)])
    assert watched.call("run", sheet, "--yes", env=env).returncode == 3
    first = newest_run(sheet).name
    for said in (watched.call("plan", sheet, env=env).stdout, watched.call("run", sheet, "-y", env=env).stderr):
        when = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC( \([^)]*\))?"
        assert re.search(rf"finished before: {first}, {when}, 3 of 4 rows done", " ".join(said.split()))
    write_sheet(sheet, good_rows(2))
    assert "finished before" not in watched.call("plan", sheet, env=env).stdout


def test_carried_rows_are_carried_once_more(watched: Watched, sandbox: Sandbox) -> None:
    """The sheet changes again while the second run is unfinished: rows of the first one stay done."""
    env, sheet = environment(sandbox.base_url), write_sheet(watched.folder / "o.csv", good_rows(60))
    first = kill(sheet, sandbox, 12)
    write_sheet(sheet, good_rows(59))
    second = kill(sheet, sandbox, 12, "--carry-over")
    write_sheet(sheet, good_rows(58))
    ended = watched.call("run", sheet, "--yes", "--carry-over", *SHORT, env=env)
    assert ended.returncode == 0, ended.stderr
    results = read_result(newest_run(sheet) / "results.csv")
    assert {row["result_run_id"] for row in results} == {first.name, second.name, newest_run(sheet).name}
    assert statuses(sandbox, range(1, 59)) == [DONE] * 58

"""Which run the same command picks up: only the newest of its input; any other is named, and both ways on."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from support.commands import proposed_after
from support.program import (
    DONE,
    PLANNED,
    PROGRAM,
    TOKEN,
    environment,
    good_rows,
    newest_run,
    puts,
    served,
    summary_of,
    write_sheet,
)
from support.watched import Watched

from batch_updater.app.batch import run_batch_sync
from batch_updater.common.errors import ResumeError
from batch_updater.common.secret import Secret
from batch_updater.common.settings import Settings
from batch_updater.sandbox.server import Sandbox, order_id

MISSING = (order_id(99_999_999), DONE)
BRAKES = ("--max-failures", "0", "--concurrency", "1")  # the first row of these sheets fails, and stops the run


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with served() as found:
        yield found


def rows(status: str) -> list[tuple[str, str]]:
    return [MISSING, *good_rows(20, status=status)]


def statuses(sandbox: Sandbox) -> set[str]:
    """The statuses that the orders of the sheets have."""
    return {sandbox.orders[order_id(number)]["status"]["id"] for number in range(1, 21)}


def resume_line(said: str) -> list[str]:
    """The words of the command by which a refused run is resumed from its folder."""
    return ["batch-updater", *proposed_after(said, "to finish that run from its copy of the sheet:\n")]


Start = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def from_stdin(tmp_path: Path, sandbox: Sandbox) -> Start:
    def start(status: str, *more: str) -> subprocess.CompletedProcess[str]:
        with write_sheet(tmp_path / "data", rows(status)).open("rb") as data:
            return subprocess.run(
                [*PROGRAM, "run", "-", "--yes", *more], stdin=data, capture_output=True, text=True, timeout=120,
                check=False, env=environment(sandbox.base_url), cwd=tmp_path,
            )  # fmt: skip

    return start


def test_data_from_stdin_picks_up_no_run_that_newer_data_followed(
    tmp_path: Path, sandbox: Sandbox, from_stdin: Start, watched: Watched
) -> None:
    """Done stopped, Planned sent, Done again: exit 2 and nothing sent, for the orders have moved on since."""
    assert from_stdin(DONE, *BRAKES).returncode == 6
    refused = from_stdin(PLANNED)
    assert (refused.returncode, "the file's bytes differ" in refused.stderr) == (2, True)
    assert "--restart" in refused.stderr
    assert from_stdin(PLANNED, "--restart").returncode == 3
    sent = len(sandbox.ledger)
    again = from_stdin(DONE)
    assert again.returncode == 2, again.stderr
    assert "newer runs followed it" in again.stderr
    assert "the present command with --restart" in again.stderr
    assert (len(sandbox.ledger), statuses(sandbox)) == (sent, {PLANNED})
    program, *words = resume_line(again.stderr)
    assert (program, words[0]) == ("batch-updater", "resume")
    words[1] = str(tmp_path / words[1])
    ended = watched.call(*words, "--yes", env=environment(EVREKA360_ACCESS_TOKEN=TOKEN))
    assert (ended.returncode, statuses(sandbox)) == (3, {DONE}), ended.stderr
    assert from_stdin(DONE).returncode == 3, "the run of this data is finished: a new one"


def test_a_restart_asks_no_question_and_is_then_the_newest_run(sandbox: Sandbox, from_stdin: Start) -> None:
    """What it leaves is left for good once the same data was sent anew."""
    assert from_stdin(DONE, *BRAKES).returncode == 6
    assert from_stdin(PLANNED, *BRAKES, "--restart").returncode == 6
    assert from_stdin(DONE, "--restart").returncode == 3
    sent = len(puts(sandbox))
    assert from_stdin(PLANNED).returncode == 2, "its run is older than the newest one"
    assert len(puts(sandbox)) == sent
    assert from_stdin(DONE).returncode == 3
    assert len(puts(sandbox)) == sent + 21


def test_a_dataframe_picks_up_no_run_that_another_one_followed(tmp_path: Path, sandbox: Sandbox) -> None:
    """The runs folder is its input: the call raises, nothing is sent, and its remedies name both ways on."""

    def send(status: str, **more: object) -> list[str]:
        frame = pd.DataFrame(rows(status), columns=["order_id", "status_id"])
        settings = Settings(base_url=sandbox.base_url, runs_dir=tmp_path / "runs", concurrency=1, **more)
        try:
            return [str(run_batch_sync(frame, settings, token=Secret(TOKEN)).exit_code)]
        except ResumeError as error:
            return [*error.remedies[0].command[:2], *error.remedies[1].settings]

    assert send(DONE, max_failures="0") == ["6"]
    (first,) = (tmp_path / "runs").glob("2*")
    assert send(PLANNED) == ["resume", str(first), "restart"]
    assert send(PLANNED, restart=True) == ["3"]
    sent = len(sandbox.ledger)
    assert send(DONE) == ["resume", str(first), "restart"]
    assert (len(sandbox.ledger), statuses(sandbox)) == (sent, {PLANNED})


def test_two_sheets_of_one_name_share_a_runs_folder(watched: Watched, sandbox: Sandbox) -> None:
    """Each is an input of its own: the other's unfinished run is neither in its way nor picked up."""
    runs = ("--runs-dir", watched.folder / "runs")
    env, sheets = environment(sandbox.base_url), []
    for name, status in (("a", DONE), ("b", PLANNED)):
        (watched.folder / name).mkdir()
        sheets.append(write_sheet(watched.folder / name / "orders.csv", rows(status)))
    assert watched.call("run", sheets[0], "--yes", *runs, *BRAKES, env=env).returncode == 6
    assert watched.call("run", sheets[1], "--yes", *runs, env=env).returncode == 3
    listed = watched.call("runs", watched.folder / "runs", env=env).stdout
    assert "stopped  (resumable)" in listed
    assert "left by a newer run" not in listed
    went_on = watched.call("run", sheets[0], "--yes", *runs, env=env)
    assert (went_on.returncode, "Picking up" in went_on.stderr) == (3, True), went_on.stderr
    assert (len(puts(sandbox)), statuses(sandbox)) == (1 + 21 + 20, {DONE})


def test_the_same_data_elsewhere_is_not_silently_sent_again(watched: Watched, sandbox: Sandbox) -> None:
    """A copy of a sheet with an unfinished run in the same runs folder: exit 2 that names the sheet and both ways."""
    runs, env = ("--runs-dir", watched.folder / "runs"), environment(sandbox.base_url)
    sheet = write_sheet(watched.folder / "orders.csv", rows(DONE))
    assert watched.call("run", sheet, "--yes", *runs, *BRAKES, env=env).returncode == 6
    copy = Path(shutil.copy(sheet, watched.folder / "copy.csv"))
    sent = len(sandbox.ledger)
    refused = watched.call("run", copy, "--yes", *runs, env=env)
    assert (refused.returncode, len(sandbox.ledger)) == (2, sent)
    assert f"is not picked up: it is a run of {sheet}" in refused.stderr
    assert resume_line(refused.stderr)[1] == "resume"
    assert watched.call("run", copy, "--yes", *runs, "--restart", env=env).returncode == 3
    assert watched.call("run", copy, "--yes", *runs, env=env).returncode == 3, "its own newest run is finished"


def test_a_sheet_picks_up_no_run_that_another_edition_of_it_followed(watched: Watched, sandbox: Sandbox) -> None:
    """The sheet is put back as it was: exit 2; `runs` says the same of the older run, and it is resumed by its name."""
    env, sheet = environment(sandbox.base_url), watched.folder / "o.csv"
    assert watched.call("run", write_sheet(sheet, rows(DONE)), "--yes", *BRAKES, env=env).returncode == 6
    first = newest_run(sheet)
    changed = watched.call("run", write_sheet(sheet, rows(PLANNED)), "--yes", env=env)
    assert (changed.returncode, resume_line(changed.stderr)[1:3]) == (2, ["resume", str(first)])
    assert "to finish that run by its own command, put the file back as it was\n" in changed.stderr
    assert watched.call("run", sheet, "--yes", "--restart", env=env).returncode == 3
    sent = len(sandbox.ledger)
    refused = watched.call("run", write_sheet(sheet, rows(DONE)), "--yes", env=env)
    assert (refused.returncode, len(sandbox.ledger)) == (2, sent)
    assert "newer runs followed it" in refused.stderr
    assert "stopped, then left by a newer run" in watched.call("runs", sheet, env=env).stdout
    sheet.unlink()
    words = resume_line(refused.stderr)[1:]
    assert words[:2] == ["resume", str(first)]
    ended = watched.call(*words, "--yes", env=environment(EVREKA360_ACCESS_TOKEN=TOKEN))
    assert (ended.returncode, statuses(sandbox)) == (3, {DONE}), ended.stderr


def test_a_sheet_that_is_moved_with_its_runs_is_picked_up(watched: Watched, sandbox: Sandbox) -> None:
    """A run belongs to the sheet beside its runs folder, wherever the two are."""
    env = environment(sandbox.base_url)
    for name in ("here", "there"):
        (watched.folder / name).mkdir()
    sheet = write_sheet(watched.folder / "here" / "o.csv", rows(DONE))
    assert watched.call("run", sheet, "--yes", *BRAKES, env=env).returncode == 6
    for path in (sheet, sheet.with_name("o.runs")):
        shutil.move(path, watched.folder / "there")
    sheet = watched.folder / "there" / "o.csv"
    went_on = watched.call("run", sheet, "--yes", env=env)
    assert (went_on.returncode, "Picking up" in went_on.stderr) == (3, True), went_on.stderr
    assert summary_of(sheet)["results"] == {"failed": 1, "updated": 20}


def test_a_run_is_resumed_from_its_folder_without_its_sheet(watched: Watched, sandbox: Sandbox) -> None:
    """`resume` shows the plan with --dry-run, needs --yes without a terminal, sends what is left, and then no more."""
    env, sheet = environment(sandbox.base_url), write_sheet(watched.folder / "o.csv", rows(DONE))
    assert watched.call("run", sheet, "--yes", *BRAKES, env=env).returncode == 6
    run, sent = newest_run(sheet), len(sandbox.ledger)
    sheet.unlink()
    shown = watched.call("resume", run, "--dry-run", "--json", env=env)
    assert (shown.returncode, '"results": {"not_sent": 20, "failed": 1}' in shown.stdout) == (0, True)
    unasked = watched.call("resume", run, env=env)
    assert (unasked.returncode, "--yes" in unasked.stderr, len(sandbox.ledger)) == (2, True, sent)
    assert watched.call("resume", run / "summary.json", "--yes", env=env).returncode == 3
    assert summary_of(sheet)["results"] == {"failed": 1, "updated": 20}
    finished = watched.call("resume", run, "--yes", env=env)
    assert (finished.returncode, "is finished" in finished.stderr, len(puts(sandbox))) == (2, True, 21)

import ctypes
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.program import (
    PROGRAM,
    environment,
    good_rows,
    judge,
    newest_run,
    puts,
    read_result,
    served,
    summary_of,
    write_sheet,
)
from support.watched import Watched, grant_environment

from batch_updater.sandbox.server import Sandbox

ROWS = 60


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "o.csv", good_rows(ROWS))


def run(watched: Watched, *words: object, env: dict[str, str], **how: Any) -> subprocess.CompletedProcess[str]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **how}
    ended = subprocess.run(
        [*PROGRAM, *map(str, words)], text=True, env=env, timeout=120, check=False, **streams
    )  # fmt: skip
    assert "Traceback" not in (ended.stderr or "")
    assert "Exception ignored" not in (ended.stderr or "")
    return ended


def all_sent(sheet: Path, sandbox: Sandbox) -> None:
    rows = read_result(newest_run(sheet) / "results.csv")
    judge(rows, ROWS, sandbox)
    assert {row["result"] for row in rows} == {"updated"}
    assert len(puts(sandbox)) == ROWS
    assert summary_of(sheet)["exit_code"] == 0


def limit(kind: int, soft: int, hard: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (soft, hard))


def without_streams(*numbers: int) -> Callable[[], None]:
    return lambda: [os.close(number) for number in numbers] and None


def as_anybody() -> None:
    """Root without the power to pass over permissions."""
    for power in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, power, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.mark.parametrize(("soft", "hard", "code"), [(20, 68, 0), (20, 67, 2), (68, 68, 0), (9, 9, 2)])
def test_few_open_files_are_enough_or_told_before_anything_is_sent(
    sheet: Path, watched: Watched, soft: int, hard: int, code: int
) -> None:
    """The limit is raised as far as is needed; where that is not allowed the program says so and sends nothing."""
    with served() as sandbox:
        env = environment(sandbox.base_url)
        ended = run(watched, "run", sheet, "--yes", env=env, preexec_fn=limit(resource.RLIMIT_NOFILE, soft, hard))
        assert ended.returncode == code, ended.stderr
        if code == 0:
            all_sent(sheet, sandbox)
        else:
            assert f"--concurrency 20 needs 68 open files, and the limit is {hard}." in ended.stderr
            assert sandbox.ledger == []


@pytest.mark.parametrize(("megabytes", "code"), [(100, 2), (400, 2), (700, 0)])
def test_little_address_space_is_enough_or_told(sheet: Path, watched: Watched, megabytes: int, code: int) -> None:
    """No library ends the process with a message of its own."""
    size = megabytes << 20
    with served() as sandbox:
        env = environment(sandbox.base_url)
        ended = run(watched, "run", sheet, "--yes", env=env, preexec_fn=limit(resource.RLIMIT_AS, size, size))
        assert ended.returncode == code, ended.stderr
        if code == 0:
            all_sent(sheet, sandbox)
        else:
            assert ended.stderr.startswith(f"error: This process may use {megabytes} MB of address space, and needs")
            assert sandbox.ledger == []


@pytest.mark.parametrize("words", [["plan"], ["run", "--yes"], ["run", "--yes", "--json"]])
@pytest.mark.parametrize("gone", ["stdout", "stderr", "both"])
def test_a_reader_who_goes_away_changes_nothing(sheet: Path, watched: Watched, words: list[str], gone: str) -> None:
    """A pipe whose other end is closed: the job is done, the exit status is that of the job, nobody complains."""
    reading, writing = os.pipe()
    os.close(reading)
    streams = {name: writing for name in ("stdout", "stderr") if gone in {name, "both"}}
    with served() as sandbox:
        ended = run(watched, *words, sheet, env=environment(sandbox.base_url), **streams)
        os.close(writing)
        assert ended.returncode == 0
        if words[0] == "run":
            all_sent(sheet, sandbox)


@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2), (0, 1, 2)])
def test_closed_streams_change_nothing(sheet: Path, watched: Watched, closed: tuple[int, ...]) -> None:
    """No file of the run gets the number of a stream, so that no message can be written into the journal."""
    with served() as sandbox:
        env = environment(sandbox.base_url)
        ended = run(watched, "run", sheet, "--yes", "-vv", env=env, preexec_fn=without_streams(*closed))
        assert ended.returncode == 0, ended.stderr
        all_sent(sheet, sandbox)


def test_a_full_disk_behind_stdout_is_told_and_changes_nothing(sheet: Path, watched: Watched) -> None:
    """The summary is lost there, and is in the run folder; one line says so."""
    with served() as sandbox, Path("/dev/full").open("w") as full:
        ended = run(watched, "run", sheet, "--yes", "--json", env=environment(sandbox.base_url), stdout=full)
        assert ended.returncode == 0
        assert "stdout can't be written: No space left on device." in ended.stderr
        all_sent(sheet, sandbox)


@pytest.mark.parametrize("home", [None, "/nonexistent", "/proc"])
def test_no_home_is_needed(sheet: Path, watched: Watched, home: str | None) -> None:
    """HOME unset, missing, or not writable."""
    with served() as sandbox:
        env = {name: value for name, value in environment(sandbox.base_url).items() if name != "HOME"}
        ended = run(watched, "run", sheet, "--yes", env={**env, **({"HOME": home} if home else {})})
        assert ended.returncode == 0, ended.stderr
        all_sent(sheet, sandbox)


def test_a_folder_that_cannot_be_written_is_no_place_for_runs(tmp_path: Path, watched: Watched) -> None:
    """Exit 2 names --runs-dir, and with it the job is done; a plan needs no place at all."""
    folder, runs = tmp_path / "locked", tmp_path / "o.runs"
    folder.mkdir()
    sheet = write_sheet(folder / "o.csv", good_rows(ROWS))
    folder.chmod(0o555)
    how: dict[str, Any] = {"preexec_fn": as_anybody if os.geteuid() == 0 else None}
    with served() as sandbox:
        env = environment(sandbox.base_url)
        assert run(watched, "plan", sheet, env=env, **how).returncode == 0
        ended = run(watched, "run", sheet, "--yes", env=env, **how)
        assert ended.returncode == 2
        assert "can't be written: Permission denied.\n  hint: choose another place with --runs-dir" in ended.stderr
        assert puts(sandbox) == []
        assert run(watched, "run", sheet, "--yes", "--runs-dir", runs, env=env, **how).returncode == 0
        all_sent(tmp_path / "o.csv", sandbox)
    folder.chmod(0o755)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [([], 0, ""), (["-o", "r.csv"], 0, "the results are in"), (["--runs-dir", "runs"], 2, "--runs-dir")],
)
def test_a_present_folder_that_is_gone(  # a shell may stand in a folder that somebody else has deleted
    tmp_path: Path, sheet: Path, watched: Watched, words: list[str], code: int, says: str
) -> None:
    """Whole paths work; a result file that can't be made there is made in the run folder."""
    gone = tmp_path / "gone"
    gone.mkdir()

    def vanish() -> None:
        os.chdir(gone)
        gone.rmdir()

    with served() as sandbox:
        ended = run(watched, "run", sheet, "--yes", *words, env=environment(sandbox.base_url), preexec_fn=vanish)
        assert ended.returncode == code, ended.stderr
        assert says in ended.stderr
        if code == 0:
            all_sent(sheet, sandbox)
        else:
            assert sandbox.ledger == []


@pytest.mark.parametrize("signs_in", [True, False])
def test_a_stop_longer_than_the_tokens_life_and_the_timeout(sheet: Path, watched: Watched, signs_in: bool) -> None:
    """After SIGSTOP and SIGCONT the job ends right: each row once, `updated` where it was applied, a new token."""
    with served(token_ttl=1.0, latency=0.02) as sandbox:
        env = (grant_environment if signs_in else environment)(sandbox.base_url)

        def suspend(process: subprocess.Popen[str]) -> None:
            until = time.monotonic() + 60
            while len(puts(sandbox)) < 10 and time.monotonic() < until:
                time.sleep(0.005)
            process.send_signal(signal.SIGSTOP)
            time.sleep(1.5)
            process.send_signal(signal.SIGCONT)

        words = ["run", sheet, "--yes", "--timeout", "0.5", "--concurrency", "2"]
        ended = watched.process(*words, env=env, meanwhile=suspend)
        assert ended.returncode == 0, ended.stderr
        rows = read_result(newest_run(sheet) / "results.csv")
        judge(rows, ROWS, sandbox)
        assert {row["result"] for row in rows} == {"updated"}
        assert len(puts(sandbox)) <= ROWS + 10

"""A full disk, an I/O error, a result file that can't be written: no PUT without its claim, exit 6, resumable."""

import contextlib
import json
import resource
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
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
    summary_of,
    write_sheet,
)
from support.sheets import old_excel
from support.watched import Watched

from batch_updater.sandbox.server import Sandbox


def limited(limit: int, *arguments: object, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the program where no file can grow beyond `limit` bytes: its writes fail as on a full disk."""
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL,
        check=False, env=env, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip


def wide_sheet(path: Path, rows: int, width: int) -> Path:
    """A sheet with a long comment in each row."""
    lines = [f"{order},{status},{'x' * width}" for order, status in good_rows(rows)]
    path.write_text("order_id,status_id,comment\n" + "\n".join(lines) + "\n")
    return path


def finishes(sheet: Path, rows: int, sandbox: Sandbox, *more: object) -> None:
    """The same command, with room again, brings everything to its end."""
    ended = program("run", sheet, "--yes", *more, env=environment(sandbox.base_url))
    assert ended.returncode == 0, ended.stderr
    folder = max(Path(more[1]).glob("2*")) if more else newest_run(sheet)  # type: ignore[arg-type]
    judge(read_result(folder / "results.csv"), rows, sandbox, kills=1)


@pytest.mark.parametrize("moment", ["copying", "planning"])
def test_a_full_disk_before_the_first_send_leaves_nothing(tmp_path: Path, moment: str) -> None:
    """Too little room for the copy or the plan: exit 6, the reason, no request, no folder."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(1500))
    limit = sheet.stat().st_size + (-20_000 if moment == "copying" else 20_000)
    with served() as sandbox:
        ended = limited(limit, "run", sheet, "--yes", env=environment(sandbox.base_url))
        assert ended.returncode == 6, ended.stderr
        assert "free some disk space" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert puts(sandbox) == []
        assert list(tmp_path.glob("o.runs/2*")) == []
        finishes(sheet, 1500, sandbox)


@pytest.mark.parametrize("room", [0, 100_000])
def test_a_full_disk_while_sending_stops_and_the_run_goes_on_later(tmp_path: Path, room: int) -> None:
    """Neither claims nor outcomes can be written: exit 6, nothing more leaves, the next start settles and finishes."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(1000))
    with served(latency=0.01) as sandbox:
        journal_size = size_of_a_plan(sheet, sandbox)
        ended = limited(journal_size + room, "run", sheet, "--yes", env=environment(sandbox.base_url))
        assert ended.returncode == 6, ended.stderr
        assert "can't be written" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert len(puts(sandbox)) < 1000
        finishes(sheet, 1000, sandbox)


def size_of_a_plan(sheet: Path, sandbox: Sandbox) -> int:
    """Bytes of the planned journal of a sheet."""
    from batch_updater.app.planning import plan
    from batch_updater.app.service import find_service
    from batch_updater.common.settings import Settings

    settings = Settings(base_url=sandbox.base_url, runs_dir=sheet.with_name("measured"))
    with plan(sheet, settings, find_service(settings, {"EVREKA360_ACCESS_TOKEN": TOKEN})) as run:
        return run.folder.journal_path.stat().st_size


@pytest.mark.parametrize("kind", ["csv", "xlsx", "jsonl"])
def test_results_that_fit_nowhere_are_made_later(tmp_path: Path, kind: str) -> None:
    """All is sent, the result file has no room: exit 6, and `results` makes it when there is some."""
    sheet = wide_sheet(tmp_path / "o.csv", 200, 4000)
    limit = sheet.stat().st_size + 10_000
    if kind == "xlsx":
        limit = 350_000  # the file shrinks, its parts on the way do not
        sheet = wide_sheet(tmp_path / "o.csv", 60, 5000)
    with served() as sandbox:
        output = ["--output", tmp_path / f"out.{kind}"]
        ended = limited(limit, "run", sheet, "--yes", *output, env=environment(sandbox.base_url))
        if kind == "xlsx" and ended.returncode == 0:
            pytest.skip("the parts of an Excel file are not limited here")
        assert ended.returncode == 6, ended.stderr
        assert "Traceback" not in ended.stderr
        folder = newest_run(sheet)
        assert f"batch-updater results {folder}" in ended.stderr
        assert not list(tmp_path.rglob(f"*.part.{kind}"))
        again = program("results", folder, env=environment())
        assert again.returncode == 0, again.stderr
        assert (tmp_path / f"out.{kind}").exists()
        if kind == "csv":
            judge(read_result(tmp_path / "out.csv"), 200, sandbox)


@pytest.mark.parametrize("way", ["the same command", "results"])
def test_a_run_without_its_results_is_not_finished(tmp_path: Path, way: str) -> None:
    """The summary counts every row; then the file is written, nothing is sent or asked, and the run is finished."""
    sheet = wide_sheet(tmp_path / "o.csv", 200, 4000)
    with served() as sandbox:
        env = environment(sandbox.base_url)
        ended = limited(sheet.stat().st_size + 10_000, "run", sheet, "--yes", "--json", env=env)
        folder, summary = newest_run(sheet), json.loads(ended.stdout)
        assert (ended.returncode, summary["resumable"], summary["results_file"]) == (6, True, "")
        assert (summary["rows"], summary["results"], summary["codes"]) == (200, {"updated": 200}, {"ok": 200})
        assert summary_of(sheet)["results"] == {"updated": 200}
        sent = len(sandbox.ledger)
        words = shlex.split(ended.stderr.splitlines()[-1])[1:] if way != "results" else [way, folder]
        again = program(*words, env=env)
        assert again.returncode == 0, again.stderr
        assert len(sandbox.ledger) == sent, "nothing is sent, nor read"
        judge(read_result(folder / "results.csv"), 200, sandbox)
        assert (summary_of(sheet)["exit_code"], summary_of(sheet)["resumable"]) == (0, False)
        assert json.loads(program("runs", sheet, "--json", env=env).stdout)["state"] == "finished"
        assert program("resume", folder, "--yes", env=env).returncode == 2


def test_an_excel_file_without_a_temporary_folder_is_made_later(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new workbook needs one: exit 6 with all rows counted, also by `results`, and later the file."""
    sheet = old_excel(watched.folder, [["order_id", "status_id"], *good_rows(30), ["broken", DONE]])
    with served() as sandbox:
        env = environment(sandbox.base_url)
        with monkeypatch.context() as patched:
            patched.setattr("tempfile.tempdir", "/nonexistent")
            for way in ("run", "results", "run"):
                words = ["results", newest_run(sheet)] if way == "results" else ["run", sheet, "--yes"]
                ended = watched.call(*words, env=env)
                assert (ended.returncode, len(puts(sandbox))) == (6, 30), ended.stderr
                assert summary_of(sheet)["results"] == {"updated": 30, "invalid": 1}
        assert watched.call("run", sheet, "--yes", env=env).returncode == 3
        assert len(puts(sandbox)) == 30
    assert (newest_run(sheet) / "results.xlsx").exists()


def test_results_that_can_not_be_written_again_leave_the_run_finished(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file was there once: the same command would be a new run, so that only `results` is proposed."""
    sheet = old_excel(watched.folder, [["order_id", "status_id"], *good_rows(3)])
    with served() as sandbox:
        assert watched.call("run", sheet, "--yes", env=environment(sandbox.base_url)).returncode == 0
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    again = watched.call("results", newest_run(sheet), env=environment())
    assert again.returncode == 6
    assert again.stdout.splitlines()[-1].strip() == f"batch-updater results {newest_run(sheet)}"
    assert summary_of(sheet)["resumable"] is False
    assert json.loads(watched.call("runs", sheet, "--json", env=environment()).stdout)["state"] == "finished"


def test_rows_that_stayed_unknown_are_not_read_again_for_the_result_file(tmp_path: Path) -> None:
    """They have ended as they are: the same command makes no request at all."""
    sheet = wide_sheet(tmp_path / "o.csv", 10, 60_000)
    with served(lose_answers=1.0) as sandbox:
        sandbox.unreadable = {order: 403 for order, _ in good_rows(10)}
        words, env = ("run", sheet, "--yes", "--timeout", "0.3", "--retries", "0"), environment(sandbox.base_url)
        assert limited(sheet.stat().st_size + 100, *words, env=env).returncode == 6
        assert (summary_of(sheet)["results"], summary_of(sheet)["results_file"]) == ({"unknown": 10}, "")
        sent = len(sandbox.ledger)
        assert program(*words, env=env).returncode == 3
        assert len(sandbox.ledger) == sent
        assert summary_of(sheet)["results"] == {"unknown": 10}


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_results_that_can_not_be_written_are_written_beside(tmp_path: Path, kind: str) -> None:
    """A folder stands where the result file should go: it gets another name beside it, and that is said."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(30))
    (tmp_path / f"out.{kind}").mkdir()
    with served() as sandbox:
        more = ["--output", tmp_path / f"out.{kind}", "--overwrite"]
        ended = program("run", sheet, "--yes", *more, env=environment(sandbox.base_url))
        assert ended.returncode == 0, ended.stderr
        place = tmp_path / f"out-{newest_run(sheet).name}.{kind}"
        assert place.exists()
        assert f"the results are in {place}" in ended.stderr
        assert summary_of(sheet)["results_file"] == str(place)


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of 2 MB; skips the test where none can be mounted."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> None:
    """Leave no byte free."""
    with (place / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(b"\0" * 4096):
            pass


def fill_when(place: Path, happened: Callable[[], bool], ended: threading.Event) -> threading.Thread:
    """Fill the disk at a moment of the run."""

    def wait() -> None:
        while not happened() and not ended.is_set():
            time.sleep(0.001)
        fill(place)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount here")
@pytest.mark.parametrize("moment", ["planning", "sending", "results"])
def test_a_small_disk_that_fills_up(tmp_path: Path, moment: str) -> None:
    """A real file system without a free byte, at three moments: exit 6, no traceback, and later the rest."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(1000))
    with small_disk(tmp_path / "disk") as disk, served(latency=0.005) as sandbox:
        runs = ["--runs-dir", disk / "runs"]
        moments = {
            "planning": lambda: bool(list(disk.glob("runs/*/planning.sqlite"))),
            "sending": lambda: len(puts(sandbox)) > 300,
            "results": lambda: bool(list(disk.glob("runs/*/.results.part.csv"))),
        }
        over = threading.Event()
        thread = fill_when(disk, moments[moment], over)
        ended = program("run", sheet, "--yes", *runs, env=environment(sandbox.base_url))
        over.set()
        thread.join()
        assert ended.returncode == 6, ended.stderr
        assert "Traceback" not in ended.stderr
        assert len(puts(sandbox)) == 0 if moment == "planning" else len(puts(sandbox)) > 300
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        finishes(sheet, 1000, sandbox, *runs)

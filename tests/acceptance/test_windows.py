"""The program on Windows, simulated: a whole job, and Ctrl-C."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from support.program import DONE, environment, good_rows, newest_run, puts, read_result, served, write_sheet
from support.watched import Watched
from support.windows import simulate_windows

from batch_updater.app.signals import handled_signals
from batch_updater.common.progress import Stop


def test_a_whole_job_runs(tmp_path: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """No flush of a folder, no `pwrite`, no file locks, no owner of a file: planned, sent, compared, undone, pruned."""
    sheet = write_sheet(tmp_path / "my orders.csv", [*good_rows(3), ("x", DONE)])
    with served() as sandbox:
        monkeypatch.setattr("batch_updater.app.batch.run_loop", asyncio.run)
        simulate_windows(monkeypatch)
        env = environment(sandbox.base_url)
        planned = watched.call("plan", sheet, "-o", tmp_path / "problems.csv", env=env)
        assert planned.returncode == 0, planned.stderr
        ran = watched.call("run", sheet, "--yes", "--compare", env=env)
        assert ran.returncode == 3, ran.stderr
        run = newest_run(sheet)
        assert [row["result"] for row in read_result(run / "results.csv")] == [*["updated"] * 3, "invalid"]
        assert (run / "journal.claims").read_bytes() == b"%020d" % 1
        assert watched.call("verify", run, env=env).returncode == 0
        undone = watched.call("undo", run, "--yes", env=env)
        assert undone.returncode == 0, undone.stderr
        assert len(puts(sandbox)) == 6
        assert watched.call("runs", tmp_path, "--prune", "0", env=env).returncode == 0
        assert not run.exists()


async def test_ctrl_c_stops_gently_where_the_loop_takes_no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one requests the stop and is put back at the end; nothing is raised into the middle of a request."""
    monkeypatch.setattr(signal, "SIGINT", signal.SIGUSR1)  # one that means nothing to the process of the tests
    simulate_windows(monkeypatch)
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    stop = Stop()
    with handled_signals(stop, enabled=True) as interrupted:
        os.kill(os.getpid(), signal.SIGUSR1)
        for _ in range(3):
            await asyncio.sleep(0)
    assert (stop.requested, interrupted) == (True, [signal.SIGUSR1])
    assert signal.signal(signal.SIGUSR1, before) == signal.SIG_IGN

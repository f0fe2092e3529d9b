import asyncio
import csv
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest
from support.program import DONE, TOKEN, environment, puts, served

from batch_updater.app.batch import run_batch, run_batch_sync
from batch_updater.common.errors import BatchUpdaterError
from batch_updater.common.progress import Progress, Stop
from batch_updater.common.secret import Secret
from batch_updater.common.settings import Settings
from batch_updater.sandbox.server import order_id, status_id

SAMPLE = Path(__file__).parents[2] / "samples" / "from_dataframe.py"


def settings(base_url: str, place: Path) -> Settings:
    return Settings(base_url=base_url, runs_dir=place)


def test_the_sample_script_sends_what_it_picked(tmp_path: Path) -> None:
    """Rows picked in pandas are sent, the others are not, and the script says what was not done."""
    with (tmp_path / "export.csv").open("w", newline="") as stream:
        rounds = ["cancelled", "done", "cancelled"]
        rows = [(order_id(n + 1), word) for n, word in enumerate(rounds)] + [(order_id(10**8), "cancelled")]
        csv.writer(stream).writerows([("order_id", "round"), *rows])
    with served() as sandbox:
        ended = subprocess.run(
            [sys.executable, str(SAMPLE), "export.csv"],
            cwd=tmp_path, env=environment(sandbox.base_url), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 3, ended.stderr
        assert {(entry["order_id"], entry["status_id"]) for entry in puts(sandbox)} == {
            (order, status_id("Cancelled")) for order, word in rows if word == "cancelled"
        }
    assert "not found" in ended.stdout
    assert list((tmp_path / "dataframe.runs").glob("*/results.csv"))


async def test_run_batch_works_where_a_loop_is_running(tmp_path: Path) -> None:
    """A frame goes in, a summary with a frame of results comes out, and the loop goes on meanwhile."""
    frame = pd.DataFrame({"order_id": [order_id(1), "x"], "status": [DONE, DONE]})
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    with served() as sandbox:
        watch = asyncio.create_task(tick())
        summary = await run_batch(frame, settings(sandbox.base_url, tmp_path), token=Secret(TOKEN))
        watch.cancel()
        assert summary.result_counts == {"updated": 1, "invalid": 1}
        assert summary.results()["result"].tolist() == ["updated", "invalid"]
        assert len(puts(sandbox)) == 1
    assert ticks > 5


async def test_run_batch_sync_works_from_within_a_running_loop(tmp_path: Path) -> None:
    """A notebook has a loop already; the plain call has one of its own."""
    frame = pd.DataFrame({"order_id": [order_id(1)], "status": ["completed"]})
    with served() as sandbox:
        summary = run_batch_sync(frame, settings(sandbox.base_url, tmp_path), token=Secret(TOKEN))
    assert summary.exit_code == 0


def test_what_can_not_be_sent_raises_one_family_of_errors(tmp_path: Path) -> None:
    """A sheet without the columns raises a subclass of BatchUpdaterError, before anything is sent."""
    with served() as sandbox:
        with pytest.raises(BatchUpdaterError, match="order column"):
            run_batch_sync(
                pd.DataFrame({"a": ["b"], "c": ["d"]}), settings(sandbox.base_url, tmp_path), token=Secret(TOKEN)
            )
        assert sandbox.ledger == []


def test_a_run_is_stopped_from_another_thread_without_a_signal_handler(tmp_path: Path) -> None:
    """Outside the main thread: what is in flight is allowed to finish, no handler is touched, the same call goes on."""
    frame = pd.DataFrame({"order_id": [order_id(n) for n in range(1, 301)], "status": "completed"})
    stop, seen, handlers = Stop(), list[Progress](), set[object]()

    def watch(progress: Progress) -> None:
        seen.append(progress)
        handlers.update(signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM))
        if progress.results.get("updated", 0) > 20 and not stop.requested:
            threading.Thread(target=stop.request).start()

    before = {signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with served(latency=0.02) as sandbox:
        chosen = settings(sandbox.base_url, tmp_path)
        stopped = run_batch_sync(frame, chosen, token=Secret(TOKEN), stop=stop, on_progress=watch)
        sent = len(puts(sandbox))
        again = run_batch_sync(frame, chosen, token=Secret(TOKEN))
        assert len(puts(sandbox)) == 300, "none was sent twice"
    assert handlers == before
    assert (stopped.exit_code, stopped.resumable) == (130, True)
    assert stopped.reason == "Interrupted; requests in flight were allowed to finish."
    assert 20 < sent < 300
    assert stopped.result_counts == {"updated": sent, "not_sent": 300 - sent}
    assert seen[-1].results == {"updated": sent}
    assert (again.run_id, again.exit_code, again.result_counts) == (stopped.run_id, 0, {"updated": 300})


def test_a_stop_before_the_run_sends_nothing(tmp_path: Path) -> None:
    """The run is planned and can be resumed."""
    frame = pd.DataFrame({"order_id": [order_id(1)], "status": ["completed"]})
    stop = Stop()
    stop.request()
    with served() as sandbox:
        summary = run_batch_sync(frame, settings(sandbox.base_url, tmp_path), token=Secret(TOKEN), stop=stop)
        assert puts(sandbox) == []
    assert (summary.exit_code, summary.resumable, summary.result_counts) == (130, True, {"not_sent": 1})

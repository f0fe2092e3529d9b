"""Ctrl-C, cancellation and other exceptions in the middle of a call of the library."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from support.program import TOKEN, puts, served

from batch_updater import Progress, RunSummary, Settings, Stop, resume_sync, run_batch, run_batch_sync, verify_sync
from batch_updater.sandbox.server import Sandbox, order_id

ROWS, BEFORE = 600, 60  # rows, and how many of them have been sent when the call is interrupted
FRAME = pd.DataFrame({"order_id": [order_id(n) for n in range(1, ROWS + 1)], "status": "completed"})
MANY = pd.DataFrame(
    {"order_id": [f"{n:08x}-0000-4000-8000-000000000000" for n in range(100_000)], "status": "completed"}
)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with served(latency=0.05) as found:
        yield found


@pytest.fixture
def settings(sandbox: Sandbox, tmp_path: Path) -> Settings:
    return Settings(base_url=sandbox.base_url, runs_dir=tmp_path)


def ctrl_c_when(is_time: Callable[[], bool], times: int = 1) -> threading.Thread:
    """Interrupt the main thread so many times as soon as it is time."""

    def press() -> None:
        while not is_time():
            time.sleep(0.002)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def nothing_more_is_sent(sandbox: Sandbox) -> int:
    """Return how many updates were sent, after a while in which there must be no other."""
    sent = len(puts(sandbox))
    time.sleep(0.4)
    assert len(puts(sandbox)) == sent
    assert [thread for thread in threading.enumerate() if thread.name == "batch_updater"] == []
    return sent


def test_the_first_ctrl_c_lets_what_is_in_flight_finish(sandbox: Sandbox, settings: Settings) -> None:
    """KeyboardInterrupt has the summary, every answer is recorded, and the same call sends the rest and no more."""
    pressed = ctrl_c_when(lambda: len(puts(sandbox)) >= BEFORE)
    news, stop = list[Progress](), Stop()
    with pytest.raises(KeyboardInterrupt) as caught:
        run_batch_sync(FRAME, settings, token=TOKEN, on_progress=news.append, stop=stop)
    sent = nothing_more_is_sent(sandbox)
    pressed.join()
    assert news[-1].ended == sent
    summary: RunSummary = caught.value.summary  # type: ignore[attr-defined]
    assert type(caught.value) is KeyboardInterrupt, "a script that does not catch it ends as any interrupted one"
    assert (summary.exit_code, summary.resumable) == (130, True)
    assert summary.result_counts == {"updated": sent, "not_sent": ROWS - sent}
    assert summary.results()["result"].value_counts().to_dict() == summary.result_counts
    assert f"resume_sync({summary.run_dir!r})" in caught.value.__notes__[0]
    again = run_batch_sync(FRAME, settings, token=TOKEN, stop=stop)
    assert (again.run_id, again.result_counts, len(puts(sandbox))) == (summary.run_id, {"updated": ROWS}, ROWS)


def test_a_second_ctrl_c_waits_for_no_answer(tmp_path: Path) -> None:
    """The call ends at once although answers take long; what was sent is in doubt, and is read before it is sent."""
    with served(latency=3.0) as sandbox:
        settings = Settings(base_url=sandbox.base_url, runs_dir=tmp_path)
        pressed = ctrl_c_when(lambda: len(puts(sandbox)) >= 20, times=2)
        with pytest.raises(KeyboardInterrupt) as caught:
            run_batch_sync(FRAME[:40], settings, token=TOKEN)
        ended = time.monotonic()
        sent = nothing_more_is_sent(sandbox)
        pressed.join()
        assert (sent, caught.value.summary) == (20, None)  # type: ignore[attr-defined]
        sandbox.options = type(sandbox.options)(token=TOKEN)
        again = run_batch_sync(FRAME[:40], settings, token=TOKEN)
        assert again.result_counts == {"updated": 40}
        assert time.monotonic() - ended < 30
        assert len({entry["order_id"] for entry in puts(sandbox)}) == 40


def test_ctrl_c_while_the_rows_are_checked_leaves_nothing(sandbox: Sandbox, settings: Settings, tmp_path: Path) -> None:
    """The plan is given up after the rows in hand: no summary, no run folder, no lock, nothing sent."""
    pressed = ctrl_c_when(lambda: bool(list(tmp_path.glob("2*/journal.sqlite*"))))
    with pytest.raises(KeyboardInterrupt) as caught:
        run_batch_sync(MANY, settings, token=TOKEN)
    pressed.join()
    assert caught.value.summary is None  # type: ignore[attr-defined]
    assert (nothing_more_is_sent(sandbox), list(tmp_path.glob("2*"))) == (0, [])
    assert run_batch_sync(FRAME[:5], settings, token=TOKEN).exit_code == 0


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
def test_whatever_is_raised_in_the_caller_ends_the_run_gently(
    sandbox: Sandbox, settings: Settings, error: BaseException
) -> None:
    """A callback that fails, or a signal handler that exits: it is raised again, with the summary, after the end."""

    def fail(progress: Progress) -> None:
        if progress.ended >= BEFORE:
            raise error

    with pytest.raises(type(error)) as caught:
        run_batch_sync(FRAME, settings, token=TOKEN, on_progress=fail)
    sent = nothing_more_is_sent(sandbox)
    assert caught.value is error
    assert error.summary.result_counts == {"updated": sent, "not_sent": ROWS - sent}  # type: ignore[union-attr]


def test_progress_is_told_in_the_thread_of_the_caller(sandbox: Sandbox, settings: Settings) -> None:
    """A callback may draw in a notebook's cell; the last news is the end."""
    seen: list[tuple[int, str]] = []
    run_batch_sync(
        FRAME,
        settings,
        token=TOKEN,
        on_progress=lambda news: seen.append((news.ended, threading.current_thread().name)),
    )
    assert {name for _ended, name in seen} == {threading.current_thread().name}
    assert (len(seen) > 2, seen[-1][0]) == (True, ROWS)


async def cancelled_after(sandbox: Sandbox, work: "asyncio.Task[RunSummary]", times: int = 1) -> asyncio.CancelledError:
    """Cancel a call when enough has been sent; return what it raises."""
    while len(puts(sandbox)) < BEFORE:
        await asyncio.sleep(0.002)
    for _ in range(times):
        work.cancel()
        await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError) as caught:
        await work
    return caught.value


async def test_a_cancelled_call_lets_what_is_in_flight_finish(sandbox: Sandbox, settings: Settings) -> None:
    """In a running loop a cancellation is what Ctrl-C is elsewhere, also when a time limit makes it."""
    error = await cancelled_after(sandbox, asyncio.create_task(run_batch(FRAME, settings, token=TOKEN)))
    sent = await asyncio.to_thread(nothing_more_is_sent, sandbox)
    assert error.summary.result_counts == {"updated": sent, "not_sent": ROWS - sent}  # type: ignore[attr-defined]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run_batch(FRAME, settings, token=TOKEN), 0.4)
    await asyncio.to_thread(nothing_more_is_sent, sandbox)
    again = await run_batch(FRAME, settings, token=TOKEN)
    assert (again.result_counts, len(puts(sandbox))) == ({"updated": ROWS}, ROWS)


async def test_a_call_that_is_cancelled_twice_does_not_wait(sandbox: Sandbox, settings: Settings) -> None:
    """Nothing is sent afterwards, and the same call settles what was under way."""
    work = asyncio.create_task(run_batch(FRAME, settings, token=TOKEN))
    error = await cancelled_after(sandbox, work, times=2)
    assert not hasattr(error, "summary")
    await asyncio.to_thread(nothing_more_is_sent, sandbox)
    assert (await run_batch(FRAME, settings, token=TOKEN)).result_counts == {"updated": ROWS}


async def test_a_call_that_is_cancelled_while_rows_are_checked_leaves_nothing(
    sandbox: Sandbox, settings: Settings, tmp_path: Path
) -> None:
    """Its thread has ended when the call has: no lock is left behind, and no folder."""
    work = asyncio.create_task(run_batch(MANY, settings, token=TOKEN))
    while not list(tmp_path.glob("2*/journal.sqlite*")):
        await asyncio.sleep(0.002)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert (list(tmp_path.glob("2*")), puts(sandbox)) == ([], [])
    assert (await run_batch(FRAME[:5], settings, token=TOKEN)).exit_code == 0


def test_resume_and_verify_are_interrupted_as_gently(sandbox: Sandbox, settings: Settings) -> None:
    """Every call that asks the service ends like the first; a verification begins anew."""
    stop = Stop()
    stop.request()
    stopped = run_batch_sync(FRAME, settings, token=TOKEN, stop=stop)
    pressed = ctrl_c_when(lambda: len(puts(sandbox)) >= BEFORE)
    with pytest.raises(KeyboardInterrupt) as caught:
        resume_sync(stopped, settings, token=TOKEN)
    pressed.join()
    sent = nothing_more_is_sent(sandbox)
    assert caught.value.summary.result_counts == {"updated": sent, "not_sent": ROWS - sent}  # type: ignore[attr-defined]
    ended = resume_sync(stopped.run_dir, settings, token=TOKEN)
    before = len(sandbox.ledger)
    pressed = ctrl_c_when(lambda: len(sandbox.ledger) > before + BEFORE)
    with pytest.raises(KeyboardInterrupt) as caught:
        verify_sync(ended, settings, token=TOKEN)
    pressed.join()
    asked = len(sandbox.ledger) - before
    time.sleep(0.3)
    assert len(sandbox.ledger) - before == asked < ROWS
    assert caught.value.summary.exit_code == 130  # type: ignore[attr-defined]
    assert verify_sync(ended, settings, token=TOKEN).symbols == {"=": ROWS}

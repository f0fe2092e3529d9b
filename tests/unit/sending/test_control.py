"""A run obeys a stop that any thread requests, and tells the first reason for which it ended."""

import asyncio
import threading

import pytest

from batch_updater.common.errors import ExitCode, StoppedError
from batch_updater.common.progress import Stop
from batch_updater.sending.control import Control


async def test_a_stop_from_another_thread_wakes_the_loop() -> None:
    """The loop has nothing else to do, and must not sleep on."""
    control, stop = Control(5.0), Stop()
    with control.obeying(stop):
        assert not control.stopping.is_set()
        threading.Timer(0.02, stop.request).start()
        await asyncio.wait_for(control.stopping.wait(), 5)
    assert control.failure is None


async def test_a_stop_that_came_before_is_obeyed_at_once() -> None:
    """Not even one turn of the loop is lost, in which something could be sent."""
    control, stop = Control(5.0), Stop()
    stop.request()
    with control.obeying(stop):
        assert control.stopping.is_set()


async def test_a_stop_that_comes_after_is_not_heard() -> None:
    """The run has ended; its control is left alone."""
    control, stop = Control(5.0), Stop()
    with control.obeying(stop):
        pass
    stop.request()
    await asyncio.sleep(0)
    assert not control.stopping.is_set()


def test_a_stop_when_the_loop_has_just_ended_harms_nobody() -> None:
    """The thread that requests it gets no error, though there is no loop any more that could be woken."""
    stop = Stop()

    async def obey() -> None:
        obeying = Control(5.0).obeying(stop)
        obeying.__enter__()  # as if the request had found the listener just before the block ended

    asyncio.run(obey())
    stop.request()


async def test_the_first_reason_is_the_one_that_is_told() -> None:
    """Whatever fails because of it comes later; what nobody foresaw is told as a bug."""
    control = Control(5.0)
    control.fail(KeyError("what"))
    control.fail(StoppedError("later"))
    assert control.failure
    assert control.failure.exit_code == ExitCode.BUG
    assert "KeyError('what')" in control.failure.message
    assert control.stopping.is_set()


async def test_a_sleep_ends_with_its_time_or_with_the_stop() -> None:
    """Nobody waits out a back-off in a run that has been stopped."""
    control = Control(5.0)
    await control.sleep(0.001)
    asyncio.get_running_loop().call_later(0.01, control.stop)
    async with asyncio.timeout(5):
        await control.sleep(60)


@pytest.mark.parametrize("times", [1, 3])
async def test_a_stop_is_logged_once(times: int, caplog: pytest.LogCaptureFixture) -> None:
    """However often it is stopped."""
    control = Control(5.0)
    for _ in range(times):
        control.stop()
    assert [record.message for record in caplog.records] == ["stop"]

import threading
from dataclasses import FrozenInstanceError

import pytest

import batch_updater
from batch_updater.common.progress import Progress, Stop


def test_a_stop_tells_those_who_listen_once() -> None:
    """However often and from however many threads it is requested, each listener is told one time."""
    stop, told = Stop(), list[str]()
    with stop.calling(lambda: told.append("a")), stop.calling(lambda: told.append("b")):
        assert (stop.requested, told) == (False, [])
        threads = [threading.Thread(target=stop.request) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    stop.request()
    assert (stop.requested, sorted(told)) == (True, ["a", "b"])


def test_a_stop_that_came_before_is_told_at_once() -> None:
    """Nobody who begins to listen too late misses it."""
    stop, told = Stop(), list[str]()
    stop.request()
    with stop.calling(lambda: told.append("late")):
        assert told == ["late"]
    assert told == ["late"]


def test_a_stop_tells_nobody_whose_block_has_ended() -> None:
    """A run that is over hears nothing of a stop that comes after it."""
    stop, told = Stop(), list[str]()
    with stop.calling(lambda: told.append("over")):
        pass
    stop.request()
    assert told == []


def test_a_stop_can_be_requested_while_it_is_being_requested() -> None:
    """As by a signal handler that interrupts the very request: no lock is held that it would wait for."""
    stop, told = Stop(), list[str]()

    def again() -> None:
        stop.request()
        told.append("first")

    with stop.calling(again), stop.calling(lambda: told.append("second")):
        stop.request()
    assert sorted(told) == ["first", "second"]


def test_progress_counts_what_has_ended_and_what_is_not_right() -> None:
    """Of a run by result words, of a verification by symbols."""
    run = Progress("sending", 20, {"updated": 5, "unchanged": 1, "conflict": 1, "failed": 2, "unknown": 3})
    assert (run.ended, run.failed, run.unconfirmed) == (12, 2, 3)
    verified = Progress("verifying", 20, {"=": 5, "*": 1, "-": 2, "!": 3})
    assert (verified.ended, verified.failed, verified.unconfirmed) == (11, 6, 0)
    with pytest.raises(FrozenInstanceError):
        run.rows = 3  # type: ignore[misc]


def test_the_package_shows_both_at_its_top() -> None:
    """A program that uses the library needs no inner module to stop and to watch."""
    assert (batch_updater.Stop, batch_updater.Progress) == (Stop, Progress)

"""What a run tells of itself: counts by result word, the speed of the last seconds, pauses and outages."""

import time

import pytest

from batch_updater.api.pacing.pacer import Pacer
from batch_updater.api.pacing.rate_log import PaceLog
from batch_updater.common.models import Answer, Counters, ReadBack, Result, RowOutcome, State, Verdict
from batch_updater.sending.tally import WINDOW, Tally

BUSY = Answer(Verdict.THROTTLED, "rate_limited", "answered 429", 429, wait=30.0)
LOST = Answer(Verdict.UNKNOWN, "timeout", "no answer in time")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def tally(counters: Counters | None = None, pacer: Pacer | None = None, clock: Clock | None = None) -> Tally:
    pacer = pacer or Pacer(None)
    return Tally(100, counters or Counters(), pacer, PaceLog(pacer), clock or Clock())


def ended(result: Result, state: State = State.ENDED) -> RowOutcome:
    return RowOutcome(2, state, result, "", "")


def test_rows_are_counted_by_word_when_they_end() -> None:
    """A row that is to be sent later has not ended, one left in doubt is unknown; a reading counts by its symbol."""
    counts = tally()
    for result in (Result.UPDATED, Result.UPDATED, Result.FAILED):
        counts.add(ended(result))
    counts.add(ended(Result.NOT_SENT, State.PLANNED))
    counts.add(ended(Result.UNKNOWN, State.CLAIMED))
    counts.add(ReadBack(2, "=", "", ""))
    found = counts.progress("sending")
    assert (found.stage, found.rows) == ("sending", 100)
    assert found.results == {"updated": 2, "failed": 1, "unknown": 1, "=": 1}


def test_a_second_word_takes_the_place_of_the_first() -> None:
    """The number of rows that have ended stays; a row that ended in an earlier start is not counted now."""
    counts = tally()
    for _ in range(2):
        counts.add(ended(Result.UNKNOWN))
    for now in (Result.UPDATED, Result.FAILED, Result.UPDATED):
        counts.restate(Result.UNKNOWN, now)
    assert counts.progress("reading back").results == {"updated": 1, "failed": 1}


def test_the_speed_is_that_of_the_last_seconds() -> None:
    """A slow beginning does not weigh on it for ever, and it is 0 when nothing ends any more."""
    clock, counters = Clock(), Counters()
    counts = tally(counters, clock=clock)
    speeds = []
    for second in range(101):
        clock.now = float(second)
        counters.results["updated"] = min(max(second - 30, 0), 40) * 100
        speeds.append(counts.progress("sending").rows_per_second)
    assert speeds[30] == 0
    assert speeds[31] == pytest.approx(100 / WINDOW)
    assert speeds[46:71] == [100.0] * 25
    assert speeds[85:] == [0.0] * 16


async def test_a_pause_is_told_with_its_end_and_its_reason() -> None:
    """Seconds since the epoch until which nothing leaves, the code of the answer that asked for it, and the limit."""
    pacer = Pacer(40.0)
    watch = PaceLog(pacer)
    counts = Tally(100, Counters(), pacer, watch)
    before = counts.progress("sending")
    assert (before.paused_until, before.pause_reason, before.limit) == (None, "", 40.0)
    pacer.answered(BUSY, await pacer.acquire(lambda: False))
    watch.log_changes(BUSY.code, 7)
    found = counts.progress("sending")
    assert found.paused_until == pytest.approx(time.time() + 30, abs=1)
    assert (found.pause_reason, found.last_seen) == ("rate_limited", "")
    assert found.limit == 40.0


async def test_an_outage_is_told_with_its_beginning_and_what_was_last_seen() -> None:
    """Since when the service is down, and what the last request met."""
    clock = Clock()
    pacer = Pacer(None, clock, longest_pause=300.0)
    watch = PaceLog(pacer, clock)
    counts = Tally(100, Counters(), pacer, watch)
    assert counts.progress("sending").outage_since is None
    for number in [await pacer.acquire(lambda: False) for _ in range(20)]:
        pacer.answered(LOST, number)
        watch.log_changes(LOST.code, 7)
    pacer.probed(LOST)
    clock.now = 40.0
    found = counts.progress("sending")
    assert found.outage_since == pytest.approx(time.time() - 40, abs=1)
    assert found.outage_until == pytest.approx(time.time() + 260, abs=1)
    assert found.last_seen == "no answer in time"


def test_requests_are_told_as_the_summary_counts_them() -> None:
    """By kind, and how many were tried again or asked for less."""
    counters = Counters(in_flight=7, put=9, get=1, token=2, retried=4, throttled=5)
    found = tally(counters).progress("sending")
    assert found.in_flight == 7
    assert found.requests == {"put": 9, "get": 1, "token": 2, "retried": 4, "throttled": 5}

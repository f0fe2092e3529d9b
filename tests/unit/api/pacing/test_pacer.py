import asyncio

import pytest

from batch_updater.api.pacing.pacer import Pacer
from batch_updater.common.models import Answer, Verdict

DONE = Answer(Verdict.DONE, "ok", "", 200)
REFUSED = Answer(Verdict.THROTTLED, "rate_limited", "", 429, 2.0)
DOWN = Answer(Verdict.UNKNOWN, "timeout")


class Clock:
    """A clock that sleepers put forward; knows how long each slept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps.append(seconds)
        await asyncio.sleep(0)


def never() -> bool:
    return False


async def test_the_pool_waits_for_the_named_time_and_stops_when_told() -> None:
    """`acquire` returns after the pause; when the run stops meanwhile it says False."""
    clock = Clock()
    pacer = Pacer(None, clock, clock.sleep)
    assert await pacer.acquire(never)
    pacer.answered(REFUSED)
    assert pacer.paused_for == 2.0
    assert await pacer.acquire(never)
    assert clock.now >= 2.0
    assert max(clock.sleeps) == 0.25  # so that a stop is noticed soon
    assert not await pacer.acquire(lambda: True)
    assert pacer.rate is not None
    assert pacer.history[0][1] == pacer.rate


async def test_a_free_pool_does_not_sleep() -> None:
    """While nothing is refused `acquire` returns at once, and says False only when the run stops."""
    clock = Clock()
    pacer = Pacer(None, clock, clock.sleep)
    for _ in range(1000):
        assert await pacer.acquire(never)
        pacer.answered(DONE)
    assert (clock.now, pacer.rate) == (0.0, None)
    assert not await pacer.acquire(lambda: True)


async def test_an_outage_holds_a_free_pool() -> None:
    """Without any limit a service that is down is asked only now and then; its first answer frees the pool."""
    clock = Clock()
    pacer = Pacer(None, clock, clock.sleep)
    for _ in range(25):
        clock.now += 0.1
        pacer.answered(DOWN)
    assert pacer.outage_for > 0
    before = clock.now
    assert await pacer.acquire(never)
    assert await pacer.acquire(never)
    assert clock.now - before >= 1.0
    pacer.answered(DONE)
    assert pacer.outage_for == 0


async def test_a_capped_pool_sends_no_faster_from_the_first_request_on() -> None:
    """Eleven requests at ten a second take a second."""
    clock = Clock()
    pacer = Pacer(10.0, clock, clock.sleep)
    for _ in range(11):
        assert await pacer.acquire(never)
    assert clock.now == pytest.approx(1.0, abs=0.01)
    assert pacer.rate == 10.0


@pytest.mark.parametrize(("adapt", "rate"), [(True, 5.0), (False, None)])
async def test_a_pool_begins_at_the_rate_of_an_earlier_run_unless_it_must_not_adapt(
    adapt: bool, rate: float | None
) -> None:
    """The guess and --no-adapt reach the pace; without a rate to rely on nothing is handed on."""
    clock = Clock()
    pacer = Pacer(None, clock, clock.sleep, adapt=adapt, guess=5.0)
    assert (pacer.rate, pacer.learned) == (rate, None)
    assert await pacer.acquire(never)
    pacer.answered(REFUSED)
    assert (pacer.rate is None) is not adapt


@pytest.mark.parametrize(
    ("answer", "seconds_apart", "is_outage"),
    [
        (Answer(Verdict.RETRY, "server_error", "", 500), 0.06, True),
        (Answer(Verdict.RETRY, "server_error", "", 599), 0.06, True),
        (Answer(Verdict.THROTTLED, "unavailable", "", 503), 0.06, True),
        (DOWN, 0.0, True),  # silence needs no second
        (Answer(Verdict.RETRY, "server_error", "", 500), 0.0, False),
        (Answer(Verdict.THROTTLED, "unavailable", "", 503), 0.0, False),
        (Answer(Verdict.REFUSED, "not_found", "", 404), 0.06, False),
        (Answer(Verdict.REFUSED, "odd", "", 499), 0.06, False),
        (Answer(Verdict.THROTTLED, "rate_limited", "", 429), 0.06, False),  # a service that says so is there
        (REFUSED, 0.06, False),
        (Answer(Verdict.THROTTLED, "unavailable", "", 503, 2.0), 0.06, False),
    ],
)
def test_what_counts_as_an_outage(answer: Answer, seconds_apart: float, is_outage: bool) -> None:
    """Twenty errors of the service's own within a second or more, or twenty silences; an answer ends it."""
    clock = Clock()
    pacer = Pacer(None, clock, clock.sleep)
    for _ in range(20):
        clock.now += seconds_apart
        pacer.answered(answer)
    clock.now += 3.0
    assert pacer.outage_for == pytest.approx(3.0 if is_outage else 0.0)
    pacer.answered(REFUSED)
    assert pacer.outage_for == 0.0


def test_answers_reach_the_pace() -> None:
    """Whatever ends a request is counted, so that the next refusal after those under way is a new one."""
    for answer in (DONE, DOWN, Answer(Verdict.RETRY, "server_error", "", 500)):
        pacer = Pacer(None, Clock())
        pacer.answered(REFUSED)
        pacer.answered(answer)
        pacer.answered(DONE)
        pacer.answered(REFUSED)
        assert len(pacer.history) == 2

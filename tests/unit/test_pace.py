import asyncio
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_updater.api.limit import FASTEST
from batch_updater.api.outage import Outage
from batch_updater.api.pace import Pace, Pacer
from batch_updater.models import Answer, Verdict

DONE = Answer(Verdict.DONE, "ok", "", 200)


REFUSED = Answer(Verdict.THROTTLED, "rate_limited", "", 429, 2.0)


DOWN = Answer(Verdict.UNKNOWN, "timeout")


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "take", "good", "told", "bare", "failed"]),
        st.floats(0, 0.5) | st.floats(-1e6, 1e6),
        st.none() | st.floats(0, 400),
    ),
    max_size=200,
)


def refuse_at(pace: Pace, now: float, wait: float | None = 1.0) -> None:
    """Two hundred answers in a second, then a refusal."""
    for n in range(200):
        pace.take(now - 1 + n / 200)
        pace.succeeded()
    pace.take(now)
    pace.throttled(now, wait, told=True)


@given(st.floats(1, 500), st.lists(st.floats(0, 0.2), max_size=300), st.booleans())
def test_no_second_exceeds_the_rate_and_one_burst(rate: float, steps: list[float], adapt: bool) -> None:
    """Within any second at most the rate and a tenth of it (at least one) leave."""
    pace, now = Pace(rate, 0.0, adapt=adapt), 0.0
    leaves: list[float] = []
    for step in steps:
        now += step
        while pace.take(now) <= 0:
            leaves.append(now)
    for start in leaves:
        assert sum(start <= t < start + 1 for t in leaves) <= rate + max(1.0, rate / 10) + 1e-6


@given(EVENTS, st.none() | st.floats(0.1, 1e6), st.booleans())
def test_any_history_keeps_the_rate_sane(
    events: list[tuple[str, float, float | None]], cap: float | None, adapt: bool
) -> None:
    """Whatever is answered and however the clock jumps, the rate stays positive, finite and below the cap."""
    pace, now = Pace(cap, 0.0, adapt=adapt), 0.0
    for kind, step, wait in events:
        now += step
        if kind == "take":
            assert 0 <= pace.take(now) < math.inf
        elif kind == "good":
            pace.succeeded()
        elif kind == "failed":
            pace.failed()
        else:
            pace.throttled(now, wait, told=kind == "told")
        assert pace.rate is None or 0 < pace.rate <= FASTEST
        assert pace.rate is None or cap is None or pace.rate <= cap
        assert len(pace.history) <= 260


@given(st.floats(0.1, 300), st.lists(st.floats(0.001, 50), max_size=50), st.booleans())
def test_nothing_leaves_before_the_named_time(wait: float, steps: list[float], adapt: bool) -> None:
    """Whatever the rhythm of asking, a Retry-After is kept."""
    pace, now = Pace(None, 0.0, adapt=adapt), 5.0
    pace.throttled(now, wait, told=True)
    for step in steps:
        now += step
        assert now >= 5.0 + wait or pace.take(now) > 0


def test_a_clock_put_back_prolongs_a_pause_by_five_minutes_at_most() -> None:
    """After a jump of a day into the past the pool does not wait for a day."""
    pace = Pace(None, 100_000.0, adapt=False)
    pace.throttled(100_000.0, 2.0, told=True)
    assert pace.take(13_600.0) == 300.0
    assert pace.take(13_901.0) == 0.0


def test_without_a_refusal_there_is_no_limit() -> None:
    """An untroubled service is driven as fast as the workers can."""
    pace = Pace(None, 0.0)
    for _ in range(100_000):
        assert pace.take(1.0) == 0.0
        pace.succeeded()
    assert (pace.rate, pace.is_free, pace.history) == (None, True, [])


def test_after_a_pause_requests_leave_evenly() -> None:
    """When the pause ends nothing leaves in a burst, however long nobody has asked."""
    pace = Pace(None, 0.0)
    refuse_at(pace, 1.0)
    assert pace.take(1.99) > 0
    leaves = [n / 1000 for n in range(2000, 3000) if pace.take(n / 1000) == 0]
    gaps = [after - before for before, after in itertools.pairwise(leaves)]
    assert len(leaves) > 50
    assert max(gaps) < 1.5 * min(gaps) + 0.001


def test_what_was_saved_up_before_a_pause_is_lost() -> None:
    """Requests that might have left before the pause do not all leave at its end."""
    pace = Pace(1000, 0.0, adapt=False)
    assert pace.take(5.0) == 0
    pace.throttled(5.0, 1.0, told=True)
    assert [pace.take(6.0015) > 0 for _ in range(2)] == [False, True]


def test_a_learned_limit_is_never_met_with_a_large_burst() -> None:
    """However late the workers come, at most 15 requests leave at once where something has been refused."""
    pace = Pace(None, 0.0)
    for _ in range(3000):
        pace.take(1.0)
        pace.succeeded()
    pace.take(1.0)
    pace.throttled(1.0, 1.0, told=True)
    assert pace.rate is not None
    assert 1000 < pace.rate < 3000
    assert sum(pace.take(9.0) == 0 for _ in range(100)) == 15


def test_refusals_of_one_burst_slow_down_once() -> None:
    """Twenty requests that were under way together and refused together cost one fall, not twenty."""
    pace = Pace(None, 0.0)
    for n in range(220):
        pace.take(n / 220)
    for _ in range(200):
        pace.succeeded()
    for n in range(20):
        pace.throttled(1.0 + n / 1000, 1.0, told=True)
    assert len(pace.history) == 1
    assert pace.paused_until == pytest.approx(2.019)


def test_refusals_right_after_a_pause_lengthen_it_and_do_not_slow_down() -> None:
    """When nothing at all is accepted after a pause, the pause was too short; the rate is not to blame."""
    pace = Pace(None, 0.0)
    refuse_at(pace, 1.0, None)
    rate, pauses = pace.rate, []
    for _ in range(4):
        now = pace.paused_until
        while pace.take(now) > 0:
            now += 0.01
        pace.throttled(now, None, told=True)
        pauses.append(round(pace.paused_until - now, 3))
    assert (pauses, pace.rate) == ([0.1, 0.2, 0.4, 0.8], rate)


def test_no_adapt_keeps_the_pauses_only() -> None:
    """With `adapt` off a refusal holds the pool for its time and leaves the rate as it was."""
    pace = Pace(100, 0.0, adapt=False)
    refuse_at(pace, 1.0)
    assert (pace.rate, pace.history) == (100, [])
    assert pace.take(1.9) > 0
    assert pace.take(2.1) == 0


def test_single_503s_do_not_slow_the_pool() -> None:
    """One answer in twenty being 503 neither pauses nor limits; one in two does."""
    pace = Pace(None, 0.0)
    for n in range(4000):
        pace.take(n / 500)
        pace.throttled(n / 500, None, told=False) if n % 20 == 0 else pace.succeeded()
    assert (pace.rate, pace.take(8.0)) == (None, 0)
    for n in range(4000, 4200):
        pace.take(n / 500)
        pace.throttled(n / 500, None, told=False) if n % 2 == 0 else pace.succeeded()
    assert pace.rate is not None


@settings(deadline=None, max_examples=50)
@given(st.floats(1, 5000), st.none() | st.floats(1, 5000))
def test_with_a_guess_the_first_rate_is_the_guess_and_never_above_the_cap(guess: float, cap: float | None) -> None:
    """A rate that an earlier run has learned is kept to from the first request on, evenly; --rate still caps."""
    pace, rate = Pace(cap, 0.0, guess=guess), min(guess, cap or guess)
    assert (pace.rate, pace.is_free, pace.learned) == (rate, False, None)
    assert pace.history == [(0.0, rate)]
    leaves = sum(pace.take(n / 100) == 0 for n in range(40) for _ in range(200))
    assert leaves <= 0.4 * rate + max(15.0, rate * 0.005) + 1


def test_without_adapting_there_is_no_guess() -> None:
    """--no-adapt neither begins with an earlier run's rate nor hands one on."""
    pace = Pace(None, 0.0, adapt=False, guess=480.0)
    refuse_at(pace, 1.0)
    assert (pace.rate, pace.learned, pace.history) == (None, None, [])


def test_a_search_that_is_not_over_hands_nothing_on() -> None:
    """The first refusal says little about the limit; only what has settled or passed on the way up is believed."""
    pace = Pace(None, 0.0)
    refuse_at(pace, 1.0)
    assert pace.rate is not None
    assert pace.learned is None


def test_an_outage_lets_single_probes_through() -> None:
    """After 20 failures in a row over a second one request may try, at intervals that double; a success ends it."""
    outage = Outage()
    for n in range(21):
        outage.answered(n / 20, failed=True)
    assert outage.wait(1.0) == 0.5
    outage.departed(1.5)
    assert (outage.wait(1.5), outage.lasted(1.5)) == (1.0, 0.5)
    outage.answered(2.0, failed=False)
    assert (outage.wait(2.0), outage.is_on) == (0.0, False)


class Clock:
    """A clock that sleepers put forward."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
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

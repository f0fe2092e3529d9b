import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paced import refuse, refuse_at, serve

from batch_updater.api.pacing.limit_search import FASTEST
from batch_updater.api.pacing.pacer import Pace

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "take", "good", "told", "bare", "failed"]),
        st.floats(0, 0.5) | st.floats(-1e6, 1e6),
        st.none() | st.floats(0, 400),
    ),
    max_size=200,
)


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


@pytest.mark.parametrize(("rate", "waits"), [(4.0, [0.0, 0.25, 0.15, 0.0]), (100.0, [0.0, 0.01, 0.0, 0.0])])
def test_a_request_leaves_when_its_share_of_a_second_is_over(rate: float, waits: list[float]) -> None:
    """The first leaves at once; who comes too early is told how long to wait, and loses nothing by asking."""
    pace = Pace(rate, 50.0, adapt=False)
    assert [pace.take(50.0 + at) for at in (0.0, 0.0, 0.1, 0.3)] == pytest.approx(waits)


def test_nobody_has_to_wake_up_for_every_request_of_a_high_rate() -> None:
    """The shortest wait is half a millisecond."""
    pace = Pace(1e6, 0.0, adapt=False)
    assert [pace.take(0.0), pace.take(0.0)] == [0.0, 0.0005]


@pytest.mark.parametrize(
    ("cap", "guess", "burst"),
    [
        (10.0, None, 1),  # never less than one
        (100.0, None, 3),  # 0.03 s worth
        (1000.0, None, 30),
        (None, 1000.0, 15),  # a burst allowance may be no larger than 15
        (None, 100.0, 3),
        (None, 10000.0, 50),  # but 0.005 s worth leave in any case
        (1000.0, 5000.0, 15),
    ],
)
def test_what_leaves_at_once_after_a_delay_is_little(cap: float | None, guess: float | None, burst: int) -> None:
    """However late we come, the requests that have not left meanwhile do not all leave now."""
    pace = Pace(cap, 0.0, guess=guess)
    pace.take(0.0)
    assert sum(pace.take(1.5) == 0 for _ in range(100)) == burst


def test_a_clock_put_back_costs_no_request_its_turn() -> None:
    """After a jump into the past the next request waits for its share of a second, not for the jump's length."""
    pace = Pace(10.0, 0.0, adapt=False)
    pace.take(1000.0)
    assert pace.take(500.0) == pytest.approx(0.1)
    assert pace.take(500.1) == 0.0


@pytest.mark.parametrize(
    ("wait", "adapt", "until"),
    [
        (2.0, False, 7.0),
        (2.0, True, 7.0),
        (400.0, True, 305.0),  # five minutes are the longest pause
        (400.0, False, 305.0),
        (None, True, 5.1),
        (None, False, 5.1),
        (-3.0, False, 5.0),  # a Retry-After in the past
        (0.0, True, 5.1),  # a refusal that counts costs at least a tenth of a second
    ],
)
def test_a_refusal_holds_the_pool_for_its_time(wait: float | None, adapt: bool, until: float) -> None:
    """The pause is what the service names, within bounds; a tenth of a second when it names nothing."""
    pace = Pace(None, 0.0, adapt=adapt)
    pace.take(5.0)
    pace.throttled(5.0, wait, told=True)
    assert (pace.paused_until, pace.is_free) == (until, False)
    assert pace.take(until - 0.001) > 0


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """Of two refusals the later end counts."""
    pace = Pace(None, 0.0, adapt=False)
    pace.throttled(0.0, 5.0, told=True)
    pace.throttled(0.1, 1.0, told=True)
    assert pace.paused_until == 5.0


def test_a_single_503_is_no_pause() -> None:
    """What is not told holds nothing while it is rare, whatever time it might have named."""
    pace = Pace(None, 0.0)
    pace.throttled(1.0, 5.0, told=False)
    assert (pace.take(1.0), pace.is_free) == (0.0, True)


def test_without_a_limit_the_pool_is_free_as_soon_as_the_pause_ends() -> None:
    """With `adapt` off only the pause holds it, up to the very moment that was named."""
    pace = Pace(None, 0.0, adapt=False)
    pace.throttled(0.0, 1.0, told=True)
    assert not pace.is_free
    assert (pace.take(1.0), pace.is_free) == (0.0, True)


def test_refusals_of_requests_under_way_do_not_lengthen_the_next_pause() -> None:
    """Only what left after a refusal says that its pause was too short, up to the last that was under way."""
    pace = Pace(None, 0.0)
    for _ in range(4):
        pace.take(1.0)
    pace.throttled(1.0, None, told=True)
    pace.throttled(1.0, None, told=True)
    pace.failed()
    pace.throttled(1.0, None, told=True)  # the last of the four
    now = refuse(pace, 1.1, None)
    assert pace.paused_until - now == pytest.approx(0.1)
    now = refuse(pace, now, None)
    assert pace.paused_until - now == pytest.approx(0.2)


def test_a_success_of_a_request_under_way_is_counted_too() -> None:
    """However the requests end that were under way, the next one's refusal is a new one."""
    pace = Pace(None, 0.0)
    for _ in range(3):
        pace.take(1.0)
    pace.throttled(1.0, 1.0, told=True)
    pace.succeeded()
    pace.succeeded()
    refuse(pace, 2.0)
    assert len(pace.history) == 2


def test_pauses_double_up_to_five_seconds_while_nothing_is_accepted() -> None:
    """A service that names no time is asked at growing intervals; once something was accepted they are short again."""
    pace, now, pauses = Pace(None, 0.0), 0.0, []
    for _ in range(9):
        now = refuse(pace, now, None)
        pauses.append(round(pace.paused_until - now, 3))
    assert pauses == [0.1, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    serve(pace, now + 5.0, now + 9.0)
    now = refuse(pace, now + 9.0, None)
    assert pace.paused_until - now == pytest.approx(0.1)

from hypothesis import given
from hypothesis import strategies as st

from batch_updater.api.pace import Pace


@given(st.floats(1, 500), st.lists(st.floats(0, 0.2), max_size=300))
def test_no_second_exceeds_the_rate_and_one_burst(rate: float, steps: list[float]) -> None:
    """Within any second at most the rate and a tenth of it (at least one) leave."""
    pace, now = Pace(rate, 0.0), 0.0
    leaves: list[float] = []
    for step in steps:
        now += step
        while pace.take(now) <= 0:
            leaves.append(now)
    for start in leaves:
        assert sum(start <= t < start + 1 for t in leaves) <= rate + max(1.0, rate / 10) + 1e-6


@given(st.floats(0.1, 300), st.lists(st.floats(0.001, 50), max_size=50))
def test_nothing_leaves_before_the_named_time(wait: float, steps: list[float]) -> None:
    """Whatever the rhythm of asking, a Retry-After is kept."""
    pace, now = Pace(None, 0.0), 5.0
    pace.throttled(now, wait, told=True)
    for step in steps:
        now += step
        assert now >= 5.0 + wait or pace.take(now) > 0


def test_a_named_wait_holds_everything_and_slows_down() -> None:
    """After a Retry-After nothing leaves before its time, and afterwards more slowly."""
    pace = Pace(100, 0.0)
    pace.throttled(5.0, 3.0, told=True)
    assert pace.take(7.9) > 0
    assert pace.rate == 70
    assert pace.take(8.5) == 0


def test_refusals_of_one_burst_slow_down_once() -> None:
    """Twenty requests that were refused together cost one fall, not twenty."""
    pace = Pace(100, 0.0)
    for n in range(20):
        pace.throttled(5.0 + n / 1000, 1.0, told=True)
    assert pace.rate == 70


def test_without_a_cap_the_rate_falls_below_what_succeeded() -> None:
    """The first refusal of an unlimited run sets the rate from the measured successes."""
    pace = Pace(None, 0.0)
    for n in range(400):
        pace.succeeded(n / 200)
    pace.throttled(2.0, 1.0, told=True)
    assert pace.rate is not None
    assert 100 < pace.rate < 150


def test_a_few_bare_503_do_not_slow_the_pool() -> None:
    """One answer in twenty being 503 neither pauses nor slows; one in two does slow."""
    pace = Pace(100, 0.0)
    for n in range(400):
        pace.throttled(n / 50, None, told=False) if n % 20 == 0 else pace.succeeded(n / 50)
    assert (pace.rate, pace.take(8.0)) == (100, 0)
    for n in range(400, 600):
        pace.throttled(n / 50, None, told=False) if n % 2 == 0 else pace.succeeded(n / 50)
    assert pace.rate < 100


def test_the_rate_climbs_back_to_its_cap() -> None:
    """After a fall the rate grows again, never beyond --rate."""
    pace = Pace(10, 0.0)
    pace.throttled(0.0, 0.0, told=True)
    for tick in range(400):
        pace.take(tick / 10)
    assert pace.rate == 10

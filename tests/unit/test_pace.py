from hypothesis import given
from hypothesis import strategies as st

from batch_updater.api.pace import Pace


@given(st.floats(1, 500), st.lists(st.floats(0, 0.2), max_size=300))
def test_no_second_exceeds_the_rate_and_one_burst(rate: float, steps: list[float]) -> None:
    """Within any second at most the rate and a tenth of it (at least one) leave."""
    pace, now, leaves = Pace(rate, 0.0), 0.0, []
    for step in steps:
        now += step
        while pace.take(now) <= 0:
            leaves.append(now)
    for start in leaves:
        assert sum(start <= t < start + 1 for t in leaves) <= rate + max(1.0, rate / 10) + 1e-6


def test_a_named_wait_holds_everything() -> None:
    """After a Retry-After nothing leaves before its time, and afterwards more slowly."""
    pace = Pace(100, 0.0)
    pace.throttled(5.0, 3.0)
    assert pace.take(7.9) > 0
    assert pace.rate == 70
    assert pace.take(8.5) == 0


def test_the_rate_climbs_back_to_its_cap() -> None:
    """After a fall the rate grows again, never beyond --rate."""
    pace = Pace(10, 0.0)
    pace.throttled(0.0, 0.0)
    for tick in range(400):
        pace.take(tick / 10)
    assert pace.rate == 10

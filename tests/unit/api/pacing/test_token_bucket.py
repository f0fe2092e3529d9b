import pytest

from batch_updater.api.pacing.token_bucket import TokenBucket


@pytest.mark.parametrize(("rate", "waits"), [(4.0, [0.0, 0.25, 0.15, 0.0]), (100.0, [0.0, 0.01, 0.0, 0.0])])
def test_a_request_leaves_when_its_share_of_a_second_is_over(rate: float, waits: list[float]) -> None:
    """The first leaves at once; who comes too early is told how long to wait, and loses nothing by asking."""
    bucket = TokenBucket(50.0)
    assert [bucket.draw(50.0 + at, rate) for at in (0.0, 0.0, 0.1, 0.3)] == pytest.approx(waits)


@pytest.mark.parametrize("rate", [10.0, 1000.0, 10_000.0])
def test_nothing_is_saved_up_while_nobody_waits(rate: float) -> None:
    """However late we come, the requests that have not left meanwhile do not all leave now."""
    bucket = TokenBucket(0.0)
    assert sum(bucket.draw(9.0, rate) == 0 for _ in range(100)) == 1


@pytest.mark.parametrize(
    ("rate", "late", "leave"),
    [(500.0, 0.01, 6), (500.0, 9.0, 16), (100.0, 9.0, 4), (2000.0, 0.02, 17), (500.0, 0.0, 1)],
)
def test_what_a_late_waking_cost_is_made_up_for(rate: float, late: float, leave: int) -> None:
    """Who waited for a token and came late finds those of the time since, of 30 ms and 16 requests at most."""
    bucket = TokenBucket(0.0)
    bucket.empty(0.0)
    now = bucket.draw(0.0, rate) + late + 1e-9
    assert sum(bucket.draw(now + n * 1e-6, rate) == 0 for n in range(100)) == leave


def test_who_does_not_wait_is_not_late() -> None:
    """A bucket that nobody asked for long lets no more leave at once than one that is asked all the time."""
    bucket = TokenBucket(0.0)
    while bucket.draw(0.0, 1000.0) == 0:
        pass
    assert bucket.draw(0.001, 1000.0) == 0
    assert sum(bucket.draw(9.0, 1000.0) == 0 for _ in range(100)) == 1


def test_an_emptied_bucket_starts_from_nothing() -> None:
    """What was saved up is lost, and the next request waits for its whole share."""
    bucket = TokenBucket(0.0)
    bucket.empty(5.0)
    assert bucket.draw(5.0, 10.0) == pytest.approx(0.1)


def test_nobody_has_to_wake_up_for_every_request_of_a_high_rate() -> None:
    """The shortest wait is half a millisecond."""
    bucket = TokenBucket(0.0)
    bucket.empty(0.0)
    assert bucket.draw(0.0, 1e6) == 0.0005

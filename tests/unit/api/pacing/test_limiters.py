import pytest
from support.limiters import FixedWindow, LeakyBucket, Limiter, Meeting, meet

from batch_updater.api.pacing.pacer import Pace


def test_a_rate_that_the_workers_cannot_use_does_not_climb() -> None:
    """Four workers of ten requests a second each prove nothing about a hundred; the limit stays where it was."""
    pace, service = Pace(None, 0.0), LeakyBucket(100, 5)
    met = meet(pace, service, seconds=30, wait=None)
    learned = pace.rate
    assert learned is not None
    assert met.refused
    for n in range(4000):
        now = 31.0 + n / 40
        assert pace.take(now) == 0
        pace.succeeded()
    assert pace.rate is not None
    assert pace.rate <= learned * 1.1


def leaky() -> Limiter:
    return LeakyBucket(500, 20)


def patient() -> Limiter:
    return LeakyBucket(500, 500)


def window() -> Limiter:
    return FixedWindow(500)


CASES = {
    "a leaky bucket": (leaky, 1.0, True),
    "b long burst": (patient, 1.0, True),
    "c fixed window": (window, 1.0, True),
    "d bare 429": (leaky, None, True),
    "d bare 503": (leaky, None, False),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("workers", "latency"), [(64, 0.02), (40, 0.025)])
def test_a_hidden_limit_is_found_and_used(case: str, workers: int, latency: float) -> None:
    """After ten seconds at least 95 % of an undocumented limit is used and at most 2 % of requests are refused."""
    limiter, wait, told = CASES[case]
    met = meet(Pace(None, 0.0), limiter(), seconds=70, wait=wait, told=told, workers=workers, latency=latency)
    accepted, refused = met.share(500, 10, 70)
    assert accepted >= 0.95
    assert refused <= 0.02


@pytest.mark.parametrize("case", CASES)
def test_a_limit_that_halves_is_found_again(case: str) -> None:
    """Half a minute after the limit has halved nine tenths of the new one are used."""
    limiter, wait, told = CASES[case]
    service = limiter()
    met = meet(
        Pace(None, 0.0), service, seconds=90, wait=wait, told=told, at={30.0: lambda: setattr(service, "limit", 250)}
    )
    accepted, refused = met.share(250, 60, 90)
    assert accepted >= 0.9
    assert refused <= 0.02


def test_a_limit_that_is_lifted_is_left_behind() -> None:
    """When a bare limit goes up, the pool goes up too, in steps that grow."""
    service = LeakyBucket(500, 20)
    met = meet(Pace(None, 0.0), service, seconds=90, wait=None, at={10.0: lambda: setattr(service, "limit", 2000)})
    assert met.share(2000, 60, 90)[0] >= 0.9


@pytest.mark.parametrize("told", [True, False])
def test_noise_does_not_hide_a_limit(told: bool) -> None:
    """With one answer in twenty being 503 at any rate, the limit is still found and used."""
    met = meet(Pace(None, 0.0), leaky(), seconds=70, wait=1.0 if told else None, told=told, noise=0.05)
    assert met.share(500, 10, 70)[0] >= 0.9


def test_a_named_time_is_kept_by_the_whole_pool() -> None:
    """From the arrival of a refusal until the time that it names nothing leaves."""
    met = meet(Pace(None, 0.0), leaky(), seconds=20)
    refusals = [when + 0.01 for when in met.refused]
    assert refusals
    assert not [t for t in met.departed if any(seen + 1e-9 < t < seen + 1.0 - 1e-9 for seen in refusals)]


def test_the_rate_never_exceeds_the_cap_on_the_way() -> None:
    """A learned limit stays below --rate even when the service would take more."""
    met: Meeting = meet(Pace(300, 0.0), leaky(), seconds=20)
    busiest = max(
        sum(start <= t < start + 1 for t in met.departed[n : n + 400]) for n, start in enumerate(met.departed)
    )
    assert 280 < busiest <= 330
    assert met.refused == []


@pytest.mark.parametrize("case", CASES)
def test_the_rate_of_the_last_run_is_a_good_start(case: str) -> None:
    """Where the limit is what it was, more of it is used at first than without a guess, and hardly anything refused."""
    limiter, wait, told = CASES[case]
    met = meet(Pace(None, 0.0, guess=485), limiter(), seconds=20, wait=wait, told=told)
    unaware = meet(Pace(None, 0.0), limiter(), seconds=20, wait=wait, told=told)
    assert met.share(500, 0, 20)[0] >= max(unaware.share(500, 0, 20)[0] - 0.02, 0.8)
    assert met.share(500, 0, 10)[1] <= 0.01 < unaware.share(500, 0, 10)[1]


@pytest.mark.parametrize("case", CASES)
def test_a_limit_that_has_doubled_since_is_reached(case: str) -> None:
    """From a guess of half the limit the pool goes up by itself."""
    limiter, wait, told = CASES[case]
    met = meet(Pace(None, 0.0, guess=250), limiter(), seconds=60, wait=wait, told=told)
    assert met.share(500, 20, 60)[0] >= 0.9


@pytest.mark.parametrize("case", CASES)
def test_a_limit_that_has_halved_since_is_found_without_a_storm(case: str) -> None:
    """From a guess of twice the limit the pool comes down, and is refused hardly more than without any guess."""
    limiter, wait, told = CASES[case]
    met = meet(Pace(None, 0.0, guess=1000), limiter(), seconds=60, wait=wait, told=told)
    unaware = meet(Pace(None, 0.0), limiter(), seconds=60, wait=wait, told=told)
    assert met.share(500, 20, 60)[0] >= 0.9
    assert met.share(500, 0, 60)[1] <= 0.03
    assert met.share(500, 0, 10)[1] <= max(1.2 * unaware.share(500, 0, 10)[1], 0.02)


def test_a_guess_climbs_no_higher_than_the_cap() -> None:
    """A pool that begins below --rate reaches it and stays there, and hands on what it has reached."""
    pace = Pace(400, 0.0, guess=250)
    met = meet(pace, LeakyBucket(5000, 20), seconds=30)
    busiest = max(
        sum(start <= t < start + 1 for t in met.departed[n : n + 500]) for n, start in enumerate(met.departed)
    )
    assert 380 < busiest <= 420
    assert pace.learned == 400


@pytest.mark.parametrize("case", CASES)
def test_what_was_learned_is_handed_on_from_run_to_run(case: str) -> None:
    """Run after run hands on a rate near the limit; only a long burst allowance lets it be above by a fifth."""
    limiter, wait, told = CASES[case]
    rates: list[float] = []
    for _ in range(4):
        pace = Pace(None, 0.0, guess=rates[-1] if rates else None)
        meet(pace, limiter(), seconds=40, wait=wait, told=told)
        assert pace.learned is not None
        rates.append(pace.learned)
    assert all(0.9 <= rate / 500 <= (1.25 if limiter is patient else 1.05) for rate in rates), rates


def test_a_run_that_shows_nothing_hands_nothing_on() -> None:
    """Without a refusal and without a guess there is no rate; a few requests below a guess do not confirm it."""
    free = Pace(None, 0.0)
    meet(free, LeakyBucket(1e6, 1000), seconds=5)
    assert free.learned is None
    short = Pace(None, 0.0, guess=480.0)
    for n in range(50):
        short.take(n / 10)
        short.succeeded()
    assert (short.rate, short.learned) == (480.0, None)


def test_a_tiny_limit_is_found_too() -> None:
    """Two requests a second are respected although a single refusal says little about them."""
    met = meet(Pace(None, 0.0), LeakyBucket(2, 2), seconds=130, workers=20, latency=0.1, wait=None)
    accepted, refused = met.share(2, 30, 130)
    assert accepted >= 0.9
    assert refused <= 0.05

"""What 64 workers make of limits that a service may have, simulated."""

import pytest
from support.limiters import LeakyBucket
from support.simulation import CASES, Case, Service, measure

NOISY = "leaky bucket, bare 503: 500/s, and 5 % are 503"
LIMITED = [
    name for name in CASES if not name.startswith("no limit") and name not in {NOISY, "one after the other, 2 s each"}
]
HARD = {  # percent of the limit that can't well be more
    "leaky bucket, no burst, bare 503: 500/s": 80,
    "leaky bucket, no burst, bare 503: 2000/s": 38,  # 45 if one left each time that a loop's timer is due
    "leaky bucket, no burst, bare 503: 500/s, 2 ms late": 30,  # one leaves each time that the loop wakes up
    "leaky bucket, no burst, bare 503: 500/s, 5 ms late": 15,
    "leaky bucket, no burst, bare 503: 500/s, 20 ms late": 5,
    "leaky bucket, burst 20, Retry-After 1: 2000/s, 5 ms late": 80,  # no more than 17 leave at once
    "leaky bucket, burst 20, Retry-After 1: 500/s, 20 ms late": 85,
    "the same, refused requests count: 60/s": 55,  # the first burst costs two of its windows
    "the limit halves, Retry-After 1": 80,
    "4 in flight, then 16, bare 429": 80,
}


@pytest.mark.parametrize("name", LIMITED)
def test_a_hidden_limit_is_found_and_used(name: str) -> None:
    """After ten seconds it is used well and at most 1 % is refused, 3 % when wakings are 20 ms late; no row fails."""
    found = measure(CASES[name])
    assert found.failed == 0
    assert found.refused <= (3.0 if name.endswith("20 ms late") else 1.0)
    assert found.used >= HARD.get(name, 89)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("no limit,") or name == "no limit"])
def test_without_a_limit_nothing_is_lost(name: str) -> None:
    """A service that is not overloaded gets as much as without any control, slow or noisy as it may be."""
    assert measure(CASES[name]).used >= 0.98 * measure(CASES[name], is_controlled=False).used


def test_a_service_that_serves_one_after_the_other_is_not_drowned() -> None:
    """64 at once would all time out; with fewer in flight it serves half of what it could at least, and in time."""
    found = measure(CASES["one after the other, 2 s each"])
    assert found.used >= 45
    assert measure(CASES["one after the other, 2 s each"], is_controlled=False).used < 10


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noise_at_a_limit_neither_hides_it_nor_stops_the_pool(seed: int) -> None:
    """One answer in twenty is a 503 at any rate; the others use most of the limit, and few are refused for it."""
    found = measure(CASES[NOISY], seed=seed)
    assert (found.used >= 60, found.refused <= 10, found.failed) == (True, True, 0)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("refusal", [0.002, 0.03])
@pytest.mark.parametrize(("status", "wait"), [(429, 1.0), (429, None), (503, None)])
def test_uneven_latencies_and_slow_refusals_change_little(
    status: int, wait: float | None, refusal: float, seed: int
) -> None:
    """Latencies of 20 ms that vary by 40 %, and refusals that take as long as answers."""
    service = lambda: Service(LeakyBucket(300, 20), status, wait, jitter=0.4, refusal=refusal)  # noqa: E731
    found = measure(Case(service), seed=seed)
    assert (found.used >= 88, found.refused <= 1.0, found.failed) == (True, True, 0)

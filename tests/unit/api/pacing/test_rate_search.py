import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_updater.api.pacing.rate_search import FASTEST, NEAR, SLOWEST, RateSearch


def climbed(limit: float) -> RateSearch:
    """A search that began at 100/s and was refused once above this limit."""
    search = RateSearch(10.0, 1000.0, 1.0)
    while search.rate <= limit:
        search.passes()
    search.fails(search.rate, 0.0, 1.0, lasted=False)
    return search


def test_it_begins_between_what_passed_and_what_was_refused_and_doubles() -> None:
    """Half-way in ratios; the speed of a first burst may be refused at any rate, so it is no bound."""
    search = RateSearch(10.0, 1000.0, 1.0)
    rates = [search.rate]
    for _ in range(4):
        search.passes()
        rates.append(search.rate)
    assert rates == pytest.approx([100, 200, 400, 800, 1600])


def test_it_begins_below_what_was_refused() -> None:
    """Even when as much had passed before."""
    assert RateSearch(500.0, 500.0, 1.0).rate == pytest.approx(485)


@pytest.mark.parametrize("limit", [120, 150, 333, 777, 12_345])
def test_it_closes_in_on_a_limit_and_settles_just_below(limit: float) -> None:
    """In few refusals; each costs a pause."""
    search, refusals = climbed(limit), 1
    while not search.is_settled:
        if search.rate > limit:
            search.fails(search.rate, 0.0, 1.0, lasted=False)
            refusals += 1
        else:
            search.passes()
    assert 0.9 * limit <= search.rate <= limit
    assert refusals <= 6


def test_a_settled_rate_is_left_alone_for_long_and_ever_longer() -> None:
    """Sixty times as long as its refusal cost, then twice that, and four times at most."""
    search, rests = climbed(120), list[float]()
    while len(rests) < 4:
        if search.is_settled:
            rests.append(search.trial)
            search.passes()
        search.fails(search.rate, 0.0, 1.0, lasted=True)
    assert rests[0] == 60.0
    assert rests == sorted(rests)
    assert rests[-1] == 240.0


def test_after_a_rest_it_rises_by_small_steps() -> None:
    """By 1 %, and never by more than a tenth at once, until it is refused."""
    search = climbed(120)
    search.settle(100.0)
    rates = [search.rate]
    for _ in range(20):
        search.passes()
        rates.append(search.rate)
    steps = [after / before - 1 for before, after in itertools.pairwise(rates)]
    assert steps[0] == pytest.approx(0.01)
    assert max(steps) == pytest.approx(0.1)


def test_a_rate_thought_good_that_is_refused_again_and_again_falls_ever_faster() -> None:
    """By a twentieth, a fifth, a half, and then to a quarter; a limit may have fallen far."""
    search, rates = climbed(120), list[float]()
    search.settle(100.0)
    for _ in range(5):
        rates.append(search.rate)
        search.fails(search.rate, 0.0, 1.0, lasted=False)
    assert [after / before for before, after in itertools.pairwise(rates)] == pytest.approx(
        [0.95, 0.8, 0.5, 0.25], rel=0.03
    )


def test_a_rate_that_lasted_falls_little_and_not_below_the_average() -> None:
    """What the pool got through with all its pauses surely passes."""
    search = climbed(120)
    search.settle(100.0)
    search.fails(97.0, 96.5, 1.0, lasted=True)
    assert search.rate == pytest.approx(97 * 0.97)
    search.fails(search.rate, 88.0, 1.0, lasted=False)
    assert search.rate >= 88.0


def test_two_equal_estimates_at_different_rates_are_the_limit() -> None:
    """As a window of time gives them; at the same rate any limiter does."""
    for first, second, used, settles in (
        (60, 61, 400, True),
        (60, 70, 400, False),
        (60, 61, 2900, False),
        (0, 0, 9, False),
    ):
        search = RateSearch(10.0, 3000.0, 10.0)
        search.estimated(first, 3000.0)
        search.estimated(second, used)
        assert search.is_settled is settles
        assert not settles or search.rate == pytest.approx(0.97 * second)


def test_a_test_halves_the_rate_and_is_not_repeated_soon() -> None:
    """If it was noise the search goes on from what was refused, else from where it was; below 70 % it may be again."""
    for noise, rate in ((False, None), (True, 200.0)):
        search = climbed(120)
        before = search.rate
        assert search.must_test(200.0)
        assert search.rate == 100.0
        search.end_test(noise=noise)
        assert search.rate == (rate or before)
        assert search.must_test(190.0) is noise
    assert search.must_test(100.0)


def test_the_first_trial_after_a_pause_spends_what_was_saved_up_meanwhile() -> None:
    """Twice the pause, ten seconds at most."""
    assert RateSearch(10.0, 1000.0, 1.0).first_trial == 2.0
    assert RateSearch(10.0, 1000.0, 30.0).first_trial == 10.0
    assert RateSearch(10.0, 1000.0, 0.1).first_trial == 0.4


@given(
    st.floats(0, 1e12), st.floats(1e-3, 1e12),
    st.lists(st.tuples(st.sampled_from(["passes", "late", "soon", "settle", "test"]), st.floats(0, 1e12)), max_size=40),
)  # fmt: skip
def test_whatever_passes_or_fails_the_rate_stays_sane(
    passed: float, refused: float, events: list[tuple[str, float]]
) -> None:
    """Positive and finite, with a finite trial, and lower than what was refused last."""
    search = RateSearch(passed, refused, 1.0)
    for kind, number in events:
        used = search.rate
        match kind:
            case "passes":
                search.passes()
                assert search.rate >= used * 0.99 / NEAR
            case "settle":
                search.settle(number)
            case "test":
                if search.must_test(number):
                    search.end_test(noise=True)
            case _:
                search.fails(used, min(number, used), 1.0, lasted=kind == "late")
                assert search.rate <= max(used * 0.98, SLOWEST)
        assert SLOWEST <= search.rate <= FASTEST
        assert 0 < search.trial < math.inf

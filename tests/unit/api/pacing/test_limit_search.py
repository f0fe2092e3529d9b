import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_updater.api.pacing.limit_search import FASTEST, SLOWEST, LimitSearch


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize(
    ("proven", "refused", "rate"),
    [
        (10, 1000, 100.0),  # a wide gap is halved, by ratio
        (100, 225, 150.0),
        (1000, 1400, 1106.2),  # a gap of 1.4 or less: its lower third
        (800, 1000, 855.4),
        (1000, 1060, 1000.0),  # a gap of 1.06 or less: the rate that passed
        (990, 1000, 950.0),  # never more than 95 % of what was refused
        (0, 1000, 22.36),  # nothing was accepted: half a request a second is thought possible
        (0, 0, 0.5),
        (0.5, 0.51, 0.5),
        (1, 1e12, 31623.0),  # a thousand million a second is the most that is thought of
    ],
)
def test_the_first_rate_lies_between_what_was_accepted_and_what_was_refused(
    proven: float, refused: float, rate: float
) -> None:
    """The first burst's speed is refused, what of it was accepted is proven; the search begins between the two."""
    search = LimitSearch(proven, refused)
    assert search.rate == near(rate)
    assert not search.is_climbing
    assert not search.is_testing


def test_an_unlimited_climb_goes_in_growing_steps() -> None:
    """From a guess the first step is a twentieth, each next one is half as large again, and none doubles the rate."""
    search, rates = LimitSearch.from_guess(100.0), []
    for _ in range(9):
        search.passes()
        rates.append(search.rate)
    steps = [after / before - 1 for before, after in itertools.pairwise([100.0, *rates])]
    assert steps == near([0.05, 0.075, 0.1125, 0.16875, 0.253125, 0.3797, 0.5695, 0.8543, 1.0])


@pytest.mark.parametrize(("guess", "rate"), [(480.0, 480.0), (0.1, SLOWEST), (1e12, FASTEST)])
def test_a_guess_is_the_first_rate_within_the_bounds(guess: float, rate: float) -> None:
    """An earlier run's rate is used as it is, unless it is out of all reason; no rate is known to be refused."""
    search = LimitSearch.from_guess(guess)
    assert (search.rate, search.passed, search.is_climbing) == (rate, rate, True)


def test_no_climb_goes_beyond_the_fastest_rate() -> None:
    """At the upper bound a passed trial changes nothing."""
    search = LimitSearch.from_guess(FASTEST)
    search.passes()
    assert search.rate == FASTEST


@pytest.mark.parametrize(
    ("proven", "refused", "seconds"),
    [
        (100, 10000, 0.4),  # large steps show at once
        (800, 1000, 0.8472),
        (1000, 1060, 3.0),  # small ones take long
    ],
)
def test_small_steps_are_tried_for_longer(proven: float, refused: float, seconds: float) -> None:
    """The smaller the step, the longer a rate has to pass before the next, between 0.4 and 3 s."""
    assert LimitSearch(proven, refused).trial == near(seconds)


def test_a_step_of_a_climb_is_tried_for_two_seconds_at_first() -> None:
    """A twentieth more shows within two seconds; as the steps grow, the trials get shorter."""
    search, trials = LimitSearch.from_guess(100.0), []
    for _ in range(5):
        trials.append(search.trial)
        search.passes()
    assert trials == near([2.0, 1.3333, 0.8889, 0.5926, 0.4])


def test_a_passed_rate_raises_the_lower_bound() -> None:
    """What has passed its trial is the new lower bound, and the next rate lies above it."""
    search = LimitSearch(10, 1000)
    search.fails(100.0, 0.0, 10.0, barely=False)
    search.passes()
    assert (search.passed, search.refused, search.rate) == near((31.62, 100.0, 56.23))


@pytest.mark.parametrize(("times", "is_climbing"), [(1.95, True), (1.96, True), (1.97, False)])
def test_near_the_speed_of_a_first_burst_that_speed_is_forgotten(times: float, is_climbing: bool) -> None:
    """When the rate that passed is within 1.4 of it, the search goes up openly, by a fifth of the rate at first."""
    search = LimitSearch(100.0, 100.0 * times)
    search.passes()
    assert search.is_climbing is is_climbing
    search.passes()
    assert not is_climbing or search.rate == near(search.passed * 1.2)


def test_a_rate_that_was_refused_once_is_a_bound() -> None:
    """After a refusal in the search the bound above is no guess any more; the search settles below it."""
    search = LimitSearch(100.0, 1000.0)
    search.fails(150.0, 0.0, 100.0, barely=False)
    for _ in range(9):
        assert not search.is_climbing
        search.passes()
    assert search.is_settled
    assert 0.94 * 150 <= search.rate < 150


@pytest.mark.parametrize(
    ("passes", "lasted", "passed"),
    [
        (0, None, 98.5),  # refused where it began
        (1, None, 100.0),
        (2, None, 104.65),  # within a fifth of the beginning: the middle between it and what was refused, a bit less
        (3, None, 100.0),  # farther up only the beginning is sure
        (3, 105.0, 105.0),  # or the last rate that has lasted
        (3, 112.875, 112.875),
    ],
)
def test_a_refusal_on_the_way_up_leaves_what_is_sure(passes: int, lasted: float | None, passed: float) -> None:
    """The rate before the refused one may have passed on a burst allowance; it counts only when it has lasted."""
    search = LimitSearch.from_guess(100.0)
    for _ in range(passes):
        search.passes()
    rate = search.rate
    search.fails(rate, 0.0, lasted, barely=False)
    assert (search.passed, search.refused) == near((passed, rate))
    assert passed <= search.rate < rate or search.rate == near(0.97 * rate)


def test_a_refusal_a_fifth_above_the_beginning_is_near_to_it() -> None:
    """Up to a fifth above, the beginning itself counts as passed, even when only less has lasted since."""
    search = LimitSearch.from_guess(100.0)
    search.reopen(step=0.2)
    search.passes()
    search.fails(120.0, 0.0, 90.0, barely=False)
    assert search.passed == 100.0


def settled() -> LimitSearch:
    """A search that has settled at 97 below a refused 100."""
    search = LimitSearch.from_guess(100.0)
    search.passes()
    search.fails(100.0, 0.0, 100.0, barely=False)
    assert (search.is_settled, search.rate) == (True, 97.0)
    return search


@pytest.mark.parametrize(
    ("lasting", "barely", "proven", "shares"),
    [
        (False, False, 0.0, [0.8, 0.5, 0.25, 0.25]),
        (False, False, 0.9, [0.9, 0.9, 0.9, 0.9]),  # what was accepted meanwhile is not doubted
        (False, False, 2.0, [0.95, 0.95, 0.95, 0.95]),  # but something has to give
        (True, False, 0.0, [0.95, 0.95, 0.95, 0.95]),  # each refusal came after long enough
        (True, True, 0.0, [0.975, 0.975, 0.975, 0.975]),  # and after very long
        (False, True, 0.0, [0.975, 0.975, 0.975, 0.975]),
    ],
)
def test_a_rate_thought_good_that_is_refused_again_falls_faster_each_time(
    lasting: bool, barely: bool, proven: float, shares: list[float]
) -> None:
    """Shares of the refused rate that are still thought good, one for each refusal in a row."""
    search, fell = settled(), []
    for _ in shares:
        search.fails(search.rate, proven * search.rate, search.rate if lasting else None, barely=barely)
        fell.append(search.passed / search.refused)
    assert fell == near(shares)


def test_the_third_refusal_in_a_row_doubts_the_lower_bound() -> None:
    """Two refusals narrow the gap; the third lowers what had been thought to pass, if it is near the refused rate."""
    search = LimitSearch(100.0, 225.0)
    bounds: list[float] = []
    for _ in range(3):
        search.fails(search.rate, 0.0, None, barely=False)
        bounds += [search.passed, search.refused]
    assert bounds == near([100, 150, 61.24, 122.47, 21.65, 86.6])


def test_a_pass_between_refusals_begins_the_count_anew() -> None:
    """Refusals in a row are counted from the last rate that passed; two of them leave it where it was."""
    search = LimitSearch(100.0, 225.0)
    search.passes()
    for _ in range(2):
        search.fails(search.rate, 0.0, None, barely=False)
    assert search.passed == 100.0
    search.fails(search.rate, 0.0, None, barely=False)
    assert search.passed < 100.0


def test_a_rate_that_lasted_without_passing_is_not_thought_good() -> None:
    """It may have lasted because the workers did not use it; what has passed before is the bound."""
    search = LimitSearch(100.0, 1000.0)
    rate = search.rate
    search.fails(rate, 0.0, rate, barely=False)
    assert (search.passed, search.refused) == (100.0, rate)


@pytest.mark.parametrize(("used", "passed"), [(1000.9, 950.855), (1001.1, 1000.0)])
def test_a_refusal_within_a_thousandth_doubts_the_rate_that_passed(used: float, passed: float) -> None:
    """Such a rate is the same for all that can be told, so that the bound below falls with it."""
    search = LimitSearch(1000.0, 2000.0)
    search.fails(used, 0.0, 1000.0, barely=False)
    assert search.passed == near(passed)


@pytest.mark.parametrize(("used", "refused"), [(60.0, 60.0), (100.0, 97.0), (0.0, SLOWEST)])
def test_what_was_refused_is_the_rate_in_use(used: float, refused: float) -> None:
    """When --rate holds the pool below the searched rate, its rate is the refused one."""
    search = settled()
    search.fails(used, 0.0, None, barely=False)
    assert search.refused == refused
    assert SLOWEST <= search.passed <= refused


def test_a_test_is_a_while_at_85_percent() -> None:
    """A test lowers the rate by 15 %, and when it shows no noise, the search goes on where it was."""
    search = settled()
    search.test()
    assert (search.rate, search.is_testing, search.is_settled) == (near(82.45), True, False)
    search.end_test(noise=False)
    assert (search.rate, search.is_testing, search.is_settled, search.passed) == (97.0, False, True, 98.5)


def test_after_noise_the_search_goes_up_from_the_refused_rate() -> None:
    """When the refusals had nothing to do with the rate, the refused one is used again, and then a fifth more."""
    search = settled()
    search.test()
    search.end_test(noise=True)
    assert (search.rate, search.passed, search.is_climbing) == (100.0, 100.0, True)
    search.passes()
    assert search.rate == near(120.0)


@pytest.mark.parametrize("noise", [True, False])
def test_a_test_on_the_way_up_changes_nothing(noise: bool) -> None:
    """Without a refused rate there is nothing to go back to but the rate before the test."""
    search = LimitSearch.from_guess(100.0)
    search.test()
    search.end_test(noise=noise)
    assert (search.rate, search.step) == (100.0, 0.05)


def test_a_refusal_ends_a_test() -> None:
    """The lower rate of a test that is refused is a refused rate like any other."""
    search = settled()
    search.test()
    search.fails(search.rate, 0.0, None, barely=False)
    assert not search.is_testing
    assert search.refused == near(82.45)


def test_a_test_is_never_slower_than_the_slowest_rate() -> None:
    """At the lower bound a test can't go lower."""
    search = LimitSearch(0.0, 0.0)
    search.test()
    assert search.rate == SLOWEST


def test_a_settled_limit_is_risked_again_in_steps_of_a_hundredth() -> None:
    """When a settled search is reopened the refused rate is forgotten, and the first step is a small one."""
    search = settled()
    search.reopen()
    assert (search.rate, search.is_climbing) == (97.0, True)
    search.passes()
    assert search.rate == near(97.97)
    search.fails(97.97, 0.0, 97.0, barely=False)
    assert search.passed <= 97.0


def test_the_speed_of_a_first_burst_is_no_bound() -> None:
    """When only the first burst was refused, the search goes on beyond its speed instead of settling below it."""
    search = LimitSearch(20, 1000)
    for _ in range(30):
        search.passes()
    assert search.is_climbing
    assert search.rate > 2000


@given(st.lists(st.tuples(st.sampled_from(["pass", "fail", "reopen", "test"]), st.floats(0, 1e6)), max_size=60))
def test_a_search_stays_within_bounds(moves: list[tuple[str, float]]) -> None:
    """No sequence of passes and refusals drives the search out of its bounds, or its trials out of 0.4 to 3 s."""
    search = LimitSearch(1.0, 1000.0)
    for move, value in moves:
        if move == "pass":
            search.passes()
        elif move == "fail":
            search.fails(value, value / 2, value if value > 5 else None, barely=value > 100)
        elif move == "reopen":
            search.reopen()
        else:
            search.test()
            search.end_test(noise=value > 500)
        assert SLOWEST <= search.rate <= FASTEST
        assert 0.4 <= search.trial <= 3.0


@settings(max_examples=30)
@given(st.floats(10, 5000))
def test_a_search_finds_a_sharp_limit(limit: float) -> None:
    """Against a limit that shows at once the search settles within 6 % of it, in a few refusals."""
    search, refusals = LimitSearch(limit / 30, limit * 20), 0
    while not search.is_settled:
        if search.rate > limit:
            search.fails(search.rate, 0.0, search.passed, barely=False)
            refusals += 1
        else:
            search.passes()
    assert limit * 0.94 <= search.rate <= limit
    assert refusals <= 12


def test_a_rate_on_its_way_up_hands_on_what_has_passed() -> None:
    """The next step of a climb is a hope; the one before is known."""
    search = LimitSearch.from_guess(100.0)
    assert search.found == 100.0
    search.passes()
    assert search.found == 100.0
    assert search.rate == pytest.approx(105.0)
    search.passes()
    assert search.found == pytest.approx(105.0)

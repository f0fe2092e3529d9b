"""How a pace learns a limit: where it begins, when it goes up, how far it falls, what it hands on."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.paced import refuse, refuse_at, rounded, serve

from batch_updater.api.pacing.pacer import Pace


def settled(wait: float = 1.0) -> Pace:
    """A pace of 97 a second that has settled below a refused 100, from the end of the pause on."""
    pace = Pace(None, 0.0, guess=100.0)
    serve(pace, 0.0, 1.0)
    refuse(pace, 1.01, wait)
    assert rounded(pace.history) == [(0.0, 100.0), (1.01 + wait, 97.0)]
    return pace


@settings(deadline=None, max_examples=50)
@given(st.floats(1, 5000), st.none() | st.floats(1, 5000))
def test_with_a_guess_the_first_rate_is_the_guess_and_never_above_the_cap(guess: float, cap: float | None) -> None:
    """A rate that an earlier run has learned is kept to from the first request on, evenly; --rate still caps."""
    pace, rate = Pace(cap, 0.0, guess=guess), min(guess, cap or guess)
    assert (pace.rate, pace.is_free, pace.learned) == (rate, False, None)
    assert pace.history == [(0.0, rate)]
    leaves = 0
    for n in range(40):
        while pace.take(n / 100) == 0:
            leaves += 1
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


@pytest.mark.parametrize(
    ("cap", "wait", "rate"),
    [
        (None, 1.0, 141.77),  # 200 accepted in one second and a pause of one; 201 left in a second
        (None, 3.0, 100.25),  # 200 in four seconds
        (None, None, 187.37),  # in 1.1 s; the gap is narrow
        (150.0, 1.0, 122.47),  # no more than 150 can have left
        (150.0, None, 142.5),
    ],
)
def test_the_first_limit_lies_between_what_was_accepted_and_what_left(
    cap: float | None, wait: float | None, rate: float
) -> None:
    """Accepted since the start, the pause included, is surely possible; the speed at which requests left is not."""
    pace = Pace(cap, 100.0)
    refuse_at(pace, 101.0, wait)
    assert pace.rate == pytest.approx(rate, rel=1e-4)
    assert pace.history == [(pace.paused_until - 100.0, pace.rate)]


def test_a_first_request_that_is_refused_at_once_says_little() -> None:
    """One request within no time at all counts as a thousand a second, of which nothing was accepted."""
    pace = Pace(None, 7.0)
    pace.take(7.0)
    pace.throttled(7.0, 1.0, told=True)
    assert pace.rate == pytest.approx(math.sqrt(0.5 * 1000))


def test_requests_that_leave_freely_are_counted() -> None:
    """`depart` says that one has left, as `take` does."""
    pace = Pace(None, 0.0)
    assert pace.is_free
    for _ in range(201):
        pace.depart()
    for _ in range(200):
        pace.succeeded()
    pace.throttled(1.0, 1.0, told=True)
    assert pace.rate == pytest.approx(141.77, rel=1e-4)


def test_requests_that_left_together_after_a_pause_double_the_next_once() -> None:
    """Three that leave late at once and are refused together say once that the pause was too short."""
    pace = settled()
    assert sum(pace.take(3.0) == 0 for _ in range(9)) == 2
    for _ in range(2):
        pace.throttled(3.0, None, told=True)
    now = refuse(pace, 3.1, None)
    assert pace.paused_until - now == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("guess", "history"),
    [
        (100.0, [(0.0, 100.0), (2.0, 105.0), (3.34, 112.88), (4.23, 125.57)]),
        (1.0, [(0.0, 1.0), (5.0, 1.05)]),  # five requests at least
    ],
)
def test_a_guess_is_raised_by_growing_steps(guess: float, history: list[tuple[float, float]]) -> None:
    """A twentieth after two seconds, and more and sooner while nothing is refused."""
    pace = Pace(None, 0.0, guess=guess)
    assert pace.learned is None
    serve(pace, 0.0, 4.5 if guess > 1 else 9.0)
    assert rounded(pace.history) == history
    assert pace.learned is not None


def test_the_limit_is_not_raised_by_what_the_workers_do_not_send() -> None:
    """Less than four fifths of the rate prove nothing about it; a bit more does, two seconds after it began."""
    pace = Pace(None, 0.0, guess=100.0)
    for n in range(790):
        assert pace.take(n / 79) == 0
        pace.succeeded()
    assert pace.rate == 100.0
    for n in range(410):
        assert pace.take(10 + n / 82) == 0
        pace.failed()
    assert pace.history[1][0] == pytest.approx(13.0, abs=1.1)
    assert pace.history[1][1] == 105.0


def test_answers_to_requests_of_an_earlier_rate_do_not_raise_the_next() -> None:
    """With fifty requests under way at a step, the next trial begins when as many more are answered."""
    times = []
    for under_way in (0, 50):
        pace = Pace(None, -1.0, guess=100.0)
        for n in range(under_way):
            assert pace.take(-1 + n / 50) == 0
        serve(pace, 0.0, 5.0)
        times.append(pace.history[2][0] - pace.history[1][0])
    assert times[0] == pytest.approx(1.34)
    assert times[1] == pytest.approx(1.34 + 50 / 105, abs=0.011)


@pytest.mark.parametrize(("wait", "seconds"), [(1.0, 2.0), (3.0, 6.0), (20.0, 10.0)])
def test_after_a_pause_a_rate_is_tried_for_twice_as_long(wait: float, seconds: float) -> None:
    """What a limiter saved up in a pause is spent first; ten seconds are enough, and for the next rate few."""
    pace = Pace(None, 0.0)
    refuse_at(pace, 1.0, wait)
    serve(pace, 1.0 + wait, 1.0 + wait + seconds + 0.9)
    start, first, second = (when for when, _ in pace.history[:3])
    assert first - start == pytest.approx(seconds, abs=0.02)
    assert second - first < 0.9


def test_a_pause_that_was_too_short_counts_as_a_whole() -> None:
    """When the first request after a pause is refused, the trial is twice as long as both pauses together."""
    pace = Pace(None, 0.0)
    refuse_at(pace, 1.0)
    refuse(pace, 2.0)
    serve(pace, 3.0, 8.0)
    assert pace.history[1][0] == pytest.approx(3.0 + 2 * 2.0, abs=0.05)


@pytest.mark.parametrize(
    ("after", "rate"),
    [
        (1.5, 82.97),  # too soon to be sure of it: the search begins again above 80 %, as this is the second in a row
        (2.5, 92.15),  # twice the pause is over: 95 %
        (3.5, 94.09),  # three pauses are over and a hundred were accepted: hardly less than it was
    ],
)
@pytest.mark.parametrize("pauses", [1, 2])
def test_the_later_a_refusal_the_smaller_the_fall(after: float, rate: float, pauses: int) -> None:
    """A settled 97 is refused again so long after its pause, as a share of it; two without success are one pause."""
    pace = settled()
    for _ in range(pauses - 1):
        refuse(pace, pace.paused_until)
    start = pace.paused_until
    serve(pace, start, start + after * pauses)
    refuse(pace, start + after * pauses)
    assert pace.rate == pytest.approx(rate, abs=0.01)


@pytest.mark.parametrize(("accepted", "rate"), [(19, 82.97), (20, 92.15), (99, 92.15), (100, 94.09)])
def test_few_accepted_requests_say_little_about_a_rate(accepted: int, rate: float) -> None:
    """Twenty make sure that a rate lasts, and a hundred that it lasts long, whatever time has passed."""
    pace = settled()
    for n in range(accepted):
        assert pace.take(3.0 + n / 50) == 0
        pace.succeeded()
    refuse(pace, 20.0)
    assert pace.rate == pytest.approx(rate, abs=0.01)


@pytest.mark.parametrize(("at", "sure"), [(5.5, 141.77), (6.1, 168.81)])
def test_a_rate_that_has_not_lasted_is_not_sure(at: float, sure: float) -> None:
    """Of the rates that passed on the way up, the last that began two pauses before the refusal is believed."""
    pace = Pace(None, 0.0)
    refuse_at(pace, 1.0)
    serve(pace, 2.0, at)
    assert rounded(pace.history)[:4] == [(2.0, 141.77), (4.0, 168.81), (4.53, 177.88), (5.03, 213.46)]
    refused = pace.history[-1][1]
    refuse(pace, at)
    assert pace.rate == pytest.approx(math.sqrt(sure * refused), rel=1e-4)


def rest_after(pace: Pace, since: float, pause: float = 1.0) -> float:
    """Seconds from then to the first step up, without the trial of three seconds before it."""
    known = len(pace.history)
    for rest in (6.0, 60 * pause, 120 * pause, 240 * pause, 480 * pause):
        serve(pace, since + rest - 1.0, since + rest + max(3.2, 2 * pause + 0.2))
        if len(pace.history) > known:
            return pace.history[known][0] - since - max(3.0, 2 * pause)
    return math.inf


@pytest.mark.parametrize("wait", [1.0, 2.0])
def test_a_settled_limit_rests_for_60_then_120_then_240_times_the_pause(wait: float) -> None:
    """A refusal costs its pause, so that risking it again has to wait; one that keeps coming waits longer."""
    pace, rests = settled(wait), []
    for _ in range(4):
        resumed = pace.paused_until
        rests.append(rest_after(pace, resumed, wait))
        refuse(pace, pace.history[-1][0] + 0.1, wait)
    assert rests == pytest.approx([60 * wait, 120 * wait, 240 * wait, 240 * wait], abs=0.05)


def test_a_refusal_while_the_search_goes_on_does_not_end_the_long_rests() -> None:
    """Steps that narrow a gap are no climb: the second time that the search settles it rests for 120 times."""
    pace = settled()
    serve(pace, 2.01, 3.5)
    refuse(pace, 3.5)
    serve(pace, 4.5, 25.0)
    assert pace.learned is not None
    assert rest_after(pace, pace.history[-1][0]) == pytest.approx(120, abs=0.02)


@pytest.mark.parametrize(("climbing_until", "rest"), [(74.5, 120), (76.2, 60)])
def test_a_climb_in_larger_steps_ends_the_long_rests(climbing_until: float, rest: int) -> None:
    """A limit that has risen a little is rested for longer each time; one that has risen by a tenth is a new one."""
    pace = settled()
    serve(pace, 62.0, climbing_until)
    resumed = refuse(pace, climbing_until) + 1.0
    serve(pace, resumed, resumed + 2.7)
    assert pace.learned is not None  # it has settled, at once or in one step
    assert rest_after(pace, pace.history[-1][0]) == pytest.approx(rest, abs=0.02)


def test_bare_503s_on_a_limited_pool_count_when_it_has_sent_for_half_a_second() -> None:
    """Five of them, soon after the start, may be of what came before; later they are a refusal."""
    for after, refusals in ((0.49, 0), (0.5, 1)):
        pace = Pace(None, 10.0, guess=100.0)
        pace.succeeded()
        for _ in range(5):
            pace.take(10.0 + after)
            pace.throttled(10.0 + after, None, told=False)
        assert len(pace.history) == 1 + refusals
        assert pace.paused_until == (10.6 if refusals else 10.0)


@pytest.mark.parametrize(("bad", "rate"), [(3, 286.93), (4, 323.0)])
def test_doubtful_refusals_are_tested_at_a_lower_rate(bad: int, rate: float) -> None:
    """After 23 bare 503s of 323 answers 85 % is used for 85 answers; as many bad ones as before were noise."""
    pace = Pace(None, 0.0)
    for n in range(323):
        pace.take(min(n / 300, 1.0))
        pace.succeeded() if n < 300 else pace.throttled(1.0, None, told=False)
    assert pace.rate == pytest.approx(0.85 * 286.93, rel=1e-4)
    now, answers = pace.paused_until, 0
    while len(pace.history) == 1:
        while (hold := pace.take(now)) > 0:
            now += hold
        answers += 1
        pace.throttled(now, None, told=False) if answers <= bad else pace.succeeded()
    assert answers == 86  # the last has left at the new rate
    assert rounded(pace.history)[1][1] == rate
    assert pace.history[1][0] == pytest.approx(now, abs=0.005)


def test_the_history_is_thinned_and_keeps_both_ends() -> None:
    """After 256 changes every second one is dropped, but for the first and the last."""
    pace = Pace(None, 0.0)
    for n in range(257):
        assert len(pace.history) == n
        assert pace.take(100.0 * n) == 0
        pace.succeeded()
        refuse(pace, 100.0 * n + 50)
    assert [when for when, _ in pace.history] == [200.0 * n + 51 for n in range(129)]


def test_a_clock_put_back_begins_the_trial_anew() -> None:
    """The two seconds that a rate has to pass are counted from the new time."""
    pace = Pace(None, 0.0, guess=100.0)
    serve(pace, 8.0, 9.9)
    serve(pace, 5.0, 7.5)
    assert rounded(pace.history) == [(0.0, 100.0), (7.0, 105.0)]


def test_no_change_is_before_the_start() -> None:
    """A clock that is put back to before the start yields no negative times."""
    pace = Pace(None, 1000.0, guess=100.0)
    assert pace.take(0.0) == 300.0
    serve(pace, 300.0, 302.5)
    assert rounded(pace.history) == [(0.0, 100.0), (0.0, 105.0)]

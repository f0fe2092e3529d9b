import asyncio
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_updater.api.limit import FASTEST
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


def serve(pace: Pace, start: float, end: float, each: int = 1) -> None:
    """Every hundredth of a second all that may leave leaves, and every `each`th request is answered, at once."""
    departed = 0
    for n in range(round((end - start) * 100)):
        while pace.take(start + n / 100) == 0:
            departed += 1
            if departed % each == 0:
                pace.succeeded()


def refuse(pace: Pace, now: float, wait: float | None = 1.0) -> float:
    """The next request that may leave is refused; when."""
    while (hold := pace.take(now)) > 0:
        now += hold
    pace.throttled(now, wait, told=True)
    return now


def settled(wait: float = 1.0) -> Pace:
    """A pace of 97 a second that has settled below a refused 100, from the end of the pause on."""
    pace = Pace(None, 0.0, guess=100.0)
    serve(pace, 0.0, 1.0)
    refuse(pace, 1.01, wait)
    assert rounded(pace.history) == [(0.0, 100.0), (1.01 + wait, 97.0)]
    return pace


def rounded(history: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(round(when, 2), round(rate, 2)) for when, rate in history]


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


def test_requests_that_left_together_after_a_pause_double_the_next_once() -> None:
    """Three that leave late at once and are refused together say once that the pause was too short."""
    pace = settled()
    assert sum(pace.take(3.0) == 0 for _ in range(9)) == 2
    for _ in range(2):
        pace.throttled(3.0, None, told=True)
    now = refuse(pace, 3.1, None)
    assert pace.paused_until - now == pytest.approx(0.2)


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


class Clock:
    """A clock that sleepers put forward; knows how long each slept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps.append(seconds)
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
    assert max(clock.sleeps) == 0.25  # so that a stop is noticed soon
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


async def test_a_capped_pool_sends_no_faster_from_the_first_request_on() -> None:
    """Eleven requests at ten a second take a second."""
    clock = Clock()
    pacer = Pacer(10.0, clock, clock.sleep)
    for _ in range(11):
        assert await pacer.acquire(never)
    assert clock.now == pytest.approx(1.0, abs=0.01)
    assert pacer.rate == 10.0


@pytest.mark.parametrize(("adapt", "rate"), [(True, 5.0), (False, None)])
async def test_a_pool_begins_at_the_rate_of_an_earlier_run_unless_it_must_not_adapt(
    adapt: bool, rate: float | None
) -> None:
    """The guess and --no-adapt reach the pace; without a rate to rely on nothing is handed on."""
    clock = Clock()
    pacer = Pacer(None, clock, clock.sleep, adapt=adapt, guess=5.0)
    assert (pacer.rate, pacer.learned) == (rate, None)
    assert await pacer.acquire(never)
    pacer.answered(REFUSED)
    assert (pacer.rate is None) is not adapt


@pytest.mark.parametrize(
    ("answer", "seconds_apart", "is_outage"),
    [
        (Answer(Verdict.RETRY, "server_error", "", 500), 0.06, True),
        (Answer(Verdict.RETRY, "server_error", "", 599), 0.06, True),
        (Answer(Verdict.THROTTLED, "unavailable", "", 503), 0.06, True),
        (DOWN, 0.0, True),  # silence needs no second
        (Answer(Verdict.RETRY, "server_error", "", 500), 0.0, False),
        (Answer(Verdict.THROTTLED, "unavailable", "", 503), 0.0, False),
        (Answer(Verdict.REFUSED, "not_found", "", 404), 0.06, False),
        (Answer(Verdict.REFUSED, "odd", "", 499), 0.06, False),
        (Answer(Verdict.THROTTLED, "rate_limited", "", 429), 0.06, False),  # a service that says so is there
        (REFUSED, 0.06, False),
        (Answer(Verdict.THROTTLED, "unavailable", "", 503, 2.0), 0.06, False),
    ],
)
def test_what_counts_as_an_outage(answer: Answer, seconds_apart: float, is_outage: bool) -> None:
    """Twenty errors of the service's own within a second or more, or twenty silences; an answer ends it."""
    clock = Clock()
    pacer = Pacer(None, clock, clock.sleep)
    for _ in range(20):
        clock.now += seconds_apart
        pacer.answered(answer)
    clock.now += 3.0
    assert pacer.outage_for == pytest.approx(3.0 if is_outage else 0.0)
    pacer.answered(REFUSED)
    assert pacer.outage_for == 0.0


def test_answers_reach_the_pace() -> None:
    """Whatever ends a request is counted, so that the next refusal after those under way is a new one."""
    for answer in (DONE, DOWN, Answer(Verdict.RETRY, "server_error", "", 500)):
        pacer = Pacer(None, Clock())
        pacer.answered(REFUSED)
        pacer.answered(answer)
        pacer.answered(DONE)
        pacer.answered(REFUSED)
        assert len(pacer.history) == 2

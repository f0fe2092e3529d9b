import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_updater.api.pacing.controller import Controller, PaceState
from batch_updater.common.models import Quota


def send(controller: Controller, now: float, number: int = 1) -> list[int]:
    """The numbers of so many requests that leave at once."""
    found = []
    for _ in range(number):
        assert controller.take(now) == 0
        found.append(controller.departed)
    return found


def accept(controller: Controller, now: float, *numbers: int) -> None:
    for number in numbers:
        controller.accepted(number, now)


def refused_at(now: float, wait: float | None = None, in_flight: int = 10, accepted: int = 6) -> Controller:
    """So many are in flight; the first ones are accepted 20 ms later, the others refused at once."""
    controller = Controller(64, 0.0)
    sent = send(controller, now - 0.02, in_flight)
    for number in sent[accepted:]:
        controller.refused_for_load(number, now - 0.018, wait)
    accept(controller, now, *sent[:accepted])
    return controller


def probe(controller: Controller, now: float) -> int:
    """The number of the one request that leaves after the hold."""
    assert controller.take(now) == 0
    assert controller.take(now) == math.inf
    return controller.departed


def test_without_a_refusal_everything_leaves_at_once() -> None:
    """An untroubled service is driven as fast as the workers can."""
    controller = Controller(64, 0.0)
    for n in range(10_000):
        (number,) = send(controller, n / 1000)
        accept(controller, n / 1000 + 0.02, number)
    assert (controller.state, controller.is_free, controller.rate, controller.window) == (
        PaceState.FREE,
        True,
        None,
        64,
    )
    assert controller.history == []


@pytest.mark.parametrize("wait", [1.0, 10.0, 3600.0])
def test_a_named_time_is_kept_in_full(wait: float) -> None:
    """Nothing leaves before a Retry-After is over, however long it is; then one request goes ahead."""
    controller = Controller(64, 0.0)
    (number,) = send(controller, 0.0)
    controller.refused_for_load(number, 0.5, wait)
    assert controller.state is PaceState.HELD
    assert controller.take(0.5 + wait - 0.001) == pytest.approx(0.001)
    probe(controller, 0.5 + wait)
    assert controller.state is PaceState.PROBE


def test_the_longest_of_several_named_times_counts() -> None:
    """Requests that were in flight together may be told different times."""
    controller = Controller(64, 0.0)
    first, second, third = send(controller, 0.0, 3)
    controller.refused_for_load(first, 1.0, 2.0)
    controller.refused_for_load(second, 1.1, 9.0)
    controller.refused_for_load(third, 1.2, 1.0)
    assert controller.held_until == 10.1


def test_a_refusal_that_comes_after_the_probe_was_accepted_holds_only_for_its_time() -> None:
    """A request from before the refusal, answered late, is no new one."""
    controller = Controller(64, 0.0)
    first, late = send(controller, 0.0, 2)
    controller.refused_for_load(first, 0.1, 1.0)
    accept(controller, 1.2, probe(controller, 1.1))
    changes = len(controller.history)
    controller.refused_for_load(late, 1.3, 2.0)
    assert (controller.state, controller.held_until) == (PaceState.RATE, 3.3)
    assert len(controller.history) == changes


def test_the_hold_of_a_bare_refusal_grows_with_every_refused_probe_up_to_five_seconds() -> None:
    """A tenth of a second at first, later a sixth of the time since the refusal."""
    controller = Controller(64, 0.0)
    (number,) = send(controller, 0.0)
    controller.refused_for_load(number, 0.0, None)
    holds, now = [], 0.1
    for _ in range(60):
        controller.refused_for_load(probe(controller, now), now, None)
        holds.append(controller.held_until - now)
        now = controller.held_until
    assert holds[0] == pytest.approx(0.1)
    assert holds[-1] == pytest.approx(5.0)
    assert all(before - 1e-9 <= after <= before * 1.2 + 1e-3 for before, after in itertools.pairwise(holds))


def test_a_probe_that_nobody_answers_is_followed_by_another() -> None:
    """Silence says nothing about the load, and does not stop the pool."""
    controller = refused_at(1.0)
    controller.failed(probe(controller, 1.1), 2.0)
    assert controller.take(2.05) > 0
    probe(controller, 2.1)


def test_a_bare_refusal_narrows_the_window_to_what_was_accepted() -> None:
    """Ten were in flight, six of them were accepted: six are."""
    controller = refused_at(1.0)
    accept(controller, 1.12, probe(controller, 1.1))
    assert (controller.state, controller.window, controller.rate) == (PaceState.WINDOW, 6, None)
    now, sent = 1.12, 0
    while controller.take(now) != math.inf:
        now += 0.001
        sent = controller.departed
    assert sent == 10 + 1 + 6


def test_the_requests_of_a_window_are_spread_over_half_a_round_trip() -> None:
    """Else a limiter without a burst allowance would refuse them."""
    controller = refused_at(1.0)
    accept(controller, 1.12, probe(controller, 1.1))
    assert controller.take(1.12) == pytest.approx(0.01 / 6, rel=0.01)


def test_a_full_window_is_widened_and_goes_back_when_that_is_refused() -> None:
    """Six passed, a seventh is refused: six again, for longer."""
    controller = refused_at(1.0)
    accept(controller, 1.12, probe(controller, 1.1))
    now, waiting = 1.12, list[tuple[float, int]]()
    while controller.window == 6:
        now += 0.0005
        while waiting and waiting[0][0] <= now:
            accept(controller, now, waiting.pop(0)[1])
        if controller.take(now) == 0:
            waiting.append((now + 0.02, controller.departed))
    assert controller.window == 7
    last = waiting.pop()[1]
    controller.refused_for_load(last, now, None)
    for _, number in waiting:
        accept(controller, now + 0.02, number)
    accept(controller, now + 0.14, probe(controller, now + 0.12))
    assert (controller.state, controller.window) == (PaceState.WINDOW, 6)


@pytest.mark.parametrize(
    ("wait", "refused_probes", "accepted"),
    [(1.0, 0, 6), (None, 1, 6), (None, 0, 3)],
    ids=["a time is named", "the probe is refused", "the window is too small"],
)
def test_what_can_be_no_limit_in_flight_is_searched_as_a_rate(
    wait: float | None, refused_probes: int, accepted: int
) -> None:
    """The window is open again then, and the rate lies between what was accepted and what was refused."""
    controller = refused_at(1.0, wait, accepted=accepted)
    for _ in range(refused_probes):
        now = controller.held_until
        controller.refused_for_load(probe(controller, now), now, None)
    now = controller.held_until
    accept(controller, now + 0.02, probe(controller, now))
    assert (controller.state, controller.window) == (PaceState.RATE, 64)
    assert controller.rate is not None
    assert accepted / (now + 0.02) < controller.rate < 10 / 0.98


@pytest.mark.parametrize(("accepted", "at_once"), [(1, 1), (4, 1), (10, 7), (30, 17)])
def test_no_more_leave_at_once_than_the_service_has_accepted_at_once(accepted: int, at_once: int) -> None:
    """A late waking is made up for within what was accepted, of all in flight, before the first refusal; 16 at most."""
    controller = Controller(64, 0.0)
    sent = send(controller, 0.01, 64)
    for number in sent[accepted:]:
        controller.refused_for_load(number, 0.012, 0.01)
    accept(controller, 0.03, *sent[:accepted])
    accept(controller, 0.13, probe(controller, 0.12))
    late, before = 0.13 + controller.take(0.13) + 0.0299, controller.departed
    while controller.take(late) == 0:
        pass
    assert controller.departed - before == at_once


@pytest.mark.parametrize("cap", [10.0, 1000.0, 5000.0])
def test_at_a_limited_rate_one_leaves_at_once(cap: float) -> None:
    """When nobody wanted to send for long, what has not left meanwhile does not all leave now."""
    controller = Controller(64, 0.0, cap=cap)
    assert controller.take(9.0) == 0
    assert controller.take(9.0) > 0


def test_without_adapting_there_are_only_the_cap_and_the_holds() -> None:
    """After the probe it is as before."""
    controller = Controller(64, 0.0, adapt=False)
    (number,) = send(controller, 0.0)
    controller.refused_for_load(number, 0.1, 1.0)
    assert controller.take(1.0) > 0
    accept(controller, 1.2, probe(controller, 1.1))
    assert (controller.state, controller.rate, controller.history) == (PaceState.FREE, None, [])


def test_a_cap_is_above_no_search() -> None:
    """The user's rate holds from the first request on and above whatever is found."""
    controller = refused_at(1.0, 1.0)
    assert Controller(64, 0.0, cap=30.0).rate == 30.0
    accept(controller, 2.1, probe(controller, 2.0))
    capped = Controller(64, 0.0, cap=0.5)
    (number,) = send(capped, 0.0)
    capped.refused_for_load(number, 0.1, 1.0)
    accept(capped, 1.2, probe(capped, 1.1))
    assert capped.rate == 0.5


def test_single_503s_are_failures_and_many_are_a_refusal() -> None:
    """One in ten neither holds nor limits; one in two does, and from then on counts as refused for load."""
    controller = Controller(64, 0.0)
    for n in range(1000):
        (number,) = send(controller, n / 100)
        if n % 10:
            accept(controller, n / 100, number)
        else:
            assert not controller.unavailable(number, n / 100)
    assert controller.is_free
    verdicts = []
    while controller.is_free:
        good, bad = send(controller, 10.0, 2)
        accept(controller, 10.0, good)
        verdicts.append(controller.unavailable(bad, 10.0))
    assert verdicts.index(True) == len(verdicts) - 1 < 25
    assert controller.state is PaceState.HELD


def test_a_service_that_says_429_is_trusted_to_say_so() -> None:
    """A few bare 503s at its limit are no refusals then; without that they are."""
    for tells in (True, False):
        controller = Controller(64, 0.0)
        (number,) = send(controller, 0.0)
        if tells:
            controller.refused_for_load(number, 0.1, 1.0)
        else:
            while not controller.unavailable(number, 0.1):
                (number,) = send(controller, 0.1)
        accept(controller, controller.held_until, probe(controller, controller.held_until))
        now, verdicts = controller.held_until, []
        for n in range(400):
            while controller.take(now) != 0:
                now += 0.01
            if n % 20 == 19:
                verdicts.append(controller.unavailable(controller.departed, now))
                if verdicts[-1]:
                    break
            else:
                accept(controller, now, controller.departed)
        assert any(verdicts) is not tells


@pytest.mark.parametrize("status", [429, 503])
def test_a_bare_503_that_comes_after_the_hold_belongs_to_it_where_503_means_load(status: int) -> None:
    """It left with those that were refused: it is one of them, unless the service says 429 for that."""
    controller = Controller(64, 0.0)
    late, *others = send(controller, 0.0, 50)
    for number in others:
        if status == 429:
            controller.refused_for_load(number, 0.1, None)
        else:
            controller.unavailable(number, 0.1)
    now = controller.held_until
    accept(controller, now + 0.02, probe(controller, now))
    assert controller.unavailable(late, now + 0.03) is (status == 503)
    assert controller.state is not PaceState.HELD


def fill(controller: Controller, now: float, most: int) -> tuple[list[int], float]:
    """Let all leave that may, at most so many; their numbers, and when the last one left."""
    sent = list[int]()
    while len(sent) < most and (wait := controller.take(now)) != math.inf:
        now += wait
        sent += [] if wait else [controller.departed]
    return sent, now


def test_slow_answers_halve_the_window_until_they_are_quick_enough() -> None:
    """A quarter of the time-out is too long: 16 at once take 16 s of 30, 8 take 8 s, 4 are quick enough."""
    controller, now, windows = Controller(16, 0.0, timeout=30.0), 0.0, [16]
    for _ in range(10):
        sent, now = fill(controller, now, 16)
        for number in sent:
            controller.accepted(number, now + len(sent))
        now += len(sent)
        windows += [controller.window] if controller.window != windows[-1] else []
    assert windows[:3] == [16, 8, 4]


def test_a_service_that_is_slow_by_itself_keeps_its_window() -> None:
    """When half of the requests take as long as all, the window was not the reason, and is given back."""
    controller, now, windows = Controller(16, 0.0, timeout=30.0), 0.0, [16]
    for _ in range(10):
        sent, now = fill(controller, now, 16)
        now += 9.0
        for number in sent:
            controller.accepted(number, now)
        windows += [controller.window] if controller.window != windows[-1] else []
    assert windows[-1] == 16
    assert len(windows) == 3


def test_what_is_not_in_flight_is_ignored() -> None:
    """A request that is told of twice changes neither the latency nor the number in flight."""
    controller = Controller(1, 0.0)
    (number,) = send(controller, 0.0)
    controller.failed(number, 1.0)
    controller.failed(number, 100.0)
    send(controller, 100.0)
    assert controller.take(100.0) == math.inf


def test_the_history_stays_short() -> None:
    """It has the first change and the last, and never more than 256."""
    controller = refused_at(1.0, 1.0)
    for _ in range(1000):
        now = controller.held_until
        accept(controller, now + 0.02, probe(controller, now))
        (number,) = [controller.departed] if controller.take(now + 9) == 0 else [0]
        controller.refused_for_load(number, now + 9, 1.0)
    assert 100 < len(controller.history) <= 256
    assert controller.history[0][0] == pytest.approx(2.002, abs=0.1)


def test_a_quota_at_zero_holds_until_its_reset_and_one_goes_ahead() -> None:
    """Nothing was refused, and nothing need be: the answer to the one tells how many may follow."""
    controller = Controller(64, 0.0)
    (number,) = send(controller, 0.0)
    accept(controller, 0.02, number)
    controller.told(number, Quota(0, 10.0), 0.02)
    assert (controller.is_free, controller.held_until, controller.take(0.02)) == (False, 10.02, 10.0)
    (first,) = send(controller, 10.02)
    assert controller.take(10.03) == math.inf
    accept(controller, 10.04, first)
    controller.told(first, Quota(3, 10.0), 10.04)
    send(controller, 10.04, 3)
    assert controller.take(10.04) == math.inf


def test_a_quota_never_makes_the_pool_faster() -> None:
    """However much remains, a limit that was found by refusals stays."""
    controller = refused_at(1.0, 1.0)
    number = probe(controller, 2.0)
    accept(controller, 2.02, number)
    found = controller.rate
    controller.told(number, Quota(1000, 1.0), 2.02)
    assert (controller.state, controller.rate, controller.take(2.02) > 0) == (PaceState.RATE, found, True)


EVENTS = st.lists(
    st.tuples(st.sampled_from(["good", "named", "bare", "503", "silent", "quota"]), st.floats(0, 5), st.integers(0, 9)),
    max_size=60,
)


@given(EVENTS, st.sampled_from([None, 0.5, 100.0]), st.booleans(), st.integers(1, 64))
def test_whatever_happens_the_limits_stay_sane_and_the_pool_never_stops(
    events: list[tuple[str, float, int]], cap: float | None, adapt: bool, most: int
) -> None:
    """No hold is cut, no more than `most` are in flight, the rate is below the cap, and something can always leave."""
    controller, now, flying = Controller(most, 0.0, cap=cap, adapt=adapt), 0.0, list[int]()
    for kind, seconds, which in events:
        now += seconds
        while len(flying) < 70 and controller.take(now) == 0:
            flying.append(controller.departed)
        assert 1 <= controller.window <= most
        assert len(flying) <= most
        assert controller.rate is None or 0 < controller.rate <= (cap or math.inf)
        if not flying:
            continue
        number, held = flying.pop(which % len(flying)), controller.held_until
        match kind:
            case "good":
                controller.accepted(number, now)
            case "named":
                controller.refused_for_load(number, now, 7.0)
                assert controller.take(now + 6.99) > 0
            case "bare":
                controller.refused_for_load(number, now, None)
            case "503":
                controller.unavailable(number, now)
            case "quota":
                controller.accepted(number, now)
                controller.told(number, Quota(which // 3, seconds), now)
            case _:
                controller.failed(number, now)
        assert controller.held_until >= held
    for number in flying:
        controller.failed(number, now)
    now = max(now, controller.held_until) + 5
    waits = [controller.take(now + n) for n in range(20)]
    assert 0 in waits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_updater.api.pacing.window_search import WindowSearch

LATE = {"lasted": 60.0, "latency": 0.02, "pause": 0.12}
SOON = {**LATE, "lasted": 0.1}


def at(size: int) -> WindowSearch:
    """A window of 64 that was refused late, with so many in flight and accepted."""
    window = WindowSearch(64)
    window.fails(size, **LATE)
    return window


def sizes_after(window: WindowSearch, passes: int) -> list[int]:
    found = [window.size]
    for _ in range(passes):
        window.passes()
        found.append(window.size)
    return found


def test_it_is_open_until_something_is_refused() -> None:
    """Then it has the size of what was accepted."""
    assert WindowSearch(64).is_open
    assert (at(8).size, at(8).is_open) == (8, False)


def test_it_widens_by_growing_steps_up_to_the_most() -> None:
    """By 1, 2, 4 and so on."""
    assert sizes_after(at(8), 7) == [8, 9, 11, 15, 23, 39, 64, 64]


@pytest.mark.parametrize(("passes", "accepted", "size"), [(1, 8, 8), (3, 12, 11), (3, 11, 11), (3, 5, 5)])
def test_a_failed_widening_goes_back_unless_less_was_accepted(passes: int, accepted: int, size: int) -> None:
    """To the size before; but to what was accepted when that is much less, for then the limit has fallen."""
    window = at(8)
    sizes_after(window, passes)
    window.fails(accepted, **LATE)
    assert window.size == size


def test_it_rests_after_the_smallest_widening_has_failed() -> None:
    """Sixty times as long as that has cost; a larger step that failed is followed by a smaller one soon."""
    window = at(8)
    sizes_after(window, 3)
    window.fails(11, **LATE)
    assert window.trial(0.02) == 0.5
    window.passes()
    window.fails(11, **LATE)
    assert (window.size, window.trial(0.02)) == (11, pytest.approx(7.2))


def test_where_requests_are_slow_a_trial_takes_longer() -> None:
    """Ten round trips, so that the answers to the wider window are in."""
    assert at(8).trial(2.0) == 20.0


def test_a_window_that_is_refused_at_once_three_times_is_no_limit() -> None:
    """Nor is one of fewer than four, which a rate would explain as well."""
    window = WindowSearch(64)
    for size, is_refuted in ((40, False), (30, False), (20, True)):
        window.fails(size, **SOON)
        assert window.is_refuted is is_refuted
    assert [at(size).is_refuted for size in (4, 3)] == [False, True]


@pytest.mark.parametrize(("widens", "is_refuted"), [(False, True), (True, False)])
def test_a_window_that_passed_is_no_limit_when_it_is_refused_three_times(widens: bool, is_refuted: bool) -> None:
    """A wider one may be refused as often as it likes: that is what a limit does."""
    window = at(20)
    for _ in range(3):
        if widens:
            window.passes()
        window.fails(window.size - 1, **LATE)
    assert window.is_refuted is is_refuted


def test_a_rest_that_was_survived_ends_the_doubt() -> None:
    """A limit that has changed twice in a run is one all the same."""
    window = at(20)
    for _ in range(2):
        window.fails(window.size - 1, **LATE)
    window.passes()
    window.fails(window.size - 1, **LATE)  # the smallest widening, after which it rests
    window.passes()
    window.fails(window.size - 1, **LATE)
    window.fails(window.size - 1, **LATE)
    assert not window.is_refuted


@given(st.lists(st.one_of(st.none(), st.integers(0, 99)), max_size=50), st.integers(1, 64))
def test_it_stays_between_one_and_the_most(events: list[int | None], most: int) -> None:
    """Whatever passes or fails; and each failure narrows it."""
    window = WindowSearch(most)
    for accepted in events:
        before = window.size
        if accepted is None:
            window.passes()
        else:
            window.fails(accepted, **LATE)
            assert window.size < before or before == 1
        assert 1 <= window.size <= most

from collections import Counter

import pytest

from batch_updater.reports.activity import KEPT_PAUSES, POINTS, End, gather, percentiles


def steady(seconds: int, first: int = 0, rate: int = 5) -> list[End]:
    return [(first + tick, True, 40, rate) for tick in range(seconds * 10)]


def test_throughput_is_rows_per_second() -> None:
    """Five rows in each tenth of a second are fifty a second, in every stretch."""
    found = gather(steady(60))
    assert {round(point.done) for point in found.points} == {50}
    assert found.seconds == 60


def test_rows_not_done_are_counted_apart() -> None:
    """Failed rows do not pass for done ones."""
    found = gather([(0, True, 40, 3), (0, False, 40, 7), (9, True, 40, 1)])
    assert (found.points[0].done, found.points[0].not_done) == (30, 70)


def test_a_long_run_has_as_many_points_as_a_short_one() -> None:
    """Memory and page size do not grow with the run; no row is lost when stretches are joined."""
    found = gather(steady(20_000, rate=1))
    assert POINTS / 2 < len(found.points) <= POINTS
    assert sum(point.done for point in found.points[:-1]) * found.bucket == pytest.approx(200_000, rel=0.02)


def test_a_pause_is_found_with_its_time_and_length() -> None:
    """A time without an end is a pause from the last end on."""
    found = gather(steady(10) + steady(10, first=150))
    assert [(pause.start, pause.seconds, pause.is_stop) for pause in found.pauses] == [(9.9, 5.1, False)]
    assert (found.pause_count, found.pause_seconds) == (1, 5.1)


def test_a_slow_run_is_no_row_of_pauses() -> None:
    """Where rows end every few seconds anyway, that is the pace and no pause."""
    assert gather([(tick * 30, True, 40, 1) for tick in range(100)]).pauses == ()


def test_the_night_between_two_starts_is_left_out_of_the_axis() -> None:
    """A run picked up a day later shows both starts at full width, and the day as one stop."""
    found = gather(steady(30) + steady(30, first=864_000))
    assert found.seconds == pytest.approx(60, abs=1)
    assert [pause.is_stop for pause in found.pauses] == [True]
    assert (found.pause_count, found.pause_seconds) == (0, 0)
    assert found.points[-1].when > 86_400


def test_only_the_longest_pauses_are_kept() -> None:
    """However often a run pauses, the list stays short and says how many there were."""
    ends: list[End] = []
    for number in range(500):
        ends += steady(20, first=number * 250 + number % 7)
    found = gather(ends)
    assert len(found.pauses) == KEPT_PAUSES
    assert found.pause_count == 499
    assert list(found.pauses) == sorted(found.pauses, key=lambda pause: pause.start)


def test_percentiles_are_those_of_all_rows() -> None:
    """Half, 95 and 99 of a hundred rows were not slower than what is said."""
    found = percentiles(Counter({10: 50, 20: 45, 30: 4, 900: 1}))
    assert (found.p50, found.p95, found.p99, found.longest) == (10, 20, 30, 900)
    whole = gather([(0, True, 10, 50), (5, True, 20, 45), (7, False, 30, 4), (8, True, 900, 1)]).latency
    assert whole == found


def test_nothing_sent_has_no_activity() -> None:
    """A run without sends has no points, no pauses and no latency."""
    found = gather([])
    assert (found.points, found.pauses, found.latency) == ((), (), None)

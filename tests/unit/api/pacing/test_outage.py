import pytest

from batch_updater.api.pacing.outage import Outage


def failing(*times: float, alone: bool = False) -> Outage:
    """A service that has failed at these times, and was never seen to work."""
    outage = Outage()
    for now in times:
        outage.failed(now, f"failed at {now:g}", alone=alone)
    return outage


@pytest.mark.parametrize(
    ("failures", "alone", "suspected"), [(19, False, False), (20, False, True), (2, True, False), (3, True, True)]
)
def test_a_service_is_suspected_when_nobody_is_served(failures: int, alone: bool, suspected: bool) -> None:
    """After twenty failures without a good answer between, or three of the only request in flight."""
    outage = failing(*range(failures), alone=alone)
    assert outage.is_suspected is suspected
    assert outage.since is None  # a probe must fail too
    assert outage.wait(99.0) == 0.0
    assert outage.last_seen == f"failed at {failures - 1}"


def test_a_good_answer_begins_the_count_anew() -> None:
    """Whatever comes between two failures shows that the service works."""
    outage = failing(*range(19))
    outage.works(19)
    for now in range(19):
        outage.failed(now, "", alone=False)
    assert not outage.is_suspected


def test_probes_leave_at_intervals_that_double_up_to_half_a_minute() -> None:
    """The first leaves at once; the outage lasts from the first failure on."""
    outage, now, waits = failing(*[7.0] * 20), 9.0, []
    for _ in range(8):
        outage.probe_failed(now, "down")
        waits.append(outage.wait(now))
        now += waits[-1]
        assert outage.wait(now) == 0.0
    assert waits == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30])
    assert outage.lasted(now) == now - 7.0
    outage.probe_failed(now, "down", wait=50.0)
    assert outage.wait(now) == 50.0  # it says so itself


def test_an_answer_ends_the_outage() -> None:
    """Whoever is served, a probe or a row; the next outage begins with short intervals."""
    outage = failing(*[0.0] * 20)
    outage.probe_failed(1.0, "down")
    outage.vouched(20, 2.0)
    assert (outage.is_suspected, outage.wait(2.0), outage.lasted(2.0)) == (False, 0.0, 0.0)
    for _ in range(20):
        outage.failed(50.0, "", alone=False)
    outage.probe_failed(51.0, "down")
    assert (outage.wait(51.0), outage.lasted(51.0)) == (0.5, 1.0)


def test_a_failure_is_a_requests_own_when_the_service_has_worked_since_it_left() -> None:
    """Another row was served after the departure, or a neutral request within the last ten seconds."""
    outage = Outage()
    assert not outage.has_worked_since(1, 0.0)
    outage.works(7)
    assert [outage.has_worked_since(departure, 0.0) for departure in (1, 7, 8)] == [True, True, False]
    outage.vouched(7, 100.0)
    assert [outage.has_worked_since(8, now) for now in (109.9, 110.0)] == [True, False]
    outage.vouched(7, 200.0)
    outage.probe_failed(201.0, "down")
    assert not outage.has_worked_since(8, 202.0)


def test_a_suspicion_is_kept_back_for_a_second() -> None:
    """A probe that is answered at once is no outage that anybody should hear of."""
    outage = failing(*[5.0] * 20)
    assert (outage.suspected_for(5.9), outage.suspected_for(8.0)) == (0.0, 3.0)
    outage.works(20)
    assert outage.suspected_for(9.0) == 0.0

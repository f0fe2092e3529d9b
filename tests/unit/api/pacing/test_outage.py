import pytest

from batch_updater.api.pacing.outage import Outage


def down(at: float = 0.0) -> Outage:
    """A service that has been silent twenty times at this time."""
    outage = Outage()
    for _ in range(20):
        outage.failed(at, silent=True)
    return outage


@pytest.mark.parametrize(
    ("failures", "seconds", "silent", "is_on"),
    [
        (19, 0.0, True, False),
        (20, 0.0, True, True),
        (20, 0.0, False, False),
        (20, 0.99, False, False),
        (20, 1.0, False, True),
        (19, 9.0, False, False),
        (200, 0.5, False, False),
    ],
)
def test_silence_counts_at_once_and_errors_over_a_second(
    failures: int, seconds: float, silent: bool, is_on: bool
) -> None:
    """Twenty silent failures in a row are an outage; twenty errors only when they last for a second."""
    outage = Outage()
    for n in range(failures):
        assert not outage.is_on
        outage.failed(5.0 + seconds * (n > 0), silent=silent)
    assert outage.is_on is is_on
    assert outage.lasted(100.0) == (95.0 - seconds if is_on else 0.0)


def test_an_answer_begins_the_count_anew() -> None:
    """Only failures in a row count, and their second begins with the first of them."""
    silent, errors = Outage(), Outage()
    for n in range(38):
        if n == 19:
            silent.succeeded()
            errors.succeeded()
        silent.failed(n / 10, silent=True)
        errors.failed(n / 10, silent=False)
    assert (silent.is_on, errors.is_on) == (False, False)
    errors.failed(2.0, silent=False)  # the twentieth, a tenth of a second after the first
    assert not errors.is_on


def test_an_error_interrupts_the_silence() -> None:
    """A service that says something is there; silence is counted from the last error on."""
    outage = Outage()
    for n in range(39):
        outage.failed(0.0, silent=n != 19)
    assert not outage.is_on
    outage.failed(0.0, silent=True)
    assert outage.is_on


def test_single_probes_leave_at_intervals_that_double_up_to_half_a_minute() -> None:
    """While the service is down one request may try after half a second, then after one, two and so on."""
    outage, now, waits = down(7.0), 7.0, []
    for _ in range(8):
        waits.append(outage.wait(now))
        now += waits[-1]
        assert outage.wait(now) == outage.wait(now + 0.1) == 0.0
        outage.departed(now)
        outage.failed(now, silent=True)
    assert waits == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30])
    assert outage.lasted(now) == now - 7.0


def test_a_service_that_is_up_again_is_asked_freely() -> None:
    """An answer ends the outage; the next one begins with short intervals."""
    outage = down()
    outage.departed(0.5)
    outage.succeeded()
    assert (outage.is_on, outage.wait(0.6), outage.lasted(0.6)) == (False, 0.0, 0.0)
    outage.departed(0.7)
    assert outage.wait(0.7) == 0.0
    for _ in range(20):
        outage.failed(9.0, silent=True)
    assert (outage.wait(9.0), outage.lasted(10.0)) == (0.5, 1.0)

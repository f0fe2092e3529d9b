"""Ways to drive a pace by hand; all times are seconds."""

from batch_updater.api.pacing.pacer import Pace


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


def rounded(history: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(round(when, 2), round(rate, 2)) for when, rate in history]

"""Search for an undocumented limit of requests in flight. Pure, without a clock."""

SMALLEST = 4  # a narrower window can't be told from a limit of requests per second
SOON = 20  # round trips; a window refused earlier may be no limit of requests in flight
TRIAL = 0.5  # seconds before a window is widened, or longer where requests are slow
REST = 60.0  # after the smallest widening was refused, the window is left alone for so many times what that cost


class WindowSearch:
    """The most requests in flight, `most` at first. When one more is refused it narrows to what was accepted.

    It widens by 1, 2, 4 and so on, and goes back when that is refused.
    """

    def __init__(self, most: int) -> None:
        self.size = self._most = most
        self._step, self._widened = 1, 0
        self._pause = 0.0  # seconds that the refused smallest widening cost
        self._passed = 0  # the widest that passed its trial since the last refusal
        self._doubts = 0  # refusals that came soon, or of a window that had passed

    @property
    def is_open(self) -> bool:
        """Whether it holds nothing back."""
        return self.size >= self._most

    @property
    def is_refuted(self) -> bool:
        """Whether something else than the number in flight must be limited, or nothing that a window can follow."""
        return self._doubts > 2 or self.size < SMALLEST

    def trial(self, latency: float) -> float:
        """Seconds for which the window must be full before it is widened; `latency` is the seconds of a round trip."""
        return max(TRIAL, 10 * latency, REST * self._pause)

    def passes(self) -> None:
        """Widen: the present window has been full for its trial."""
        self._passed = self.size
        self._doubts = 0 if self._pause else self._doubts
        self._widened = min(self._step, self._most - self.size)
        self.size += self._widened
        self._step, self._pause = self._step * 2, 0.0

    def fails(self, accepted: int, lasted: float, latency: float, pause: float) -> None:
        """Narrow: so many were in flight and accepted when one more was refused, `lasted` seconds after the last."""
        self._doubts += lasted < max(SOON * latency, 2 * pause) or self.size <= self._passed
        before, was_smallest = self.size - self._widened, self._widened == 1
        goes_back = self._widened and accepted > 0.7 * before
        self.resize(before if goes_back else min(accepted, self.size - 1))
        self._pause, self._passed = pause if was_smallest else 0.0, self.size

    def resize(self, size: int) -> None:
        """Go on from this size."""
        self.size = min(max(size, 1), self._most)
        self._step, self._widened, self._pause = 1, 0, 0.0

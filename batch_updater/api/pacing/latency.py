"""How long requests take, and whether that is because too many are in flight. Pure, without a clock."""

import math

SLOW = 0.25  # of the time that a request has: when answers take longer, some soon come too late
BETTER = 0.8  # of the latency before: what half the window must reach, or the service is slow by itself
WEIGHT = 16  # answers over which the latency is smoothed


class Latency:
    """Smooths how long requests take, in seconds; `timeout` is the longest that one may take."""

    def __init__(self, timeout: float) -> None:
        self.smoothed = 0.0
        self._timeout = timeout
        self._departed, self._before = 0, math.inf  # requests by then, and the latency, when the window was halved

    def add(self, number: int, seconds: float, departed: int) -> float:
        """Measure this request; return what the window must be multiplied with: 0.5 when it is too wide, mostly 1."""
        if number <= self._departed:
            return 1.0
        self.smoothed += (seconds - self.smoothed) / (WEIGHT if self.smoothed else 1)
        if self.smoothed < self._timeout * SLOW:
            return 1.0
        if seconds >= self._timeout or self.smoothed < self._before * BETTER:
            self._departed, self._before = departed, self.smoothed
            self.smoothed = 0.0  # answers to what leaves from now on tell whether it helps
            return 0.5
        given_back = 2.0 if self._before else 1.0  # half of it did not help, for the service is slow by itself
        self._departed, self._before = 0, 0.0
        return given_back

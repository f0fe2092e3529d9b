"""An even pace. Pure state over a clock."""

import math

LATE = 0.03  # seconds' worth of tokens that are saved, at most, while who waits for one comes so late
BURST = 16  # tokens that this can be, at most


class TokenBucket:
    """Lets requests leave evenly. A busy machine wakes late who waits: what that costs is made up for at once.

    That is at most `burst` requests: a limiter may have no burst allowance. Nothing else is saved up.
    """

    def __init__(self, now: float) -> None:
        self.burst = BURST
        self._tokens, self._filled = 1.0, now
        self._due = math.inf  # when the token is there for which somebody waits
        self._late = 0.0  # seconds by which the last one came too late

    def empty(self, now: float) -> None:
        """Lose what was saved up."""
        self._tokens, self._filled, self._due = 0.0, now, math.inf

    def draw(self, now: float, rate: float) -> float:
        """Return 0 when a request may leave, else the seconds to wait; a loop can't wake up for every one."""
        if math.isfinite(self._due):
            self._late, self._due = min(max(now - self._due, 0.0), LATE), math.inf
        most = 1.0 + min(self._late * rate, self.burst)
        self._tokens = min(self._tokens + (now - self._filled) * rate, most)
        self._filled = now
        if self._tokens < 1.0 - 1e-9:
            wait = (1.0 - self._tokens) / rate
            self._due = now + wait
            return max(wait, 0.0005)
        self._tokens -= 1.0
        return 0.0

"""An even pace. Pure state over a clock."""

import math

SAVED = 0.002  # seconds' worth of tokens beside the one that leaves: a limiter may have no burst allowance
LATE = 0.03  # the same, at most, where who waited for a token came for it so late
BURST = 16.0  # tokens that this can be: few limiters allow fewer at once


class TokenBucket:
    """Lets requests leave evenly. A busy machine wakes late who waits: what that costs is made up for at once."""

    def __init__(self, now: float) -> None:
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
        saved = max(SAVED * rate, min(self._late * rate, BURST))
        self._tokens = min(self._tokens + (now - self._filled) * rate, 1.0 + saved)
        self._filled = now
        if self._tokens < 1.0 - 1e-9:
            wait = max((1.0 - self._tokens) / rate, 0.0005)
            self._due = now + wait
            return wait
        self._tokens -= 1.0
        return 0.0

"""An even pace. Pure state over a clock."""

SAVED = 0.002  # seconds' worth of tokens beside the one that leaves, at most: a limiter may have no burst allowance


class TokenBucket:
    """Lets requests leave evenly."""

    def __init__(self, now: float) -> None:
        self._tokens, self._filled = 1.0, now

    def empty(self, now: float) -> None:
        """Lose what was saved up."""
        self._tokens, self._filled = 0.0, now

    def draw(self, now: float, rate: float) -> float:
        """Return 0 when a request may leave, else the seconds to wait; a loop can't wake up for every one."""
        self._tokens = min(self._tokens + (now - self._filled) * rate, 1.0 + SAVED * rate)
        self._filled = now
        if self._tokens < 1.0 - 1e-9:
            return max((1.0 - self._tokens) / rate, 0.0005)
        self._tokens -= 1.0
        return 0.0

"""What the rate-limit headers of a service allow. Pure state over a clock."""

import math

from batch_updater.common.models import Quota

ALONE = 1.0  # seconds for which one request goes ahead after a reset: its answer tells how many may follow
ROUNDED = 1.0  # seconds by which resets of one quota may differ


class Allowance:
    """The most requests in flight by the quota that the newest answer named; infinite when none restricts.

    `until` is when the quota is reset. Services name whole seconds, rounded up: of the answers about one quota the one
    with the earliest reset is nearest to the truth.
    """

    def __init__(self, most: int) -> None:
        self.left = self.until = math.inf
        self._most, self._newest, self._remaining = most, 0, -1

    def tell(self, number: int, quota: Quota, now: float) -> bool:
        """Learn the quota from the answer to this request; return False when a later request's is known."""
        if number < self._newest:
            return False
        reset = now + quota.reset
        is_same = now < self.until and quota.remaining <= self._remaining and reset - self.until < ROUNDED
        self.until = min(self.until, reset) if is_same else reset
        self._newest, self._remaining = number, quota.remaining
        self.left = quota.remaining if quota.remaining < self._most else math.inf
        return True

    def most(self, now: float) -> float:
        """Return how many may be in flight; a quota whose reset has come is forgotten."""
        if now >= self.until:
            self.left, self.until = (1, now + ALONE) if self.left == 0 else (math.inf, math.inf)
            self._remaining = -1
        return self.left

"""What the rate-limit headers of a service allow. Pure state over a clock."""

import math

from batch_updater.common.models import Quota

ALONE = 1.0  # seconds for which one request goes ahead after a reset: its answer tells how many may follow


class Allowance:
    """The most requests in flight by the quota that the newest answer named; infinite when none restricts."""

    def __init__(self, most: int) -> None:
        self.left = math.inf
        self._most, self._newest, self._until = most, 0, math.inf

    def tell(self, number: int, quota: Quota, now: float) -> bool:
        """Learn the quota from the answer to this request; return False when a later request's is known."""
        if number < self._newest:
            return False
        self._newest, self._until = number, now + quota.reset
        self.left = quota.remaining if quota.remaining < self._most else math.inf
        return True

    def most(self, now: float) -> float:
        """Return how many may be in flight; a quota whose reset has come is forgotten."""
        if now >= self._until:
            self.left, self._until = (1, now + ALONE) if self.left == 0 else (math.inf, math.inf)
        return self.left

"""Limits that a service may have. Times are seconds, limits requests per second if nothing else is said."""

import math

from batch_updater.common.models import Quota


class Limiter:
    """Accepts everything. `limit` is what can be accepted at most, if only by as many requests as the pool can send."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def accepts(self, now: float) -> bool:
        """Whether a request that arrives now is let through."""
        return now >= 0

    def quota(self, now: float) -> Quota | None:
        """What it says in headers of how many more it will accept."""
        return None

    def queued(self, now: float) -> float:
        """How much longer than usual the request takes that was accepted now."""
        return 0.0 * now

    def answered(self) -> None:
        """An accepted request leaves the service."""


class LeakyBucket(Limiter):
    """Accepts `limit` requests per second and a burst of `burst`."""

    def __init__(self, limit: float, burst: float) -> None:
        super().__init__(limit)
        self._burst, self._level, self._seen = burst, 0.0, 0.0

    def accepts(self, now: float) -> bool:
        self._level = max(self._level - (now - self._seen) * self.limit, 0.0)
        self._seen = now
        if self._level + 1 > self._burst + 1e-6:
            return False
        self._level += 1
        return True


class FixedWindow(Limiter):
    """Accepts `limit` times `period` requests in each period of a clock that is `phase` periods ahead of ours."""

    def __init__(self, limit: float, period: float = 1.0, phase: float = 0.0) -> None:
        super().__init__(limit)
        self._period, self._phase, self._window, self._count = period, phase, -1, 0

    def accepts(self, now: float) -> bool:
        window = int(now / self._period + self._phase)
        if window != self._window:
            self._window, self._count = window, 0
        self._count += 1
        return self._count <= self.limit * self._period

    def quota(self, now: float) -> Quota | None:
        left = (1 - (now / self._period + self._phase) % 1) * self._period
        return Quota(max(int(self.limit * self._period) - self._count, 0), math.ceil(left))


class SlidingWindow(Limiter):
    """Counts all requests of the last `period`, the refused ones too, as the stick tables of HAProxy do."""

    def __init__(self, limit: float, period: float) -> None:
        super().__init__(limit)
        self._period, self._window, self._count, self._before = period, 0, 0, 0

    def accepts(self, now: float) -> bool:
        window, inside = divmod(now, self._period)
        if window != self._window:
            self._before = self._count if window == self._window + 1 else 0
            self._window, self._count = int(window), 0
        self._count += 1
        return self._count + self._before * (1 - inside / self._period) <= self.limit * self._period


class MostInFlight(Limiter):
    """Accepts while fewer than `most` requests are in the service; a round trip takes `latency`."""

    def __init__(self, most: int, latency: float) -> None:
        super().__init__(most / latency)
        self._latency, self._inside = latency, 0

    def accepts(self, now: float) -> bool:
        if self._inside >= round(self.limit * self._latency):
            return False
        self._inside += 1
        return True

    def answered(self) -> None:
        self._inside -= 1


class Queue(Limiter):
    """Serves one request after the other: the more are waiting, the later the answers."""

    def __init__(self, limit: float) -> None:
        super().__init__(limit)
        self._served = 0.0

    def queued(self, now: float) -> float:
        self._served = max(self._served, now) + 1 / self.limit
        return self._served - now

"""How fast requests may leave: a token bucket, a pause for the whole pool, and a rate that gives way.

`Pace` is pure state over a clock; `Pacer` is its thin async face.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

FALL = 0.7
CLIMB_PER_SECOND = 1.05
SLOWEST = 1.0


class Pace:
    """Requests per second, all kinds together; `cap` is the user's `--rate`, None for no cap.

    Tokens never exceed a tenth of a second's worth (at least one), so that no second sees more than
    the rate and one such burst.
    """

    def __init__(self, cap: float | None, now: float) -> None:
        self.cap = cap
        self.rate = cap
        self.paused_until = now
        self._tokens = 1.0
        self._seen = now
        self._fell = now - 10.0
        self._granted = 0
        self._window = now

    def take(self, now: float) -> float:
        """Zero when a request may leave now (it is counted), else the seconds to wait before asking again."""
        if now < self.paused_until:
            return self.paused_until - now
        if self.rate is not None:
            self._refill(now)
            if self._tokens < 1.0:
                return max((1.0 - self._tokens) / self.rate, 0.0005)
            self._tokens -= 1.0
        if now - self._window > 1.0:
            self._window, self._granted = now, 0
        self._granted += 1
        return 0.0

    def _refill(self, now: float) -> None:
        assert self.rate is not None  # noqa: S101 - told by the caller; for the type checker
        elapsed = now - max(self._seen, self.paused_until)
        self._seen = max(now, self._seen)
        if elapsed <= 0:
            return
        self._tokens = min(self._tokens + elapsed * self.rate, max(1.0, self.rate / 10))
        if now - self._fell > 1.0 and (self.cap is None or self.rate < self.cap):
            climbed = self.rate * CLIMB_PER_SECOND ** min(elapsed, 1.0)
            self.rate = climbed if self.cap is None else min(climbed, self.cap)

    def throttled(self, now: float, wait: float | None) -> None:
        """The service asked for less: hold everything for `wait` seconds (0.2 when it named none) and slow down.

        Answers to requests of the same burst count once.
        """
        self.paused_until = max(self.paused_until, now + (0.2 if wait is None else wait))
        if now - self._fell < 1.0:
            return
        present = self.rate if self.rate is not None else self._granted / max(now - self._window, 0.25)
        self.rate = max(present * FALL, SLOWEST)
        self._tokens = 0.0
        self._fell = now


class Pacer:
    """Waits until the pace lets a request leave; first come, first served."""

    def __init__(
        self,
        cap: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._pace = Pace(cap, clock())
        self._turn = asyncio.Lock()

    async def acquire(self, stopping: Callable[[], bool]) -> bool:
        """Wait for leave to send one request; False when the run stops meanwhile."""
        async with self._turn:
            while not stopping():
                wait = self._pace.take(self._clock())
                if wait <= 0:
                    return True
                await self._sleep(min(wait, 0.25))
        return False

    def throttled(self, wait: float | None) -> None:
        """Tell the pace that the service asked for less."""
        self._pace.throttled(self._clock(), wait)

    @property
    def paused_for(self) -> float:
        """Seconds until the pause ends, 0 when there is none."""
        return max(self._pace.paused_until - self._clock(), 0.0)

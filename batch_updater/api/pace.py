"""How fast requests may leave: a token bucket, a pause for the whole pool, and a rate that gives way.

`Pace` is pure state over a clock; `Pacer` is its thin async face.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from batch_updater.models import Answer, Verdict

FALL = 0.7
CLIMB_PER_SECOND = 1.05
SLOWEST = 1.0
BARE_PAUSE = 0.1
TROUBLED_SHARE = 0.2
FAILURES_IN_A_ROW = 20
PROBE_FIRST = 0.5
PROBE_LONGEST = 30.0
_MEMORY = 0.98  # weight of the past in the share of bad answers: about the last 50 count


class Pace:
    """Requests per second, all kinds together; `cap` is the user's `--rate`, None for no cap.

    Tokens never exceed a tenth of a second's worth (at least one), so that no second sees more than
    the rate and one such burst. Without a cap there is no limit until the service asks for less.
    """

    def __init__(self, cap: float | None, now: float) -> None:
        self.cap = cap
        self.rate = cap
        self.paused_until = now
        self._tokens = 1.0
        self._seen = now
        self._fell = now - 10.0
        self._troubled = 0.0
        self._second = now
        self._succeeded = [0, 0]  # in the second before, in the present one

    def take(self, now: float) -> float:
        """Zero when a request may leave now (it is counted), else the seconds to wait before asking again."""
        if now < self.paused_until:
            return self.paused_until - now
        if self.rate is None:
            return 0.0
        self._refill(now, self.rate)
        if self._tokens < 1.0:
            return max((1.0 - self._tokens) / self.rate, 0.0005)
        self._tokens -= 1.0
        return 0.0

    def _refill(self, now: float, rate: float) -> None:
        elapsed = now - max(self._seen, self.paused_until)
        self._seen = max(now, self._seen)
        if elapsed <= 0:
            return
        self._tokens = min(self._tokens + elapsed * rate, max(1.0, rate / 10))
        if now - self._fell > 1.0:
            climbed = rate * CLIMB_PER_SECOND ** min(elapsed, 1.0)
            self.rate = climbed if self.cap is None else min(climbed, self.cap)

    def succeeded(self, now: float) -> None:
        """An answer came that was no complaint about the load."""
        self._turn_second(now)
        self._succeeded[1] += 1
        self._troubled *= _MEMORY

    def throttled(self, now: float, wait: float | None, *, told: bool) -> None:
        """The service can't keep up. `told`: it said so (429 or Retry-After); `wait`: seconds, None when not named.

        Told, everything is held for that time and the rate falls. A bare 503 holds nothing; the rate falls only
        when such answers are more than a few. Refusals of one burst count once.
        """
        self._troubled = self._troubled * _MEMORY + (1 - _MEMORY)
        if told:
            self.paused_until = max(self.paused_until, now + (BARE_PAUSE if wait is None else wait))
        if (told or self._troubled > TROUBLED_SHARE) and now - self._fell >= 1.0:
            self._fall(now)

    def _fall(self, now: float) -> None:
        self._turn_second(now)
        lately = sum(self._succeeded) / (1.0 + now - self._second)
        present = lately if self.rate is None else self.rate
        self.rate = max(present * FALL, SLOWEST)
        self._tokens = 0.0
        self._fell = now

    def _turn_second(self, now: float) -> None:
        if now - self._second >= 2.0:
            self._second, self._succeeded = now, [0, 0]
        elif now - self._second >= 1.0:
            self._second, self._succeeded = self._second + 1.0, [self._succeeded[1], 0]


class Outage:
    """Whether the service is down: 20 system failures in a row, silent or over a second. Pure state over a clock.

    While it is down one request at a time may try, at intervals that double from 0.5 s to 30 s.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._silent = 0
        self._first = 0.0
        self._since: float | None = None
        self._next = 0.0
        self._interval = PROBE_FIRST

    def answered(self, now: float, *, failed: bool, silent: bool = False) -> None:
        """One request ended. `failed`: without an answer (`silent`), or with the service's own error."""
        if not failed:
            self._failures, self._silent, self._since = 0, 0, None
            return
        self._failures += 1
        self._silent = self._silent + 1 if silent else 0
        if self._failures == 1:
            self._first = now
        down = self._silent >= FAILURES_IN_A_ROW or (self._failures >= FAILURES_IN_A_ROW and now - self._first >= 1.0)
        if self._since is None and down:
            self._since, self._interval, self._next = now, PROBE_FIRST, now + PROBE_FIRST

    def wait(self, now: float) -> float:
        """Zero when a request may leave now (it is the probe when the service is down), else seconds to wait."""
        if self._since is None:
            return 0.0
        if now < self._next:
            return self._next - now
        self._interval = min(self._interval * 2, PROBE_LONGEST)
        self._next = now + self._interval
        return 0.0

    def lasted(self, now: float) -> float:
        """Seconds since the service was found to be down; 0 when it is not."""
        return 0.0 if self._since is None else now - self._since


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
        self._outage = Outage()
        self._turn = asyncio.Lock()

    async def acquire(self, stopping: Callable[[], bool]) -> bool:
        """Wait for leave to send one request; False when the run stops meanwhile."""
        async with self._turn:
            while not stopping():
                now = self._clock()
                wait = self._outage.wait(now) or self._pace.take(now)
                if wait <= 0:
                    return True
                await self._sleep(min(wait, 0.25))
        return False

    def answered(self, answer: Answer) -> None:
        """Learn from an answer, or from its absence."""
        now = self._clock()
        if answer.verdict is Verdict.THROTTLED:
            self._pace.throttled(now, answer.wait, told=answer.told)
            self._outage.answered(now, failed=not answer.told)
            return
        status = answer.http_status
        failed = status is None or status >= 500
        self._outage.answered(now, failed=failed, silent=status is None)
        if not failed:
            self._pace.succeeded(now)

    @property
    def paused_for(self) -> float:
        """Seconds until the pause ends, 0 when there is none."""
        return max(self._pace.paused_until - self._clock(), 0.0)

    @property
    def outage_for(self) -> float:
        """Seconds since the service was found to be down, 0 when it is not."""
        return self._outage.lasted(self._clock())

    @property
    def rate(self) -> float | None:
        """The present rate in requests per second, None when there is no limit."""
        return self._pace.rate

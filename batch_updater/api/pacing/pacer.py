"""Waits until a request may leave, and tells the controller what became of it."""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

from batch_updater.api.pacing.controller import Controller
from batch_updater.api.pacing.outage import Outage
from batch_updater.common.models import Answer, Verdict
from batch_updater.common.settings import SendOptions

ATTENTION = 0.25  # seconds after which a stop is noticed by who waits


class Pacer:
    """Lets requests leave, first come, first served; times are seconds.

    `cap` is the user's `--rate`, None for no cap; without `adapt` there is nothing but that and the pauses that the
    service asks for. At most `most` requests are in flight, each for at most `timeout`.
    """

    def __init__(
        self, cap: float | None, clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, *,
        adapt: bool = True, most: int = 1000, timeout: float = 30.0,
    ) -> None:  # fmt: skip
        self._clock, self._sleep = clock, sleep
        self._controller = Controller(most, clock(), cap=cap, adapt=adapt, timeout=timeout)
        self._outage = Outage()
        self._turn = asyncio.Lock()
        self._has_answer = asyncio.Event()

    async def acquire(self, stopping: Callable[[], bool]) -> int:
        """Wait until one request may be sent; return its number, 0 when the run stops meanwhile.

        Every number must be handed back by `answered` or `abandoned`.
        """
        if self._controller.is_free and not self._outage.is_on:
            if stopping():
                return 0
            self._controller.leave(self._clock())
            return self._controller.departed
        async with self._turn:
            while not stopping():
                self._has_answer.clear()
                now = self._clock()
                wait = self._outage.wait(now) or self._controller.take(now)
                if wait <= 0:
                    self._outage.departed(now)
                    return self._controller.departed
                await self._wait(wait)
        return 0

    async def _wait(self, seconds: float) -> None:
        if math.isinf(seconds):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ATTENTION):
                    await self._has_answer.wait()
        else:
            await self._sleep(min(seconds, ATTENTION))

    def answered(self, answer: Answer[Any], number: int) -> bool:
        """Learn from the answer to a request, or from its absence; return whether it was refused for load."""
        now, status = self._clock(), answer.http_status
        is_load = False
        if answer.quota:
            self._controller.told(number, answer.quota, now)
        if answer.asks_to_slow_down:
            is_load = True
            self._controller.refused_for_load(number, now, answer.wait)
        elif answer.verdict is Verdict.THROTTLED:
            is_load = self._controller.unavailable(number, now)
        elif status is None or status >= 500:
            self._controller.failed(number, now)
        else:
            self._controller.accepted(number, now)
        if status is None or (status >= 500 and not answer.asks_to_slow_down):
            self._outage.failed(now, silent=status is None)
        else:
            self._outage.succeeded()
        self._has_answer.set()
        return is_load

    def abandoned(self, number: int) -> None:
        """Record that a request was not sent, or that nobody waits for its answer any more."""
        self._controller.failed(number, self._clock())
        self._has_answer.set()

    @property
    def paused_for(self) -> float:
        """Seconds until the pause ends, 0 when there is none."""
        return max(self._controller.held_until - self._clock(), 0.0)

    @property
    def outage_for(self) -> float:
        """Seconds since the service was found to be down, 0 when it is not."""
        return self._outage.lasted(self._clock())

    @property
    def rate(self) -> float | None:
        """The present limit in requests per second, None when there is none."""
        return self._controller.rate

    @property
    def window(self) -> int:
        """The most requests in flight at present."""
        return self._controller.window

    @property
    def history(self) -> list[tuple[float, float]]:
        """The changes of the limit: (seconds since the start, requests per second), at most some 256 of them."""
        return list(self._controller.history)


def pacer_for(options: SendOptions) -> Pacer:
    """Return the pacer of a run with these options."""
    return Pacer(options.rate, adapt=options.adapt, most=options.concurrency, timeout=options.timeout)

"""Limiters that a service may have, and a pool of workers that meets them on a clock of its own."""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from batch_updater.api.pacing.pacer import Pace


class LeakyBucket:
    """Accepts `limit` requests per second and a burst of `burst`."""

    def __init__(self, limit: float, burst: float) -> None:
        self.limit, self._burst, self._level, self._seen = limit, burst, 0.0, 0.0

    def accepts(self, now: float) -> bool:
        """Whether a request that arrives now is let through."""
        self._level = max(self._level - (now - self._seen) * self.limit, 0.0)
        self._seen = now
        if self._level + 1 > self._burst:
            return False
        self._level += 1
        return True


class FixedWindow:
    """Accepts `limit` requests in each second of the clock."""

    def __init__(self, limit: float) -> None:
        self.limit, self._second, self._count = limit, -1, 0

    def accepts(self, now: float) -> bool:
        """Whether a request that arrives now is let through."""
        if int(now) != self._second:
            self._second, self._count = int(now), 0
        self._count += 1
        return self._count <= self.limit


Limiter = LeakyBucket | FixedWindow


@dataclass
class Meeting:
    """What happened: arrival times of accepted and of refused requests, and departures, all in seconds."""

    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    departed: list[float] = field(default_factory=list)

    def share(self, limit: float, start: float, end: float) -> tuple[float, float]:
        """Accepted as a share of the limit, and refused as a share of all, between two times in seconds."""
        accepted = sum(start <= t < end for t in self.accepted)
        refused = sum(start <= t < end for t in self.refused)
        return accepted / (limit * (end - start)), refused / max(accepted + refused, 1)


class Pool:
    """Workers that send through a pace on a simulated clock; a refused one waits a random time, as retries do.

    Times are seconds. `noise` is the share of accepted requests that is answered by a bare 503 all the same.
    """

    def __init__(
        self,
        pace: Pace,
        limiter: Limiter,
        *,
        told: bool = True,
        wait: float | None = 1.0,
        latency: float = 0.02,
        noise: float = 0.0,
        seed: int = 1,
    ) -> None:
        self.meeting = Meeting()
        self._pace, self._limiter = pace, limiter
        self._told, self._wait, self._latency, self._noise = told, wait, latency, noise
        self._random, self._order = random.Random(seed), count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._waiting: deque[int] = deque()
        self._now, self._next_turn = 0.0, -1.0

    def later(self, when: float, call: Callable[[], None]) -> None:
        """Do something at this time."""
        heapq.heappush(self._events, (when, next(self._order), call))

    def run(self, seconds: float, workers: int) -> None:
        """Let so many workers send for so long."""
        for _ in range(workers):
            self.later(0.0, lambda: self._come_back(0))
        while self._events and self._events[0][0] < seconds:
            self._now, _, call = heapq.heappop(self._events)
            call()

    def _come_back(self, tries: int) -> None:
        self._waiting.append(tries)
        self._turn()

    def _turn(self) -> None:
        while self._waiting:
            hold = self._pace.take(self._now)
            if hold > 0:
                if self._next_turn <= self._now:
                    self._next_turn = self._now + max(min(hold, 0.25), 0.001)
                    self.later(self._next_turn, self._turn)
                return
            tries = self._waiting.popleft()
            self.meeting.departed.append(self._now)
            self.later(self._now + self._latency / 2, lambda tries=tries: self._arrive(tries))

    def _arrive(self, tries: int) -> None:
        good = self._limiter.accepts(self._now)
        (self.meeting.accepted if good else self.meeting.refused).append(self._now)
        noisy = good and self._random.random() < self._noise
        self.later(self._now + self._latency / 2, lambda: self._answer(tries, good=good, noisy=noisy))

    def _answer(self, tries: int, *, good: bool, noisy: bool) -> None:
        if good and not noisy:
            self._pace.succeeded()
            self._come_back(0)
            return
        self._pace.throttled(self._now, None if noisy else self._wait, told=self._told and not noisy)
        pause = self._random.random() * 0.5 * 2 ** min(tries, 5)
        self.later(self._now + pause, lambda: self._come_back(tries + 1))


def meet(
    pace: Pace,
    limiter: Limiter,
    *,
    seconds: float,
    workers: int = 64,
    at: dict[float, Callable[[], None]] | None = None,
    **service: Any,
) -> Meeting:
    """Let a pool meet a limiter for so many seconds; `at` has things to do on the way, by time."""
    pool = Pool(pace, limiter, **service)
    for when, call in (at or {}).items():
        pool.later(when, call)
    pool.run(seconds, workers)
    return pool.meeting

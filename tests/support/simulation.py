"""A pool of workers that meets a service with a limit, on a clock of its own, through the real controller."""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from support.limiters import FixedWindow, LeakyBucket, Limiter, MostInFlight, Queue, SlidingWindow

from batch_updater.api.pacing.controller import Controller
from batch_updater.common.models import Quota

WORKERS = 64
TRANSIT = 0.001  # seconds from the pool to the service, and back
TICK, LATE = 0.001, 0.0001  # an event loop's timers are no finer, and so much later
TIMEOUT = 30.0  # of a request
CHANGE = 20.0  # when a limit changes
HOPELESS = 50  # refusals of one row, one after the other, while nearly all other requests are accepted
BUDGET = 5  # further attempts for a row's own errors


@dataclass
class Service:
    """What answers: its limit, how it refuses, and how long it takes.

    `status` and `wait` are those of a refusal, which comes after `refusal` seconds. A share `tail` of the answers
    takes a second; a share `noise` of the accepted requests is answered by a bare 503 all the same.
    """

    limiter: Limiter
    status: int = 429
    wait: float | None = None
    latency: float = 0.02
    jitter: float = 0.0  # of the latency, as a share
    refusal: float = 0.002
    tail: float = 0.0
    noise: float = 0.0
    has_headers: bool = False  # the answers name the quota of the limiter


@dataclass(frozen=True)
class Case:
    """A service, and by what its limit is multiplied at 20 s.

    `late`: the machine is so busy that the pool notices everything so many seconds late, on average.
    """

    service: Callable[[], Service]
    factor: float = 1.0
    seconds: float = 60.0
    late: float = 0.0


@dataclass(slots=True)
class Row:
    """How often a row was refused for load, one after the other, and how many errors it was charged."""

    refusals: int = 0
    errors: int = 0


@dataclass
class Meeting:
    """What happened: times of good answers and of refusals by the limiter, errors, rows that ended `failed`."""

    good: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    errors: int = 0
    failed: int = 0

    def between(self, start: float, end: float) -> tuple[int, int]:
        """Good answers and refusals between two times in seconds."""
        return sum(start <= t < end for t in self.good), sum(start <= t < end for t in self.refused)


class Pool:
    """Workers that send rows without end, as `sending` does: a refused row goes back, a waiting one is parked.

    Without a controller they send as fast as they can.
    """

    def __init__(self, controller: Controller | None, service: Service, seed: int = 1, late: float = 0.0) -> None:
        self.meeting = Meeting()
        self.now = 0.0
        self._is_controlled = controller is not None
        self._controller = controller or Controller(WORKERS, 0.0, adapt=False)
        self._service, self._places, self._late = service, WORKERS, late
        self._random, self._order = random.Random(seed), count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._line: deque[Row] = deque()
        self._sleeps_until = 0.0

    def later(self, when: float, call: Callable[[], None]) -> None:
        """Do something at this time."""
        heapq.heappush(self._events, (when, next(self._order), call))

    def run(self, seconds: float) -> Meeting:
        """Let the workers send for so long."""
        self.later(0.0, self._turn)
        while self._events and self._events[0][0] < seconds:
            self.now, _, call = heapq.heappop(self._events)
            call()
        return self.meeting

    def _noticed(self, when: float) -> float:
        return when + self._late * 2 * self._random.random()

    def _turn(self) -> None:
        if self.now < self._sleeps_until:
            return
        while self._places:
            wait = self._controller.take(self.now)
            if math.isfinite(wait) and wait > 0:
                self._sleeps_until = self._noticed(self.now + math.ceil(min(wait, 0.25) / TICK) * TICK + LATE)
                self.later(self._sleeps_until, self._turn)
            if wait > 0:
                return
            self._places -= 1
            self._depart(self._line.popleft() if self._line else Row(), self._controller.departed)

    def _depart(self, row: Row, number: int) -> None:
        self.later(self.now + TRANSIT, lambda: self._arrive(row, number))

    def _arrive(self, row: Row, number: int) -> None:
        service = self._service
        is_accepted = service.limiter.accepts(self.now)
        quota = service.limiter.quota(self.now) if service.has_headers else None
        if not is_accepted:
            self.meeting.refused.append(self.now)
            self.later(self._noticed(self.now + service.refusal - TRANSIT), lambda: self._refused(row, number, quota))
            return
        seconds = 1.0 if self._random.random() < service.tail else service.latency
        seconds *= 1 + service.jitter * (2 * self._random.random() - 1)
        seconds += service.limiter.queued(self.now)
        self.later(self.now + seconds - TRANSIT, service.limiter.answered)
        if seconds < TIMEOUT:
            self.later(self._noticed(self.now + seconds - TRANSIT), lambda: self._answered(row, number, quota))
        else:
            self.later(self.now + TIMEOUT, lambda: self._silent(row, number))

    def _answered(self, row: Row, number: int, quota: Quota | None) -> None:
        self._tell(number, quota)
        if self._random.random() < self._service.noise:
            self._unavailable(row, number)
            return
        self.meeting.good.append(self.now)
        self._controller.accepted(number, self.now)
        self._free()

    def _tell(self, number: int, quota: Quota | None) -> None:
        if quota and self._is_controlled:
            self._controller.told(number, quota, self.now)

    def _refused(self, row: Row, number: int, quota: Quota | None) -> None:
        self._tell(number, quota)
        if self._service.status == 503 and self._service.wait is None:
            self._unavailable(row, number)
        else:
            wait = quota.reset if quota and self._service.wait is None else self._service.wait
            self._controller.refused_for_load(number, self.now, wait)
            self._go_back(row)

    def _unavailable(self, row: Row, number: int) -> None:
        if self._is_controlled and self._controller.unavailable(number, self.now):
            self._go_back(row)
            return
        if not self._is_controlled:
            self._controller.failed(number, self.now)
        self._charge(row)

    def _silent(self, row: Row, number: int) -> None:
        self._controller.failed(number, self.now)
        self._charge(row)

    def _charge(self, row: Row) -> None:
        row.errors, row.refusals = row.errors + 1, 0
        self.meeting.errors += 1
        if row.errors > BUDGET:
            self.meeting.failed += 1
        else:
            self._park(row, self._random.random() * 0.5 * 2 ** (row.errors - 1))
        self._free()

    def _go_back(self, row: Row) -> None:
        row.refusals += 1
        good, refused = self.meeting.between(self.now - 10, self.now) if row.refusals >= HOPELESS else (0, 0)
        if good > 0.95 * (good + refused):
            self.meeting.failed += 1
        elif row.refusals < 3:
            self._line.append(row)
        else:
            self._park(row, self._random.random() * min(0.5 * 2 ** (row.refusals - 3), 30.0))
        self._free()

    def _park(self, row: Row, seconds: float) -> None:
        def come_back() -> None:
            self._line.append(row)
            self._turn()

        self.later(self.now + seconds, come_back)

    def _free(self) -> None:
        self._places += 1
        self._turn()


def _leaky(limit: float, burst: float, status: int, wait: float | None) -> Case:
    return Case(lambda: Service(LeakyBucket(limit, burst), status, wait))


def _window(limit: float, period: float, wait: float | None, phase: float = 0.0) -> Case:
    return Case(lambda: Service(FixedWindow(limit, period, phase), wait=wait))


def _told(limit: float, period: float) -> Case:
    return Case(lambda: Service(FixedWindow(limit, period, 0.37), has_headers=True))


def _in_flight(most: int, status: int, factor: float = 1.0) -> Case:
    return Case(lambda: Service(MostInFlight(most, 0.02), status), factor)


def _halves(status: int, wait: float | None) -> Case:
    return Case(lambda: Service(LeakyBucket(500, 20), status, wait), 0.5)


def _late(limit: float, burst: float, status: int, wait: float | None, late: float) -> Case:
    return Case(lambda: Service(LeakyBucket(limit, burst), status, wait), late=late / 1000)


LIMITS = (100, 500, 2000)
LATENESS = (2, 5, 20)  # milliseconds
CASES: dict[str, Case] = {
    **{f"leaky bucket, burst 20, Retry-After 1: {limit}/s": _leaky(limit, 20, 429, 1.0) for limit in LIMITS},
    **{f"leaky bucket, no burst, bare 503: {limit}/s": _leaky(limit, 1, 503, None) for limit in LIMITS},
    **{f"leaky bucket, burst 20, bare 503: {limit}/s": _leaky(limit, 20, 503, None) for limit in LIMITS},
    **{f"leaky bucket, burst 20, bare 429: {limit}/s": _leaky(limit, 20, 429, None) for limit in LIMITS},
    **{f"leaky bucket, burst 500, Retry-After 1: {limit}/s": _leaky(limit, 500, 429, 1.0) for limit in LIMITS},
    **{f"window of 1 s, Retry-After 1: {limit}/s": _window(limit, 1.0, 1.0, 0.37) for limit in LIMITS},
    **{f"window of 10 s, bare 429: {limit}/s": _window(limit, 10.0, None, 0.37) for limit in LIMITS},
    "window of 10 s, Retry-After 10: 60/s": _window(60, 10.0, 10.0),
    "the same, refused requests count: 60/s": Case(lambda: Service(SlidingWindow(60, 10.0), wait=10.0)),
    "window of 1 s, rate-limit headers: 500/s": _told(500, 1.0),
    **{f"window of 10 s, rate-limit headers: {limit}/s": _told(limit, 10.0) for limit in (6, *LIMITS)},
    "5 in flight, bare 503": _in_flight(5, 503),
    "8 in flight, bare 429": _in_flight(8, 429),
    "8 in flight, then 4, bare 429": _in_flight(8, 429, 0.5),
    "4 in flight, then 16, bare 429": _in_flight(4, 429, 4.0),
    "the limit halves, Retry-After 1": _halves(429, 1.0),
    "the limit halves, bare 503": _halves(503, None),
    "no limit": Case(lambda: Service(Limiter(3200))),
    "no limit, 1 % take a second": Case(lambda: Service(Limiter(3200), tail=0.01)),
    "no limit, 5 % are 503": Case(lambda: Service(Limiter(3200), noise=0.05)),
    "leaky bucket, bare 503: 500/s, and 5 % are 503": Case(lambda: Service(LeakyBucket(500, 20), 503, noise=0.05)),
    "one after the other, 2 s each": Case(lambda: Service(Queue(0.5)), seconds=600.0),
    **{f"leaky bucket, burst 20, Retry-After 1: 500/s, {n} ms late": _late(500, 20, 429, 1.0, n) for n in LATENESS},
    **{f"leaky bucket, burst 20, Retry-After 1: 2000/s, {n} ms late": _late(2000, 20, 429, 1.0, n) for n in (2, 5)},
    **{f"leaky bucket, no burst, bare 503: 500/s, {n} ms late": _late(500, 1, 503, None, n) for n in LATENESS},
    "no limit, all take 8 s": Case(lambda: Service(Limiter(8), latency=8.0), seconds=300.0),
}  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """After the first 10 s: percent of the limit that was used, percent of requests refused; rows failed in all."""

    used: float
    refused: float
    failed: int


def measure(case: Case, *, seed: int = 1, is_controlled: bool = True, pool: type[Pool] = Pool) -> Figures:
    """Let 64 workers meet a service."""
    service = case.service()
    limits = [(10.0, service.limiter.limit)]
    meeting = pool(Controller(WORKERS, 0.0) if is_controlled else None, service, seed, case.late)

    def change() -> None:
        service.limiter.limit *= case.factor
        limits.append((CHANGE, service.limiter.limit))

    meeting.later(CHANGE, change)
    met = meeting.run(case.seconds)
    good, refused = met.between(10.0, case.seconds)
    ends = [when for when, _ in limits[1:]] + [case.seconds]
    possible = sum(limit * (end - start) for (start, limit), end in zip(limits, ends, strict=True))
    return Figures(100 * good / possible, 100 * refused / max(good + refused, 1), met.failed)

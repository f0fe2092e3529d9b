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
RECENT = 200  # about so many answers are the last ones
MOST = 0.95  # share of them that is nearly all


class Pacer:
    """Lets requests leave, first come, first served; times are seconds.

    `cap` is the user's `--rate`, None for no cap; without `adapt` there is nothing but that and the pauses that the
    service asks for. At most `most` requests are in flight, each for at most `timeout`. A pause of more than
    `longest_pause` is not made: whoever asked must not be asked again.

    While the service is suspected to be down nothing leaves but a probe. That is the next request in line, unless
    somebody else sends a neutral one and sets `has_prober`; `suspected` tells when.
    """

    def __init__(
        self, cap: float | None, clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, *,
        adapt: bool = True, most: int = 1000, timeout: float = 30.0, longest_pause: float = math.inf,
    ) -> None:  # fmt: skip
        self._clock, self._sleep = clock, sleep
        self._controller = Controller(most, clock(), cap=cap, adapt=adapt, timeout=timeout)
        self._most = most
        self.outage = Outage()
        self.suspected = asyncio.Event()
        self.has_prober = False
        self.longest_pause = longest_pause
        self._probe = 0  # the number of the request that is one
        self._in_flight = 0
        self._load_since: float | None = None  # when the first refusal for load came that no acceptance has followed
        self._share = 1.0  # of the last requests, those that were not refused for load
        self._turn = asyncio.Lock()
        self._has_answer = asyncio.Event()

    async def acquire(self, stopping: Callable[[], bool]) -> int:
        """Wait until one request may be sent; return its number, 0 when the run stops meanwhile.

        Every number must be handed back by `answered` or `abandoned`.
        """
        if self._controller.is_free and not self.outage.is_suspected:
            if stopping():
                return 0
            self._controller.leave(self._clock())
            self._in_flight += 1
            return self._controller.departed
        async with self._turn:
            while not stopping():
                self._has_answer.clear()
                now = self._clock()
                if (wait := self._outage_wait(now) or self._controller.take(now)) <= 0:
                    self._in_flight += 1
                    self._probe = self._controller.departed if self.outage.is_suspected else 0
                    return self._controller.departed
                await self._wait(wait)
        return 0

    def _outage_wait(self, now: float) -> float:
        if not self.outage.is_suspected:
            return 0.0
        return math.inf if self.has_prober or self._probe else self.outage.wait(now)

    async def _wait(self, seconds: float) -> None:
        if math.isinf(seconds):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ATTENTION):
                    await self._has_answer.wait()
        else:
            await self._sleep(min(seconds, ATTENTION))

    def answered(self, answer: Answer[Any], number: int, *, again: bool = False) -> bool:
        """Learn from the answer to a request, or from its absence; return whether it was refused for load.

        `again`: it was refused for load before, so that it says little of the others.
        """
        now = self._clock()
        self._in_flight -= 1
        if answer.quota:
            self._controller.told(number, answer.quota, now)
        is_load = self._tell_controller(answer, number, now)
        if not (again and is_load):
            self._share += (1 - is_load - self._share) / RECENT
        if is_load:
            self._load_since = now if self._load_since is None else self._load_since
            self.outage.answers()
        elif is_good(answer):
            self._load_since = None
            self.outage.works(self._controller.departed)
        elif self.outage.is_suspected and number == self._probe:
            self.outage.probe_failed(now, answer.detail)
        else:
            self.outage.failed(now, answer.detail, alone=not self._in_flight)
        self._probe = 0 if number == self._probe else self._probe
        self._announce()
        return is_load

    def _tell_controller(self, answer: Answer[Any], number: int, now: float) -> bool:
        """Pass an answer on; return whether it was a refusal for load."""
        if answer.asks_to_slow_down and (answer.wait or 0.0) <= self.longest_pause:
            self._controller.refused_for_load(number, now, answer.wait)
            return True
        if answer.verdict is Verdict.THROTTLED and not answer.asks_to_slow_down:
            return self._controller.unavailable(number, now)
        if is_good(answer):
            self._controller.accepted(number, now)
        else:
            self._controller.failed(number, now)
        return False

    def _announce(self) -> None:
        self._has_answer.set()
        if self.outage.is_suspected:
            self.suspected.set()
        else:
            self.suspected.clear()

    def abandoned(self, number: int) -> None:
        """Record that a request was not sent, or that nobody waits for its answer any more."""
        self._in_flight -= 1
        self._controller.failed(number, self._clock())
        self._probe = 0 if number == self._probe else self._probe
        self._has_answer.set()

    # The service as a whole

    def suspect(self, why: str) -> None:
        """Let nothing leave before a probe has been answered; `why` is what was seen last."""
        self.outage.suspect(self._clock(), why)
        self._announce()

    def probed(self, answer: Answer[Any]) -> None:
        """Record the answer to a neutral request, sent besides what `acquire` lets go."""
        if is_good(answer):
            self.outage.vouched(self._controller.departed, self._clock())
            self._share += (1 - self._share) / RECENT
        elif answer.http_status == 429:
            self.outage.answers()
        else:
            self.outage.probe_failed(self._clock(), answer.detail, answer.wait or 0.0)
        self._announce()

    def sign_in_failed(self, why: str) -> None:
        """Record a sign-in that was not answered, or with an error: it is tried again, and nothing else leaves."""
        self.outage.probe_failed(self._clock(), why)
        self._announce()

    def has_worked_since(self, number: int) -> bool:
        """Return whether the service has been shown to work since this request left."""
        return self.outage.has_worked_since(number, self._clock())

    @property
    def probe_wait(self) -> float:
        """Seconds until the next probe may leave: it obeys the pauses that the service has asked for."""
        return max(self.outage.wait(self._clock()), self.paused_for)

    def serves_others(self, number: int) -> bool:
        """Return whether nearly all other requests are accepted, and some since this one left.

        When no other is left to be accepted, a probe has to tell.
        """
        if self.has_prober and not self.has_worked_since(number):
            self.suspect("requests are refused for load")
            return False
        return self._share >= MOST

    @property
    def refused_for(self) -> float:
        """Seconds since the service began to refuse all that it gets, for load; 0 when it accepts something."""
        return 0.0 if self._load_since is None else self._clock() - self._load_since

    @property
    def paused_for(self) -> float:
        """Seconds until the pause ends, 0 when there is none."""
        return max(self._controller.held_until - self._clock(), 0.0)

    @property
    def outage_for(self) -> float:
        """Seconds since the service stopped answering, 0 when it works."""
        return self.outage.lasted(self._clock())

    @property
    def unanswered_for(self) -> float:
        """The same, and seconds since a service became suspect whose probe has not been answered for a while."""
        return self.outage_for or self.outage.suspected_for(self._clock())

    @property
    def rate(self) -> float | None:
        """The present limit in requests per second, None when there is none."""
        return self._controller.rate

    @property
    def window(self) -> int:
        """The most requests in flight at present."""
        return self._controller.window

    @property
    def is_narrowed(self) -> bool:
        """Whether the service takes fewer requests at once than may be sent."""
        return self._controller.window < self._most

    @property
    def history(self) -> list[tuple[float, float]]:
        """The changes of the limit: (seconds since the start, requests per second), at most some 256 of them."""
        return list(self._controller.history)


def is_good(answer: Answer[Any]) -> bool:
    """Return whether an answer shows that the service works: it is no failure of its own, and no refusal to look."""
    status = answer.http_status
    return status is not None and status < 500 and status != 408 and answer.verdict is not Verdict.THROTTLED


def pacer_for(options: SendOptions) -> Pacer:
    """Return the pacer of a run with these options."""
    return Pacer(
        options.rate, adapt=options.adapt, most=options.concurrency, timeout=options.timeout,
        longest_pause=options.outage_budget,
    )  # fmt: skip

"""Repeat requests that fail: how often, how long apart, and when to give up. The only user of tenacity."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Never, TypeVar

import tenacity

from batch_updater.api.pacing.pacer import Pacer
from batch_updater.common.models import Answer, Counters, Verdict

RETRIED_VERDICTS = frozenset({Verdict.RETRY, Verdict.THROTTLED, Verdict.UNKNOWN})
RENEWALS = 2  # of a refused token, for one request
REFUSALS = 50  # for load, running, that end a request while nearly all others are accepted
PATIENT_REFUSALS = 3  # from which a request waits longer than all others do
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
STOPPED: Answer[Never] = Answer(Verdict.STOP, "stopped", "the run stopped before this row", was_sent=False)
T = TypeVar("T")
SendOnce = Callable[[], Awaitable[Answer[T]]]
Renew = Callable[[int], Awaitable[bool]]


class Observer:
    """Follows the attempts of one request; this base class ignores them."""

    __slots__ = ()

    def answered(self, answer: Answer[Any], *, is_load: bool) -> None:
        """Receive the answer to an attempt; `is_load`: the service did not look at it, for it has too much to do."""

    async def before_next(self, answer: Answer[Any], number: int) -> bool:
        """Prepare for attempt `number`, which follows this answer; False when it must not be made."""
        return True


NOBODY = Observer()


@dataclass(slots=True)
class _Spent:
    """What one request has used up of its budget: its own failures, not those of a service that is down or loaded."""

    most: float
    pace: Pacer | None
    charges_all: bool
    failures: int = 0
    refusals: int = 0  # for load, running
    refused_since: int = 0  # the departure of the first of these
    must_end: bool = False
    unclear: int = 0  # the departure of the last failure, while nobody is known to have been served since

    def add(self, answer: Answer[Any], departure: int, *, is_load: bool) -> None:
        """Charge an answer to whom it concerns."""
        self.unclear = 0
        if self.pace and answer.wait is not None and answer.wait > self.pace.longest_pause:
            self.must_end = True
        elif is_load and self.pace:
            self.refused_since = self.refused_since if self.refusals else departure
            self.refusals += 1
            self.must_end = self.refusals >= REFUSALS and self.pace.serves_others(self.refused_since)
        elif self.pace and not self.charges_all:
            self.refusals, self.unclear = 0, departure
            self.charge()
        else:
            self.failures += 1

    def charge(self) -> bool:
        """Charge the last failure to the request, if the service has been shown to work since; return `is_over`."""
        if self.pace and self.unclear and self.pace.has_worked_since(self.unclear):
            self.failures, self.unclear = self.failures + 1, 0
        return self.is_over

    @property
    def is_over(self) -> bool:
        """Whether nothing more may be sent."""
        return self.must_end or self.failures >= self.most

    def wait(self, backoff: float, answer: Answer[Any]) -> float:
        """Return the seconds until the next attempt; the pace makes the pauses that the service asks for."""
        if self.pace is None:
            return max(backoff, answer.wait or 0.0)
        return 0.0 if 0 < self.refusals < PATIENT_REFUSALS else backoff


@dataclass(frozen=True, slots=True)
class Attempts:
    """Sends a request again until it is answered for good.

    It may fail `most` times by its own fault, and is never sent after `until` (by `time.monotonic`). `pace` decides
    when each attempt may leave, and whose fault a failure is; without one, or with `charges_all`, all are the request's
    own. Without one the pause between two is at least the one that the service asks for. Once `stopping` is true
    nothing is sent any more, and `sleep` may return early. `counters` are updated.
    """

    most: float
    until: float = math.inf
    pace: Pacer | None = None
    charges_all: bool = False
    stopping: Callable[[], bool] = lambda: False
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    counters: Counters = field(default_factory=Counters)

    async def run(self, request: SendOnce[T], renew: Renew | None = None, observer: Observer = NOBODY) -> Answer[T]:
        """Return the last answer, or STOPPED. Raises what `request` and `renew` raise.

        Between attempts it sleeps up to 0.5 s at first, later up to 30 s, with full jitter. `renew` gets a newer token
        than the generation that was refused, and returns whether to try again; such an attempt is not counted.
        """
        spent = _Spent(self.most, self.pace, self.charges_all)
        answer = await self._attempt(request, observer, spent)
        if answer.verdict is Verdict.DONE or answer.verdict is Verdict.REFUSED:
            return answer  # nearly every request ends here, and skips the cost of what follows
        renewals = 0
        backoff = tenacity.wait_chain(
            tenacity.wait_random(0, FIRST_WAIT), tenacity.wait_random_exponential(FIRST_WAIT / 2, LONGEST_WAIT)
        )
        repetition = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_result(lambda found: found.verdict in RETRIED_VERDICTS),
            wait=lambda state: spent.wait(backoff(state), answer),
            stop=lambda state: (
                spent.is_over or self.stopping() or time.monotonic() + state.upcoming_sleep >= self.until
            ),
            retry_error_callback=lambda _state: None,  # the last answer is returned, nothing is raised
            sleep=self.sleep,
        )
        async for attempt in repetition:
            if attempt.retry_state.attempt_number > 1:  # the first has been made above
                answer = await self._next_attempt(request, observer, answer, spent)
            while (
                answer.verdict is Verdict.UNAUTHORIZED
                and renew
                and renewals < RENEWALS
                and await renew(answer.token_generation)
            ):
                renewals += 1
                answer = await self._next_attempt(request, observer, answer, spent)
            attempt.retry_state.set_result(answer)
        return answer

    async def _attempt(self, request: SendOnce[T], observer: Observer, spent: _Spent) -> Answer[T]:
        departure = await self.pace.acquire(self.stopping) if self.pace else 0
        if self.pace and not departure:
            return STOPPED
        self.counters.in_flight += 1
        try:
            answer = await request()
        except BaseException:
            if self.pace:
                self.pace.abandoned(departure)
            raise
        finally:
            self.counters.in_flight -= 1
        again = spent.refusals > 0
        is_load = self.pace.answered(answer, departure, again=again) if self.pace else answer.asks_to_slow_down
        if answer.verdict in RETRIED_VERDICTS:
            spent.add(answer, departure, is_load=is_load)
            self.counters.throttled += is_load
        observer.answered(answer, is_load=is_load)
        return answer

    async def _next_attempt(
        self, request: SendOnce[T], observer: Observer, answer: Answer[T], spent: _Spent
    ) -> Answer[T]:
        if spent.charge():  # others have been served while it waited
            return answer
        if not await observer.before_next(answer, spent.failures + 1):
            return STOPPED
        if spent.charge():  # what the observer has read shows that the service works
            return answer
        self.counters.retried += answer.verdict is not Verdict.UNAUTHORIZED
        return await self._attempt(request, observer, spent)

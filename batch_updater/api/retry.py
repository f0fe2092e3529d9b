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
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
STOPPED: Answer[Never] = Answer(Verdict.STOP, "stopped", "the run stopped before this row", was_sent=False)
T = TypeVar("T")
SendOnce = Callable[[], Awaitable[Answer[T]]]
Renew = Callable[[int], Awaitable[bool]]


class Observer:
    """Follows the attempts of one request; this base class ignores them."""

    __slots__ = ()

    def answered(self, answer: Answer[Any]) -> None:
        """Receive the answer to an attempt."""

    async def before_next(self, answer: Answer[Any], number: int) -> bool:
        """Prepare for attempt `number`, which follows this answer; False when it must not be made."""
        return True


NOBODY = Observer()


@dataclass(frozen=True, slots=True)
class Attempts:
    """Sends a request again until it is answered for good.

    It is sent at most `most` times, and never after `until` (by `time.monotonic`); with `waits_out_outages`, attempts
    that fail while the service is down are not counted. `pace` decides when each may leave; without one, the pause
    between two is at least the one that the service asks for. Once `stopping` is true nothing is sent any more, and
    `sleep` may return early. `counters` are updated.
    """

    most: int
    until: float = math.inf
    pace: Pacer | None = None
    waits_out_outages: bool = False
    stopping: Callable[[], bool] = lambda: False
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    counters: Counters = field(default_factory=Counters)

    async def run(self, request: SendOnce[T], renew: Renew | None = None, observer: Observer = NOBODY) -> Answer[T]:
        """Return the last answer, or STOPPED. Raises what `request` and `renew` raise.

        Between attempts it sleeps up to 0.5 s at first, later up to 30 s, with full jitter. `renew` gets a newer token
        than the generation that was refused, and returns whether it could; such an attempt is not counted.
        """
        answer = await self._attempt(request, observer)
        if answer.verdict is Verdict.DONE or answer.verdict is Verdict.REFUSED:
            return answer  # nearly every request ends here, and skips the cost of what follows
        failed = renewals = 0
        backoff = tenacity.wait_chain(
            tenacity.wait_random(0, FIRST_WAIT), tenacity.wait_random_exponential(FIRST_WAIT / 2, LONGEST_WAIT)
        )
        repetition = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_result(lambda found: found.verdict in RETRIED_VERDICTS),
            wait=lambda state: max(backoff(state), 0.0 if self.pace else answer.wait or 0.0),
            stop=lambda state: (
                failed >= self.most or self.stopping() or time.monotonic() + state.upcoming_sleep >= self.until
            ),
            retry_error_callback=lambda _state: None,  # the last answer is returned, nothing is raised
            sleep=self.sleep,
        )
        async for attempt in repetition:
            if attempt.retry_state.attempt_number > 1:  # the first has been made above
                answer = await self._next_attempt(request, observer, answer, failed + 1)
            while (
                answer.verdict is Verdict.UNAUTHORIZED
                and renew
                and renewals < RENEWALS
                and await renew(answer.token_generation)
            ):
                renewals += 1
                answer = await self._next_attempt(request, observer, answer, failed + 1)
            failed += not (self.waits_out_outages and self.pace and self.pace.outage_for)
            attempt.retry_state.set_result(answer)
        return answer

    async def _attempt(self, request: SendOnce[T], observer: Observer) -> Answer[T]:
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
        if self.pace:
            self.pace.answered(answer, departure)
        self.counters.throttled += answer.asks_to_slow_down
        observer.answered(answer)
        return answer

    async def _next_attempt(
        self, request: SendOnce[T], observer: Observer, answer: Answer[T], number: int
    ) -> Answer[T]:
        if not await observer.before_next(answer, number):
            return STOPPED
        self.counters.retried += answer.verdict is not Verdict.UNAUTHORIZED
        return await self._attempt(request, observer)

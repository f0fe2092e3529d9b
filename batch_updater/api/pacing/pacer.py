"""How fast requests may leave: an even pace, a pause for the whole pool, and a limit learned from refusals.

`Pace` is pure state over a clock; `Pacer` waits by it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from batch_updater.api.pacing.limit_search import Complaints, LimitSearch
from batch_updater.api.pacing.outage import Outage
from batch_updater.api.protocol import MAX_WAIT
from batch_updater.common.models import Answer, Verdict

BARE_PAUSE = 0.1  # after a refusal that names no time; doubles while nothing at all is accepted
LONGEST_BARE_PAUSE = 5.0
DEPTH = 0.03  # seconds' worth of requests that may leave at once after a local delay
LEARNED_DEPTH = 15.0  # requests at most, where a limit was learned: its burst allowance may be no larger
LEAST_DEPTH = 0.005  # seconds' worth in any case: a loop can't wake up for every request of a high rate
REST = 60.0  # a refusal that cost a pause of 1 s is risked again after 60 s, later 120 s and 240 s
SPENT = 2.0  # pauses' worth of sending after which what a limiter saved up in a pause is spent
ENOUGH = 20  # accepted requests that say something about a rate
HISTORY = 256


class Pace:
    """Requests per second, all kinds together; `cap` is the user's `--rate`, None for no cap.

    There is no limit but the cap until the service refuses something. Then everything is held for the time that the
    service names, and a limit is searched. `guess`, where an earlier search has ended, is a limit from the start: it
    climbs from there, and falls when it is refused. A probe that is refused costs such a pause, so once the limit is
    known it is left alone for 60 times as long. `adapt=False`: there is never more than the cap and the pauses.
    Tokens never exceed 0.03 s worth of the rate (at least one), so that after a delay nothing leaves in a large burst.
    """

    def __init__(self, cap: float | None, now: float, *, adapt: bool = True, guess: float | None = None) -> None:
        self.paused_until = now
        self.history: list[tuple[float, float]] = []  # seconds since the start, limit from then on
        self.is_free = cap is None  # nothing at all limits the pace at present
        self._cap, self._adapt, self._began = cap, adapt, now
        self._tokens, self._seen = 1.0, now
        self._departed = self._answered = 0
        self._search: LimitSearch | None = None
        self._complaints = Complaints()
        self._event = now  # the last refusal that counted
        self._event_ends = 0  # answers up to this one belong to it
        self._pause, self._bare_pause = BARE_PAUSE, BARE_PAUSE
        self._resumed = now
        self._steps: list[tuple[float, float]] = []  # since the pause: when, rate
        self._trial: tuple[float, int] | None = None  # when it began, answers by then
        self._trial_from = 0  # answers to requests that left at an earlier rate
        self._rest_until, self._rests = now, 0
        self._has_learned = False
        if adapt and guess is not None:
            self._search, self.is_free = LimitSearch.from_guess(guess), False
            self._rate_changed(now, self._search)

    @property
    def rate(self) -> float | None:
        """The present limit in requests per second, None when there is none."""
        if self._search is None:
            return self._cap
        return self._search.rate if self._cap is None else min(self._search.rate, self._cap)

    @property
    def learned(self) -> float | None:
        """The rate that a next run may begin with, None when this one has found or confirmed none."""
        found = self._search.found if self._search and self._has_learned else None
        return found if found is None or self._cap is None else min(found, self._cap)

    def depart(self) -> None:
        """Count a request that leaves while `is_free`."""
        self._departed += 1

    def take(self, now: float) -> float:
        """Return 0 when a request may leave now (it is counted), else the seconds to wait before asking again."""
        if now < self.paused_until:
            self.paused_until = min(self.paused_until, now + MAX_WAIT)  # the clock may have been set back
            return self.paused_until - now
        if self._search is not None:
            self._learn(now, self._search)
        rate = self.rate
        self.is_free = rate is None
        wait = 0.0 if rate is None else self._draw(now, rate)
        self._departed += wait <= 0
        return wait

    def _draw(self, now: float, rate: float) -> float:
        elapsed = max(now - max(self._seen, self.paused_until), 0.0)
        self._seen = now
        self._tokens = min(self._tokens + elapsed * rate, self._depth(rate))
        if self._tokens < 1.0:
            return max((1.0 - self._tokens) / rate, 0.0005)
        self._tokens -= 1.0
        return 0.0

    def _depth(self, rate: float) -> float:
        """Return how many requests may leave at once after a delay; fewer to a service that has refused something."""
        depth = rate * DEPTH
        if self._search is not None:
            depth = min(depth, max(LEARNED_DEPTH, rate * LEAST_DEPTH))
        return max(depth, 1.0)

    def failed(self) -> None:
        """Record a request that ended without an answer, or with an error that says nothing about the load."""
        self._answered += 1

    def succeeded(self) -> None:
        """Record an answer that was no complaint about the load."""
        self._answered += 1
        self._complaints.add_good()

    def throttled(self, now: float, wait: float | None, *, told: bool) -> None:
        """Record that the service can't keep up. `told`: by 429 or Retry-After; `wait`: seconds, None when not named.

        When told, nothing is sent for that time. A bare 503 counts only when there are more than a few of them.
        Refusals of requests that were in flight together count once.
        """
        self._answered += 1
        if self._complaints.accepted:
            self._bare_pause = BARE_PAUSE
        pause = self._bare_pause if wait is None else min(max(wait, 0.0), MAX_WAIT)
        if told:
            self._hold(now, pause)
        if self._answered <= self._event_ends:
            return
        self._complaints.add_bad(told=told)
        sending = None if self._search is None else now - self._resumed
        if self._adapt and (told or self._complaints.are_too_many(sending)):
            self._refused(now, pause)

    def _refused(self, now: float, pause: float) -> None:
        """Slow down; when nothing was accepted since the last refusal, make the pause longer instead."""
        if self._search is not None and not self._complaints.accepted:
            self._bare_pause = min(self._bare_pause * 2, LONGEST_BARE_PAUSE)
            self._hold(now, pause)
            self._resumed, self._pause = self.paused_until, self.paused_until - self._event
            self._steps = [(self._resumed, self._search.rate)]
            self._event_ends = self._departed
        else:
            self._slow_down(now, max(pause, BARE_PAUSE))

    def _hold(self, now: float, pause: float) -> None:
        self.paused_until = max(self.paused_until, now + pause)
        self._tokens, self._trial, self.is_free = 0.0, None, False

    def _slow_down(self, now: float, pause: float) -> None:
        self._hold(now, pause)
        span = max(now - self._event, 0.001)
        fastest = self._departed / span
        used = fastest if self.rate is None else self.rate
        if self._search is None:
            self._search = LimitSearch(self._complaints.accepted / (span + pause), min(fastest, used))
        else:
            accepted = self._complaints.accepted
            sure = [rate for when, rate in self._steps if when <= now - SPENT * self._pause and accepted >= ENOUGH]
            late = now > self._resumed + 3 * self._pause and accepted >= 5 * ENOUGH
            self._search.fails(used, self._complaints.accepted / span, sure[-1] if sure else None, barely=late)
        self._has_learned = True
        self._complaints.start_again()
        if self._complaints.are_doubtful:
            self._search.test()
        self._event, self._event_ends = now, self._departed
        self._pause, self._resumed = pause, self.paused_until
        self._steps = []
        self._rate_changed(self._resumed, self._search)

    def _rate_changed(self, when: float, search: LimitSearch) -> None:
        self._trial, self._trial_from = None, self._departed
        self._steps = [*self._steps[-20:], (when, search.rate)]
        if search.is_settled:
            self._rest_until = when + REST * self._pause * 2 ** min(self._rests, 2)
            self._rests += 1
        self.history.append((max(when - self._began, 0.0), self.rate or search.rate))
        if len(self.history) > HISTORY:
            del self.history[1:-1:2]

    def _learn(self, now: float, search: LimitSearch) -> None:
        """Go up when the present rate has been in use for long enough without a refusal."""
        if self._answered < self._trial_from or (search.is_settled and now < self._rest_until):
            return
        if search.is_testing:
            if (noise := self._complaints.decide_test()) is not None:
                search.end_test(noise=noise)
                self._complaints.start_again()
                self._rate_changed(now, search)
            return
        if self._trial is None or now < self._trial[0]:
            self._trial = now, self._answered
        began, answered = self._trial
        first = min(SPENT * self._pause, 10.0) if len(self._steps) == 1 else 0.0
        if now - began < max(search.trial, 5 / search.rate, first):
            return
        self._trial = None
        if self._answered - answered < 0.8 * search.rate * (now - began):
            return  # this rate is not what limits the run
        if search.is_settled:
            search.reopen()
        elif search.step > 0.05:
            self._rests = 0
        search.passes()
        self._has_learned = True
        self._rate_changed(now, search)


class Pacer:
    """Waits until a request may leave; first come, first served. All times are seconds."""

    def __init__(
        self, cap: float | None, clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, *, adapt: bool = True, guess: float | None = None,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._sleep = sleep
        self._pace = Pace(cap, clock(), adapt=adapt, guess=guess)
        self._outage = Outage()
        self._turn = asyncio.Lock()

    async def acquire(self, stopping: Callable[[], bool]) -> bool:
        """Wait until one request may be sent; False when the run stops meanwhile."""
        if self._pace.is_free and not self._outage.is_on:
            if stopping():
                return False
            self._pace.depart()
            return True
        async with self._turn:
            while not stopping():
                now = self._clock()
                wait = self._outage.wait(now) or self._pace.take(now)
                if wait <= 0:
                    self._outage.departed(now)
                    return True
                await self._sleep(min(wait, 0.25))
        return False

    def answered(self, answer: Answer[Any]) -> None:
        """Learn from an answer, or from its absence."""
        status = answer.http_status
        if answer.verdict is Verdict.THROTTLED:
            now = self._clock()
            self._pace.throttled(now, answer.wait, told=answer.asks_to_slow_down)
            self._outage.succeeded() if answer.asks_to_slow_down else self._outage.failed(now, silent=False)
        elif status is None or status >= 500:
            self._pace.failed()
            self._outage.failed(self._clock(), silent=status is None)
        else:
            self._pace.succeeded()
            self._outage.succeeded()

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
        """The present limit in requests per second, None when there is none."""
        return self._pace.rate

    @property
    def learned(self) -> float | None:
        """The rate that a next run may begin with, None when there is none to rely on."""
        return self._pace.learned

    @property
    def history(self) -> list[tuple[float, float]]:
        """The changes of the limit: (seconds since the start, requests per second), at most some 256 of them."""
        return list(self._pace.history)

"""When requests may leave, by what was accepted and what was refused for load. Pure state over a clock.

    FREE --refusal--> HELD (Retry-After in full; a bare refusal: 0.1 s at first) --> PROBE (one request)
    PROBE refused --> HELD, longer
    PROBE accepted --> WINDOW (fewer in flight) or RATE (fewer per second)
    WINDOW, RATE --refusal--> HELD; without refusals the window widens and the rate rises

All that is learned of a refusal is learned when the probe has been accepted, for then the whole event is known.
"""

import math
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from batch_updater.api.pacing.allowance import Allowance
from batch_updater.api.pacing.latency import Latency
from batch_updater.api.pacing.noise import Noise
from batch_updater.api.pacing.rate_search import RateSearch
from batch_updater.api.pacing.token_bucket import BURST, TokenBucket
from batch_updater.api.pacing.window_search import WindowSearch
from batch_updater.common.models import Quota

BARE_HOLD = 0.1  # seconds, after a refusal that names no time; longer when the probe is refused
LONGEST_BARE_HOLD = 5.0
PATIENCE = 6  # the hold is this part of the time since the refusal
NEEDED = 3  # refused probes: then the pause was needed, for the service counts in a window of time
SURE = 20  # departures that tell how fast the pool really sent
LASTED = 3.0  # seconds after which a rate is refused late
SPREAD = 4  # requests that a limiter without a burst allowance accepts while as many as there are workers leave
HISTORY = 256


class PaceState(Enum):
    """What decides on the next departure."""

    FREE, HELD, PROBE, WINDOW, RATE = auto(), auto(), auto(), auto(), auto()


class Moment(NamedTuple):
    """A moment: seconds, and how many requests had been accepted and had departed by then."""

    when: float
    accepted: int
    departed: int


@dataclass(slots=True)
class Refusal:
    """Requests in flight together that were refused, until a probe is accepted."""

    when: float
    left: Moment  # when the first of them departed
    in_flight: int  # requests that departed before that one, were in flight with it, and were accepted
    hold: float  # seconds from a bare refusal to the next probe
    named: bool = False  # the service named a time
    probe: int = 0  # the number of the request that is the probe, 0 when none is in flight
    probes: int = 0  # refused ones
    last_probe: float = 0.0  # when the last one was refused


class Controller:
    """Decides when requests leave, all kinds together; times are seconds, rates are requests per second.

    `most` is the largest number in flight, `cap` the user's `--rate`, None for no cap. `adapt=False`: nothing is
    searched, there are only the cap and the holds. Each request that leaves has a number, from 1; it is told once
    what became of it: `accepted`, `refused_for_load`, `unavailable` or `failed`.
    """

    def __init__(
        self, most: int, now: float, *, cap: float | None = None, adapt: bool = True, timeout: float = 30.0
    ) -> None:
        self.departed = 0
        self.held_until = now
        self.history: list[tuple[float, float]] = []  # seconds since the start, limit from then on
        self._most, self._cap, self._adapt, self._began = most, cap, adapt, now
        self._in_flight: dict[int, Moment] = {}
        self._accepted = 0
        self._bucket, self._noise, self._window = TokenBucket(now), Noise(), WindowSearch(most)
        self._allowance, self._latency = Allowance(most), Latency(timeout)
        self._rates: RateSearch | None = None
        self._refusal: Refusal | None = None
        self._tells = False  # the service has said 429 or Retry-After: it is trusted to say so
        self._resumed = self._trial = Moment(now, 0, 0)  # when the last pause ended, and when the present trial began
        self._trial_ends = math.inf
        self._was_paced = False  # the rate has
        self._was_full = False  # the window has held a request back in this trial

    @property
    def state(self) -> PaceState:
        """What decides on the next departure."""
        if self._refusal:
            return PaceState.PROBE if self._refusal.probe else PaceState.HELD
        if self._rates:
            return PaceState.RATE
        return PaceState.FREE if self._window.is_open else PaceState.WINDOW

    @property
    def is_free(self) -> bool:
        """Whether a request may leave at once, without being asked for."""
        return self._cap is None and self.state is PaceState.FREE and math.isinf(self._allowance.left)

    @property
    def window(self) -> int:
        """The most requests in flight at present."""
        return self._window.size

    @property
    def rate(self) -> float | None:
        """The present limit in requests per second, None when there is none."""
        if self._rates is None:
            return self._cap
        return self._rates.rate if self._cap is None else min(self._rates.rate, self._cap)

    # Departures

    def take(self, now: float) -> float:
        """Return 0 when a request may leave now; its number is `departed`. Else return the seconds to wait.

        They are infinite when an answer must come first.
        """
        if now < self.held_until:
            return self.held_until - now
        if self._refusal:
            if self._refusal.probe:
                return math.inf
            self._refusal.probe = self.departed + 1
        else:
            if now >= self._trial_ends:
                self._end_trial(now)
            self._was_full |= len(self._in_flight) >= self._window.size
            if len(self._in_flight) >= min(self._window.size, self._allowance.most(now)):
                return math.inf
            if math.isfinite(self._pace) and (wait := self._bucket.draw(now, self._pace)) > 0:
                self._was_paced = True
                return wait
        self.leave(now)
        return 0.0

    def leave(self, now: float) -> None:
        """Count a request that leaves."""
        self.departed += 1
        self._in_flight[self.departed] = Moment(now, self._accepted, self.departed)

    @property
    def _pace(self) -> float:
        """Requests per second that may leave; those of a window are spread over half a round trip."""
        spread = math.inf if self._window.is_open else 2 * self._window.size / max(self._latency.smoothed, 0.001)
        return min(self.rate or math.inf, spread)

    # Answers

    def accepted(self, number: int, now: float) -> None:
        """Record an answer that was no refusal for load, such as a 200 or a final 4xx."""
        self._end(number, now)
        self._accepted += 1
        if self._refusal is None:
            self._noise.add_good(limited=self._is_limited)
        elif number == self._refusal.probe:
            self._resume(now, self._refusal)
        else:
            self._refusal.in_flight += number < self._refusal.left.departed

    def failed(self, number: int, now: float) -> None:
        """Record a request that ended without an answer, or with one that says nothing about the load."""
        self._end(number, now)
        if self._refusal and number == self._refusal.probe:
            self._refusal.probe = 0
            self._hold(now + self._refusal.hold)

    def unavailable(self, number: int, now: float) -> bool:
        """Record a bare 503; return whether it is a refusal for load, else it counts as `failed`."""
        if self._refusal is None:
            if number <= self._resumed.departed:  # it left before the last pause ended, as those that were refused
                is_load = not self._tells
            else:
                is_load = self._noise.add_bad(limited=self._is_limited and not self._tells)
            if not is_load:
                self.failed(number, now)
                return False
        self._refused(number, now, None)
        return True

    def refused_for_load(self, number: int, now: float, wait: float | None) -> None:
        """Record a 429, or any answer with a Retry-After of `wait` seconds; None when no time is named.

        Nothing is sent for that time. Refusals of requests that were in flight together count once.
        """
        self._tells = True
        self._refused(number, now, wait)

    def told(self, number: int, quota: Quota, now: float) -> None:
        """Record the quota that an answer names, whatever else the answer is; at 0 nothing leaves until its reset."""
        if self._allowance.tell(number, quota, now) and not quota.remaining:
            self._hold(self._allowance.until)

    @property
    def _is_limited(self) -> bool:
        return self._rates is not None or not self._window.is_open

    def _refused(self, number: int, now: float, wait: float | None) -> None:
        left = self._in_flight.pop(number, Moment(now, self._accepted, number))
        self._hold(now + (wait or 0.0))
        if self._refusal is None and number > self._resumed.departed:
            self._refusal = Refusal(now, left, self._accepted - left.accepted, BARE_HOLD)
            self._hold(now + BARE_HOLD)
        if (refusal := self._refusal) is None:
            return
        refusal.named = refusal.named or wait is not None
        if number == refusal.probe:
            refusal.probe, refusal.probes, refusal.last_probe = 0, refusal.probes + 1, now
            refusal.hold = min(max(refusal.hold, (now - refusal.when) / PATIENCE), LONGEST_BARE_HOLD)
            self._hold(now + refusal.hold)

    def _hold(self, until: float) -> None:
        self.held_until = max(self.held_until, until)

    def _end(self, number: int, now: float) -> None:
        """Measure how long a request took; halve the window when that is too long."""
        if (left := self._in_flight.pop(number, None)) is None:
            return
        factor = self._latency.add(number, now - left.when, self.departed)
        if factor != 1 and self._adapt:
            used = min(len(self._in_flight) + 1, self._window.size) if factor < 1 else self._window.size
            self._window.resize(int(used * factor))
            self._start_trial(now, self._window.trial(now - left.when))

    # Learning

    def _resume(self, now: float, refusal: Refusal) -> None:
        """Send on, as fast as the refusal tells."""
        if self._adapt:
            lasted = max(refusal.when - self._resumed.when, self._latency.smoothed, 0.001)
            self._learn(now, refusal, lasted, now - refusal.when)
        self._refusal = None
        self._bucket.empty(now)
        self._noise.start_again()
        self._resumed = Moment(now, self._accepted, self.departed)

    def _learn(self, now: float, refusal: Refusal, lasted: float, pause: float) -> None:
        window, rates = self._window, self._rates
        if rates:
            used = self._used(refusal, rates)
            rates.fails(used, self._average(lasted + pause), pause, lasted=lasted > max(2 * pause, LASTED))
        else:
            used = min((refusal.left.departed - self._resumed.departed) / lasted, self._pace)
            self._bucket.burst = min(max(refusal.in_flight - SPREAD, 0), BURST)
            window.fails(refusal.in_flight, lasted, self._latency.smoothed, pause)
            if not (refusal.named or refusal.probes or window.is_refuted):
                self._start_trial(now, window.trial(self._latency.smoothed))
                return
            window.resize(self._most)
            rates = self._rates = RateSearch(self._average(lasted + pause), used, pause)
        if refusal.probes >= NEEDED and not refusal.named:
            needed = (refusal.last_probe + now) / 2 - refusal.when
            rates.settle(self._average(lasted + needed))
        rates.estimated(self._average(pause) if lasted < pause / 2 else 0.0, used)
        is_test = self._noise.is_doubtful and rates.must_test(used)
        if is_test:
            self._noise.start_test()
        self._rate_changed(now, 0.0 if is_test else rates.first_trial)

    def _average(self, seconds: float) -> float:
        """Return what was accepted per second since the last pause, which ended so long ago."""
        return (self._accepted - self._resumed.accepted) / seconds

    def _used(self, refusal: Refusal, rates: RateSearch) -> float:
        """Return how fast the pool sent when it was refused; that may have been less than the limit."""
        sent, seconds = refusal.left.departed - self._trial.departed, refusal.left.when - self._trial.when
        return min(rates.rate, sent / max(seconds, 0.001)) if sent >= SURE else rates.rate

    def _end_trial(self, now: float) -> None:
        """Widen the window or raise the rate, if that is what has limited the pool."""
        if (rates := self._rates) is None or self._was_full:
            if self._was_full:
                self._window.passes()
            self._start_trial(now, self._window.trial(self._latency.smoothed))
        elif self._noise.is_suspected:
            if (noise := self._noise.end_test()) is not None:
                rates.end_test(noise=noise)
                self._rate_changed(now, rates.trial)
        elif self._was_paced:
            rates.passes()
            self._rate_changed(now, rates.trial)
        else:
            self._start_trial(now, rates.trial)

    def _start_trial(self, now: float, seconds: float) -> None:
        self._trial, self._trial_ends = Moment(now, self._accepted, self.departed), now + seconds
        self._was_full = self._was_paced = False

    def _rate_changed(self, now: float, trial: float) -> None:
        self._start_trial(now, trial)
        self.history.append((now - self._began, self.rate or 0.0))
        if len(self.history) > HISTORY:
            del self.history[1:-1:2]

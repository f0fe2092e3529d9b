"""Search for an undocumented limit of requests per second. Pure, without a clock."""

import math

SLOWEST, FASTEST = 0.5, 1e9
NEAR = 1.06  # a refused rate this close above one that passed leaves nothing to search for
WIDE = 1.4  # in a narrower gap the next try lies in its lower third: a refusal costs more than a low rate
MARGIN = 0.97  # of a refused rate, what is used when the search is over
DOUBLE, SMALL, MIDDLE = 1.0, 0.01, 0.05  # first steps up, as shares of the rate
GROWTH, LARGEST = 1.5, 0.1  # of the steps, while nothing is refused
FALLS = (0.95, 0.8, 0.5, 0.25)  # of a rate thought good, when it is refused again and again
EQUAL = 0.03  # two estimates that differ by no more, after clearly different rates, are the limit
SUSPICIOUS = 0.7  # of the rate that was tested last: refused as far below, another test is due
REST = 60.0  # a settled rate is left alone for so many times what its last refusal cost, at first
TRIALS = (0.4, 3.0)  # seconds, the shortest and the longest
LONG = 10.0  # seconds of the first trial after a pause, at most


class RateSearch:
    """Narrows the gap between a rate that passed and one that was refused, in requests per second.

    It begins between a rate that surely passes and the speed that was refused, and doubles. Neither bound is trusted
    forever: a burst allowance lets too high a rate pass for a while, and limits change.
    """

    def __init__(self, passed: float, refused: float, pause: float) -> None:
        self.passed, self.refused, self._step = _within(passed), math.inf, DOUBLE
        self.rate = _within(min(math.sqrt(passed * refused), refused * MARGIN))
        self.pause = pause  # seconds that the last refusal cost
        self._failures, self._falls, self._rests = 0, -1, 0  # one after the other
        self._estimate, self._used = 0.0, refused
        self._tested, self._after_test = math.inf, 0.0

    @property
    def is_settled(self) -> bool:
        """Whether the limit is known well enough; then `rate` is a little below it."""
        return self.refused <= self.passed * NEAR

    @property
    def trial(self) -> float:
        """Seconds for which the present rate must pass before the next step up; small steps take long to show."""
        if self.is_settled:
            return float(REST * self.pause * 2 ** min(self._rests - 1, 2))
        gap = self._step if math.isinf(self.refused) else math.sqrt(self.refused / self.rate) - 1
        shortest, longest = TRIALS
        return max(shortest, 5 / self.rate, min(0.1 / max(gap, SMALL), longest))

    @property
    def first_trial(self) -> float:
        """Seconds of the trial after a pause: what a limiter saved up meanwhile must be spent."""
        return max(self.trial, min(2 * self.pause, LONG))

    def passes(self) -> None:
        """Go up: the present rate has passed its trial."""
        self.passed, self._failures, self._falls = self.rate, 0, -1
        if self.is_settled:
            self._reopen(SMALL)
        if math.isinf(self.refused):
            self.rate = _within(self.rate * (1 + self._step))
            self._step = min(self._step * GROWTH, max(self._step, LARGEST))
        else:
            self._go_between()

    def fails(self, used: float, average: float, pause: float, *, lasted: bool) -> None:
        """Go down: `used` was refused and cost a pause.

        `average` is what was accepted per second since the pause before, with this pause counted in; `lasted`: the
        rate had been in use for long.
        """
        self.pause = pause
        self._failures = 1 if lasted else self._failures + 1
        if self.passed >= used * 0.999:
            self._falls = 0 if lasted else self._falls + 1
            fall = FALLS[min(self._falls, len(FALLS) - 1)]
            self.passed = _within(max(used * fall, min(average, used * MARGIN)))
        self.refused = max(used, SLOWEST)
        self._go_between()

    def estimated(self, limit: float, used: float) -> None:
        """Settle when a second estimate of the limit, after `used` was refused, equals the one before.

        A window of time lets the same number pass at any rate; a bucket does not. An estimate of 0 says nothing.
        """
        is_other_rate = abs(used / self._used - 1) > 0.2
        if limit and is_other_rate and abs(limit - self._estimate) <= EQUAL * limit:
            self.settle(limit)
        self._estimate, self._used = limit, used

    def settle(self, limit: float) -> None:
        """Take this limit as found."""
        self.refused = _within(limit)
        self.passed = self.refused * MARGIN
        self._go_between()

    def must_test(self, used: float) -> bool:
        """Whether refusals at this rate may not depend on the rate at all; then half of it is used for a while."""
        if used >= self._tested * SUSPICIOUS:
            return False
        self._tested, self._after_test = _within(used), self.rate
        self.rate = _within(used / 2)
        return True

    def end_test(self, *, noise: bool) -> None:
        """Go on as before the test; if it was `noise`, as before the refusal that led to it."""
        self.rate = self._after_test
        if noise:
            self.rate, self._tested = self._tested, math.inf
            self._reopen(MIDDLE)

    def _reopen(self, step: float) -> None:
        """Forget the refused rate and go up again from the present one, by `step` of it first."""
        self.refused, self._step, self.passed = math.inf, step, self.rate

    def _go_between(self) -> None:
        if self.is_settled:
            self.rate = _within(min(self.passed, self.refused * MARGIN))
            self._rests += 1
            return
        share = 0.0 if self._failures > 2 else 0.5 if self.refused > self.passed * WIDE else 0.3
        self.rate = _within(self.passed * (self.refused / self.passed) ** share)


def _within(rate: float) -> float:
    return min(max(rate, SLOWEST), FASTEST)

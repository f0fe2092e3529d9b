"""Search for an undocumented rate limit by what was accepted and what was refused. Pure, without a clock."""

import math

SLOWEST = 0.5
FASTEST = 1e9
NEAR = 1.06  # a refused rate this close above one that passed leaves nothing to search for
MARGIN = 0.97  # of a refused rate, what is used when the search is over
WIDE = 1.4  # in a narrower gap the next try lies in its lower third: a refusal costs more than a low rate
TEST = 0.85  # of the rate, when it is tested whether refusals depend on it
FIRST_STEP = 0.01
STEP_FROM_GUESS = 0.05  # an earlier run's rate was the limit then; whether it still is shows soon
GROWTH = 1.5  # of the steps, while nothing is refused
BARELY = 0.975  # of a rate that was refused only after long
FALLS = (0.95, 0.8, 0.5, 0.25)  # of a rate thought good, when it is refused again and again


class LimitSearch:
    """Narrows the gap between a rate that passed and one that was refused, both in requests per second.

    Neither bound is trusted forever: a burst allowance lets too high a rate pass for a while, and limits change.
    """

    def __init__(self, proven: float, refused: float) -> None:
        self.refused = min(max(refused, SLOWEST), FASTEST)
        self.passed = self._sure = self._base = max(min(proven, self.refused * FALLS[0]), SLOWEST)
        self.step = FIRST_STEP
        self._is_guess = True  # `refused` was the speed of a first burst, which may be refused at any rate
        self._failures = 1
        self._tested: float | None = None  # the rate to go back to after a test at a lower one
        self.rate = self._between()

    @classmethod
    def from_guess(cls, guess: float) -> "LimitSearch":
        """Return a search that goes up from the rate with which an earlier one ended."""
        search = cls(guess, guess)
        search.rate = search.refused
        search.reopen(step=STEP_FROM_GUESS)
        return search

    @property
    def found(self) -> float | None:
        """The rate to trust: where the search has settled, or the last that passed on the way up; else None."""
        if self.is_settled:
            return self.rate
        return self.passed if self.is_climbing else None

    @property
    def is_climbing(self) -> bool:
        """Whether no refused rate is known above the present one."""
        return math.isinf(self.refused)

    @property
    def is_settled(self) -> bool:
        """Whether the limit is known well enough; then `rate` is a little below it."""
        return self._tested is None and self.refused <= self.passed * NEAR

    @property
    def is_testing(self) -> bool:
        """Whether a lower rate is used for a while, to see whether refusals depend on it."""
        return self._tested is not None

    @property
    def trial(self) -> float:
        """Seconds for which the present rate must pass before the next step up; small steps take long to show."""
        gap = self.step if self.is_climbing else math.sqrt(self.refused / self.passed) - 1
        return min(max(0.1 / max(gap, FIRST_STEP), 0.4), 3.0)

    def passes(self) -> None:
        """Go up after the present rate has passed its trial, unless the search is over."""
        self._failures = 0
        self.passed = self.rate
        if self.is_climbing:
            self.rate = min(self.rate * (1 + self.step), FASTEST)
            self.step = min(self.step * GROWTH, 1.0)
        else:
            self.rate = self._between()
            if self._is_guess and self.refused <= self.passed * WIDE:
                self.reopen(step=0.2)

    def fails(self, used: float, proven: float, lasted: float | None, *, barely: bool) -> None:
        """Go down after the rate in use was refused.

        `proven` is what was accepted since the refusal before, per second; `lasted` the last rate that had been in
        use for long enough to be sure of it, None when there was none; `barely`: the refusal came after long.
        """
        self.rate, self._tested = min(self.rate, max(used, SLOWEST)), None
        self._failures = 1 if lasted else self._failures + 1
        known = min(self.passed, lasted or self._sure)
        if self.is_climbing and self.rate <= self._base * 1.2:
            known = min(self.passed, math.sqrt(self._base * self.rate) * 0.985)
        if self.rate <= known * 1.001 or self._failures >= 3:
            fall = BARELY if barely else FALLS[min(self._failures, len(FALLS)) - 1]
            known = min(known, max(self.rate * fall, min(proven, self.rate * FALLS[0])))
        self.refused, self._is_guess = self.rate, False
        self.passed = self._sure = max(known, SLOWEST)
        self.rate = self._between()

    def test(self) -> None:
        """Use a clearly lower rate for a while."""
        self.rate, self._tested = max(self.rate * TEST, SLOWEST), self.rate

    def end_test(self, *, noise: bool) -> None:
        """Go on as before the test; if it was `noise`, as before the refusal that led to it."""
        self.rate, self._tested = self._tested or self.rate, None
        if noise and not self.is_climbing:
            self.rate = self.refused
            self.reopen(step=0.2)

    def reopen(self, step: float = FIRST_STEP) -> None:
        """Forget the refused rate and go up again from the present one, by `step` of it first."""
        self.refused, self.step = math.inf, step
        self.passed = self._base = self._sure = self.rate

    def _between(self) -> float:
        if self.refused <= self.passed * NEAR:
            return max(min(self.passed, self.refused * MARGIN), SLOWEST)
        share = 0.5 if self.refused > self.passed * WIDE else 0.3
        return self.passed * math.pow(self.refused / self.passed, share)


class Complaints:
    """Tells 503s that mean "too fast" from those that some services answer at any rate. Pure, without a clock.

    A service that has once said 429 or Retry-After is trusted to say so: its bare 503s count only when they are many.
    Else a rise of their share is a refusal, and a test at a lower rate then shows whether the rate is the cause.
    """

    MEMORY = 0.99  # weight of the past in the recent share: about the last 100 answers count
    TROUBLED = 0.2  # the recent share of bad answers that is too much in any case
    BLOCK = 400  # answers that are counted together
    LEAST = 0.005  # share of bad answers that is always taken as noise
    SEEN = 6  # bad answers that a test would see if they were noise
    SHORTEST = 0.5  # seconds of sending before fewer than TROUBLED are considered

    def __init__(self) -> None:
        self.accepted = 0  # since the last refusal that counted
        self.noise = 0.0  # the share of bad answers that has nothing to do with the rate
        self._good = self._bad = 0  # of the present block
        self._recent = 0.0
        self._share = 0.0  # of bad answers before the test
        self._tells = False

    def add_good(self) -> None:
        """Count an answer that was no complaint."""
        self.accepted += 1
        self._good += 1
        self._recent *= self.MEMORY
        if self._good + self._bad >= self.BLOCK:
            self._good = self._bad = 0

    def add_bad(self, *, told: bool) -> None:
        """Count an answer with 429, 503 or a Retry-After; `told`: it was more than a bare 503."""
        self._bad += 1
        self._tells = self._tells or told
        self._recent = self._recent * self.MEMORY + (1 - self.MEMORY)

    def are_too_many(self, seconds: float | None) -> bool:
        """Whether the pool is too fast. `seconds`: since sending went on at a limited rate, None without a limit."""
        if self._recent > self.TROUBLED:
            return True
        if seconds is None or self._tells or seconds < self.SHORTEST:
            return False
        return self._bad > 4 + 2 * max(self.noise, self.LEAST) * (self._bad + self._good)

    def start_again(self) -> None:
        """Count anew, after a refusal that counted or at the beginning or end of a test."""
        self._share = self._bad / max(self._good + self._bad, 1)
        self.accepted = self._good = self._bad = 0
        self._recent = 0.0

    @property
    def are_doubtful(self) -> bool:
        """Whether the refusal that counted last may have been noise."""
        return not self._tells and self.SEEN / self.BLOCK < self._share < self.TROUBLED

    def decide_test(self) -> bool | None:
        """Whether the lower rate had as many bad answers as before, so that they are noise; None while unclear."""
        answers = self._good + self._bad
        if self._share * answers < self.SEEN:
            return None
        is_noise = self._bad > (self.noise + self._share) / 2 * answers
        self.noise = min(self._bad / answers, self.TROUBLED)
        return is_noise

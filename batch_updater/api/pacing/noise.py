"""Tells bare 503s that mean "too many requests" from those that some services answer at any rate. Pure."""

import math

TOO_MANY = 0.2  # share of the last answers above the noise that means "too many requests" in any case
RECENT = 50  # about so many answers are the last ones
BLOCK = 400  # answers that are counted together
FEW = 5  # 503s above the noise that mean it where a limit is known
SURE = 4  # standard deviations more than the noise that are no chance
SEEN = 6  # 503s that a test would see if they were noise
MOST = 0.1  # share of all answers that can be noise


class Noise:
    """Counts bare 503s. `share` is that of the answers that are 503 at any rate, as far as it is known."""

    def __init__(self) -> None:
        self.share = self._suspected = self._recent = 0.0
        self._bad = self._answers = 0  # of the present block
        self._before = (0, 0)  # the same, before the test

    @property
    def is_suspected(self) -> bool:
        """Whether a test is under way."""
        return self._suspected > 0

    @property
    def is_doubtful(self) -> bool:
        """Whether the present block holds some 503s, but not so many that only too many requests explain them."""
        return SEEN / BLOCK < self._bad / max(self._answers, 1) < TOO_MANY

    def add_good(self, *, limited: bool) -> None:
        """Count an answer that was no refusal; `limited`: a limit is known."""
        self._recent -= self._recent / RECENT
        self._answers += 1
        if self._answers >= BLOCK and not self._suspected:
            share = min(self._bad / self._answers, MOST)
            if not limited or share < self.share / 2:
                self.share = share
            self._bad = self._answers = 0

    def add_bad(self, *, limited: bool) -> bool:
        """Count a bare 503; return whether they are too many."""
        self._bad += 1
        self.add_good(limited=limited)
        self._recent += 1 / RECENT
        if self._recent > TOO_MANY + self.share:
            return True
        usual = self.share * self._answers
        return limited and not self._suspected and self._bad > FEW + usual + SURE * math.sqrt(usual)

    def start_again(self) -> None:
        """Count anew, unless a test is under way."""
        self._recent = 0.0
        if not self._suspected:
            self._bad = self._answers = 0

    def start_test(self) -> None:
        """Suspect that the 503s of this block are noise, and count anew while a much lower rate is used."""
        self._suspected, self._before = self._bad / self._answers, (self._bad, self._answers)
        self._bad = self._answers = 0

    def end_test(self) -> bool | None:
        """Return whether the lower rate has about as many, so that they are noise; None while that is unclear."""
        if self._suspected * self._answers < SEEN:
            return None
        share = self._bad / self._answers
        is_noise = (self._suspected + self.share) / 2 < share <= MOST
        bad, answers = self._before if is_noise else (0, 0)
        self.share = min((self._bad + bad) / (self._answers + answers), MOST)
        self._suspected = 0.0
        self.start_again()
        return is_noise

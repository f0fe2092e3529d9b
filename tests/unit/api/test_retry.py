import random
from collections.abc import Iterator

import pytest

from batch_updater.api.retry import attempt_again
from batch_updater.common.models import Answer, Verdict

FAILED = Answer(Verdict.RETRY, "server_error", "first", 500)


class Row:
    """A row whose attempts are answered in turn, and a clock that only notes the waits."""

    def __init__(self, answers: Iterator[Answer], attempts: int) -> None:
        self._answers, self._attempts = answers, attempts
        self.waits: list[float] = []
        self.made = 0

    async def attempt(self) -> Answer:
        self.made += 1
        return next(self._answers)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def end(self, first: Answer) -> Answer:
        return await attempt_again(self.attempt, first, lambda: self.made >= self._attempts, self.sleep)


def numbered(verdict: Verdict) -> Iterator[Answer]:
    return (Answer(verdict, "", str(n)) for n in range(1, 100))


@pytest.mark.parametrize("verdict", [Verdict.RETRY, Verdict.THROTTLED, Verdict.UNKNOWN])
async def test_a_failure_is_repeated_until_nothing_is_left_and_the_last_answer_speaks(verdict: Verdict) -> None:
    """Every attempt that may be made is made, one wait before each, and the last one's answer is given."""
    row = Row(numbered(verdict), 4)
    assert (await row.end(Answer(verdict, "", "first"))).detail == "4"
    assert (row.made, len(row.waits)) == (4, 4)


@pytest.mark.parametrize("verdict", [Verdict.DONE, Verdict.REFUSED, Verdict.UNAUTHORIZED, Verdict.STOP])
async def test_what_is_settled_is_not_repeated(verdict: Verdict) -> None:
    """An answer that says yes or no for good ends the row, as the first one or as a later one."""
    settled = Answer(verdict, "", "settled")
    assert await Row(numbered(Verdict.RETRY), 9).end(settled) is settled
    row = Row(iter([FAILED, settled, FAILED]), 9)
    assert await row.end(FAILED) is settled
    assert row.made == 2


async def test_without_attempts_left_nothing_is_sent() -> None:
    """The first answer is given back at once, without a wait."""
    row = Row(numbered(Verdict.DONE), 0)
    assert await row.end(FAILED) is FAILED
    assert (row.made, row.waits) == (0, [])


async def test_waits_grow_to_half_a_minute_and_are_spread_from_nothing_on() -> None:
    """Each wait lies anywhere up to a bound that doubles from 0.5 s and stays at 30 s."""
    random.seed(7)
    rows = [Row(numbered(Verdict.RETRY), 10) for _ in range(200)]
    for row in rows:
        await row.end(FAILED)
    for bound, waits in zip(
        [0.5, 0.5, 1, 2, 4, 8, 16, 30, 30, 30], zip(*(row.waits for row in rows), strict=True), strict=True
    ):
        assert 0 <= min(waits) < bound / 10
        assert bound * 0.9 < max(waits) <= bound

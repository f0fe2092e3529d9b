import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from batch_updater.api.pacing.outage import FAILURES_IN_A_ROW
from batch_updater.api.pacing.pacer import Pacer
from batch_updater.api.retry import RENEWALS, STOPPED, Attempts, Observer
from batch_updater.common.models import Answer, Counters, Verdict

FAILED = Answer(Verdict.RETRY, "server_error", "", 500)
REFUSED_TOKEN = Answer(Verdict.UNAUTHORIZED, "unauthorized", "", 401, token_generation=7)
SLOW_DOWN = Answer(Verdict.THROTTLED, "rate_limited", "", 429, wait=90.0)
SILENCE = Answer(Verdict.UNKNOWN, "timeout", "no answer in time")
DONE: Answer[str] = Answer(Verdict.DONE, "ok", "", 200, payload="found")


class Request:
    """A request whose attempts are answered in turn, and a clock that only notes the waits."""

    def __init__(self, answers: Iterator[Answer[Any]]) -> None:
        self._answers = answers
        self.waits: list[float] = []
        self.renewed: list[int] = []
        self.made = 0

    async def send(self) -> Answer[Any]:
        self.made += 1
        return next(self._answers)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def renew(self, generation: int) -> bool:
        self.renewed.append(generation)
        return True

    async def refuse_to_renew(self, generation: int) -> bool:
        self.renewed.append(generation)
        return False


class Journal(Observer):
    """Follows the attempts; makes answers durable as long as it can."""

    def __init__(self, space: int) -> None:
        self._space = space
        self.answers: list[str] = []
        self.before: list[tuple[str, int]] = []

    def answered(self, answer: Answer[Any]) -> None:
        self.answers.append(answer.detail)

    async def before_next(self, answer: Answer[Any], number: int) -> bool:
        self.before.append((answer.detail, number))
        return len(self.before) <= self._space


def numbered(verdict: Verdict) -> Iterator[Answer[Any]]:
    return (Answer(verdict, "", str(n), 500) for n in range(1, 100))


@pytest.mark.parametrize("verdict", [Verdict.RETRY, Verdict.THROTTLED, Verdict.UNKNOWN])
async def test_a_failure_is_repeated_until_nothing_is_left_and_the_last_answer_speaks(verdict: Verdict) -> None:
    """Every attempt that may be made is made, one wait before each but the first, and the last answer is given."""
    request, counters = Request(numbered(verdict)), Counters()
    assert (await Attempts(4, sleep=request.sleep, counters=counters).run(request.send)).detail == "4"
    assert (request.made, len(request.waits), counters.retried, counters.in_flight) == (4, 3, 3, 0)


@pytest.mark.parametrize("verdict", [Verdict.DONE, Verdict.REFUSED, Verdict.UNAUTHORIZED, Verdict.STOP])
async def test_what_is_settled_is_not_repeated(verdict: Verdict) -> None:
    """An answer that says yes or no for good ends the request, as the first one or as a later one."""
    settled = Answer(verdict, "", "settled")
    for before in ([], [FAILED]):
        request = Request(iter([*before, settled, FAILED]))
        assert await Attempts(9, sleep=request.sleep).run(request.send) is settled
        assert request.made == len(before) + 1


async def test_with_one_attempt_nothing_is_repeated() -> None:
    """The first answer is given back at once, without a wait."""
    request = Request(iter([FAILED]))
    assert await Attempts(1, sleep=request.sleep).run(request.send) is FAILED
    assert request.waits == []


async def test_waits_grow_to_half_a_minute_and_are_spread_from_nothing_on() -> None:
    """Each wait lies anywhere up to a bound that doubles from 0.5 s and stays at 30 s."""
    random.seed(7)
    requests = [Request(numbered(Verdict.RETRY)) for _ in range(200)]
    for request in requests:
        await Attempts(11, sleep=request.sleep).run(request.send)
    for bound, waits in zip(
        [0.5, 0.5, 1, 2, 4, 8, 16, 30, 30, 30], zip(*(request.waits for request in requests), strict=True), strict=True
    ):
        assert 0 <= min(waits) < bound / 10
        assert bound * 0.9 < max(waits) <= bound


async def test_a_refused_token_is_renewed_twice_and_costs_no_attempt() -> None:
    """With a newer token the request leaves at once; refused a third time, the refusal stands."""
    request = Request(iter([REFUSED_TOKEN, REFUSED_TOKEN, FAILED, DONE]))
    assert await Attempts(2, sleep=request.sleep).run(request.send, request.renew) is DONE
    assert (request.renewed, len(request.waits)) == ([7, 7], 1)
    request = Request(iter([FAILED, *[REFUSED_TOKEN] * 9]))
    assert await Attempts(9, sleep=request.sleep).run(request.send, request.renew) is REFUSED_TOKEN
    assert (len(request.renewed), request.made) == (RENEWALS, RENEWALS + 2)


async def test_a_token_that_can_not_be_renewed_ends_the_request() -> None:
    """Without a way to a newer token nothing is sent with the refused one again."""
    for renew, asked in ((Request.refuse_to_renew, [7]), (None, [])):
        request = Request(iter([REFUSED_TOKEN, DONE]))
        bound = renew.__get__(request) if renew else None
        assert await Attempts(9, sleep=request.sleep).run(request.send, bound) is REFUSED_TOKEN
        assert (request.made, request.renewed) == (1, asked)


async def test_the_time_that_a_service_asks_for_is_kept_to_or_the_request_given_up() -> None:
    """Without a pace that holds everything back, the pause is as long as asked; beyond `until` nothing is sent."""
    request = Request(iter([SLOW_DOWN, DONE]))
    assert await Attempts(2, sleep=request.sleep).run(request.send) is DONE
    assert request.waits == [90.0]
    request = Request(iter([SLOW_DOWN, DONE]))
    assert await Attempts(2, until=time.monotonic() + 60, sleep=request.sleep).run(request.send) is SLOW_DOWN
    assert request.waits == []


async def test_the_pace_learns_from_every_answer() -> None:
    """With a pace it is the pace that waits for what the service asks; the pause of the request is its own."""
    now = [0.0]

    async def pass_time(seconds: float) -> None:
        now[0] += seconds

    request, pacer, counters = Request(iter([SLOW_DOWN, FAILED])), Pacer(None, lambda: now[0], pass_time), Counters()
    assert await Attempts(2, pace=pacer, sleep=request.sleep, counters=counters).run(request.send) is FAILED
    assert 90 <= now[0] < 91
    assert (max(request.waits) <= 0.5, counters.throttled) == (True, 1)


async def test_after_a_stop_nothing_is_sent() -> None:
    """Stopped before the first attempt, or while it waited: STOPPED; during an attempt: that attempt's answer."""
    stopped, request = [True], Request(iter([FAILED, DONE]))
    attempts = Attempts(9, pace=Pacer(None), stopping=lambda: stopped[0], sleep=request.sleep)
    assert await attempts.run(request.send) is STOPPED
    assert request.made == 0

    async def stop_meanwhile(_seconds: float) -> None:
        stopped[0] = True

    stopped[0] = False
    attempts = Attempts(9, pace=Pacer(None), stopping=lambda: stopped[0], sleep=stop_meanwhile)
    assert await attempts.run(request.send) is STOPPED

    async def fail_while_stopping() -> Answer[Any]:
        stopped[0] = True
        return FAILED

    stopped[0] = False
    assert await attempts.run(fail_while_stopping) is FAILED


@pytest.mark.parametrize(("waits_out", "made"), [(False, FAILURES_IN_A_ROW + 3), (True, FAILURES_IN_A_ROW + 9)])
async def test_attempts_during_an_outage_are_counted_or_waited_out(waits_out: bool, made: int) -> None:
    """Where an outage is waited out, a request is repeated until the service is back, and then as often as was left."""
    now = [0.0]

    async def pass_time(seconds: float) -> None:
        now[0] += seconds

    request = Request(iter([*[SILENCE] * (FAILURES_IN_A_ROW + 6), SLOW_DOWN, FAILED, DONE]))
    pacer = Pacer(None, lambda: now[0], pass_time)
    attempts = Attempts(FAILURES_IN_A_ROW + 3, pace=pacer, waits_out_outages=waits_out, sleep=request.sleep)
    await attempts.run(request.send)
    assert request.made == made


async def test_an_observer_sees_every_answer_and_can_end_the_attempts() -> None:
    """It is asked between an answer and the next attempt, with that one's number; when it says no, nothing is sent."""
    request, journal = Request(numbered(Verdict.RETRY)), Journal(space=2)
    assert await Attempts(9, sleep=request.sleep).run(request.send, observer=journal) is STOPPED
    assert journal.answers == ["1", "2", "3"]
    assert journal.before == [("1", 2), ("2", 3), ("3", 4)]


async def test_what_a_request_raises_passes_through_and_ends_it() -> None:
    """No error is taken for an answer, at the first attempt or at a later one, and nothing is left in flight."""
    for before in ([], [FAILED]):
        request, counters = Request(iter(before)), Counters()

        async def send(request: Request = request, most: int = len(before)) -> Answer[Any]:
            if request.made == most:
                raise LookupError("no token")
            return await request.send()

        with pytest.raises(LookupError):
            await Attempts(9, sleep=request.sleep, counters=counters).run(send)
        assert (counters.in_flight, len(request.waits)) == (0, len(before))


@pytest.mark.parametrize("verdict", [Verdict.DONE, Verdict.REFUSED])
async def test_a_request_that_is_answered_at_once_pays_nothing_for_retries(
    verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a failure enters the library that repeats requests."""
    monkeypatch.delattr("tenacity.AsyncRetrying")
    request = Request(iter([Answer(verdict, "")]))
    assert (await Attempts(9).run(request.send)).verdict is verdict

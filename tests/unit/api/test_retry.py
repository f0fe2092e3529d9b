import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from batch_updater.api.pacing.pacer import Pacer
from batch_updater.api.retry import REFUSALS, RENEWALS, STOPPED, Attempts, Observer
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

    def answered(self, answer: Answer[Any], *, is_load: bool) -> None:
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


class Timed:
    """A pace on a clock that its sleepers put forward, and requests of other rows."""

    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        self.pacer = Pacer(None, lambda: self.now, self.pass_time, **options)

    async def pass_time(self, seconds: float) -> None:
        self.now += seconds

    async def serve_another(self) -> None:
        self.pacer.answered(DONE, await self.pacer.acquire(lambda: False))

    async def run(self, most: int, *answers: Answer[Any], others: bool = False, **how: Any) -> tuple[Answer[Any], int]:
        """The last answer to a request and how often it was made; with `others` another row is served meanwhile."""
        request = Request(iter(answers))

        async def send() -> Answer[Any]:
            if others:
                await self.serve_another()
            return await request.send()

        return await Attempts(most, pace=self.pacer, sleep=request.sleep, **how).run(send), request.made


async def test_load_costs_a_request_nothing_and_the_pace_waits() -> None:
    """However often the service has too much to do, the request is made again as soon as the pace lets it go."""
    timed, counters = Timed(), Counters()
    answers = [*[SLOW_DOWN] * 9, DONE]
    assert await timed.run(1, *answers, counters=counters) == (DONE, 10)
    assert 9 * 90 <= timed.now < 10 * 90
    assert counters.throttled == 9


async def test_a_request_that_alone_is_refused_for_load_ends_in_the_end() -> None:
    """Refused fifty times running while nearly all others are accepted, it is no load any more."""
    bare = Answer(Verdict.THROTTLED, "rate_limited", "", 429)
    timed = Timed(adapt=False)
    for _ in range(300):
        await timed.serve_another()
    request = Request(iter([bare] * 99))

    async def serve_others(_seconds: float) -> None:
        for _ in range(40):
            await timed.serve_another()

    assert await Attempts(5, pace=timed.pacer, sleep=serve_others).run(request.send) is bare
    assert request.made == REFUSALS


@pytest.mark.parametrize("failure", [FAILED, SILENCE])
async def test_a_failure_is_charged_to_the_request_while_others_are_served(failure: Answer[Any]) -> None:
    """Its own failures are counted, and it ends when they are too many."""
    assert await Timed().run(3, *[failure] * 9, others=True) == (failure, 3)


@pytest.mark.parametrize("failure", [FAILED, SILENCE])
async def test_a_failure_of_a_service_that_is_down_costs_a_request_nothing(failure: Answer[Any]) -> None:
    """While nobody is served the request is made again and again; afterwards it has as many attempts as before."""
    assert await Timed().run(2, *[failure] * 40, DONE) == (DONE, 41)


async def test_a_reading_between_two_attempts_shows_that_the_service_works() -> None:
    """The only request in flight is charged too, when its order is read in between."""
    timed, request = Timed(), Request(iter([FAILED] * 9))

    class Reader(Observer):
        async def before_next(self, answer: Answer[Any], number: int) -> bool:
            await timed.serve_another()
            return True

    assert await Attempts(3, pace=timed.pacer, sleep=request.sleep).run(request.send, observer=Reader()) is FAILED
    assert request.made == 3


async def test_a_request_that_is_asked_to_wait_for_too_long_ends() -> None:
    """Longer than any pause of the pace may be: it is not made again."""
    assert await Timed(longest_pause=60.0).run(5, SLOW_DOWN, DONE) == (SLOW_DOWN, 1)


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

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from batch_updater.api.pacing.pacer import Pacer, pacer_for
from batch_updater.common.models import Answer, Quota, Verdict
from batch_updater.common.settings import SendOptions

DONE = Answer(Verdict.DONE, "ok", "", 200)
REFUSED = Answer(Verdict.THROTTLED, "rate_limited", "", 429, 2.0)
DOWN = Answer(Verdict.UNKNOWN, "timeout")


class Clock:
    """A clock that sleepers put forward; knows how long each slept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps.append(seconds)
        await asyncio.sleep(0)


def never() -> bool:
    return False


async def ask(pacer: Pacer, *answers: Answer[Any]) -> None:
    """Send requests one after the other, answered like this."""
    for answer in answers:
        number = await pacer.acquire(never)
        assert number
        pacer.answered(answer, number)


async def test_the_pool_waits_for_the_named_time_and_stops_when_told() -> None:
    """`acquire` returns after the pause; when the run stops meanwhile it returns 0."""
    clock = Clock()
    pacer = Pacer(None, clock, clock.sleep)
    await ask(pacer, REFUSED)
    assert pacer.paused_for == 2.0
    await ask(pacer, DONE)
    assert clock.now >= 2.0
    assert max(clock.sleeps) == 0.25  # so that a stop is noticed soon
    assert not await pacer.acquire(lambda: True)
    assert pacer.rate is not None
    assert pacer.history[0][1] == pacer.rate


async def test_a_free_pool_does_not_sleep() -> None:
    """While nothing is refused `acquire` returns at once, and 0 only when the run stops."""
    clock = Clock()
    pacer = Pacer(None, clock, clock.sleep)
    await ask(pacer, *[DONE] * 1000)
    assert (clock.now, pacer.rate) == (0.0, None)
    assert not await pacer.acquire(lambda: True)


async def test_a_quota_that_is_used_up_pauses_the_pool() -> None:
    """The next request waits for the reset, although everything was accepted."""
    clock = Clock()
    pacer = Pacer(None, clock, clock.sleep)
    await ask(pacer, replace(DONE, quota=Quota(0, 7.0)))
    assert (pacer.paused_for, pacer.rate) == (7.0, None)
    await ask(pacer, DONE)
    assert clock.now == pytest.approx(7.0)


async def test_a_service_that_is_down_is_probed_by_the_next_request_in_line() -> None:
    """Nobody else probes: one request leaves now and then, and the first answer frees the pool."""
    clock = Clock()
    pacer = Pacer(None, clock, clock.sleep)
    await ask(pacer, *[DOWN] * 22)
    assert pacer.outage_for == clock.now
    before = clock.now
    await ask(pacer, DOWN, DOWN)
    assert clock.now - before >= 3.0
    await ask(pacer, DONE)
    assert pacer.outage_for == 0


async def test_where_somebody_probes_nothing_else_leaves() -> None:
    """The pool waits for the answer to a neutral request."""
    pacer = Pacer(None)
    pacer.has_prober = True
    await ask(pacer, DOWN, DOWN, DOWN)
    assert pacer.suspected.is_set()
    assert pacer.probe_wait == 0.0
    waiting = asyncio.create_task(pacer.acquire(never))
    pacer.probed(DOWN)
    await asyncio.sleep(0.01)
    assert not waiting.done()
    assert pacer.outage_for > 0
    pacer.probed(Answer(Verdict.REFUSED, "forbidden", "", 403))  # somebody is there
    assert await asyncio.wait_for(waiting, 2)
    assert not pacer.suspected.is_set()


async def test_a_capped_pool_sends_no_faster_from_the_first_request_on() -> None:
    """Eleven requests at ten a second take a second."""
    clock = Clock()
    pacer = Pacer(10.0, clock, clock.sleep)
    await ask(pacer, *[DONE] * 11)
    assert clock.now == pytest.approx(1.0, abs=0.01)
    assert pacer.rate == 10.0


@pytest.mark.parametrize("adapts", [True, False])
async def test_the_options_of_a_run_reach_its_pacer(adapts: bool) -> None:
    """The most in flight, and whether anything but the pauses follows from a refusal."""
    pacer = pacer_for(SendOptions(concurrency=7, adapt=adapts, rate=1000.0))
    assert (pacer.window, pacer.rate) == (7, 1000.0)
    await ask(pacer, Answer(Verdict.THROTTLED, "rate_limited", "", 429, 0.0), DONE)
    assert (pacer.rate != 1000.0) is adapts


async def test_only_one_request_goes_ahead_after_a_pause_and_its_answer_lets_the_others_follow() -> None:
    """The others wait for that answer, however long it takes, or until the run stops."""
    clock = Clock()
    pacer = Pacer(None, clock, clock.sleep, adapt=False)
    await ask(pacer, REFUSED)
    probe = await pacer.acquire(never)
    waiting = asyncio.create_task(pacer.acquire(never))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    pacer.answered(DONE, probe)
    assert await waiting == probe + 1


@pytest.mark.parametrize("stops", [True, False])
async def test_a_probe_that_is_abandoned_or_a_stop_lets_nobody_wait_forever(stops: bool) -> None:
    """Without an answer another probe leaves; after a stop nothing does."""
    clock, stopped = Clock(), [False]
    pacer = Pacer(None, clock, clock.sleep)
    await ask(pacer, REFUSED)
    probe = await pacer.acquire(never)
    waiting = asyncio.create_task(pacer.acquire(lambda: stopped[0]))
    await asyncio.sleep(0.01)
    if stops:
        stopped[0] = True
    else:
        pacer.abandoned(probe)
    assert await asyncio.wait_for(waiting, 2) == (0 if stops else probe + 1)


@pytest.mark.parametrize(
    ("answer", "is_load"),
    [
        (REFUSED, True),
        (Answer(Verdict.THROTTLED, "rate_limited", "", 429), True),
        (Answer(Verdict.THROTTLED, "server_error", "", 500, 1.0), True),
        (Answer(Verdict.THROTTLED, "server_error", "", 503), False),
        (Answer(Verdict.RETRY, "server_error", "", 500), False),
        (DOWN, False),
        (DONE, False),
    ],
)
async def test_it_says_what_was_refused_for_load(answer: Answer, is_load: bool) -> None:
    """A 429, or any answer that names a time; a single bare 503 is an error like others."""
    pacer = Pacer(None, Clock())
    assert pacer.answered(answer, await pacer.acquire(never)) is is_load
    assert (pacer.paused_for > 0) is is_load


@pytest.mark.parametrize(
    ("answer", "is_suspect"),
    [
        (Answer(Verdict.RETRY, "server_error", "", 500), True),
        (Answer(Verdict.RETRY, "server_error", "", 599), True),
        (Answer(Verdict.RETRY, "timeout", "", 408), True),
        (Answer(Verdict.RETRY, "connection_error", "", was_sent=False), True),
        (DOWN, True),
        (Answer(Verdict.UNKNOWN, "unexpected_response", "", 202), False),
        (Answer(Verdict.REFUSED, "not_found", "", 404), False),
        (Answer(Verdict.UNAUTHORIZED, "unauthorized", "", 401), False),
        (Answer(Verdict.THROTTLED, "rate_limited", "", 429), False),  # a service that says so is there
        (REFUSED, False),
        (Answer(Verdict.THROTTLED, "server_error", "", 503, 2.0), False),
    ],
)
async def test_what_makes_a_service_suspect(answer: Answer, is_suspect: bool) -> None:
    """Twenty failures of its own, silence among them; any answer that is none ends the suspicion."""
    pacer = Pacer(None, Clock())
    numbers = [await pacer.acquire(never) for _ in range(21)]
    for number in numbers[:20]:
        assert not pacer.outage.is_suspected
        pacer.answered(answer, number)
    assert pacer.outage.is_suspected is is_suspect
    pacer.answered(REFUSED, numbers[20])
    assert not pacer.outage.is_suspected


async def test_a_longer_pause_than_may_be_is_not_made() -> None:
    """Whoever asks for it must not be asked again; the others need not wait."""
    pacer = Pacer(None, Clock(), longest_pause=1.0)
    assert not pacer.answered(REFUSED, await pacer.acquire(never))
    assert pacer.paused_for == 0


async def test_it_knows_for_how_long_everything_has_been_refused() -> None:
    """From the first refusal for load on, until something is accepted."""
    clock = Clock()
    pacer = Pacer(None, clock, clock.sleep)
    await ask(pacer, REFUSED, REFUSED)
    assert pacer.refused_for == pytest.approx(2.0, abs=0.3)
    await ask(pacer, DONE)
    assert pacer.refused_for == 0.0

import asyncio
import time
from typing import Any

import pytest

from batch_updater.api.pacing.pacer import Pacer
from batch_updater.common.errors import CredentialsError, StoppedError
from batch_updater.common.models import Answer, Verdict
from batch_updater.sending.control import Control
from batch_updater.sending.health import RECENT, STORM, Health

DONE = Answer(Verdict.DONE, "ok", "", 200)
LOST = Answer(Verdict.UNKNOWN, "timeout", "no answer in time")
STRANGER = Answer(Verdict.UNAUTHORIZED, "unauthorized", "who", 401)
FORBIDDEN = Answer(Verdict.REFUSED, "forbidden", "no", 403)


def busy(seconds: float, status: int = 429) -> Answer[Any]:
    return Answer(Verdict.THROTTLED, "rate_limited", "busy", status, seconds)


class Service:
    """A neutral request that is answered in turn, the last answer again and again."""

    def __init__(self, *answers: Answer[Any], budget: float = 60.0) -> None:
        self._answers, self.asked = list(answers), 0
        self.now = 0.0
        self.pacer, self.control = Pacer(None, lambda: self.now, longest_pause=budget), Control(1.0)
        self.health = Health(self.pacer, self.control, self.ask, budget)

    async def ask(self) -> Answer[Any]:
        self.asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    async def probed(self) -> None:
        """Suspect the service, and probe until it is answered or the run stops."""
        self.pacer.suspect("nobody there")
        probing = asyncio.create_task(self.health.probe())
        async with asyncio.timeout(20):
            while self.pacer.suspected.is_set() and not probing.done():
                self.now += 0.1
                await asyncio.sleep(0)
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody really sleeps."""

    async def sleep(_control: Control, _seconds: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(Control, "sleep", sleep)


@pytest.mark.parametrize(
    ("answers", "ends"),
    [
        ([busy(60.0)], False),
        ([busy(60.1)], True),
        ([busy(3600.0, 503)], True),
        ([busy(3600.0, 425)], True),
        ([busy(3600.0, 500)], False),
        ([busy(3600.0, 400), busy(3600.0, 400)], False),
    ],
)
def test_too_long_a_wait_ends_the_run_where_it_speaks_for_all(answers: list[Answer[Any]], ends: bool) -> None:
    """Of 425, 429 or 503; another answer speaks for its order alone."""
    service = Service(DONE)
    for answer in answers:
        service.health.saw(answer, "order", is_load=False)
    assert (service.control.failure is not None, service.health.not_before > time.time()) == (ends, ends)


def test_two_orders_that_ask_for_too_long_a_wait_speak_for_all() -> None:
    """Then it is no matter of one order."""
    service = Service(DONE)
    for order in ("one", "other"):
        service.health.saw(busy(3600.0, 500), order, is_load=False)
    assert isinstance(service.control.failure, StoppedError)
    assert service.health.not_before == pytest.approx(time.time() + 3600, abs=5)


async def test_a_probe_is_repeated_until_it_is_answered() -> None:
    """Whatever is answered below 500 shows that somebody is there; the pool may go on."""
    service = Service(LOST, LOST, busy(1.0, 503), DONE)
    await service.probed()
    assert (service.asked, service.control.failure, service.pacer.outage_for) == (4, None, 0.0)
    assert service.now > 0.5 + 1.0


async def test_a_probe_that_is_refused_for_good_leaves_the_probing_to_the_rows() -> None:
    """The account may not list statuses: that says nothing of the orders, and is asked once."""
    service = Service(FORBIDDEN)
    await service.probed()
    assert (service.asked, service.pacer.has_prober, service.pacer.suspected.is_set()) == (1, False, True)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [(STRANGER, CredentialsError), (Answer(Verdict.STOP, "tls", "bad", was_sent=False, hint="mend it"), StoppedError)],
)
async def test_a_probe_may_find_a_reason_to_stop(answer: Answer[Any], failure: type[Exception]) -> None:
    """A token that is refused, or a connection that a person must mend."""
    service = Service(answer)
    await asyncio.wait_for(service.probed(), 5)
    assert isinstance(service.control.failure, failure)


@pytest.mark.parametrize(("seconds", "ends"), [(59.0, False), (61.0, True)])
async def test_an_outage_ends_the_run_when_its_budget_is_used_up(seconds: float, ends: bool) -> None:
    """It says what was seen last."""
    service = Service(LOST)
    service.pacer.suspect("nobody there")
    service.pacer.probed(LOST)
    service.now = seconds
    service.health.check()
    assert (service.control.failure is not None) is ends
    assert not ends or "has not worked for 60 s (no answer in time)" in str(service.control.failure)


@pytest.mark.parametrize("accepted", [True, False])
async def test_load_ends_the_run_when_nothing_is_accepted_for_the_budget(accepted: bool) -> None:
    """As long as something is accepted now and then, it goes on."""
    service = Service(DONE)
    for answer in (busy(50.0), DONE if accepted else busy(50.0), busy(50.0)):
        service.pacer.answered(answer, await service.pacer.acquire(lambda: False))
        service.now += 50.1
    service.health.check()
    assert (service.control.failure is None) is accepted


@pytest.mark.parametrize(
    ("orders", "between", "listed", "refused"),
    [
        (["one"], None, DONE, False),
        (["one", "one"], None, DONE, False),
        (["one", "other"], None, DONE, True),
        (["one", "other"], DONE, DONE, False),
        (["one"], None, STRANGER, True),
    ],
)
async def test_a_token_is_refused_when_two_orders_or_the_list_say_so(
    orders: list[str], between: Answer[Any] | None, listed: Answer[Any], refused: bool
) -> None:
    """One order alone says nothing of the token, however often; an accepted one between clears it."""
    service, found = Service(listed), False
    for order in orders:
        found = await service.health.is_token_refused(order)
        if between:
            service.health.saw(between, order, is_load=False)
    assert found is refused


def test_one_503_may_hide_an_update_and_a_storm_of_them_does_not() -> None:
    """A service that refuses everything with 503 does not look at updates; any other answer is not judged by others."""
    unavailable = Answer(Verdict.THROTTLED, "server_error", "answered 503", 503)
    health = Service(DONE).health
    for number in range(RECENT):
        assert health.is_doubtful(unavailable) is (number <= STORM)
        health.saw(unavailable, "order", is_load=False)
    assert health.is_doubtful(LOST)
    for _ in range(RECENT):
        health.saw(DONE, "order", is_load=False)
    assert health.is_doubtful(unavailable)


async def test_a_bug_in_a_probe_ends_the_run() -> None:
    """Else everybody would wait for a probe that nobody sends."""
    service = Service(DONE)

    async def broken() -> Answer[Any]:
        raise LookupError("never foreseen")

    service.health = Health(service.pacer, service.control, broken, 60.0)
    await asyncio.wait_for(service.probed(), 5)
    assert "never foreseen" in str(service.control.failure)

import asyncio
from typing import Any

import pytest

from batch_updater.api.pacing.outage import FAILURES_IN_A_ROW
from batch_updater.api.pacing.pacer import Pacer
from batch_updater.api.retry import STOPPED
from batch_updater.common.errors import BatchUpdaterError, CredentialsError, StoppedError
from batch_updater.common.models import Answer, Checkpoint, Counters, ListedOrder, StatusUpdate, Verdict
from batch_updater.sending.control import Control
from batch_updater.sending.exchange import Exchange, RowAttempts
from batch_updater.sending.outcome import CUT

UPDATE = StatusUpdate(2, "order", "status")
DONE = Answer(Verdict.DONE, "ok", "", 200)
BUSY = Answer(Verdict.RETRY, "server_error", "busy", 500)
UNREACHABLE = Answer(Verdict.RETRY, "connection_error", "nobody there", was_sent=False)
LOST = Answer(Verdict.UNKNOWN, "timeout", "no answer in time")
STRANGER = Answer(Verdict.UNAUTHORIZED, "unauthorized", "who", 401, token_generation=3)
ELSEWHERE = Answer(Verdict.STOP, "redirect", "elsewhere", 302)


class Service:
    """Answers updates and readings in turn, or raises what stands in an answer's place."""

    token_requests = 0

    def __init__(self, *answers: Answer[Any] | BaseException, newer: bool | BatchUpdaterError = True) -> None:
        self._answers, self._newer = iter(answers), newer
        self.events: list[object] = []

    async def update_status(self, _update: StatusUpdate) -> Answer[Any]:
        answer = next(self._answers)
        self.events.append("put")
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def read_order(self, _order_id: str) -> Answer[str]:
        return await self.update_status(UPDATE)

    async def list_orders(self, _page: int) -> Answer[list[ListedOrder]]:
        return await self.update_status(UPDATE)

    async def renew(self, refused: int) -> bool:
        self.events.append(refused)
        if isinstance(self._newer, BatchUpdaterError):
            raise self._newer
        return self._newer

    async def checkpoint(self, checkpoint: Checkpoint) -> bool:
        self.events.append(checkpoint.attempts)
        return True


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries follow at once."""
    monkeypatch.setattr("batch_updater.api.retry.FIRST_WAIT", 0.001)
    monkeypatch.setattr("batch_updater.api.retry.LONGEST_WAIT", 0.001)


def row_over(service: Service, retries: int = 5) -> RowAttempts:
    exchange = Exchange(service, Pacer(None), Control(1.0), Counters(), service.checkpoint, retries=retries)
    return RowAttempts(UPDATE, exchange)


async def test_an_update_that_was_sent_is_durable_before_the_next_leaves() -> None:
    """Each attempt that left is written down between it and the next one; one that did not leave is not."""
    service = Service(BUSY, UNREACHABLE, STRANGER, DONE)
    row = row_over(service)
    assert await row.put() is DONE
    assert service.events == ["put", 1, "put", "put", 3, 1, "put"]
    assert (row.sent, row.checkpointed, row.exchange.counters.put, row.exchange.counters.retried) == (3, 2, 3, 2)


async def test_a_row_is_in_doubt_once_an_update_was_never_answered() -> None:
    """A later answer does not take the doubt away, nor does one that says no make it."""
    for answers, doubtful in (((LOST, BUSY), True), ((BUSY, UNREACHABLE), False)):
        row = row_over(Service(*answers), retries=1)
        assert await row.put() is answers[-1]
        assert row.doubtful is doubtful


async def test_an_outage_is_waited_out_and_its_reason_kept() -> None:
    """While nobody answers, attempts are not counted; what the last silence was is known, an error is no silence."""
    now = [0.0]

    async def pass_time(seconds: float) -> None:
        now[0] += seconds

    pacer = Pacer(None, lambda: now[0], pass_time)
    for _ in range(FAILURES_IN_A_ROW):
        pacer.answered(LOST, await pacer.acquire(lambda: False))
    service = Service(LOST, BUSY, DONE)
    row = RowAttempts(UPDATE, Exchange(service, pacer, Control(1.0), Counters(), service.checkpoint, retries=0))
    assert await row.put() is DONE
    assert row.exchange.silence == LOST.detail


async def test_a_stop_is_no_failure() -> None:
    """A row that the stop came before is not sent, and gives the run no reason of its own to end."""
    row = row_over(Service())
    row.exchange.control.stop()
    assert await row.put() is STOPPED
    assert row.exchange.control.failure is None


async def test_readings_are_counted_and_make_nothing_durable() -> None:
    """A read order costs no update and no write."""
    service = Service(BUSY, DONE, DONE)
    row = row_over(service)
    assert await row.get() is DONE
    assert await row.exchange.read_page(1) is DONE
    assert (service.events, row.exchange.counters.get, row.exchange.counters.put, row.sent) == (["put"] * 3, 3, 0, 0)


@pytest.mark.parametrize(
    ("answers", "newer", "answer", "failure", "words"),
    [
        ([STRANGER], False, STRANGER, CredentialsError, "did not accept the token"),
        ([STRANGER], CredentialsError("refused to sign in"), STRANGER, CredentialsError, "refused to sign in"),
        ([CredentialsError("no token")], True, STOPPED, CredentialsError, "no token"),
        ([BUSY, StoppedError("no token now")], True, STOPPED, StoppedError, "no token now"),
        ([ELSEWHERE], True, ELSEWHERE, StoppedError, "Stopped: elsewhere"),
    ],
)
async def test_what_no_row_can_be_sent_after_stops_the_run(
    answers: list[Any], newer: bool | BatchUpdaterError, answer: Answer[Any], failure: type[Exception], words: str
) -> None:
    """A refused token that can't be renewed, no token at all, a redirect: the first reason is the run's failure."""
    row = row_over(Service(*answers, newer=newer))
    assert await row.put() is answer
    control = row.exchange.control
    assert control.stopping.is_set()
    assert isinstance(control.failure, failure)
    assert words in control.failure.message


async def test_an_update_whose_time_is_over_has_been_sent() -> None:
    """Cancelled at the end of its time, the row says that its update left; cancelled otherwise, it is no answer."""
    with pytest.raises(asyncio.CancelledError):
        await row_over(Service(asyncio.CancelledError())).put()

    class Slow(Service):
        async def update_status(self, _update: StatusUpdate) -> Answer[Any]:
            row.exchange.control.stop()
            mine.cancel()
            await asyncio.sleep(1)
            raise AssertionError("it was not cancelled")

    mine = asyncio.current_task()
    assert mine
    row = row_over(Slow())
    assert await row.put() is CUT
    mine.uncancel()
    assert (row.sent, row.doubtful) == (1, True)

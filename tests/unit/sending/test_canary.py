import asyncio
from collections.abc import Callable

import pytest
from support.scripted_service import working_pacer

from batch_updater.common.models import Answer, Checkpoint, Counters, ListedOrder, Result, State, StatusUpdate, Verdict
from batch_updater.common.settings import SendOptions
from batch_updater.sandbox.server import order_id, status_id
from batch_updater.sending.control import Control
from batch_updater.sending.delivery import Delivery
from batch_updater.sending.exchange import Exchange

UPDATE = StatusUpdate(2, order_id(1), status_id("Completed"))
CONFIRMED = Answer(Verdict.DONE, "ok", "Order status updated successfully", 200)
LOST = Answer(Verdict.UNKNOWN, "timeout", "no answer in time")
BUSY = Answer(Verdict.RETRY, "server_error", "answered 500", 500)


class Service:
    """Answers every update `said`, a reading `read`; `then` happens before an update's answer is seen."""

    token_requests = 0

    def __init__(self, then: Callable[[], None], read: Answer, said: Answer = CONFIRMED) -> None:
        self._then, self._read, self._said = then, read, said
        self.while_reading: Callable[[], None] = lambda: None

    def obey(self, _stopping: object, _saw: object) -> None:
        """Nobody signs in."""

    async def sign_in(self) -> None:
        """There is a token."""

    async def update_status(self, _update: StatusUpdate) -> Answer:
        self._then()
        return self._said

    async def read_order(self, _order_id: str) -> Answer:
        self.while_reading()
        return self._read

    async def list_orders(self, _page: int) -> Answer[list[ListedOrder]]:
        raise NotImplementedError

    async def renew(self, _refused: int) -> bool:
        return False


def delivery(control: Control, service: Service) -> Delivery:
    async def checkpoint(_checkpoint: Checkpoint) -> bool:
        return True

    async def find_updated() -> str:
        return ""

    exchange = Exchange(
        service, working_pacer(), control, Counters(), checkpoint, SendOptions(retries=0), find_updated, control.sleep
    )
    return Delivery(exchange, names={})


async def test_a_stop_between_a_canary_and_its_reading_is_no_failure() -> None:
    """Interrupted before it could be read back, a confirmed canary is updated and the run has no failure of its own."""
    control = Control(1.0)
    service = Service(control.stop, Answer(Verdict.DONE, "ok", payload=UPDATE.status_id))
    courier = delivery(control, service)
    outcome = await courier.send_canary(UPDATE)
    assert (outcome.state, outcome.result) == (State.ENDED, Result.UPDATED)
    assert courier.canary_failure is None


async def test_a_stop_while_a_canary_is_read_back_is_no_failure() -> None:
    """Interrupted when the reading has failed once: nobody knows yet, and the next start tries another canary."""
    control = Control(1.0)
    service = Service(lambda: None, BUSY)
    service.while_reading = control.stop
    courier = delivery(control, service)
    outcome = await courier.send_canary(UPDATE)
    assert (outcome.state, outcome.result) == (State.ENDED, Result.UPDATED)
    assert courier.canary_failure is None


async def test_a_canary_that_nobody_can_confirm_stops_the_run() -> None:
    """Never answered, it waits to be read by a later start; nothing else may be sent before that."""
    courier = delivery(Control(1.0), Service(lambda: None, BUSY, LOST))
    outcome = await courier.send_canary(UPDATE)
    assert (outcome.state, outcome.result) == (State.CLAIMED, Result.UNKNOWN)
    assert courier.canary_failure


@pytest.mark.parametrize(
    ("read", "result", "words"),
    [
        (Answer(Verdict.DONE, "ok", payload=UPDATE.status_id), Result.UPDATED, None),
        (Answer(Verdict.DONE, "ok", payload=status_id("Planned")), Result.FAILED, status_id("Planned")),
        (Answer(Verdict.REFUSED, "forbidden", "no", 403), Result.UPDATED, "could not be read back: no"),
    ],
)
async def test_a_canary_is_judged_by_what_is_read_back(read: Answer, result: Result, words: str | None) -> None:
    """Right goes on; another status, or none to be read, stops the run and says what was seen."""
    courier = delivery(Control(1.0), Service(lambda: None, read))
    outcome = await courier.send_canary(UPDATE)
    assert outcome.result is result
    assert (courier.canary_failure is None) is (words is None)
    if courier.canary_failure and words:
        assert words in courier.canary_failure.message
        assert courier.canary_failure.exit_code == 6


async def test_a_failed_canary_lets_those_under_way_be_read_back_and_no_other_be_sent() -> None:
    """Confirmed by a service that does nothing: neither is called updated, and the third is never sent."""
    other_failed, sent = asyncio.Event(), 0

    class Deaf(Service):
        async def update_status(self, update: StatusUpdate) -> Answer:
            nonlocal sent
            sent += 1
            if update is UPDATE:
                await other_failed.wait()
            return await super().update_status(update)

    courier = delivery(Control(1.0), Deaf(lambda: None, Answer(Verdict.DONE, "ok", payload=status_id("Planned"))))
    slow = asyncio.create_task(courier.send_canary(UPDATE))
    await asyncio.sleep(0)
    quick = await courier.send_canary(UPDATE._replace(order_id=order_id(2)))
    other_failed.set()
    third = await courier.send_canary(UPDATE._replace(order_id=order_id(3)))
    assert [one.result for one in (await slow, quick, third)] == [Result.FAILED, Result.FAILED, Result.NOT_SENT]
    assert (third.state, sent) == (State.PLANNED, 2)


async def test_a_row_that_is_settled_by_reading_keeps_all_that_is_known_of_it() -> None:
    """When it was sent, how often, how long it took and what was said: reading only decides how it ended."""
    refused = Answer(Verdict.UNKNOWN, "unexpected_response", "answered 200 without the API's confirmation", 200)
    service = Service(lambda: None, Answer(Verdict.DONE, "ok", payload=UPDATE.status_id), refused)
    outcome = await delivery(Control(1.0), service).send(UPDATE)
    assert (outcome.state, outcome.result, outcome.code) == (State.ENDED, Result.UPDATED, "confirmed_by_reading")
    assert (outcome.attempts, outcome.http_status) == (1, 200)
    assert outcome.sent_at is not None
    assert outcome.duration_ms is not None

import asyncio

import pytest
from support.scripted_service import ScriptedService

from batch_updater.api.connector import UnconnectedError
from batch_updater.api.retry import STOPPED
from batch_updater.common.models import Answer, Checkpoint, StatusUpdate, Verdict
from batch_updater.sending.outcome import Doubt
from batch_updater.sending.readings import Seen
from batch_updater.sending.row_attempts import RowAttempts

UPDATE = StatusUpdate(2, "order", "status")
DONE = Answer(Verdict.DONE, "ok", "", 200)
BUSY = Answer(Verdict.RETRY, "server_error", "busy", 500)
SLOW_DOWN = Answer(Verdict.THROTTLED, "rate_limited", "slower", 429)
UNREACHABLE = Answer(Verdict.RETRY, "connection_error", "nobody there", was_sent=False)
LOST = Answer(Verdict.UNKNOWN, "timeout", "no answer in time")
STRANGER = Answer(Verdict.UNAUTHORIZED, "unauthorized", "who", 401, token_generation=3)
FORBIDDEN = Answer(Verdict.REFUSED, "forbidden", "no", 403)
GONE = Answer(Verdict.REFUSED, "order_not_found", "Order (x) not found", 404)
ODD = Answer(Verdict.REFUSED, "validation_error", "odd", 422)
pytestmark = pytest.mark.usefixtures("no_waiting")


def reads(status: str) -> Answer[str]:
    return Answer(Verdict.DONE, "ok", "", 200, payload=status)


def row_over(
    service: ScriptedService, retries: int = 5, *, compare: bool = False, update: StatusUpdate = UPDATE
) -> RowAttempts:
    return RowAttempts(update, service.exchange(retries, compare=compare))


def names(service: ScriptedService) -> list[object]:
    return ["checkpoint" if isinstance(one, Checkpoint) else one for one in service.events]


async def test_an_update_that_was_sent_is_durable_before_the_next_leaves() -> None:
    """Each attempt that left is written down between it and the next one; one that did not leave is not."""
    service = ScriptedService(SLOW_DOWN, UNREACHABLE, STRANGER, DONE)
    row = row_over(service)
    assert await row.put() is DONE
    assert names(service) == ["put", "checkpoint", "put", "put", 3, "checkpoint", "put"]
    assert [one.attempts for one in service.events if isinstance(one, Checkpoint)] == [1, 1]
    assert (row.sent, row.unrecorded, row.exchange.counters.put, row.exchange.counters.retried) == (3, 1, 3, 2)
    assert row.doubt == Doubt(3)


@pytest.mark.parametrize("doubtful", [BUSY, LOST])
async def test_what_may_have_been_applied_is_read_before_it_is_sent_again(doubtful: Answer) -> None:
    """The order is not so yet: its present status is made durable with the attempt, and the update is sent again."""
    service = ScriptedService(doubtful, reads("before"), DONE)
    row = row_over(service)
    assert await row.put() is DONE
    assert names(service) == ["put", "get", "checkpoint", "put"]
    assert service.events[2] == Checkpoint(2, 1, row.sent_at, "before")
    assert (row.doubt, row.previous) == (Doubt(2, ever=True, late=doubtful is LOST), "before")


async def test_an_order_that_is_right_already_is_not_sent_again() -> None:
    """One update and one reading; nothing is written between them, for nothing leaves after it."""
    service = ScriptedService(LOST, reads("status"))
    row = row_over(service)
    assert await row.put() is LOST
    assert names(service) == ["put", "get"]
    assert row.ended_by
    assert row.ended_by.seen is Seen.RIGHT
    assert (row.sent, row.unrecorded) == (1, 1)


async def test_a_reading_that_fails_is_tried_again_and_then_ends_the_row() -> None:
    """As often as an update would be; then the row is not sent blindly."""
    service = ScriptedService(LOST, BUSY, LOST)
    row = row_over(service, retries=1)
    await row.put()
    assert names(service) == ["put", "get", "get"]
    assert row.ended_by
    assert (row.ended_by.seen, row.doubt.unread) == (Seen.UNSETTLED, True)


@pytest.mark.parametrize(
    ("answer", "updated", "others", "seen", "refused"),
    [
        (FORBIDDEN, "", [], Seen.NOT_READABLE, True),
        (GONE, "", [], Seen.MISSING, False),
        (GONE, "another", [reads("status")], Seen.MISSING, False),
        (GONE, "another", [GONE], Seen.NOT_READABLE, True),
        (ODD, "", [], Seen.UNSETTLED, False),
        (ODD, "another", [reads("x")], Seen.UNSETTLED, False),
        (ODD, "another", [ODD], Seen.NOT_READABLE, True),
        (ODD, "another", [BUSY], Seen.UNSETTLED, False),
    ],
)
async def test_a_refused_reading_is_judged_by_an_order_that_was_updated(
    answer: Answer, updated: str, others: list[Answer], seen: Seen, refused: bool
) -> None:
    """403 speaks for all orders; other refusals only when an order that must exist is refused too, asked once."""
    service = ScriptedService(answer, *others, answer)
    service.updated = updated
    readings = service.exchange(retries=0).readings
    assert (await readings.read(UPDATE)).seen is seen
    assert (readings.refused is not None) is refused
    assert bool(readings.describe()) is refused
    asked = len(service.events)
    if not (updated and others == [BUSY]):
        assert (await readings.read(UPDATE)).seen is seen
        assert len(service.events) == asked + (not refused)


@pytest.mark.parametrize("compare", [False, True])
async def test_where_nothing_can_be_read_only_a_run_that_does_not_compare_sends_blindly(compare: bool) -> None:
    """An update is sent again unread where reading is refused; with --compare it never is."""
    service = ScriptedService(LOST, FORBIDDEN, *([] if compare else [LOST, DONE]))
    row = row_over(service, compare=compare)
    await row.put()
    assert [one for one in names(service) if one != "checkpoint"] == ["put", "get", *([] if compare else ["put"] * 2)]
    assert (row.ended_by is not None) is compare


async def test_an_order_that_somebody_has_moved_is_not_sent_again() -> None:
    """The update was for an order in one status; found in a third one it ends."""
    service = ScriptedService(LOST, reads("third"))
    row = row_over(service, update=UPDATE._replace(expected_id="before"))
    await row.put()
    assert row.ended_by
    assert (row.ended_by.seen, row.previous) == (Seen.OTHER, "third")


async def test_a_stop_while_an_order_is_read_leaves_it_in_doubt() -> None:
    """Nothing more is sent, and nothing is concluded."""
    service = ScriptedService(LOST)
    row = row_over(service)
    service.read_order = lambda _order: stop(row)  # type: ignore[method-assign]
    await row.put()
    assert row.ended_by
    assert (row.ended_by.seen, row.doubt) == (Seen.STOPPED, Doubt(1, unread=True, ever=True, late=True))


async def stop(row: RowAttempts) -> Answer[str]:
    row.exchange.control.stop()
    return BUSY


async def test_an_update_whose_time_is_over_has_been_sent() -> None:
    """Cancelled while its answer is awaited it may have been applied; cancelled without a connection it never left."""
    row = row_over(ScriptedService(asyncio.CancelledError()))
    with pytest.raises(asyncio.CancelledError):
        await row.put()
    assert row.doubt == Doubt(1, unread=True, ever=True, late=True)
    row = row_over(ScriptedService(UnconnectedError()))
    with pytest.raises(asyncio.CancelledError):
        await row.put()
    assert (row.doubt, row.duration_ms) == (Doubt(), None)


async def test_what_waits_for_a_token_has_not_been_sent() -> None:
    """Cancelled before there is a token, nothing is counted."""

    class Waiting(ScriptedService):
        async def sign_in(self) -> None:
            raise asyncio.CancelledError

    row = row_over(Waiting())
    with pytest.raises(asyncio.CancelledError):
        await row.put()
    assert (row.doubt, row.sent_at, row.answer) == (Doubt(), None, STOPPED)


async def test_a_row_takes_from_its_first_update_to_its_last_answer() -> None:
    """The wait for its turn before, and what comes after, are not its own."""
    row = row_over(ScriptedService(DONE))
    await asyncio.sleep(0.05)
    await row.put()
    await asyncio.sleep(0.05)
    assert row.duration_ms is not None
    assert row.duration_ms < 40

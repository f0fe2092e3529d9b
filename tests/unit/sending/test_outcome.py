"""What the last answer and the readings make of a row, by table."""

import pytest

from batch_updater.api.retry import STOPPED
from batch_updater.common.models import Answer, Result, State, StatusUpdate, Verdict
from batch_updater.sending.outcome import (
    CONFIRMED,
    Doubt,
    already_set,
    decide_by_reading,
    decide_later,
    decide_outcome,
    leave_in_doubt,
    may_be_late,
    needs_reading,
)
from batch_updater.sending.readings import Reading, Seen
from batch_updater.sending.row_attempts import LOST as CUT

DONE = Answer(Verdict.DONE, "ok", "yes", 200)
REFUSED = Answer(Verdict.REFUSED, "conflict", "no", 409)
MISSING = Answer(Verdict.REFUSED, "order_not_found", "not found", 400)
ERROR = Answer(Verdict.RETRY, "server_error", "error", 500)
GATEWAY = Answer(Verdict.RETRY, "server_error", "answered 504", 504)
UNAVAILABLE = Answer(Verdict.THROTTLED, "server_error", "answered 503", 503)
SLOW_DOWN = Answer(Verdict.THROTTLED, "rate_limited", "slower", 429)
LOST = Answer(Verdict.UNKNOWN, "timeout", "no answer in time")
OTHER_WORDS = Answer(Verdict.UNKNOWN, "unexpected_response", "queued", 202)
REDIRECT = Answer(Verdict.STOP, "redirect", "elsewhere", 302)
STRANGER = Answer(Verdict.UNAUTHORIZED, "unauthorized", "who", 401)
NOBODY = Answer(Verdict.RETRY, "connection_error", "nobody there", was_sent=False)
ENDED, PLANNED, CLAIMED = State.ENDED, State.PLANNED, State.CLAIMED
UPDATED, FAILED, UNKNOWN, NOT_SENT = Result.UPDATED, Result.FAILED, Result.UNKNOWN, Result.NOT_SENT
UPDATE = StatusUpdate(7, "order", "status")
CERTAIN, DOUBTED, UNREAD = Doubt(1), Doubt(1, ever=True), Doubt(1, unread=True, ever=True)
ALL = [DONE, REFUSED, MISSING, ERROR, GATEWAY, UNAVAILABLE, SLOW_DOWN, LOST, OTHER_WORDS, REDIRECT, STRANGER, NOBODY]


@pytest.mark.parametrize("stopping", [False, True])
@pytest.mark.parametrize("doubt", [CERTAIN, DOUBTED, UNREAD])
@pytest.mark.parametrize(("answer", "result"), [(DONE, UPDATED), (MISSING, FAILED)])
def test_a_yes_and_a_missing_order_are_final(answer: Answer, result: Result, doubt: Doubt, stopping: bool) -> None:
    """Whatever was before, and though the run stops: the service's own words say how the row ends."""
    assert decide_outcome(answer, doubt, stopping=stopping) == (ENDED, result, answer.code, answer.detail, "")
    assert not needs_reading(answer, doubt)


@pytest.mark.parametrize(
    ("answer", "going_on", "at_a_stop"),
    [
        (REFUSED, (ENDED, FAILED), (ENDED, FAILED)),
        (SLOW_DOWN, (ENDED, FAILED), (PLANNED, FAILED)),
        (STRANGER, (PLANNED, FAILED), (PLANNED, FAILED)),
        (REDIRECT, (PLANNED, FAILED), (PLANNED, FAILED)),
        (STOPPED, (PLANNED, FAILED), (PLANNED, FAILED)),
    ],
)
def test_a_row_whose_updates_were_all_refused_is_not_in_doubt(
    answer: Answer, going_on: tuple[State, Result], at_a_stop: tuple[State, Result]
) -> None:
    """It has failed; when the run stops first it is sent again later, and never said to be unsent."""
    for stopping, wanted in ((False, going_on), (True, at_a_stop)):
        assert decide_outcome(answer, CERTAIN, stopping=stopping) == (*wanted, answer.code, answer.detail, "")
    assert not needs_reading(answer, CERTAIN)


@pytest.mark.parametrize(
    ("answer", "stopping"), [(STOPPED, False), (NOBODY, True), (STRANGER, False), (REDIRECT, True)]
)
def test_only_a_row_of_which_nothing_left_is_not_sent(answer: Answer, stopping: bool) -> None:
    """Refused before its own first update, or without a connection, it is there for the next start."""
    assert decide_outcome(answer, Doubt(), stopping=stopping)[:2] == (PLANNED, NOT_SENT)


@pytest.mark.parametrize("answer", [ERROR, LOST, CUT, REFUSED, SLOW_DOWN, STRANGER, STOPPED, REDIRECT])
def test_a_stop_leaves_what_may_have_been_applied_in_doubt(answer: Answer) -> None:
    """It stays claimed, and is read first by the next start; where it can't be read the row ends as unknown."""
    found = decide_outcome(answer, UNREAD, stopping=True)
    assert found == (CLAIMED, UNKNOWN, answer.code, answer.detail, "")
    assert decide_outcome(answer, Doubt(ever=True), stopping=True)[:2] == (CLAIMED, UNKNOWN)
    if answer.verdict not in {Verdict.STOP, Verdict.UNAUTHORIZED}:
        assert decide_outcome(answer, UNREAD, stopping=False)[:2] == (ENDED, UNKNOWN)


@pytest.mark.parametrize("answer", ALL)
def test_what_was_once_in_doubt_is_read_before_its_row_ends(answer: Answer) -> None:
    """An earlier update may be applied late, and may be why the service refuses the next; a yes needs no look."""
    assert needs_reading(answer, DOUBTED) is (answer not in (DONE, MISSING))


@pytest.mark.parametrize("answer", ALL)
def test_a_gateway_may_give_up_before_the_service_does(answer: Answer) -> None:
    """After silence, 502, 503 and 504 an update may still be applied, after any other answer it is or is not."""
    if answer.is_doubtful:
        assert may_be_late(answer) is (answer in (GATEWAY, UNAVAILABLE, LOST))


def test_what_is_read_later_keeps_what_was_said() -> None:
    """The row stays in doubt with its last answer; a refusal stays beside what the reading will say."""
    assert leave_in_doubt(GATEWAY) == (CLAIMED, UNKNOWN, "server_error", "answered 504", "")
    assert leave_in_doubt(REFUSED) == (CLAIMED, UNKNOWN, "conflict", "no", "the last one was refused: no")


@pytest.mark.parametrize(
    ("answer", "reading", "wanted"),
    [
        (ERROR, Reading(Seen.RIGHT, "status"), (ENDED, UPDATED, "confirmed_by_reading", CONFIRMED, "")),
        (
            REFUSED, Reading(Seen.RIGHT, "status"),
            (ENDED, UPDATED, "confirmed_by_reading", CONFIRMED, "the last one was refused: no"),
        ),
        (ERROR, Reading(Seen.OTHER, "x"), (ENDED, FAILED, "not_applied", "error; read back, the order is 'X'", "")),
        (REFUSED, Reading(Seen.OTHER, "x"), (ENDED, FAILED, "conflict", "no; read back, the order is 'X'", "")),
        (SLOW_DOWN, Reading(Seen.OTHER), (ENDED, FAILED, "rate_limited", "slower; read back, the order is 'X'", "")),
        (ERROR, Reading(Seen.MISSING, "", "order_not_found", "gone"), (ENDED, FAILED, "order_not_found", "gone", "")),
        (ERROR, Reading(Seen.STOPPED), (CLAIMED, UNKNOWN, "server_error", "error", "")),
        (REFUSED, Reading(Seen.STOPPED), (CLAIMED, UNKNOWN, "conflict", "no", "")),
        (
            ERROR, Reading(Seen.UNSETTLED, "", "timeout", "no answer in time"),
            (ENDED, UNKNOWN, "server_error", "error; could not be read back: no answer in time", ""),
        ),
        (
            REFUSED, Reading(Seen.NOT_READABLE, "", "forbidden", "no (403)"),
            (ENDED, UNKNOWN, "conflict", "no; could not be read back: no (403)", ""),
        ),
    ],
)  # fmt: skip
def test_a_reading_decides_how_a_row_ends(answer: Answer, reading: Reading, wanted: tuple[object, ...]) -> None:
    """Right is updated, another status is failed, no order is failed, and no reading is unknown."""
    assert decide_by_reading(answer, reading, UPDATE, UNREAD, "'X'") == wanted


def test_an_order_that_somebody_else_has_moved_is_not_sent_again() -> None:
    """Neither the wanted nor the expected status: the row says so, whatever the last answer was."""
    update = UPDATE._replace(expected_id="expected")
    assert decide_by_reading(ERROR, Reading(Seen.OTHER, "third"), update, UNREAD, "'C'").code == "status_moved"
    assert decide_by_reading(ERROR, Reading(Seen.OTHER, "expected"), update, UNREAD, "'B'").code == "not_applied"


@pytest.mark.parametrize(
    ("reading", "after_a_kill", "at_the_end"),
    [
        (
            Reading(Seen.RIGHT),
            (ENDED, UPDATED, "confirmed_after_interruption"), (ENDED, UPDATED, "confirmed_by_reading"),
        ),
        (Reading(Seen.OTHER), (ENDED, FAILED, "status_moved"), (ENDED, FAILED, "not_applied")),
        (Reading(Seen.MISSING), (ENDED, FAILED, "order_not_found"), (ENDED, FAILED, "order_not_found")),
        (Reading(Seen.UNSETTLED, "", "timeout", "late"), (ENDED, UNKNOWN, "timeout"), (ENDED, UNKNOWN, "")),
        (Reading(Seen.NOT_READABLE, "", "forbidden", "no"), (ENDED, UNKNOWN, "forbidden"), (ENDED, UNKNOWN, "")),
    ],
)  # fmt: skip
def test_what_is_read_later_ends_the_row_too(
    reading: Reading, after_a_kill: tuple[object, ...], at_the_end: tuple[object, ...]
) -> None:
    """Whether it was interrupted or has used up its retries: nothing stays open for ever."""
    for interrupted, wanted in ((True, after_a_kill), (False, at_the_end)):
        update = UPDATE._replace(expected_id="expected" if interrupted else "")
        assert decide_later(reading, "'X'", update, interrupted=interrupted)[:3] == wanted


def test_an_order_that_is_so_already_is_left_alone() -> None:
    """Nothing was sent, and the status before is the one that was wanted."""
    outcome = already_set(UPDATE)
    assert (outcome.row, outcome.state, outcome.result, outcome.code) == (7, ENDED, Result.UNCHANGED, "already_set")
    assert (outcome.attempts, outcome.http_status, outcome.previous_status_id) == (0, 200, "status")
    assert outcome.detail == "the order has this status already"
    assert (CUT.was_sent, STOPPED.was_sent) == (True, False)

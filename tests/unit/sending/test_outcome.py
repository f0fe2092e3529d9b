"""What the last answer makes of a row, by table."""

import pytest

from batch_updater.api.retry import STOPPED
from batch_updater.common.models import Answer, Result, State, StatusUpdate, Verdict
from batch_updater.sending.outcome import CUT, already_set, decide_outcome

DONE = Answer(Verdict.DONE, "ok", "yes", 200)
REFUSED = Answer(Verdict.REFUSED, "conflict", "no", 409)
MISSING = Answer(Verdict.REFUSED, "order_not_found", "not found", 400)
ERROR = Answer(Verdict.RETRY, "server_error", "error", 500)
SLOW_DOWN = Answer(Verdict.THROTTLED, "rate_limited", "slower", 429)
LOST = Answer(Verdict.UNKNOWN, "timeout", "no answer in time")
REDIRECT = Answer(Verdict.STOP, "redirect", "elsewhere", 302)
STRANGER = Answer(Verdict.UNAUTHORIZED, "unauthorized", "who", 401)
ENDED, PLANNED, CLAIMED = State.ENDED, State.PLANNED, State.CLAIMED
UPDATED, FAILED, UNKNOWN, NOT_SENT = Result.UPDATED, Result.FAILED, Result.UNKNOWN, Result.NOT_SENT


@pytest.mark.parametrize("stopping", [False, True])
@pytest.mark.parametrize("doubtful", [False, True])
@pytest.mark.parametrize(("answer", "result"), [(DONE, UPDATED), (MISSING, FAILED)])
def test_a_yes_and_a_missing_order_are_final(answer: Answer, result: Result, doubtful: bool, stopping: bool) -> None:
    """Whatever was before, and though the run stops: the service's own words say how the row ends."""
    assert decide_outcome(answer, doubtful=doubtful, stopping=stopping) == (ENDED, result, answer.detail, "")


@pytest.mark.parametrize(
    ("answer", "going_on", "at_a_stop"),
    [
        (REFUSED, (ENDED, FAILED), (ENDED, FAILED)),
        (ERROR, (ENDED, FAILED), (PLANNED, NOT_SENT)),
        (SLOW_DOWN, (ENDED, FAILED), (PLANNED, NOT_SENT)),
        (STRANGER, (PLANNED, NOT_SENT), (PLANNED, NOT_SENT)),
        (STOPPED, (PLANNED, NOT_SENT), (PLANNED, NOT_SENT)),
        (REDIRECT, (PLANNED, FAILED), (PLANNED, FAILED)),
    ],
)
def test_a_row_whose_attempts_were_all_answered_is_not_in_doubt(
    answer: Answer, going_on: tuple[State, Result], at_a_stop: tuple[State, Result]
) -> None:
    """It has failed, or is left for the next start when the run stops first."""
    for stopping, wanted in ((False, going_on), (True, at_a_stop)):
        assert decide_outcome(answer, doubtful=False, stopping=stopping) == (*wanted, answer.detail, "")


@pytest.mark.parametrize(("stopping", "state"), [(False, ENDED), (True, CLAIMED)])
@pytest.mark.parametrize(
    ("answer", "detail", "remark"),
    [
        (LOST, "no answer in time", ""),
        (CUT, "the run ended while this row was under way", ""),
        (REFUSED, "an earlier attempt was never answered", "the last one was refused: no"),
        (ERROR, "an earlier attempt was never answered; then: error", ""),
        (STRANGER, "an earlier attempt was never answered; then: who", ""),
        (STOPPED, "an earlier attempt was never answered; then: the run stopped before this row", ""),
        (REDIRECT, "an earlier attempt was never answered; then: elsewhere", ""),
    ],
)
def test_a_row_that_may_have_been_updated_unnoticed_is_read_back(
    answer: Answer, detail: str, remark: str, stopping: bool, state: State
) -> None:
    """Nothing but a yes or a missing order takes the doubt away; when the run stops it stays for the next start."""
    assert decide_outcome(answer, doubtful=True, stopping=stopping) == (state, UNKNOWN, detail, remark)


def test_an_order_that_is_so_already_is_left_alone() -> None:
    """Nothing was sent, and the status before is the one that was wanted."""
    outcome = already_set(StatusUpdate(7, "order", "status"))
    assert (outcome.row, outcome.state, outcome.result, outcome.code) == (7, ENDED, Result.UNCHANGED, "already_set")
    assert (outcome.attempts, outcome.http_status, outcome.previous_status_id) == (0, 200, "status")
    assert outcome.detail == "the order has this status already"
    assert (CUT.was_sent, STOPPED.was_sent) == (True, False)

"""Decide the outcome of a row by the answers to its requests. Pure."""

from typing import Any, NamedTuple

from batch_updater.common.models import Answer, Result, RowOutcome, State, StatusUpdate, Verdict
from batch_updater.sending.readings import Reading, Seen

MAY_BE_APPLIED_LATE = frozenset({None, 502, 503, 504})  # a gateway may give up before the service does
CONFIRMED = "no answer confirmed it; read back, the order has the status"


class End(NamedTuple):
    """How a row stands after its last answer; the first fields of a `RowOutcome`."""

    state: State
    result: Result
    code: str
    detail: str
    remark: str = ""


class Doubt(NamedTuple):
    """What is known of a row's updates: `sent` how many, `unread` whether one may have been applied and was not read.

    `ever`: whether one was in doubt at any time: it may be why the service refuses the next. `late`: whether one may
    be applied after it was read.
    """

    sent: int = 0
    unread: bool = False
    ever: bool = False
    late: bool = False


def already_set(update: StatusUpdate) -> RowOutcome:
    """Return the outcome of a row whose order has the status already."""
    detail = "the order has this status already"
    return RowOutcome(
        update.row, State.ENDED, Result.UNCHANGED, "already_set", detail, 200, previous_status_id=update.status_id
    )


def needs_reading(answer: Answer[Any], doubt: Doubt) -> bool:
    """Return whether the order must be read before its row can end with this answer."""
    if answer.verdict is Verdict.DONE or answer.code == "order_not_found":
        return False
    return doubt.ever


def may_be_late(answer: Answer[Any]) -> bool:
    """Return whether an update in doubt with this answer may still be applied some time later."""
    return answer.http_status in MAY_BE_APPLIED_LATE


def is_wrong(answer: Answer[Any]) -> bool:
    """Return whether an answer to an update is an error that is tried again: of the service, or of something else."""
    by_service = answer.http_status is not None and answer.http_status >= 500
    return by_service or (answer.code == "wrong_address" and answer.verdict is not Verdict.REFUSED)


def leave_in_doubt(answer: Answer[Any]) -> End:
    """Return how a row stands whose order is read at the end of the phase, when nothing can be applied any more."""
    return End(State.CLAIMED, Result.UNKNOWN, answer.code, answer.detail, _refusal(answer))


def _refusal(answer: Answer[Any]) -> str:
    return f"the last one was refused: {answer.detail}" if answer.verdict is Verdict.REFUSED else ""


def decide_outcome(answer: Answer[Any], doubt: Doubt, *, stopping: bool = False) -> End:
    """Return how a row stands by its last answer, when nothing (more) is read."""
    code, detail = answer.code, answer.detail
    if answer.verdict is Verdict.DONE:
        return End(State.ENDED, Result.UPDATED, code, detail)
    if answer.code == "order_not_found":
        return End(State.ENDED, Result.FAILED, code, detail)
    stopped = stopping or answer.verdict in {Verdict.STOP, Verdict.UNAUTHORIZED}
    if stopped and doubt.ever:
        return End(State.CLAIMED, Result.UNKNOWN, code, detail)
    if doubt.unread or (doubt.ever and answer.verdict is Verdict.REFUSED):
        return End(State.ENDED, Result.UNKNOWN, code, detail)
    if answer.verdict is Verdict.REFUSED or not stopped:
        return End(State.ENDED, Result.FAILED, code, detail)
    if doubt.sent:  # every update so far was refused: it is sent again later
        return End(State.PLANNED, Result.FAILED, code, detail)
    return End(State.PLANNED, Result.NOT_SENT, code, detail)


def decide_by_reading(answer: Answer[Any], reading: Reading, update: StatusUpdate, doubt: Doubt, found: str) -> End:
    """Return how a row stands by its last answer and the reading after it; `found` is the status read, for a person."""
    if reading.seen is Seen.RIGHT:
        return End(State.ENDED, Result.UPDATED, "confirmed_by_reading", CONFIRMED, _refusal(answer))
    if reading.seen is Seen.OTHER:
        code = "not_applied" if answer.is_doubtful else answer.code
        code = code if update.expects(reading.status_id) else "status_moved"
        return End(State.ENDED, Result.FAILED, code, f"{answer.detail}; read back, the order is {found}")
    if reading.seen is Seen.MISSING:
        return End(State.ENDED, Result.FAILED, "order_not_found", reading.detail)
    if reading.seen is Seen.STOPPED:
        return decide_outcome(answer, doubt, stopping=True)
    return End(State.ENDED, Result.UNKNOWN, answer.code, f"{answer.detail}; could not be read back: {reading.detail}")


def decide_later(reading: Reading, found: str, update: StatusUpdate, *, interrupted: bool) -> End:
    """Return how a row in doubt ends by a reading some time after its last answer, which an earlier start may have had.

    `found` is the status read, for a person.
    """
    after = "the previous start was interrupted; read back, the order" if interrupted else "read back, the order"
    if reading.seen is Seen.RIGHT and interrupted:
        return End(State.ENDED, Result.UPDATED, "confirmed_after_interruption", f"{after} has the status")
    if reading.seen is Seen.RIGHT:
        return End(State.ENDED, Result.UPDATED, "confirmed_by_reading", CONFIRMED)
    if reading.seen is Seen.OTHER and not update.expects(reading.status_id):
        return End(State.ENDED, Result.FAILED, "status_moved", f"never confirmed; {after} is {found}")
    if reading.seen is Seen.OTHER:
        return End(State.ENDED, Result.FAILED, "not_applied", f"never confirmed; {after} is {found}")
    if reading.seen is Seen.MISSING:
        return End(State.ENDED, Result.FAILED, "order_not_found", reading.detail)
    why = f"could not be read back: {reading.detail}"
    if interrupted:
        return End(State.ENDED, Result.UNKNOWN, reading.code, f"the previous start was interrupted; {why}")
    return End(State.ENDED, Result.UNKNOWN, "", "", why)  # code and detail stay as they are

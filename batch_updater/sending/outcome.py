"""Decide the outcome of a row by the answers to its requests. Pure."""

from typing import Any, Never

from batch_updater.common.models import Answer, Result, RowOutcome, State, StatusUpdate, Verdict

UNANSWERED = "an earlier attempt was never answered"
CUT: Answer[Never] = Answer(Verdict.UNKNOWN, "stopped", "the run ended while this row was under way")


def already_set(update: StatusUpdate) -> RowOutcome:
    """Return the outcome of a row whose order has the status already."""
    detail = "the order has this status already"
    return RowOutcome(
        update.row, State.ENDED, Result.UNCHANGED, "already_set", detail, 200, previous_status_id=update.status_id
    )


def decide_outcome(answer: Answer[Any], *, doubtful: bool, stopping: bool) -> tuple[State, Result, str, str]:
    """Return state, result, detail and remark by the last answer. `doubtful`: an earlier one may have been applied.

    Then a refusal may come from just that ("has this status already"), unless there is no such order.
    """
    if answer.verdict is Verdict.DONE:
        return State.ENDED, Result.UPDATED, answer.detail, ""
    if answer.verdict is Verdict.REFUSED and not (doubtful and answer.code != "order_not_found"):
        return State.ENDED, Result.FAILED, answer.detail, ""
    if doubtful:
        state = State.CLAIMED if stopping else State.ENDED
        if answer.verdict is Verdict.UNKNOWN:
            return state, Result.UNKNOWN, answer.detail, ""
        if answer.verdict is Verdict.REFUSED:
            return state, Result.UNKNOWN, UNANSWERED, f"the last one was refused: {answer.detail}"
        return state, Result.UNKNOWN, f"{UNANSWERED}; then: {answer.detail}", ""
    if answer.code == "redirect":
        return State.PLANNED, Result.FAILED, answer.detail, ""  # it stops the run, and is sent again later
    if stopping or answer.verdict in {Verdict.STOP, Verdict.UNAUTHORIZED}:
        return State.PLANNED, Result.NOT_SENT, answer.detail, ""
    return State.ENDED, Result.FAILED, answer.detail, ""

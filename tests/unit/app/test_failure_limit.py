from pathlib import Path

import pytest
from support.journals import A, B, C, S, T, ended, plan

from batch_updater.app.failure_limit import FailureLimit, failure_limit
from batch_updater.common.models import RejectedRow, Result
from batch_updater.common.settings import Settings


@pytest.mark.parametrize(("failed", "allowed"), [(0, 0), (5, 5), (5, None)])
def test_as_many_failures_as_are_allowed_are_no_refusal(failed: int, allowed: int | None) -> None:
    """The limit itself may be reached, and without one nothing is refused; no other limit is proposed."""
    limit = FailureLimit(failed, allowed)
    assert (limit.refusal, limit.next_allowed) == (None, None)


@pytest.mark.parametrize(("failed", "allowed", "then"), [(6, 5, 11), (1, 0, 2), (25, 5, 30)])
def test_above_the_limit_as_many_failures_again_are_proposed(failed: int, allowed: int, then: int) -> None:
    """By the proposed limit the run can go on, if only for one more failure."""
    limit = FailureLimit(failed, allowed)
    assert f"More than {allowed} rows of this run have failed, {failed} in all" in str(limit.refusal)
    assert "--max-failures" in str(limit.refusal)
    assert limit.next_allowed == then
    assert FailureLimit(failed, then).refusal is None


def test_failures_of_all_starts_count_against_a_share_of_all_rows_to_send(tmp_path: Path) -> None:
    """Failed and unknown rows; rows that have ended were to be sent, too, those that never could be were not."""
    updates = [(2, A, S), (3, A, S), (4, B, S), (5, C, S), (6, C, T)]
    with plan(tmp_path, updates, "first", [RejectedRow(7, "bad_order_id", "x")]) as journal:
        assert failure_limit(journal, Settings(max_failures="50%")) == FailureLimit(0, 1)
        assert [row.row for row in journal.claim(9)] == [2, 4, 5]
        journal.record([ended(2, Result.FAILED, "order_not_found"), ended(4, Result.UNKNOWN, "timeout"), ended(5)])
        assert failure_limit(journal, Settings(max_failures="50%")) == FailureLimit(2, 1)
        assert failure_limit(journal, Settings(max_failures="2")) == FailureLimit(2, 2)
        assert failure_limit(journal, Settings()).refusal is None


def test_a_row_whose_order_had_moved_on_was_to_be_sent(tmp_path: Path) -> None:
    """It was found in conflict only when it was its turn: the share is the same before and after."""
    with plan(tmp_path, [(2, A, S, False, T), (3, B, S)]) as journal:
        assert journal.to_send_in_all() == 2
        journal.claim(9)
        journal.record([ended(2, Result.CONFLICT, "status_moved")])
        assert journal.to_send_in_all() == 2

import time
import uuid
from pathlib import Path

import pytest
from support.journals import A, B, C, S, T, ended, plan, some_facts

from batch_updater.app.failure_limit import FailureLimit, failure_limit, wait_refusal
from batch_updater.common.models import RejectedRow, Result
from batch_updater.common.settings import Settings
from batch_updater.journal.journal import Journal


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
        assert limits(journal, "50%") == (0, 1, True)
        assert [row.row for row in journal.claim(9)] == [2, 4, 5]
        journal.record([ended(2, Result.FAILED, "order_not_found"), ended(4, Result.UNKNOWN, "timeout"), ended(5)])
        assert limits(journal, "50%") == (2, 1, True)
        assert limits(journal, "2") == (2, 2, True)
        assert failure_limit(journal, Settings()).refusal is None


def limits(journal: Journal, most: str) -> tuple[int, int | None, bool]:
    """How many have failed, how many may, and whether that takes the place of the brake."""
    limit = failure_limit(journal, Settings(max_failures=most))
    return limit.failed, limit.allowed, limit.brake.is_off


@pytest.mark.parametrize(("accepted", "refused"), [(0, True), (1, False)])
def test_a_run_that_was_refused_from_the_start_is_not_sent_again(tmp_path: Path, accepted: int, refused: bool) -> None:
    """Twenty rows of an earlier start were forbidden; one that was accepted, or a given limit, lets it go on."""
    updates = [(row, str(uuid.UUID(int=row)), S) for row in range(2, 40)]
    with plan(tmp_path, updates) as journal:
        journal.claim(99)
        journal.record([ended(row, Result.FAILED, "forbidden", http_status=403) for row in range(2, 22)])
        journal.record([ended(30 + row) for row in range(accepted)])
        limit = failure_limit(journal, Settings())
        assert (limit.refusal is not None, limit.next_allowed) == (refused, 40 if refused else None)
        assert not refused or "forbidden (403)" in str(limit.refusal)
        assert failure_limit(journal, Settings(max_failures="40")).refusal is None


def test_a_time_that_the_service_has_named_is_kept_to() -> None:
    """Before it nothing is sent; afterwards, or when none was named, there is no reason."""
    now = time.time()
    refusals = [wait_refusal(some_facts(not_before=when)) for when in (0.0, now - 1, now + 3600)]
    assert [refusal is not None for refusal in refusals] == [False, False, True]
    assert "asks to wait until " in str(refusals[2])


def test_a_row_whose_order_had_moved_on_was_to_be_sent(tmp_path: Path) -> None:
    """It was found in conflict only when it was its turn: the share is the same before and after."""
    with plan(tmp_path, [(2, A, S, False, T), (3, B, S)]) as journal:
        assert journal.to_send_in_all() == 2
        journal.claim(9)
        journal.record([ended(2, Result.CONFLICT, "status_moved")])
        assert journal.to_send_in_all() == 2

from pathlib import Path

import pytest
from support.journals import A, B, C, S, T, ended, plan, some_facts

from batch_updater.common.models import Checkpoint, Result
from batch_updater.journal.facts import Ended
from batch_updater.journal.lifecycle import WhatIsLeft, what_is_left

DONE = some_facts(end=Ended(started=0, ended=1, seconds=1, exit_code=0, reason="", rows_per_second=1))


def test_a_run_is_over_when_no_row_is_left(folder: Path) -> None:
    """Planned, claimed and queued rows are left; waiting and ended ones are not."""
    with plan(folder, [(2, A, S), (3, A, T), (4, B, S), (5, B, S)], "sequence") as journal:
        assert what_is_left(journal, DONE) == WhatIsLeft(in_doubt=0, to_send=3, recheck=False)
        assert what_is_left(journal, DONE)
        journal.claim(9)
        assert what_is_left(journal, DONE) == WhatIsLeft(in_doubt=2, to_send=1, recheck=False)
        journal.record([ended(2), ended(4)])
        journal.claim(9)
        journal.record([ended(3)])
        assert not what_is_left(journal, DONE)


def test_a_sequence_that_a_late_answer_may_have_undone_is_left_only_after_an_early_end(folder: Path) -> None:
    """A run that came to its own end has looked again already."""
    with plan(folder, [(2, A, S), (3, A, T)], "sequence") as journal:
        journal.claim(1)
        journal.record([ended(2, Result.UPDATED, "confirmed_by_reading", attempts=2)])
        journal.claim(1)
        journal.record([ended(3)])
        assert what_is_left(journal, some_facts(end=None)) == WhatIsLeft(in_doubt=0, to_send=0, recheck=True)
        assert not what_is_left(journal, DONE)


@pytest.mark.parametrize(("compare", "left"), [(False, [True, True, True]), (True, [False, True, False])])
def test_a_claimed_row_may_have_left_unless_its_order_was_to_be_read_first(
    folder: Path, compare: bool, left: list[bool]
) -> None:
    """The reading is durable before anything is sent: without one nothing was."""
    with plan(folder, [(2, A, S), (3, B, S), (4, C, S)]) as journal:
        journal.update_facts(compare=compare)
        journal.claim(3)
        journal.checkpoint([Checkpoint(3, previous_status_id=T)])
        assert [entry.may_have_left for entry in journal.entries()] == left

"""Small journals for unit tests."""

import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from batch_updater.common.models import RejectedRow, Result, RowOutcome, State, StatusUpdate
from batch_updater.journal.journal import Journal

A, B, C, S, T, U = (str(uuid.UUID(int=n)) for n in range(1, 7))  # three orders, three statuses
NAME = "j.sqlite"


def plan(
    folder: Path,
    updates: Iterable[tuple[int, str, str] | tuple[int, str, str, bool, str]],
    on_conflict: str = "hold",
    rejected: Iterable[RejectedRow] = (),
) -> Journal:
    """A sealed journal of these rows."""
    journal = Journal.create(folder / NAME)
    journal.add([*(StatusUpdate(*update) for update in updates), *rejected])
    journal.settle_repeats(on_conflict)
    journal.seal({"on_conflict": on_conflict})
    return journal


def ended(row: int, result: Result = Result.UPDATED, code: str = "ok", **more: Any) -> RowOutcome:
    """A row is done, or is not and never will be."""
    return RowOutcome(row, State.ENDED, result, code, "", **{"attempts": 1, **more})


def rows_of(updates: Iterable[StatusUpdate]) -> list[int]:
    """The numbers of some rows."""
    return [update.row for update in updates]

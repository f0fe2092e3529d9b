"""Small journals for unit tests, and the undo of any."""

import contextlib
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from batch_updater.app.reconcile import write_undo_sheet
from batch_updater.common.errors import SettingsError
from batch_updater.common.models import RejectedRow, Result, ResultRow, RowOutcome, State, StatusUpdate
from batch_updater.journal.draft import Draft
from batch_updater.journal.facts import RunFacts
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
    draft = Draft.create(folder / NAME)
    draft.add([*(StatusUpdate(*update) for update in updates), *rejected])
    return sealed(draft, on_conflict)


def sealed(draft: Draft, on_conflict: str = "hold", **facts: Any) -> Journal:
    """The journal of a draft, its duplicates settled, with these facts beside what every run has."""
    return draft.settle(on_conflict).seal(some_facts(on_conflict=on_conflict, **facts))


def some_facts(**facts: Any) -> RunFacts:
    """Facts of a run, with these among them."""
    usual = {"run_id": "20261123T101500Z-3f9a", "name": "o.csv", "input": "o.csv", "sha256": "", "base_url": "http://x"}
    return RunFacts(**{**usual, **facts})


def ended(row: int, result: Result = Result.UPDATED, code: str = "ok", **more: Any) -> RowOutcome:
    """A row is done, or is not and never will be."""
    return RowOutcome(row, State.ENDED, result, code, "", **{"attempts": 1, **more})


def rows_of(updates: Iterable[StatusUpdate]) -> list[int]:
    """The numbers of some rows."""
    return [update.row for update in updates]


def result_row(number: int, **more: Any) -> ResultRow:
    """A line of a result file that failed, with these values among what is said of it."""
    usual = {
        "number": number, "cells": (), "result": Result.FAILED, "http_status": 400, "code": "order_not_found",
        "detail": "d", "attempts": 1, "order_id": "oid", "status_id": "sid", "status_name": "",
        "previous_status_id": "", "row": number, "sent_at": "", "duration_ms": None, "run_id": "run",
    }  # fmt: skip
    return ResultRow(**{**usual, **more})


def undo_sheet(run: Path, sheet: Path) -> Path:
    """The sheet that would undo a run; it has no rows when there is nothing to undo."""
    sheet.write_bytes(b"order_id\n")
    with Journal.open(run / "journal.sqlite") as journal, contextlib.suppress(SettingsError):
        write_undo_sheet(journal, sheet)
    return sheet

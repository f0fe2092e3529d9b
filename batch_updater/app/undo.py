"""Put back the statuses that a run has changed."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_updater.app.reconcile import UNDO_COLUMNS, validate_undo_row, write_undo_sheet
from batch_updater.app.runs import reopen_run
from batch_updater.common.errors import SettingsError
from batch_updater.common.settings import Settings
from batch_updater.inputs.selection import RESUME_KEYS
from batch_updater.journal.find_runs import find_run
from batch_updater.journal.lock import lock_with_undone_runs
from batch_updater.journal.run_folder import UNDO_SHEET
from batch_updater.planning.plan import ValidateRow
from batch_updater.planning.preflight import find_tenant

if TYPE_CHECKING:
    pass


@contextlib.contextmanager
def open_undo(place: Path, settings: Settings) -> Iterator[tuple[Path, Settings, ValidateRow]]:
    """The sheet that undoes a run, in its folder, and how to run it; the run is locked until that has ended, and so
    is the one that it undoes, if it is an undo.

    Raises SettingsError, JournalError, or LockedError while the run is under way.
    """
    folder = find_run(place)
    sheet = folder.path / UNDO_SHEET
    tenant = find_tenant(settings, os.environ)
    with contextlib.ExitStack() as stack:
        with reopen_run(folder, tenant) as run:
            stack.enter_context(lock_with_undone_runs(folder, run.facts))
            try:
                write_undo_sheet(run.journal, sheet)
            except OSError as error:
                raise SettingsError(f"{sheet} can't be written: {error.strerror}.", "free some disk space") from None
        yield sheet, _undo_settings(settings), validate_undo_row


def _undo_settings(settings: Settings) -> Settings:
    """The settings with which an undo's sheet is read and sent."""
    order, status, expect = UNDO_COLUMNS
    reading: dict[str, Any] = {
        **{name: Settings.model_fields[name].default for name in RESUME_KEYS},  # what is set is meant for other sheets
        "order_column": order, "status_column": status, "expect_column": expect, "compare": True, "compare_list": False,
        "encoding": "utf-8", "delimiter": ",", "on_conflict": "hold", "strict": False, "status_map": {},
    }  # fmt: skip
    return settings.model_copy(update=reading)

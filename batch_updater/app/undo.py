"""Put back the statuses that a run has changed."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from batch_updater.app.planner import OnRows, ignore_rows
from batch_updater.app.planning import plan, try_plan
from batch_updater.app.reconcile import UNDO_COLUMNS, validate_undo_row, write_undo_sheet
from batch_updater.app.run import Run, reopen_run
from batch_updater.common.errors import SettingsError
from batch_updater.common.settings import Settings, overlaid
from batch_updater.inputs.selection import RESUME_KEYS
from batch_updater.journal.find_runs import find_run
from batch_updater.journal.lock import lock_with_earlier_runs
from batch_updater.journal.run_folder import UNDO_SHEET, RunFolder
from batch_updater.planning.preflight import Tenant


def undo(
    place: Path, settings: Settings, tenant: Tenant, *, on_rows: OnRows = ignore_rows, trial: bool = False
) -> AbstractContextManager[Run]:
    """Yield the planned run that puts back what a run has changed; with `trial`, only to be looked at.

    Its sheet is in the folder of the run that it undoes. That run is locked until this one has ended, and so is the
    one that it undoes itself, if it is an undo. Raises SettingsError, JournalError, or LockedError while the run is
    under way, and what `plan` raises.
    """
    return _undo(find_run(place), settings, tenant, on_rows, trial=trial)


@contextlib.contextmanager
def _undo(folder: RunFolder, settings: Settings, tenant: Tenant, on_rows: OnRows, *, trial: bool) -> Iterator[Run]:
    sheet = folder.path / UNDO_SHEET
    if settings.runs_dir:  # the undo is elsewhere, and names the run by this path, from whatever working folder
        sheet = sheet.absolute()
    with contextlib.ExitStack() as stack:
        with reopen_run(folder, settings, tenant, "undo") as run:
            stack.enter_context(lock_with_earlier_runs(folder, run.facts))
            try:
                write_undo_sheet(run.journal, sheet)
                notes = _left_alone(run)
            except OSError as error:
                raise SettingsError(f"{sheet} can't be written: {error.strerror}.", "free some disk space") from None
        make = try_plan if trial else plan
        reading = _undo_settings(settings)
        undoing = stack.enter_context(make(sheet, reading, tenant, validate=validate_undo_row, on_rows=on_rows))
        undoing.notes, undoing.earlier = (*undoing.notes, *notes), folder
        yield undoing


def _left_alone(run: Run) -> list[str]:
    """Return a sentence on the rows that an undo leaves, because an earlier run has done them."""
    if not (kept := run.journal.kept()):
        return []
    rows = "1 row stays as it is" if kept == 1 else f"{kept:,} rows stay as they are"
    return [f"{rows}: {run.facts.carried_from} has done that, and has an undo of its own"]


def _undo_settings(settings: Settings) -> Settings:
    """Return the settings with which an undo's sheet is read and sent."""
    order, status, expect = UNDO_COLUMNS
    reading: dict[str, Any] = {
        **{name: Settings.model_fields[name].default for name in RESUME_KEYS},  # what is set is meant for other sheets
        "order_column": order, "status_column": status, "expect_column": expect, "compare": True, "compare_list": False,
        "encoding": "utf-8", "delimiter": ",", "on_conflict": "hold", "strict": False, "status_map": {},
        "carry_over": False,
    }  # fmt: skip
    return overlaid(settings, reading)

"""Plan a run of a sheet: read, validate, write the plan; or pick up the unfinished one."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from batch_updater.app.carry_over import Keeping, OnWait, finished_before, run_to_carry_over
from batch_updater.app.follow_up import find_origin, lock_followed, origin
from batch_updater.app.planner import OnRows, Planner, ignore_rows
from batch_updater.app.resume import refuse_run, resume_unfinished
from batch_updater.app.run import Run, delete_run, facts_for
from batch_updater.common.errors import JournalError, SettingsError
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings
from batch_updater.inputs.sniff import check_file
from batch_updater.journal.facts import Phase
from batch_updater.journal.frozen_input import freeze
from batch_updater.journal.lock import lock_input
from batch_updater.journal.run_folder import STDIN, RunFolder, called, discard, new_run, path_from, runs_place
from batch_updater.planning.plan import ValidateRow
from batch_updater.planning.preflight import Tenant


def ignore_wait(_seconds: float) -> None:
    """Take no notice of a wait."""


@contextlib.contextmanager
def plan(
    file: Path, settings: Settings, tenant: Tenant, *,
    validate: ValidateRow | None = None, on_rows: OnRows = ignore_rows, on_wait: OnWait = ignore_wait,
) -> Iterator[Run]:  # fmt: skip
    """Yield the run of this sheet: its unfinished one, picked up, else a new one, planned; it is locked meanwhile.

    The run of a result file follows up the one that wrote it, which is locked as well. `on_rows` is told how many rows
    have been planned so far, `on_wait` how many seconds pass before orders in doubt are read again.

    A new plan asks the service for its statuses; it must not be called from a running event loop.
    Raises InputError, ResumeError, LockedError or SettingsError; then nothing was sent and no new folder stays.
    """
    _check(file, settings)
    found = find_origin(file, settings, tenant)
    planner = Planner(file, found.settings, tenant, validate, on_rows)
    with lock_followed(found.followed), plan_locked(planner, found.followed, on_wait) as run:
        yield run


@contextlib.contextmanager
def plan_locked(planner: Planner, followed: RunFolder | None, on_wait: OnWait = ignore_wait) -> Iterator[Run]:
    """Do what `plan` does for a sheet that follows up a run which the caller has locked."""
    started, began = time.time(), time.monotonic()
    file, settings, tenant = planner.file, planner.settings, planner.tenant
    place = settings.runs_dir or (followed.path.parent if followed else runs_place(file, None))
    first = origin(followed)
    with lock_input(place, file, first.get("parent", "")) as hold_for:
        folder = new_run(place, file)
        hold_for(folder)
        try:
            wanted = facts_for(folder, file, freeze(file, folder), settings, tenant).with_changes(**first)
            shown = called(file)
            found = run_to_carry_over(shown, wanted, place, settings)
            keeping = Keeping(found, settings, tenant, on_wait) if found else None
            run = None if settings.restart or found else resume_unfinished(shown, wanted, place, settings, tenant)
            if run:
                hold_for(run.folder)
                discard(folder)
            else:
                run = planner.plan_into(folder, wanted, finished_before(place, wanted), keeping)
        except BaseException:
            discard(folder)
            raise
        run.started, run.began, run.earlier = started, began, followed
        with run.journal:
            try:
                yield run
            except BaseException:
                if _nothing_left(run):
                    delete_run(run)
                raise


@contextlib.contextmanager
def try_plan(
    file: Path, settings: Settings, tenant: Tenant, *,
    validate: ValidateRow | None = None, on_rows: OnRows = ignore_rows,
) -> Iterator[Run]:  # fmt: skip
    """Yield the run that this sheet would get, in a place that is removed afterwards; nothing is sent from it."""
    _check(file, settings)
    found = find_origin(file, settings, tenant)
    followed, settings = found.followed, found.settings
    temporary = Path(tempfile.mkdtemp(prefix="batch-updater-plan-"))
    try:
        folder = new_run(temporary, file)
        place = settings.runs_dir or (followed.path.parent if followed else runs_place(file, None))
        wanted = facts_for(folder, file, freeze(file, folder), settings, tenant)
        wanted = wanted.with_changes(path=path_from(place, file), **origin(followed))
        before = run_to_carry_over(called(file), wanted, place, settings)
        keeping = Keeping(before, settings, tenant, ignore_wait, is_trial=True) if before else None
        planner = Planner(file, settings, tenant, validate, on_rows)
        run = planner.plan_into(folder, wanted, finished_before(place, wanted), keeping)
        with run.journal:
            yield run
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check(file: Path, settings: Settings) -> None:
    if file != STDIN:
        refuse_run(file)
        check_file(file)
        if settings.output and settings.output.exists() and settings.output.samefile(file):
            said = Remedy("{output} {file} is the sheet itself.", {"file": str(settings.output)})
            raise SettingsError(said, "choose another name")


def _nothing_left(run: Run) -> bool:
    """Return whether this start made the run and broke off before anything was claimed."""
    try:
        return (
            not run.resumed
            and run.folder.path.exists()
            and run.journal.claims == 0
            and run.journal.facts().phase in {Phase.PLANNED, Phase.SENDING}
        )
    except JournalError:
        return False

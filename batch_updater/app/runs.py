"""A run: begun from a sheet, picked up again, tried without sending, reopened to be read."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from batch_updater.api.pacing.learned_rate import start_rate
from batch_updater.app.planning import plan_run
from batch_updater.app.resume import resume_unfinished
from batch_updater.app.run import OnRows, Run, columns_of, ignore_rows
from batch_updater.common.errors import JournalError, ResumeError, SettingsError
from batch_updater.common.settings import Settings
from batch_updater.inputs.selection import read_options
from batch_updater.inputs.sniff import check_file
from batch_updater.inputs.source import open_source
from batch_updater.journal.facts import Phase
from batch_updater.journal.frozen_input import freeze
from batch_updater.journal.journal import Journal
from batch_updater.journal.lock import lock_input
from batch_updater.journal.run_folder import STDIN, RunFolder, discard, new_run, runs_place
from batch_updater.planning.plan import ValidateRow, read_plan
from batch_updater.planning.preflight import Tenant


@contextlib.contextmanager
def open_run(
    file: Path, settings: Settings, tenant: Tenant, validate: ValidateRow | None = None, on_rows: OnRows = ignore_rows
) -> Iterator[Run]:
    """The run for this sheet: its unfinished one picked up again, else a new one, planned and locked.

    `on_rows` is told how many rows have been planned so far.

    A new plan asks the service for its statuses; it must not be called from a running event loop.
    Raises InputError, ResumeError, LockedError or SettingsError; then nothing was sent and no new folder stays.
    """
    if file != STDIN:
        check_file(file)
    _refuse_output(file, settings)
    started, began = time.time(), time.monotonic()
    place = runs_place(file, settings.runs_dir)
    with lock_input(place, file) as hold_for:
        folder = new_run(place)
        hold_for(folder)
        try:
            sha256 = freeze(file, folder)
            run = None if settings.restart else resume_unfinished(file, sha256, place, settings, tenant)
            if run:
                hold_for(run.folder)
                discard(folder)
            else:
                run = plan_run(folder, file, sha256, settings, tenant, validate=validate, on_rows=on_rows)
        except BaseException:
            discard(folder)
            raise
        run.started, run.began = started, began
        run.start_rate = start_rate(settings, tenant.base_url, tenant.account)
        with run.journal:
            try:
                yield run
            except BaseException:
                if _nothing_left(run):
                    delete_run(run)
                raise


def _nothing_left(run: Run) -> bool:
    """Whether this start has made the run and broke off before anything was announced."""
    try:
        return (
            not run.resumed
            and run.folder.path.exists()
            and run.journal.claims == 0
            and run.journal.facts().phase in {Phase.PLANNED, Phase.SENDING}
        )
    except JournalError:
        return False


@contextlib.contextmanager
def open_trial(
    file: Path, settings: Settings, tenant: Tenant, validate: ValidateRow | None = None, on_rows: OnRows = ignore_rows
) -> Iterator[Run]:
    """The run that this sheet would get, in a place that is removed afterwards; nothing can be sent from it."""
    if file != STDIN:
        check_file(file)
    place = Path(tempfile.mkdtemp(prefix="batch-updater-plan-"))
    try:
        folder = new_run(place)
        run = plan_run(folder, file, freeze(file, folder), settings, tenant, validate=validate, on_rows=on_rows)
        run.start_rate = start_rate(settings, tenant.base_url, tenant.account)
        with run.journal:
            yield run
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def reopen_run(folder: RunFolder, tenant: Tenant | None = None) -> Iterator[Run]:
    """An earlier run, to read. Raises JournalError; ResumeError when the tenant is not the run's own."""
    with Journal.open(folder.journal_path) as journal:
        facts = journal.facts()
        if tenant and tenant.base_url != facts.base_url:
            raise ResumeError(
                f"{folder.run_id} was run on {facts.base_url}, and the settings name {tenant.base_url}.",
                f"set EVREKA360_BASE_URL={facts.base_url}",
            )
        settings = Settings(**facts.reading, compare=facts.compare)
        source = open_source(folder.input_path, read_options(settings))
        tenant = tenant or Tenant(facts.base_url, names=facts.status_names)
        columns = columns_of(source, settings)
        yield Run(folder, source, columns, journal, read_plan(journal), facts, tenant, resumed=True)


def delete_run(run: Run) -> None:
    """Remove a new run that the person did not confirm; one that was begun before stays as it is."""
    if not run.resumed:
        run.journal.close()
        discard(run.folder)


def _refuse_output(file: Path, settings: Settings) -> None:
    if settings.output and file != STDIN and settings.output.exists() and settings.output.samefile(file):
        raise SettingsError(f"--output {settings.output} is the sheet itself.", "choose another name")

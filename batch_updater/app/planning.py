"""Plan a run of a sheet: read, validate, write the plan; or pick up the unfinished one."""

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from batch_updater.api.pacing.learned_rate import start_rate
from batch_updater.app.resume import resume_unfinished
from batch_updater.app.run import Run, check_output, columns_of, delete_run, facts_for, read_options, refuse_if_strict
from batch_updater.common.errors import InputError, JournalError, SettingsError
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings
from batch_updater.inputs.columns import Columns, columns_at, several_columns, typed_name
from batch_updater.inputs.sniff import check_file
from batch_updater.inputs.source import Source, open_source
from batch_updater.journal.draft import Draft
from batch_updater.journal.facts import Phase, UsedColumns
from batch_updater.journal.frozen_input import freeze
from batch_updater.journal.lock import lock_input
from batch_updater.journal.reader import JournalReader
from batch_updater.journal.run_folder import STDIN, RunFolder, discard, new_run, runs_place
from batch_updater.planning.order_names import OrderNames
from batch_updater.planning.plan import PrepareBlock, ValidateRow, ignore_block, make_plan, read_plan
from batch_updater.planning.preflight import Tenant, probe_service
from batch_updater.planning.status_columns import Disagreement, find_id_column
from batch_updater.planning.validate import RowValidator

OnRows = Callable[[int], None]


def ignore_rows(_number: int) -> None:
    """Take no notice of how many rows have been planned."""


@contextlib.contextmanager
def plan(
    file: Path, settings: Settings, tenant: Tenant, *,
    validate: ValidateRow | None = None, on_rows: OnRows = ignore_rows, root: str = "",
) -> Iterator[Run]:  # fmt: skip
    """Yield the run of this sheet: its unfinished one, picked up, else a new one, planned; it is locked meanwhile.

    `on_rows` is told how many rows have been planned so far; `root` is the run that this one follows up.

    A new plan asks the service for its statuses; it must not be called from a running event loop.
    Raises InputError, ResumeError, LockedError or SettingsError; then nothing was sent and no new folder stays.
    """
    _check(file, settings)
    started, began = time.time(), time.monotonic()
    place = runs_place(file, settings.runs_dir)
    with lock_input(place, file) as hold_for:
        folder = new_run(place)
        hold_for(folder)
        try:
            sha256 = freeze(file, folder)
            wanted = facts_for(folder, file, sha256, settings, tenant)
            run = None if settings.restart else resume_unfinished(file, wanted, place, settings, tenant)
            if run:
                hold_for(run.folder)
                discard(folder)
            else:
                run = _plan_into(folder, file, sha256, settings, tenant, validate=validate, on_rows=on_rows, root=root)
        except BaseException:
            discard(folder)
            raise
        run.started, run.began = started, began
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
    place = Path(tempfile.mkdtemp(prefix="batch-updater-plan-"))
    try:
        folder = new_run(place)
        sha256 = freeze(file, folder)
        with (run := _plan_into(folder, file, sha256, settings, tenant, validate=validate, on_rows=on_rows)).journal:
            yield run
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _check(file: Path, settings: Settings) -> None:
    if file != STDIN:
        check_file(file)
        if settings.output and settings.output.exists() and settings.output.samefile(file):
            raise SettingsError(f"--output {settings.output} is the sheet itself.", "choose another name")


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


def _plan_into(
    folder: RunFolder, file: Path, sha256: str, settings: Settings, tenant: Tenant, *,
    validate: ValidateRow | None = None, on_rows: OnRows = ignore_rows, root: str = "",
) -> Run:  # fmt: skip
    """Plan a new run of the frozen input in this folder. Raises InputError or SettingsError."""
    check_output(settings)
    source = open_source(folder.input_path, read_options(settings), shown_as=file)
    found = columns_of(source, settings)
    tenant = asyncio.run(probe_service(tenant, settings.timeout, settings.status_map))
    columns = _take_ids(found, source, settings, tenant)
    with contextlib.ExitStack() as stack:
        draft = stack.enter_context(Draft.create(folder.journal_path))
        validator = RowValidator(columns.order, columns.status, columns.expect, tenant.book)
        prepare: PrepareBlock = ignore_block
        if settings.order_by == "name" and not validate:
            names = OrderNames(tenant, settings.sending)
            validator = replace(validator, orders=names.known)
            prepare = lambda block: names.learn(map(validator.order_name, block))  # noqa: E731 - it belongs to these names
        settled = make_plan(
            source.rows(), validate or validator.validate, draft, settings.on_conflict, prepare,
            name=source.name, on_rows=on_rows, superseded=source.superseded,
        )  # fmt: skip
        _refuse_names(file, settled, tenant)
        refuse_if_strict(file, settled, settings)
        facts = facts_for(folder, file, sha256, settings, tenant)
        facts = facts.with_changes(root=root, columns=_used_columns(found, columns, source, settings))
        journal = settled.seal(facts)
        stack.pop_all()
    rate = start_rate(settings.sending, tenant.base_url, tenant.account)
    return Run(folder, settings, source, columns, journal, read_plan(journal), facts, tenant, start_rate=rate)


def _take_ids(columns: Columns, source: Source, settings: Settings, tenant: Tenant) -> Columns:
    """Return the columns with that of the status ids, where others hold the names of these. Raises InputError."""
    if not columns.alike:
        return columns
    places, names = [columns.status, *columns.alike], read_options(settings).names
    why = f"the statuses that would tell whether they are ids and their names are not known ({tenant.unchecked})"
    if tenant.book is not None:
        with contextlib.closing(source.rows()) as rows:
            found = find_id_column(rows, places, tenant.book)
        if not isinstance(found, Disagreement):
            return columns_at(source.header, names, order=columns.order, status=found, expect=columns.expect)
        why = f"in row {found.row} they are not a status id and its name"
    elif tenant.failure:
        raise tenant.failure
    raise several_columns(source.header, source.name, places, why)


def _used_columns(found: Columns, used: Columns, source: Source, settings: Settings) -> UsedColumns:
    """Return the columns for the journal: with headers where the sheet's own header alone would not tell them again."""
    places = UsedColumns(order=used.order, status=used.status, expect=used.expect)
    if not settings.columns and not found.alike:
        return places
    order, status = (typed_name(source.header, place) for place in (used.order, used.status))
    return places.model_copy(update={"order_header": order, "status_header": status})


def _refuse_names(file: Path, journal: JournalReader, tenant: Tenant) -> None:
    """Raise for a sheet with status names when names can't be looked up."""
    if tenant.book is None and (found := journal.first("unknown_status")):
        if tenant.failure:
            raise tenant.failure
        row, detail = found
        raise InputError(
            f"{file}, row {row}: {detail} ({tenant.unchecked}).",
            Remedy("write status ids, or set the token for `{command}`", command=("plan",)),
        )

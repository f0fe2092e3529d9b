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
from batch_updater.app.carry_over import finished_before, in_doubt_before, run_to_carry_over, settle_earlier
from batch_updater.app.follow_up import followed_run, lock_followed, origin
from batch_updater.app.resume import resume_unfinished
from batch_updater.app.run import Run, check_output, columns_of, delete_run, facts_for, read_options, refuse_if_strict
from batch_updater.common.errors import InputError, JournalError, SettingsError
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings
from batch_updater.inputs.sniff import check_file
from batch_updater.inputs.source import open_source
from batch_updater.journal.draft import Draft
from batch_updater.journal.facts import Phase, RunFacts
from batch_updater.journal.find_runs import FoundRun
from batch_updater.journal.frozen_input import freeze
from batch_updater.journal.lock import lock_input
from batch_updater.journal.reader import JournalReader, read_journal
from batch_updater.journal.run_folder import STDIN, RunFolder, discard, new_run, runs_place
from batch_updater.planning.order_names import OrderNames
from batch_updater.planning.plan import PrepareBlock, ValidateRow, ignore_block, make_plan, read_plan
from batch_updater.planning.preflight import Tenant, probe_service
from batch_updater.planning.validate import RowValidator

OnRows = Callable[[int], None]


def ignore_rows(_number: int) -> None:
    """Take no notice of how many rows have been planned."""


@contextlib.contextmanager
def plan(
    file: Path, settings: Settings, tenant: Tenant, *,
    validate: ValidateRow | None = None, on_rows: OnRows = ignore_rows,
) -> Iterator[Run]:  # fmt: skip
    """Yield the run of this sheet: its unfinished one, picked up, else a new one, planned; it is locked meanwhile.

    The run of a result file follows up the one that wrote it, which is locked as well. `on_rows` is told how many rows
    have been planned so far.

    A new plan asks the service for its statuses; it must not be called from a running event loop.
    Raises InputError, ResumeError, LockedError or SettingsError; then nothing was sent and no new folder stays.
    """
    _check(file, settings)
    followed = followed_run(file, settings)
    with (
        lock_followed(followed),
        plan_locked(file, settings, tenant, followed, validate=validate, on_rows=on_rows) as run,
    ):
        yield run


@contextlib.contextmanager
def plan_locked(
    file: Path, settings: Settings, tenant: Tenant, followed: RunFolder | None, *,
    validate: ValidateRow | None = None, on_rows: OnRows = ignore_rows,
) -> Iterator[Run]:  # fmt: skip
    """Do what `plan` does for a sheet that follows up a run which the caller has locked."""
    started, began = time.time(), time.monotonic()
    place = settings.runs_dir or (followed.path.parent if followed else runs_place(file, None))
    first = origin(followed)
    with lock_input(place, file, first.get("parent", "")) as hold_for:
        folder = new_run(place)
        hold_for(folder)
        try:
            sha256 = freeze(file, folder)
            wanted = facts_for(folder, file, sha256, settings, tenant).with_changes(**first)
            earlier = run_to_carry_over(file, wanted, place, settings)
            run = None if settings.restart or earlier else resume_unfinished(file, wanted, place, settings, tenant)
            if run:
                hold_for(run.folder)
                discard(folder)
            else:
                notes = (
                    *finished_before(place, wanted),
                    *(settle_earlier(earlier, settings, tenant) if earlier else ()),
                )
                run = _plan_into(
                    folder, wanted, settings, tenant, validate=validate, on_rows=on_rows, earlier=earlier
                )  # fmt: skip
                run.notes += notes
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
        wanted = facts_for(folder, file, sha256, settings, tenant).with_changes(**origin(followed_run(file, settings)))
        there = settings.runs_dir or runs_place(file, None)
        earlier = run_to_carry_over(file, wanted, there, settings)
        run = _plan_into(folder, wanted, settings, tenant, validate=validate, on_rows=on_rows, earlier=earlier)
        run.notes += (*finished_before(there, wanted), *(in_doubt_before(earlier) if earlier else ()))
        with run.journal:
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
    folder: RunFolder, facts: RunFacts, settings: Settings, tenant: Tenant, *,
    validate: ValidateRow | None = None, on_rows: OnRows = ignore_rows, earlier: FoundRun | None = None,
) -> Run:  # fmt: skip
    """Plan a new run of the frozen input in this folder, keeping what an `earlier` one has done.

    Raises InputError, SettingsError, or JournalError when the earlier one can't be read.
    """
    check_output(settings)
    file = Path(facts.input)
    source = open_source(folder.input_path, read_options(settings), shown_as=file)
    columns = columns_of(source, settings)
    tenant = asyncio.run(probe_service(tenant, settings.timeout, settings.status_map))
    with contextlib.ExitStack() as stack:
        draft = stack.enter_context(Draft.create(folder.journal_path))
        set_status = settings.set_status or ""
        validator = RowValidator(columns.order, columns.status, columns.expect, tenant.book, set_status=set_status)
        if not validate:
            _check_set_status(validator, tenant)
        prepare: PrepareBlock = ignore_block
        if settings.order_by == "name" and not validate:
            names = OrderNames(tenant, settings.sending)
            validator = replace(validator, orders=names.known)
            prepare = lambda block: names.learn(map(validator.order_name, block))  # noqa: E731 - it belongs to these names
        settled = make_plan(
            source.rows(), validate or validator.validate, draft, settings.on_conflict, prepare,
            name=source.name, on_rows=on_rows, superseded=source.superseded,
        )  # fmt: skip
        facts = facts.with_changes(status_names=dict(tenant.names))
        if earlier:
            facts = facts.with_changes(carried_from=earlier.folder.run_id)
            with read_journal(earlier.folder.journal_path) as journal_before:
                settled.keep(journal_before.done_orders())
        _refuse_names(facts, settled, tenant)
        refuse_if_strict(facts, settled, settings)
        journal = settled.seal(facts)
        stack.pop_all()
    rate = start_rate(settings.sending, tenant.base_url, tenant.account)
    return Run(folder, settings, source, columns, journal, read_plan(journal), facts, tenant, start_rate=rate)


def _check_set_status(validator: RowValidator, tenant: Tenant) -> None:
    """Raise for a status of all rows that can't be sent."""
    if not (why := validator.why_not_sendable()):
        return
    if tenant.book is not None:
        hint = Remedy("correct {set_status}; to list the statuses: {command}", command=("statuses",))
        raise SettingsError(f"No order can get this status: {why}", hint)
    if tenant.failure:
        raise tenant.failure
    raise SettingsError(
        f"No order can get this status: {why} ({tenant.unchecked}).", Remedy("give an id with {set_status}")
    )


def _refuse_names(facts: RunFacts, journal: JournalReader, tenant: Tenant) -> None:
    """Raise for a sheet with status names when names can't be looked up."""
    if tenant.book is None and (found := journal.first("unknown_status")):
        if tenant.failure:
            raise tenant.failure
        row, first, detail = found
        raise InputError(
            f"{facts.input}, {facts.name_row(row, first)}: {detail} ({tenant.unchecked}).",
            Remedy("write status ids, or set the token for `{command}`", command=("plan",)),
        )

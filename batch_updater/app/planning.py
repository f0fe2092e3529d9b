"""From a sheet to a new run: read, validate, plan."""

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

from batch_updater.app.run import OnRows, Run, check_output, columns_of, facts_for, ignore_rows, refuse_if_strict
from batch_updater.common.errors import InputError
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings
from batch_updater.inputs.selection import read_options
from batch_updater.inputs.source import open_source
from batch_updater.journal.draft import Draft
from batch_updater.journal.reader import JournalReader
from batch_updater.journal.run_folder import RunFolder
from batch_updater.planning.order_names import OrderNames
from batch_updater.planning.plan import PrepareBlock, ValidateRow, ignore_block, make_plan, read_plan
from batch_updater.planning.preflight import Tenant, probe_service
from batch_updater.planning.validate import RowValidator


def plan_run(
    folder: RunFolder,
    file: Path,
    sha256: str,
    settings: Settings,
    tenant: Tenant,
    *,
    validate: ValidateRow | None = None,
    on_rows: OnRows = ignore_rows,
) -> Run:
    """Plan a new run of the frozen input in this folder. Raises InputError or SettingsError."""
    check_output(settings)
    source = open_source(folder.input_path, read_options(settings), shown_as=file)
    columns = columns_of(source, settings)
    tenant = asyncio.run(probe_service(tenant, settings))
    with contextlib.ExitStack() as stack:
        draft = stack.enter_context(Draft.create(folder.journal_path))
        validator = RowValidator(columns.order, columns.status, columns.expect, tenant.book)
        prepare: PrepareBlock = ignore_block
        if settings.order_by == "name" and not validate:
            names = OrderNames(tenant, settings)
            validator = replace(validator, orders=names.known)
            prepare = lambda block: names.learn(map(validator.order_name, block))  # noqa: E731 - it belongs to these names
        settled = make_plan(
            source.rows(), validate or validator.validate, draft, settings.on_conflict, prepare,
            name=source.name, on_rows=on_rows, superseded=source.superseded,
        )  # fmt: skip
        _refuse_names(file, settled, tenant)
        refuse_if_strict(file, settled, settings)
        facts = facts_for(folder, file, sha256, settings, tenant)
        journal = settled.seal(facts)
        stack.pop_all()
        return Run(folder, source, columns, journal, read_plan(journal), facts, tenant)


def _refuse_names(file: Path, journal: JournalReader, tenant: Tenant) -> None:
    """A sheet with status names is of no use when names can't be looked up."""
    if tenant.book is None and (found := journal.first("unknown_status")):
        if tenant.failure:
            raise tenant.failure
        row, detail = found
        raise InputError(
            f"{file}, row {row}: {detail} ({tenant.unchecked}).",
            Remedy("write status ids, or set the token for `{command}`", command=("plan",)),
        )

"""Plan one sheet into a run folder: find its columns, validate its rows, write the plan into the journal."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from batch_updater.app.carry_over import Keeping
from batch_updater.app.run import Run, check_output, columns_of, read_options, refuse_if_strict
from batch_updater.common.errors import AddressError, InputError, SettingsError
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings
from batch_updater.inputs.columns import Columns, columns_at, several_columns, typed_name
from batch_updater.inputs.source import Source, open_source
from batch_updater.journal.draft import Draft
from batch_updater.journal.facts import RunFacts, UsedColumns
from batch_updater.journal.reader import JournalReader
from batch_updater.journal.run_folder import RunFolder, called
from batch_updater.planning.order_names import AnyOrder, OrderNames
from batch_updater.planning.plan import PrepareBlock, ValidateRow, ignore_block, make_plan, read_plan
from batch_updater.planning.preflight import Tenant, probe_service
from batch_updater.planning.status_columns import Disagreement, find_id_column
from batch_updater.planning.validate import RowValidator
from batch_updater.reports.commands import service_command

OnRows = Callable[[int], None]


def ignore_rows(_number: int) -> None:
    """Take no notice of how many rows have been planned."""


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans a sheet into run folders, with rules of its own for its rows or by `validate`."""

    file: Path
    settings: Settings
    tenant: Tenant
    validate: ValidateRow | None = None
    on_rows: OnRows = ignore_rows

    def plan_into(self, folder: RunFolder, facts: RunFacts, notes: list[str], keeping: Keeping | None) -> Run:
        """Plan a new run of the frozen input in this folder, keeping what an earlier one has done.

        Raises InputError, SettingsError, and what `Keeping.into` raises.
        """
        settings = self.settings
        check_output(settings)
        source = open_source(folder.input_path, read_options(settings), shown_as=called(self.file))
        found = columns_of(source, settings)
        tenant = asyncio.run(probe_service(self.tenant, settings.timeout, settings.status_map))
        columns = _take_ids(found, source, settings, tenant)
        used = _used_columns(found, columns, source, settings)
        facts = facts.with_changes(status_names=dict(tenant.names), columns=used)
        validate, prepare = self._rules(columns, tenant)
        with contextlib.ExitStack() as stack:
            draft = stack.enter_context(Draft.create(folder.journal_path))
            settled = make_plan(
                source.rows(), validate, draft, settings.on_conflict, prepare,
                name=source.name, on_rows=self.on_rows, superseded=source.superseded,
            )  # fmt: skip
            _refuse_names(facts, settled, tenant)
            refuse_if_strict(self.file, facts, settled, settings)
            if keeping:
                before = keeping.found
                facts = facts.with_changes(carried_from=before.folder.run_id, not_before=before.facts.not_before)
                notes = [*notes, *keeping.into(settled)]
            journal = settled.seal(facts)
            stack.pop_all()
        plan = read_plan(journal)
        return Run(folder, settings, source, columns, journal, plan, facts, tenant, notes=tuple(notes))

    def _rules(self, columns: Columns, tenant: Tenant) -> tuple[ValidateRow, PrepareBlock]:
        """Return what makes an update of a row, and what is done with each block before that."""
        if self.validate:
            return self.validate, ignore_block
        set_status = self.settings.set_status or ""
        validator = RowValidator(columns.order, columns.status, columns.expect, tenant.book, set_status=set_status)
        _check_set_status(validator, tenant, self.settings)
        if self.settings.order_by != "name":
            return validator.validate, ignore_block
        if tenant.tokens is None:
            return replace(validator, orders=AnyOrder()).validate, ignore_block
        if isinstance(tenant.failure, AddressError):
            raise tenant.failure
        names = OrderNames(tenant, self.settings.sending)
        validator = replace(validator, orders=names.known)
        return validator.validate, lambda block: names.learn(map(validator.order_name, block))


def _check_set_status(validator: RowValidator, tenant: Tenant, settings: Settings) -> None:
    """Raise for a status of all rows that can't be sent."""
    if not (why := validator.why_not_sendable()):
        return
    if tenant.book is not None:
        hints = [Remedy("correct {set_status}")]
        if tenant.tokens:
            hints.append(Remedy("to list the statuses", command=tuple(service_command("statuses", settings))))
        raise SettingsError(f"No order can get this status: {why}", hints)
    if tenant.failure:
        raise tenant.failure
    raise SettingsError(
        f"No order can get this status: {why} ({tenant.unchecked}).", Remedy("give an id with {set_status}")
    )


def _take_ids(columns: Columns, source: Source, settings: Settings, tenant: Tenant) -> Columns:
    """Return the columns with that of the status ids, where others hold the names of these. Raises InputError."""
    if columns.status is None or not columns.alike:
        return columns
    if tenant.tokens is None:
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
    order = typed_name(source.header, used.order)
    status = "" if used.status is None else typed_name(source.header, used.status)
    return places.model_copy(update={"order_header": order, "status_header": status})


def _refuse_names(facts: RunFacts, journal: JournalReader, tenant: Tenant) -> None:
    """Raise for a sheet with status names when names can't be looked up."""
    if tenant.book is None and (found := journal.first("unknown_status")):
        if tenant.failure:
            raise tenant.failure
        row, first, detail = found
        raise InputError(
            f"{facts.input}, {facts.name_row(row, first)}: {detail} ({tenant.unchecked}).",
            "write status ids, for the account can't list their names",
        )

"""From a sheet to a new run: read, validate, plan."""

import asyncio
from dataclasses import replace
from pathlib import Path

from batch_updater.app.run import OnRows, Run, _choices, _find_columns, _ignore, _reading, _refuse_if_strict
from batch_updater.common.errors import InputError, SettingsError
from batch_updater.common.models import SourceRow
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings
from batch_updater.inputs.selection import read_options
from batch_updater.inputs.source import Source, open_source
from batch_updater.journal.journal import Journal
from batch_updater.journal.run_folder import RunFolder
from batch_updater.planning.order_names import OrderNames
from batch_updater.planning.plan import Judge, make_plan, read_plan
from batch_updater.planning.preflight import Tenant, meet
from batch_updater.planning.validate import Rules


def _plan_into(
    folder: RunFolder,
    file: Path,
    sha256: str,
    settings: Settings,
    tenant: Tenant,
    *,
    judge: Judge | None = None,
    on_rows: OnRows = _ignore,
) -> Run:
    if settings.output and settings.output.exists() and not settings.overwrite:
        raise SettingsError(f"{settings.output} exists already.", Remedy("add {overwrite}, or choose another name"))
    source = open_source(folder.input_path, read_options(settings), shown_as=file)
    columns = _find_columns(source, settings)
    tenant = asyncio.run(meet(tenant, settings))
    journal = Journal.create(folder.journal_path)
    try:
        if judge:
            make_plan(
                source.rows(), judge, journal, settings.on_conflict,
                name=file, on_rows=on_rows, overtaken=source.overtaken,
            )  # fmt: skip
        else:
            rules = Rules(columns.order, columns.status, columns.expect, tenant.book)
            _plan_by_rules(source, rules, journal, settings, tenant, on_rows=on_rows)
        _refuse_names(file, journal, tenant)
        _refuse_if_strict(file, journal, settings)
        facts = {
            "run_id": folder.run_id, "name": file.name, "input": str(file), "phase": "planned", "sha256": sha256,
            "output": str(settings.output) if settings.output else None, "reading": _reading(settings),
            "status_names": dict(tenant.names), **_choices(settings, tenant),
        }  # fmt: skip
        journal.seal(facts)
        return Run(folder, source, columns, journal, read_plan(journal), facts, tenant)
    except BaseException:
        journal.close()
        raise


def _plan_by_rules(
    source: Source, rules: Rules, journal: Journal, settings: Settings, tenant: Tenant, *, on_rows: OnRows
) -> None:
    rows, how = source.rows(), settings.on_conflict
    if settings.order_by == "id":
        make_plan(rows, rules.judge, journal, how, name=source.name, on_rows=on_rows, overtaken=source.overtaken)
        return
    names = OrderNames(tenant, settings)
    rules = replace(rules, orders=names.known)

    def learn(block: list[SourceRow]) -> None:
        names.learn(rules.order_name(row) for row in block)

    make_plan(rows, rules.judge, journal, how, learn, name=source.name, on_rows=on_rows, overtaken=source.overtaken)


def _refuse_names(file: Path, journal: Journal, tenant: Tenant) -> None:
    """A sheet with status names is of no use when names can't be looked up."""
    if tenant.book is None and (found := journal.first("unknown_status")):
        if tenant.failure:
            raise tenant.failure
        row, detail = found
        raise InputError(
            f"{file}, row {row}: {detail} ({tenant.unchecked}).",
            Remedy("write status ids, or set the token for `{command}`", command=("plan",)),
        )

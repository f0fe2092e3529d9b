"""A planned run, what it was asked to do, and how an earlier one is opened again."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

from batch_updater.api.pacing.learned_rate import LearnedRate
from batch_updater.app.failure_limit import FailureLimit, failure_limit
from batch_updater.common.errors import InputError, ResumeError, SettingsError
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings
from batch_updater.inputs.columns import Columns, find_columns
from batch_updater.inputs.selection import RESUME_KEYS, ReadOptions
from batch_updater.inputs.source import Source, open_source
from batch_updater.journal.facts import RunFacts
from batch_updater.journal.journal import Journal
from batch_updater.journal.reader import JournalReader
from batch_updater.journal.run_folder import RunFolder, discard, path_from
from batch_updater.planning.plan import Plan, read_plan
from batch_updater.planning.preflight import Tenant


@dataclass
class Run:
    """A planned run: its folder, its journal, what its plan says, and whether it was begun before."""

    folder: RunFolder
    settings: Settings
    source: Source
    columns: Columns
    journal: Journal
    plan: Plan
    facts: RunFacts
    tenant: Tenant
    resumed: bool = False
    start_rate: LearnedRate | None = None  # where its pace begins, when an earlier run has learned it
    started: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)  # the same moment by the clock that nobody puts forward

    @property
    def results_path(self) -> Path:
        """Where the result file goes: `--output`, else the run folder (Excel in, Excel out)."""
        if self.facts.output:
            return Path(self.facts.output)
        macros = self.source.path.suffix.lower() == ".xlsm"
        suffix = (".xlsm" if macros else ".xlsx") if self.source.is_excel else ".csv"
        return self.folder.path / f"results{suffix}"

    @property
    def failure_limit(self) -> FailureLimit:
        """How many of its rows have failed so far, and how many may."""
        return failure_limit(self.journal, self.settings)

    @property
    def open_rows(self) -> int:
        """Rows that may still be sent."""
        return self.plan.to_send + self.plan.in_doubt


@contextlib.contextmanager
def reopen_run(folder: RunFolder, settings: Settings | None = None, tenant: Tenant | None = None) -> Iterator[Run]:
    """Open an earlier run to read it. Raises JournalError; ResumeError when the tenant is not the run's own."""
    with Journal.open(folder.journal_path) as journal:
        facts = journal.facts()
        if tenant:
            check_tenant(facts, tenant)
        settings = with_choices(settings, facts)
        source = open_source(folder.input_path, read_options(settings))
        tenant = tenant or Tenant(facts.base_url, names=facts.status_names)
        columns = columns_of(source, settings)
        yield Run(folder, settings, source, columns, journal, read_plan(journal), facts, tenant, resumed=True)


def delete_run(run: Run) -> None:
    """Remove a new run that the person did not confirm; one that was begun before stays as it is."""
    if not run.resumed:
        run.journal.close()
        discard(run.folder)


def facts_for(folder: RunFolder, file: Path, sha256: str, settings: Settings, tenant: Tenant) -> RunFacts:
    """Return the facts of a run of this file that is planned now."""
    return RunFacts(
        run_id=folder.run_id, name=file.name, input=str(file), sha256=sha256, path=path_from(folder.path.parent, file),
        base_url=tenant.base_url, account=tenant.account,
        on_conflict=settings.on_conflict, compare=settings.compares, status_map=settings.status_map,
        reading=settings.model_dump(mode="json", include=set(RESUME_KEYS)),
        status_names=dict(tenant.names), output=str(settings.output) if settings.output else None,
    )  # fmt: skip


def with_choices(settings: Settings | None, facts: RunFacts) -> Settings:
    """Return the settings with what a run was planned by in place of their own."""
    planned = {
        "on_conflict": facts.on_conflict, "compare": facts.compare, "status_map": facts.status_map,
        "compare_list": bool(facts.settings.get("compare_list")),
    }  # fmt: skip
    return Settings(**{**(settings.model_dump() if settings else {}), **facts.reading, **planned})


def read_options(settings: Settings) -> ReadOptions:
    """Return the settings that matter for reading."""
    return ReadOptions(**{field.name: getattr(settings, field.name) for field in fields(ReadOptions)})


def columns_of(source: Source, settings: Settings) -> Columns:
    """Return the columns that these settings name or leave to be found. Raises InputError."""
    return find_columns(
        source.header, settings.order_column, settings.status_column, settings.expect_column,
        compares=settings.compares, hidden=source.hidden_columns, name=source.name,
    )  # fmt: skip


def check_tenant(facts: RunFacts, tenant: Tenant) -> None:
    """Raise ResumeError when a run belongs to another service."""
    if tenant.base_url != facts.base_url:
        raise ResumeError(
            f"{facts.run_id} was run on {facts.base_url}, and the settings name {tenant.base_url}.",
            f"set EVREKA360_BASE_URL={facts.base_url}",
        )


def check_output(settings: Settings, known: str | None = None) -> None:
    """Raise SettingsError when `--output` would replace a file that is not the `known` one of the run itself."""
    if settings.output and settings.output.exists() and not settings.overwrite and str(settings.output) != known:
        raise SettingsError(f"{settings.output} exists already.", Remedy("add {overwrite}, or choose another name"))


def refuse_if_strict(file: Path, journal: JournalReader, settings: Settings) -> None:
    """Raise InputError for the first invalid or conflicting row of a sheet that `--strict` is asked of."""
    if settings.strict and (problems := journal.problems(1, planned=True)):
        row, result, detail = problems[0]
        raise InputError(
            f"{file}: --strict refuses the sheet; the first problem is row {row}, {result}: {detail}",
            Remedy("see `{command}` for the others; correct them, or leave out {strict}", command=("plan",)),
        )

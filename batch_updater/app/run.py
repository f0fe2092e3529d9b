"""A planned run, and what it was asked to do."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from batch_updater.api.pacing.learned_rate import LearnedRate
from batch_updater.common.errors import InputError, SettingsError
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings
from batch_updater.inputs.columns import Columns, find_columns
from batch_updater.inputs.selection import RESUME_KEYS
from batch_updater.inputs.source import Source
from batch_updater.journal.facts import RunFacts
from batch_updater.journal.journal import Journal
from batch_updater.journal.reader import JournalReader
from batch_updater.journal.run_folder import RunFolder
from batch_updater.planning.plan import Plan
from batch_updater.planning.preflight import Tenant

OnRows = Callable[[int], None]


def ignore_rows(_number: int) -> None:
    """Take no notice of how many rows have been planned."""


@dataclass
class Run:
    """A planned run: its folder, its journal, what its plan says, and whether it was begun before."""

    folder: RunFolder
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
        suffix = ".xlsx" if self.source.is_excel else ".csv"
        return self.folder.path / f"results{suffix}"

    @property
    def open_rows(self) -> int:
        """Rows that may still be sent."""
        return self.plan.to_send + self.plan.in_doubt


def facts_for(folder: RunFolder, file: Path, sha256: str, settings: Settings, tenant: Tenant) -> RunFacts:
    """Return the facts of a run of this file that is planned now."""
    return RunFacts(
        run_id=folder.run_id, name=file.name, input=str(file), sha256=sha256,
        base_url=tenant.base_url, account=tenant.account,
        on_conflict=settings.on_conflict, compare=settings.compares, status_map=settings.status_map,
        reading=settings.model_dump(mode="json", include=set(RESUME_KEYS)),
        status_names=dict(tenant.names), output=str(settings.output) if settings.output else None,
    )  # fmt: skip


def columns_of(source: Source, settings: Settings) -> Columns:
    """Return the columns that these settings name or leave to be found. Raises InputError."""
    return find_columns(
        source.header, settings.order_column, settings.status_column, settings.expect_column,
        compares=settings.compares, hidden=source.hidden_columns, name=source.name,
    )  # fmt: skip


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

"""A planned run, and what it was asked to do."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batch_updater.api.pacing.learned_rate import LearnedRate
from batch_updater.common.errors import InputError
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings
from batch_updater.inputs.columns import Columns, find_columns
from batch_updater.inputs.selection import READING
from batch_updater.inputs.source import Source
from batch_updater.journal.journal import Journal
from batch_updater.journal.run_folder import RunFolder
from batch_updater.planning.plan import Plan
from batch_updater.planning.preflight import Tenant

OnRows = Callable[[int], None]


def _ignore(_number: int) -> None:
    """An `on_rows` for those who do not watch."""


@dataclass
class Run:
    """A planned run: its folder, its journal, what its plan says, and whether it was begun before."""

    folder: RunFolder
    source: Source
    columns: Columns
    journal: Journal
    plan: Plan
    facts: dict[str, Any]
    tenant: Tenant
    resumed: bool = False
    start_rate: LearnedRate | None = None  # where its pace begins, when an earlier run has learned it
    started: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)  # the same moment by the clock that nobody puts forward

    @property
    def results_path(self) -> Path:
        """Where the result file goes: `--output`, else the run folder (Excel in, Excel out)."""
        if self.facts.get("output"):
            return Path(self.facts["output"])
        suffix = ".xlsx" if self.source.is_excel else ".csv"
        return self.folder.path / f"results{suffix}"

    @property
    def open_rows(self) -> int:
        """Rows that may still be sent."""
        return self.plan.to_send + self.plan.in_doubt


def _reading(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json", include=set(READING))


def _choices(settings: Settings, tenant: Tenant) -> dict[str, Any]:
    """What must be the same for a run to be picked up again."""
    return {
        "base_url": tenant.base_url,
        "account": tenant.account,
        "on_conflict": settings.on_conflict,
        "compare": settings.compares,
        "status_map": settings.status_map,
        **_reading(settings),
    }


def _find_columns(source: Source, settings: Settings) -> Columns:
    return find_columns(
        source.header, settings.order_column, settings.status_column, settings.expect_column,
        compares=settings.compares, hidden=source.hidden_columns, name=source.name,
    )  # fmt: skip


def _refuse_if_strict(file: Path, journal: Journal, settings: Settings) -> None:
    if settings.strict and (problems := journal.problems(1, planned=True)):
        row, result, detail = problems[0]
        raise InputError(
            f"{file}: --strict refuses the sheet; the first problem is row {row}, {result}: {detail}",
            Remedy("see `{command}` for the others; correct them, or leave out {strict}", command=("plan",)),
        )

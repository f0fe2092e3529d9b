"""What a run would do, for a program: the plan of a sheet or a DataFrame, from which nothing is sent."""

import contextlib
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_updater.app.batch import blocking
from batch_updater.app.calls import Token, Watcher, begun, with_hidden_token
from batch_updater.app.dataframe import FrameSource
from batch_updater.app.planner import OnRows
from batch_updater.app.planning import try_plan
from batch_updater.app.preview import Preview, preview, trial_summary
from batch_updater.app.run import Run
from batch_updater.app.waiting import drained, entered
from batch_updater.common.progress import Stop
from batch_updater.common.settings import Settings
from batch_updater.common.text import count, escape_lines
from batch_updater.inputs.pandas_io import table_of

if TYPE_CHECKING:
    import pandas as pd

MOST_PROBLEMS = 10_000


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What a run would do. Counts are of rows; `statuses` has the updates for each status, by name or else id.

    `columns` are the headers that were taken for order and status, `notes` what was noticed, `preview` what the orders
    have now, when they were asked for.
    """

    input: str
    base_url: str
    rows: int
    to_send: int
    duplicates: int
    invalid: int
    conflicts: int
    statuses: dict[str, int]
    columns: dict[str, str]
    notes: tuple[str, ...]
    preview: Preview | None
    found: "pd.DataFrame" = field(repr=False, compare=False)
    values: dict[str, Any] = field(repr=False, compare=False)

    def __str__(self) -> str:
        counts = {"duplicate": self.duplicates, "invalid": self.invalid, "conflict": self.conflicts}
        others = [f"{number:,} {word}" for word, number in counts.items() if number]
        lines = [f"{self.input}: {', '.join([count(self.rows, 'row'), f'{self.to_send:,} to send', *others])}"]
        lines += [f"  {number:,} {name}" for name, number in self.statuses.items()]
        if self.preview:
            lines += [f"  {self.preview.already:,} have it already, {self.preview.unknown_orders:,} unknown orders"]
        return escape_lines("\n".join([*lines, *(f"  {note}" for note in self.notes)]))

    def problems(self) -> "pd.DataFrame":
        """Return the rows that are invalid or in conflict, the first 10,000: `result_row`, `result`, `result_detail`.

        Those of a DataFrame are under its own index.
        """
        return self.found

    def to_dict(self) -> dict[str, Any]:
        """Return what `plan --json` prints, as plain JSON types."""
        return dict(self.values)


@with_hidden_token
async def plan_batch(
    source: "Path | str | pd.DataFrame", settings: Settings | None = None, *,
    token: Token = None, stop: Stop | None = None, on_progress: Watcher = None,
) -> PlanSummary:  # fmt: skip
    """Check a sheet or a DataFrame and return what a run would do; no update is sent.

    With `compare` or `compare_list` every order is read, and `preview` says what they have now; a token is needed only
    for that, and to know the statuses. Raises InputError, SettingsError, CredentialsError.
    """
    frame = None if isinstance(source, Path | str) else FrameSource.of(source)
    with begun(settings, token, stop, on_progress, is_trial=True) as call, contextlib.ExitStack() as stack:

        def planned(on_rows: OnRows) -> AbstractContextManager[Run]:
            if frame:
                return frame.try_plan(call.settings, call.tenant, on_rows)
            return try_plan(Path(str(source)), call.settings, call.tenant, on_rows=on_rows)

        run = await entered(stack, planned)
        if run.tenant.refused:
            raise run.tenant.refused
        reads = call.settings.compare or call.settings.compare_list
        found = await drained(preview(run, call.stop, call.on_progress), call.stop) if reads else None
        return _summary(run, found, frame)


def _summary(run: Run, found: Preview | None, frame: FrameSource | None) -> PlanSummary:
    planned = run.plan
    problems = run.journal.problems(MOST_PROBLEMS, planned=True)
    rows = [(first or row, result, detail) for row, first, result, detail in problems]
    labels = frame.labels([row for row, _first, _result, _detail in problems]) if frame else None
    return PlanSummary(
        input=run.facts.input, base_url=run.facts.base_url, rows=planned.rows, to_send=planned.to_send,
        duplicates=planned.duplicates, invalid=planned.invalid, conflicts=planned.conflicts,
        statuses={run.tenant.names.get(status, status): number for status, number in planned.statuses.items()},
        columns={"order": run.columns.order_header, "status": run.columns.status_header},
        notes=(*run.source.notes, *run.notes), preview=found,
        found=table_of(rows, ("result_row", "result", "result_detail"), labels), values=trial_summary(run, found),
    )  # fmt: skip


plan_batch_sync = blocking(plan_batch)

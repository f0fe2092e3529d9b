"""Follow a run up: send some of its rows again, some of them corrected."""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from batch_updater.app.planner import OnRows, Planner, ignore_rows
from batch_updater.app.planning import plan_locked
from batch_updater.app.run import Run, reopen_run
from batch_updater.common.errors import SettingsError
from batch_updater.common.models import ResultRow, Value
from batch_updater.common.settings import Settings, overlaid
from batch_updater.inputs.columns import Columns
from batch_updater.inputs.selection import RESUME_KEYS
from batch_updater.journal.find_runs import find_run
from batch_updater.journal.lifecycle import what_is_left
from batch_updater.journal.lock import lock_with_earlier_runs
from batch_updater.planning.preflight import Tenant
from batch_updater.reports.results import write_results
from batch_updater.reports.rows import ResultRows


@dataclass(frozen=True, slots=True)
class Edit:
    """What a person has written into the cells of a row; None leaves a cell as it is."""

    order: str | None = None
    status: str | None = None


@contextlib.contextmanager
def retry(
    place: Path,
    words: Collection[str],
    edits: Mapping[int, Edit],
    settings: Settings,
    tenant: Tenant,
    *,
    on_rows: OnRows = ignore_rows,
) -> Iterator[Run]:
    """Yield the planned run that follows up another: its rows with one of the results `words`, with these `edits`.

    `edits` go by the row numbers of the results. The follow-up lies beside its root run, knows it, and names rows as
    the root's sheet does, however many follow-ups lie between. The same words and edits give the same run: an
    unfinished one is picked up. Of a workbook with a password, only the columns that are used are taken: its others
    must not be read without it. Raises SettingsError for an edited row that is not among them, LockedError while the
    run is under way, and what `plan` raises.
    """
    folder = find_run(place)
    with contextlib.ExitStack() as stack:
        with reopen_run(folder, settings, tenant) as run:
            stack.enter_context(lock_with_earlier_runs(folder, run.facts))
            if what_is_left(run.journal, run.facts):
                raise SettingsError(f"{folder.run_id} is not finished.", "finish it first: its rows may be in doubt")
            sheet = folder.path / f"retry-of-{folder.run_id}.csv"
            _write_sheet(sheet, run, frozenset(words), edits)
            follow_up = _settings(run, settings, tuple(words))
        yield stack.enter_context(plan_locked(Planner(sheet, follow_up, tenant, on_rows=on_rows), folder))


def _write_sheet(sheet: Path, run: Run, words: frozenset[str], edits: Mapping[int, Edit]) -> None:
    """Write the run's results as CSV, with the edits in it. Raises SettingsError."""
    left = dict(edits)

    def edited(row: ResultRow) -> ResultRow:
        if row.result not in words or (edit := left.pop(row.row, None)) is None:
            return row
        return row._replace(cells=_corrected(row.cells, edit, run.columns))

    places = _kept_columns(run)
    rows = map(edited, ResultRows(run.source, run.journal, run.folder.run_id))
    kept = (row._replace(cells=tuple(row.cells[place] for place in places)) for row in rows)
    header = [run.source.header[place] for place in places]
    try:
        write_results(sheet, header, kept, delimiter=run.source.delimiter)
    except OSError as error:
        raise SettingsError(f"{sheet} can't be written: {error.strerror}.", "free some disk space") from None
    if left:
        unknown = ", ".join(map(str, sorted(left)))
        raise SettingsError(f"Row {unknown} is not among the rows to send again.", "correct only rows that are")


def _kept_columns(run: Run) -> list[int]:
    """Return the columns of the follow-up's sheet: of a workbook with a password, those that the journal has anyway."""
    if run.source.password is None:
        return list(range(len(run.source.header)))
    used = {run.columns.order, run.columns.status, run.columns.expect}
    return sorted(place for place in used if place is not None)


def _corrected(cells: tuple[Value, ...], edit: Edit, columns: Columns) -> tuple[Value, ...]:
    new = list(cells)
    for place, text in ((columns.order, edit.order), (columns.status, edit.status)):
        if text is None:
            continue
        if place is None:
            raise SettingsError("Every row of this run got one status; no row has a cell for another.")
        new[place] = text
    return tuple(new)


def _settings(run: Run, settings: Settings, words: tuple[str, ...]) -> Settings:
    """Return the settings with which the follow-up's sheet is read and sent: its columns are those of the run."""
    return overlaid(
        settings, {
            **{name: Settings.model_fields[name].default for name in RESUME_KEYS},  # they were for the first sheet
            "order_column": run.columns.order_header, "status_column": run.columns.status_header or None,
            "set_status": run.settings.set_status,
            "expect_column": run.columns.expect_header or None, "order_by": run.settings.order_by,
            "encoding": "utf-8", "delimiter": run.source.delimiter, "only": words, "runs_dir": None,
            "carry_over": False,
        }
    )  # fmt: skip

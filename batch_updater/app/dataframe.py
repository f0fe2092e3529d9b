"""A DataFrame in place of a sheet: it is planned like one, and gets its results back under its own index."""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from batch_updater.app.planner import OnRows
from batch_updater.app.planning import plan, try_plan
from batch_updater.app.run import Run
from batch_updater.common.errors import InputError, JournalError, LockedError
from batch_updater.common.settings import Settings
from batch_updater.common.summary import RunSummary
from batch_updater.inputs.pandas_io import FIRST_ROW, check_dataframe, dataframe_to_csv, results_of
from batch_updater.inputs.source import Source
from batch_updater.journal.facts import Phase
from batch_updater.journal.find_runs import run_folders
from batch_updater.journal.lock import lock_input
from batch_updater.journal.reader import read_journal
from batch_updater.journal.run_folder import FRAME
from batch_updater.planning.preflight import Tenant

if TYPE_CHECKING:
    import pandas as pd

PLACE = Path("dataframe.runs")
MORE_PLACES = range(2, 21)  # for DataFrames that are under way at the same time


@dataclass(frozen=True, slots=True)
class FrameSource:
    """A caller's DataFrame, as it was when the call began."""

    frame: "pd.DataFrame"

    @classmethod
    def of(cls, source: object) -> "FrameSource":
        """Return a DataFrame as a source. Raises InputError for anything else."""
        return cls(check_dataframe(source))

    @contextlib.contextmanager
    def plan(self, settings: Settings, tenant: Tenant, on_rows: OnRows) -> Iterator[Run]:
        """Do what `plan` does. While another DataFrame is under way in the runs folder, take another one beside it.

        Raises LockedError while the very same data is under way, and what `plan` raises.
        """
        base, is_given = settings.runs_dir or PLACE, settings.runs_dir is not None
        with contextlib.ExitStack() as stack:
            with self._written() as file:
                digest = _digest(file)
                stack.enter_context(lock_input(base, Path(FRAME.stem), f"dataframe-{digest[:16]}"))
                for place in _places(base, digest, is_given=is_given):
                    with contextlib.suppress(LockedError):
                        run = stack.enter_context(plan(file, _read_by(settings, place), tenant, on_rows=on_rows))
                        break
                else:
                    raise LockedError(f"Too many DataFrames are under way in {base}.", "wait for them")
            yield run

    @contextlib.contextmanager
    def try_plan(self, settings: Settings, tenant: Tenant, on_rows: OnRows) -> Iterator[Run]:
        """Do what `try_plan` does."""
        reading = _read_by(settings, settings.runs_dir or PLACE)
        with contextlib.ExitStack() as stack:
            with self._written() as file:
                run = stack.enter_context(try_plan(file, reading, tenant, on_rows=on_rows))
            yield run

    @contextlib.contextmanager
    def _written(self) -> Iterator[Path]:
        """Yield the DataFrame as a file; when it can't be planned, say what its index holds."""
        with tempfile.TemporaryDirectory(prefix="batch-updater-") as folder:
            file = Path(folder) / FRAME
            dataframe_to_csv(self.frame, file)
            try:
                yield file
            except InputError as error:
                names = [repr(name) for name in self.frame.index.names if name is not None]
                unread = f"the index ({', '.join(names)}) is not read: use frame.reset_index()" if names else ""
                remedies = [one for one in error.remedies if one.settings != ("header_row",)]  # there is but one
                raise InputError(error.said, [*remedies, unread]) from None

    def with_results(self, summary: RunSummary, source: Source) -> RunSummary:
        """Return the summary with results under the index of the DataFrame; `source` is what was sent of it."""
        if summary.frame is None:
            return summary
        return replace(summary, frame=partial(self._results, summary, source))

    def _results(self, summary: RunSummary, source: Source) -> "pd.DataFrame":
        return results_of(self.frame, [row.number for row in source.rows()], summary.results())

    def labels(self, rows: list[int]) -> "pd.Index":
        """Return the index of rows by their numbers."""
        return self.frame.index[[row - FIRST_ROW for row in rows]]


def _read_by(settings: Settings, place: Path) -> Settings:
    return settings.with_changes(runs_dir=place, header_row=1, encoding="utf-8", delimiter=",", sheet=None)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _places(base: Path, digest: str, *, is_given: bool) -> Iterator[Path]:
    """Yield where this data may be run: where its unfinished run is, the runs folder, others while that is in use."""
    others = [base / f"dataframe-{n}.runs" if is_given else base.with_stem(f"{base.stem}-{n}") for n in MORE_PLACES]
    yield from (place for place in takewhile(Path.is_dir, others) if digest in _unfinished(place))
    yield base
    yield from (place for place in others if not _unfinished(place))


def _unfinished(place: Path) -> set[str]:
    """Return the SHA-256 of what is unfinished in a runs folder."""
    found = set()
    for folder in run_folders(place) if place.is_dir() else ():
        try:
            with read_journal(folder.journal_path) as journal:
                facts = journal.facts()
        except JournalError:
            found.add("")
            continue
        if facts.phase is not Phase.FINISHED and not facts.superseded_by:
            found.add(facts.sha256)
    return found

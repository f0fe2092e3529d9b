"""Find the run that a result file follows up, and with whose sheet the work began."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from batch_updater.app.run import read_options
from batch_updater.common.errors import InputError, JournalError, ResumeError
from batch_updater.common.files import RUN_ID
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings, overlaid
from batch_updater.inputs.source import open_source
from batch_updater.inputs.table import EXCEL
from batch_updater.journal.facts import RunFacts
from batch_updater.journal.lock import lock_with_earlier_runs
from batch_updater.journal.reader import read_journal
from batch_updater.journal.run_folder import JOURNAL, RunFolder, run_of
from batch_updater.planning.preflight import Tenant
from batch_updater.reports.commands import RunCommands

_OF_SHEETS = frozenset(
    {"sheet", "encoding", "delimiter", "header_row", "include_hidden", "where", "rows", "limit"}
)  # settings on how a sheet is read, and which of its rows


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a sheet comes from: the run that has `written` it, and the one that it follows up, if it does that.

    `settings` are those that it is read with.
    """

    written: RunFolder | None
    followed: RunFolder | None
    settings: Settings


def find_origin(file: Path, settings: Settings, tenant: Tenant) -> Origin:
    """Return where a sheet comes from: a result file follows its run up in its folder, elsewhere with `--only`.

    A result file is read as it was written, whatever file and environment say of sheets; what is typed counts. Raises
    ResumeError when its run was on another service, which nobody has named in this call.
    """
    written = run_of(file) or _writer(file, _as_written(file, settings)) or _writer(file, settings)
    if written is None:
        return Origin(None, None, settings)
    followed = written if settings.only or run_of(file) else None
    try:
        with read_journal(written.journal_path) as journal:
            facts = journal.facts()
    except JournalError:
        return Origin(written, followed, _as_written(file, settings))  # said when the run is followed up
    _check_service(file, written, facts, settings, tenant)
    return Origin(written, followed, _as_written(file, settings, facts.results_reading))


def _as_written(file: Path, settings: Settings, reading: Mapping[str, Any] = MappingProxyType({})) -> Settings:
    """Return the settings with which a result file is read; `reading` is what its run says of the one in Excel."""
    reading = reading if file.suffix.lower() in EXCEL else {}
    names = (_OF_SHEETS | reading.keys()) - settings.model_fields_set
    return overlaid(settings, {name: reading.get(name, Settings.model_fields[name].default) for name in names})


def _check_service(file: Path, written: RunFolder, facts: RunFacts, settings: Settings, tenant: Tenant) -> None:
    if tenant.base_url in {"", facts.base_url} or "base_url" in settings.model_fields_set:
        return
    there = RunCommands(written.path, facts).follow_up(file, settings.only)
    raise ResumeError(
        f"{file} has the results of a run on {facts.base_url}, and the settings name {tenant.base_url}.",
        [
            Remedy("to send its rows to the service of that run", command=tuple(there)),
            Remedy("to send them to the other one all the same, add {base_url} {url}", {"url": tenant.base_url}),
        ],
    )


def _writer(file: Path, settings: Settings) -> RunFolder | None:
    """Return the run that a result file names, if it is in a runs folder beside the file."""
    if not file.is_file():
        return None
    try:
        run_id = open_source(file, read_options(settings)).newest_run_id()
    except InputError:
        return None  # said when the sheet is planned
    if not RUN_ID.fullmatch(run_id):
        return None
    places = [*([settings.runs_dir] if settings.runs_dir else []), *file.parent.glob("*.runs")]
    return next((RunFolder(place / run_id) for place in places if (place / run_id / JOURNAL).is_file()), None)


def origin(followed: RunFolder | None) -> dict[str, Any]:
    """Return the facts that a follow-up of this run has of where its work began."""
    if followed is None:
        return {}
    try:
        with read_journal(followed.journal_path) as journal:
            facts = journal.facts()
    except JournalError:
        return {"parent": followed.run_id, "root": followed.run_id}
    root, name = (facts.root, facts.root_name) if facts.root else (facts.run_id, facts.name)
    return {"parent": followed.run_id, "root": root, "root_name": name}


@contextlib.contextmanager
def lock_followed(followed: RunFolder | None) -> Iterator[None]:
    """Hold the locks of the run that is followed up and of those above it. Raises LockedError, JournalError."""
    with contextlib.ExitStack() as stack:
        if followed:
            with read_journal(followed.journal_path) as journal:
                facts = journal.facts()
            stack.enter_context(lock_with_earlier_runs(followed, facts))
        yield

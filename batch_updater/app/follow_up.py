"""Find the run that a result file follows up, and with whose sheet the work began."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from batch_updater.app.run import read_options
from batch_updater.common.errors import InputError, JournalError
from batch_updater.common.files import RUN_ID
from batch_updater.common.settings import Settings
from batch_updater.inputs.source import open_source
from batch_updater.journal.lock import lock_with_earlier_runs
from batch_updater.journal.reader import read_journal
from batch_updater.journal.run_folder import JOURNAL, RunFolder, run_of


def followed_run(file: Path, settings: Settings) -> RunFolder | None:
    """Return the run whose result file this is, when rows of it are sent again; None for any other sheet.

    A result file that lies elsewhere names its run, which is looked for in the runs folders beside it.
    """
    if (found := run_of(file)) or not settings.only or not file.is_file():
        return found
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

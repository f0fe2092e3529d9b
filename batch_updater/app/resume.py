"""Resume the unfinished run of an input, or one that a person names."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from batch_updater.api.pacing.learned_rate import start_rate
from batch_updater.app.run import (
    Run,
    check_output,
    check_tenant,
    columns_of,
    facts_for,
    read_options,
    refuse_if_strict,
    with_choices,
)
from batch_updater.common.errors import JournalError, ResumeError
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings
from batch_updater.inputs.source import open_source
from batch_updater.journal.facts import Phase
from batch_updater.journal.find_runs import find_run, is_nameless, newest_run
from batch_updater.journal.journal import Journal
from batch_updater.journal.lock import lock_with_undone_runs
from batch_updater.journal.reader import read_journal
from batch_updater.journal.run_folder import RunFolder
from batch_updater.planning.plan import read_plan
from batch_updater.planning.preflight import Tenant
from batch_updater.reports.commands import run_command


@contextlib.contextmanager
def resume(place: Path, settings: Settings, tenant: Tenant) -> Iterator[Run]:
    """Yield an unfinished run, to be sent from its frozen input: the sheet need not be there any more.

    It goes on by the choices that it was planned by, whatever `settings` say of these. Raises SettingsError when
    `place` is no run, ResumeError when it is finished or another tenant's, LockedError, JournalError.
    """
    folder = find_run(place)
    with read_journal(folder.journal_path) as journal:
        facts = journal.facts()
    check_tenant(facts, tenant)
    if facts.phase is Phase.FINISHED:
        raise ResumeError(f"{folder.run_id} is finished; there is nothing left to send.")
    if tenant.account != facts.account:
        raise ResumeError(f"{folder.run_id} was begun by another account.", "sign in as that one")
    with (
        lock_with_undone_runs(folder, facts),
        (run := _reopen(folder, Path(facts.input), with_choices(settings, facts), tenant)).journal,
    ):
        yield run


def resume_unfinished(file: Path, sha256: str, place: Path, settings: Settings, tenant: Tenant) -> Run | None:
    """Return the unfinished run of this input, opened. Raises ResumeError when this start asks for something else."""
    found = newest_run(place, file.name, sha256 if is_nameless(file.name) else None)
    if found is None or found[1].phase is Phase.FINISHED:
        return None
    folder, facts = found
    if differ := facts.differences(facts_for(folder, file, sha256, settings, tenant)):
        first = "" if facts.sha256 == sha256 else ", put the file back as it was"
        same = tuple(run_command(file, folder.path, facts))
        raise ResumeError(
            [f"{file} has an unfinished run, {folder.run_id}, and this start differs from it:", *differ],
            [
                Remedy("to finish that run{first}: {command}", {"first": first}, same),
                Remedy("to give it up and start anew: the present command with {restart}"),
            ],
        )
    run = _reopen(folder, file, settings, tenant)
    if run.journal.claims or facts.status_names:
        return run
    run.journal.close()  # nothing was sent, and its statuses were never looked up: a new plan may know them
    return None


def _reopen(folder: RunFolder, file: Path, settings: Settings, tenant: Tenant) -> Run:
    try:
        journal = Journal.open(folder.journal_path)
    except JournalError as error:
        raise ResumeError(
            f"The unfinished run {folder.run_id} can't be picked up. {error.message}",
            Remedy("restore its files, or start anew with {restart} (rows may then be sent a second time)"),
        ) from None
    try:
        refuse_if_strict(file, journal, settings)
        journal.mark_interrupted()
        source = open_source(folder.input_path, read_options(settings), shown_as=file)
        columns, facts = columns_of(source, settings), journal.facts()
        if settings.output:
            check_output(settings, known=facts.output)
            facts = journal.update_facts(output=str(settings.output))
        tenant = replace(tenant, names=facts.status_names)
        rate = start_rate(settings.sending, tenant.base_url, tenant.account)
        plan = read_plan(journal)
        return Run(folder, settings, source, columns, journal, plan, facts, tenant, resumed=True, start_rate=rate)
    except BaseException:
        journal.close()
        raise

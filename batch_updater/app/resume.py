"""Resume the unfinished run of an input."""

from dataclasses import replace
from pathlib import Path

from batch_updater.app.run import Run, check_output, columns_of, facts_for, refuse_if_strict
from batch_updater.common.errors import JournalError, ResumeError
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings
from batch_updater.inputs.selection import read_options
from batch_updater.inputs.source import open_source
from batch_updater.journal.facts import Phase
from batch_updater.journal.find_runs import is_nameless, newest_run
from batch_updater.journal.journal import Journal
from batch_updater.journal.run_folder import RunFolder
from batch_updater.planning.plan import read_plan
from batch_updater.planning.preflight import Tenant
from batch_updater.reports.commands import run_command


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
    run.journal.close()  # nothing was sent, and its statuses were never looked at: a new plan may know them
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
        journal.unclaim_unread()
        source = open_source(folder.input_path, read_options(settings), shown_as=file)
        columns, facts = columns_of(source, settings), journal.facts()
        if settings.output:
            check_output(settings, known=facts.output)
            facts = journal.update_facts(output=str(settings.output))
        tenant = replace(tenant, names=facts.status_names)
        return Run(folder, source, columns, journal, read_plan(journal), facts, tenant, resumed=True)
    except BaseException:
        journal.close()
        raise

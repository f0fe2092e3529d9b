"""Resume the unfinished run of an input."""

from dataclasses import replace
from pathlib import Path

from batch_updater.app.run import Run, _choices, _find_columns, _refuse_if_strict
from batch_updater.common.errors import JournalError, ResumeError, SettingsError
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings
from batch_updater.inputs.selection import read_options
from batch_updater.inputs.source import open_source
from batch_updater.journal.find_runs import differences, is_nameless, newest_run
from batch_updater.journal.journal import Journal
from batch_updater.journal.run_folder import RunFolder
from batch_updater.planning.plan import read_plan
from batch_updater.planning.preflight import Tenant
from batch_updater.reports.commands import run_command


def _pick_up(file: Path, sha256: str, place: Path, settings: Settings, tenant: Tenant) -> Run | None:
    """The unfinished run of this input. Raises ResumeError when this start asks for something else."""
    found = newest_run(place, file.name, sha256 if is_nameless(file.name) else None)
    if found is None or found[1]["phase"] == "finished":
        return None
    folder, facts = found
    if differ := differences(facts, {"sha256": sha256, **_choices(settings, tenant)}):
        same = run_command(
            file, folder.path, base_url=facts["base_url"], reading=facts["reading"], on_conflict=facts["on_conflict"],
            compares=facts["compare"],
        )  # fmt: skip
        first = "" if facts["sha256"] == sha256 else ", put the file back as it was"
        raise ResumeError(
            [f"{file} has an unfinished run, {folder.run_id}, and this start differs from it:", *differ],
            [
                Remedy("to finish that run{first}: {command}", {"first": first}, tuple(same)),
                Remedy("to give it up and start anew: the present command with {restart}"),
            ],
        )
    run = _reopen(folder, file, settings, tenant)
    if run.journal.claims or run.facts["status_names"]:
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
        return _resume(folder, file, settings, tenant, journal)
    except BaseException:
        journal.close()
        raise


def _resume(folder: RunFolder, file: Path, settings: Settings, tenant: Tenant, journal: Journal) -> Run:
    _refuse_if_strict(file, journal, settings)
    facts = journal.meta()
    journal.unclaim_unread(compares=facts["compare"])
    source = open_source(folder.input_path, read_options(settings), shown_as=file)
    columns = _find_columns(source, settings)
    if settings.output:
        known = str(settings.output) == facts.get("output")
        if settings.output.exists() and not known and not settings.overwrite:
            raise SettingsError(f"{settings.output} exists already.", Remedy("add {overwrite}, or choose another name"))
        facts["output"] = str(settings.output)
        journal.set_meta({"output": facts["output"]})
    tenant = replace(tenant, names=facts["status_names"])
    return Run(folder, source, columns, journal, read_plan(journal), facts, tenant, resumed=True)

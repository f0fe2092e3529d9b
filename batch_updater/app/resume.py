"""Resume the unfinished run of an input, or one that a person names."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from batch_updater.app.failure_limit import last_failure_limit
from batch_updater.app.run import (
    Run,
    check_output,
    check_tenant,
    planned_columns,
    read_options,
    refuse_if_strict,
    with_choices,
)
from batch_updater.common.errors import InputError, JournalError, ResumeError
from batch_updater.common.models import NOT_DONE
from batch_updater.common.remedies import Remedy, as_option
from batch_updater.common.settings import Settings
from batch_updater.inputs.source import open_source
from batch_updater.journal.facts import Phase, RunFacts
from batch_updater.journal.find_runs import FoundRun, find_run, newest_runs
from batch_updater.journal.journal import Journal
from batch_updater.journal.lifecycle import what_is_left
from batch_updater.journal.lock import earlier_run, lock_with_earlier_runs
from batch_updater.journal.reader import read_journal
from batch_updater.journal.run_folder import CLAIMS, JOURNAL, UNDO_SHEET, RunFolder, is_nameless, run_of
from batch_updater.planning.plan import read_plan
from batch_updater.planning.preflight import Tenant
from batch_updater.reports.commands import RunCommands
from batch_updater.reports.provenance import settings_facts

_OWN_FILES = frozenset({JOURNAL, CLAIMS, "summary.json", "report.html", "run.log", "verify.csv"})


@contextlib.contextmanager
def resume(place: Path, settings: Settings, tenant: Tenant) -> Iterator[Run]:
    """Yield an unfinished run, to be sent from its frozen input: the sheet need not be there any more.

    It goes on by the choices that it was planned by, whatever `settings` say of these. Raises SettingsError when
    `place` is no run, ResumeError when it is finished or another tenant's, LockedError, JournalError.
    """
    folder = find_run(place)
    with read_journal(folder.journal_path) as journal:
        facts = journal.facts()
    if facts.phase is Phase.FINISHED:
        raise ResumeError(f"{folder.run_id} is finished; there is nothing left to send.")
    if by := facts.superseded_by:
        what = f"{folder.run_id} is superseded: {by} has kept what it did, and sends the rest."
        raise ResumeError(what, _go_on_with(RunFolder(folder.path.parent / by)))
    check_tenant(folder, facts, tenant, "resume")
    if tenant.account != facts.account:
        raise ResumeError(f"{folder.run_id} was begun by another account.", "sign in as that one")
    with (
        lock_with_earlier_runs(folder, facts),
        (run := _reopen(folder, Path(facts.input), with_choices(settings, facts), tenant)).journal,
    ):
        run.by_folder, run.earlier = True, earlier_run(folder, facts)
        yield run


def _go_on_with(folder: RunFolder) -> list[Remedy]:
    """Return how a run that has taken another one's place goes on; nothing when it can't be read."""
    try:
        with read_journal(folder.journal_path) as journal:
            facts = journal.facts()
        commands = RunCommands(folder.path, facts)
        if facts.phase is Phase.FINISHED:
            return [Remedy("that one is finished; to read its orders back", command=tuple(commands.ask("verify")))]
        limit = next_limit(FoundRun(folder, facts))
    except JournalError:
        return []
    return [Remedy("to go on with that one", command=tuple(commands.resume(limit)))]


def refuse_run(place: Path) -> None:
    """Raise InputError for a run folder, or a file in it that is no sheet to be sent, with what can be done instead.

    The copy of the sheet is none either: it would be sent whole, with the rows that are done.
    """
    is_run = (place / JOURNAL).is_file()
    if not is_run and not (run_of(place) and (place.name in _OWN_FILES or place.stem == "input")):
        return
    folder = find_run(place)
    with read_journal(folder.journal_path) as journal:
        facts, results, left = journal.facts(), journal.results(), what_is_left(journal, journal.facts())
        limit = last_failure_limit(journal, facts).next_allowed
    what = f"{place} is the folder of a run" if is_run else f"{place} belongs to the run {folder.run_id}"
    commands = RunCommands(folder.path, facts)
    if by := facts.superseded_by:
        raise InputError(f"{what}, which is superseded by {by}.", _go_on_with(RunFolder(folder.path.parent / by)))
    if left or facts.phase is not Phase.FINISHED:
        hint = Remedy("to go on with it", command=tuple(commands.resume(limit)))
        raise InputError(f"{what}, which is not finished.", hint)
    written = Path(facts.output) if facts.output else next(folder.path.glob("results.*"), None)
    if written is None or not written.is_file():
        hint = Remedy("to write its results again", command=tuple(commands.write_results()))
    elif any(results.get(word) for word in NOT_DONE):
        hint = Remedy("to send what is not done", command=tuple(commands.follow_up(written, NOT_DONE)))
    else:
        hint = Remedy("every row of it is done; to read every order back", command=tuple(commands.ask("verify")))
    raise InputError(f"{what}, not a sheet.", hint)


def resume_unfinished(file: Path, wanted: RunFacts, place: Path, settings: Settings, tenant: Tenant) -> Run | None:
    """Return the unfinished run of this input, opened; None when there is none. `wanted` are a new run's facts.

    Only the newest run of the input is picked up. One that has sent nothing is left when this start asks for something
    else. Raises ResumeError when it has sent something, and when this start has the bytes of an unfinished run that is
    older, or another input's.
    """
    newest, same_bytes = newest_runs(place, wanted)
    if newest and not newest.is_over:
        if not (differ := newest.facts.differences(wanted)):
            return _pick_up(newest, file, settings, tenant)
        if has_sent(newest):
            raise ResumeError([*_said(file, newest), *differ], ways_on(file, newest, wanted))
        return None
    if same_bytes and not same_bytes.is_over:
        why = "newer runs followed it" if newest else f"it is a run of {same_bytes.facts.input}"
        has = f"{same_bytes.folder.run_id}, a run of the same data, is unfinished and is not picked up: {why}."
        raise ResumeError(has, _other_ways(same_bytes))
    return None


def has_sent(found: FoundRun) -> bool:
    """Return whether a run, or the one that it carries on, may have changed an order."""
    with read_journal(found.folder.journal_path) as journal:
        return bool(found.facts.carried_from) or journal.sent_anything()


def _said(file: Path, found: FoundRun) -> list[str]:
    copy = f"(the sheet as it was then is {found.folder.input_path})"
    return [f"{file} has an unfinished run, {found.folder.run_id}", f"{copy},", "and this start differs from it:"]


def ways_on(file: Path, found: FoundRun, wanted: RunFacts | None = None) -> list[Remedy]:
    """Return how a sheet with an unfinished run goes on; `wanted` are the facts of a run that could keep its rows."""
    ways = _same_command(file, found, is_changed=wanted is None or found.facts.sha256 != wanted.sha256)
    may_keep = wanted is not None and "sequence" not in {found.facts.on_conflict, wanted.on_conflict}
    if wanted and may_keep and (found.facts.base_url, found.facts.account) == (wanted.base_url, wanted.account):
        keeping = _keeping(file, found, wanted)
        return [*_other_ways(found), keeping] if is_nameless(file.name) else [*ways, keeping, *_other_ways(found)]
    return [*ways, *_other_ways(found)]


def _keeping(file: Path, found: FoundRun, wanted: RunFacts) -> Remedy:
    """Return how the rows that an unfinished run has done are kept, and the others sent as the sheet has them now."""
    if is_nameless(file.name):
        return Remedy(
            "to keep what is done there and send the rest of these rows: the present command with {carry_over}"
        )
    words = (*RunCommands(found.folder.path, wanted, file).go_on(), as_option("carry_over"))
    return Remedy("to keep what is done there and send the rest of this sheet", command=words)


def _same_command(file: Path, found: FoundRun, *, is_changed: bool) -> list[Remedy]:
    """Return how the sheet's own command picks its run up; none for data without a name, or made anew each time."""
    if is_nameless(file.name) or file.name == UNDO_SHEET:
        return []
    if is_changed:
        return [Remedy("to finish that run by its own command, put the file back as it was")]
    command = tuple(RunCommands(found.folder.path, found.facts, file).go_on(next_limit(found)))
    return [Remedy("to finish that run", command=command)]


def _other_ways(found: FoundRun) -> list[Remedy]:
    command = tuple(RunCommands(found.folder.path, found.facts).resume(next_limit(found)))
    return [
        Remedy("to finish that run from its copy of the sheet", command=command),
        Remedy("to give it up and start anew: the present command with {restart}"),
    ]


def next_limit(found: FoundRun) -> int | None:
    """Return the limit of failures with which a run goes on; None when the present one will do."""
    with read_journal(found.folder.journal_path) as journal:
        return last_failure_limit(journal, found.facts).next_allowed


def _pick_up(found: FoundRun, file: Path, settings: Settings, tenant: Tenant) -> Run | None:
    run = _reopen(found.folder, file, settings, tenant)
    if run.journal.claims or found.facts.status_names or found.facts.carried_from:
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
        refuse_if_strict(file, journal.facts(), journal, settings)
        journal.mark_interrupted()
        source = open_source(folder.input_path, read_options(settings), shown_as=file)
        facts = journal.facts().with_changes(**settings_facts(settings))
        columns = planned_columns(source, settings, facts)
        if settings.output:
            check_output(settings, known=facts.output)
            output = journal.update_facts(output=str(settings.output)).output
            facts = facts.with_changes(output=output)
        tenant = replace(tenant, names=facts.status_names)
        plan = read_plan(journal)
        return Run(folder, settings, source, columns, journal, plan, facts, tenant, resumed=True)
    except BaseException:
        journal.close()
        raise

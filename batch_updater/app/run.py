"""A planned run, what it was asked to do, and how an earlier one is opened again."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

from batch_updater.app.failure_limit import FailureLimit, failure_limit, wait_refusal
from batch_updater.common.errors import InputError, JournalError, ResumeError, SettingsError, StoppedError
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings, as_facts, overlaid
from batch_updater.inputs.columns import Columns, columns_at, find_columns
from batch_updater.inputs.selection import RESUME_KEYS, ReadOptions
from batch_updater.inputs.source import Source, open_source
from batch_updater.journal.facts import Phase, RunFacts
from batch_updater.journal.journal import Journal
from batch_updater.journal.reader import JournalReader
from batch_updater.journal.run_folder import FRAME, RunFolder, called, discard, path_from
from batch_updater.planning.plan import Plan, read_plan
from batch_updater.planning.preflight import Tenant
from batch_updater.reports.commands import RunCommands, service_command
from batch_updater.reports.provenance import settings_facts


@dataclass
class Run:
    """A planned run: its folder, its journal, what its plan says, and whether it was begun before."""

    folder: RunFolder
    settings: Settings
    source: Source
    columns: Columns
    journal: Journal
    plan: Plan
    facts: RunFacts
    tenant: Tenant
    resumed: bool = False
    by_folder: bool = False  # resumed from its folder, whatever has become of its sheet
    notes: tuple[str, ...] = ()  # on what was done before, and what is left as it is
    earlier: RunFolder | None = None  # the run that it undoes or follows up
    started: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)  # the same moment by the clock that nobody puts forward

    @property
    def results_path(self) -> Path:
        """Where the result file goes: `--output`, else the run folder (Excel in, Excel out)."""
        if self.facts.output:
            return Path(self.facts.output)
        macros = self.source.path.suffix.lower() == ".xlsm"
        suffix = (".xlsm" if macros else ".xlsx") if self.source.is_excel else ".csv"
        return self.folder.path / f"results{suffix}"

    @property
    def failure_limit(self) -> FailureLimit:
        """How many of its rows have failed so far, and how many may."""
        return failure_limit(self.journal, self.settings)

    @property
    def refusal(self) -> StoppedError | None:
        """Why a start would send nothing; None when it can be sent."""
        return wait_refusal(self.facts) or self.failure_limit.refusal

    @property
    def open_rows(self) -> int:
        """Rows that may still be sent."""
        return self.plan.to_send + self.plan.in_doubt


@contextlib.contextmanager
def reopen_run(
    folder: RunFolder, settings: Settings | None = None, tenant: Tenant | None = None, asked: str = "verify"
) -> Iterator[Run]:
    """Open an earlier run to read it. Raises JournalError; ResumeError when the tenant is not the run's own.

    `asked` is the command that would go to the right one.
    """
    with Journal.open(folder.journal_path) as journal:
        facts = journal.facts()
        if tenant:
            check_tenant(folder, facts, tenant, asked)
        settings = with_choices(settings, facts)
        source = open_source(folder.input_path, read_options(settings))
        tenant = tenant or Tenant(facts.base_url, names=facts.status_names)
        columns = planned_columns(source, settings, facts)
        yield Run(folder, settings, source, columns, journal, read_plan(journal), facts, tenant, resumed=True)


def allow_failures(run: Run, number: int) -> None:
    """Let so many rows of a run fail in all, to go on with it."""
    run.settings = run.settings.model_copy(update={"max_failures": str(number)})
    run.plan, run.resumed = read_plan(run.journal), True


def delete_run(run: Run) -> None:
    """Remove a new run that the person did not confirm; one that was begun before stays as it is."""
    if not run.resumed:
        with contextlib.suppress(JournalError):
            supersede(run, "")
        run.journal.close()
        discard(run.folder)


def supersede(run: Run, by: str) -> None:
    """Write into the journal of the run that this one carries on that another takes its place: "" for none any more.

    Raises JournalError.
    """
    if not run.facts.carried_from:
        return
    earlier = RunFolder(run.folder.path.parent / run.facts.carried_from)
    with Journal.open(earlier.journal_path) as journal:
        if journal.facts().superseded_by != by:
            journal.update_facts(superseded_by=by)


def overrule(run: Run) -> None:
    """Write into the unfinished run that this one undoes or follows up that its orders may have other statuses now.

    Raises JournalError.
    """
    if run.earlier:
        with Journal.open(run.earlier.journal_path) as journal:
            facts = journal.facts()
            if facts.phase is not Phase.FINISHED and facts.overruled_by != run.folder.run_id:
                journal.update_facts(overruled_by=run.folder.run_id)


def facts_for(folder: RunFolder, file: Path, sha256: str, settings: Settings, tenant: Tenant) -> RunFacts:
    """Return the facts of a run of this file that is planned now."""
    name, path = called(file), path_from(folder.path.parent, file)
    return RunFacts(
        run_id=folder.run_id, name=name.name, input=str(name), sha256=sha256, path=path,
        base_url=tenant.base_url, account=tenant.account,
        on_conflict=settings.on_conflict, compare=settings.compares, status_map=settings.status_map,
        reading={name: value for name, value in as_facts(settings).items() if name in RESUME_KEYS},
        status_names=dict(tenant.names), output=str(settings.output) if settings.output else None,
        **settings_facts(settings),
    )  # fmt: skip


def with_choices(settings: Settings | None, facts: RunFacts) -> Settings:
    """Return the settings with what a run was planned by in place of their own."""
    planned = {
        "on_conflict": facts.on_conflict, "compare": facts.compare, "status_map": facts.status_map,
        "compare_list": bool(facts.settings.get("compare_list")), "carry_over": False,
    }  # fmt: skip
    unread = {
        name: Settings.model_fields[name].default for name in RESUME_KEYS
    }  # an older journal lacks the newer ones
    return overlaid(settings or Settings.model_validate({}), {**unread, **facts.reading, **planned})


def read_options(settings: Settings) -> ReadOptions:
    """Return the settings that matter for reading."""
    return ReadOptions(**{field.name: getattr(settings, field.name) for field in fields(ReadOptions)})


def columns_of(source: Source, settings: Settings) -> Columns:
    """Return the columns that these settings name or leave to be found. Raises InputError."""
    names = read_options(settings).names
    return find_columns(
        source.header, names, compares=settings.compares, hidden=source.hidden_columns, name=source.name
    )


def planned_columns(source: Source, settings: Settings, facts: RunFacts) -> Columns:
    """Return the columns by which a run was planned. A journal of an earlier version does not hold them."""
    if facts.columns is None:
        return columns_of(source, settings)
    used = facts.columns
    names = read_options(settings).names
    return columns_at(source.header, names, order=used.order, status=used.status, expect=used.expect)


def check_tenant(folder: RunFolder, facts: RunFacts, tenant: Tenant, asked: str) -> None:
    """Raise ResumeError when a run belongs to another service, with the command `asked` for that one."""
    if tenant.base_url != facts.base_url:
        raise ResumeError(
            f"{facts.run_id} was run on {facts.base_url}, and the settings name {tenant.base_url}.",
            Remedy(
                "to ask that service, with a token for it", command=tuple(RunCommands(folder.path, facts).ask(asked))
            ),
        )


def check_output(settings: Settings, known: str | None = None) -> None:
    """Raise SettingsError when `--output` would replace a file that is not the `known` one of the run itself."""
    if settings.output and settings.output.exists() and not settings.overwrite and str(settings.output) != known:
        raise SettingsError(f"{settings.output} exists already.", Remedy("add {overwrite}, or choose another name"))


def refuse_if_strict(file: Path, facts: RunFacts, journal: JournalReader, settings: Settings) -> None:
    """Raise InputError for the first invalid or conflicting row of a sheet that `--strict` is asked of."""
    if settings.strict and (problems := journal.problems(1, planned=True)):
        row, first, result, detail = problems[0]
        problem = f"{facts.name_row(row, first)}, {result}: {detail}"
        hints = [Remedy("correct it and the others, or leave out {strict}")]
        if facts.name != FRAME.stem:  # no command can name a DataFrame
            others = service_command("plan", settings, file, without="strict")
            hints.append(Remedy("to see the others", command=tuple(others)))
        raise InputError(
            Remedy("{file}: {strict} refuses it; the first problem is {what}", {"file": facts.input, "what": problem}),
            hints,
        )

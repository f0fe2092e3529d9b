"""A run: begun from a sheet, picked up again, tried without sending, reopened to be read."""

import asyncio
import contextlib
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from batch_updater.errors import InputError, JournalError, ResumeError, SettingsError
from batch_updater.folder import (
    STDIN,
    RunFolder,
    differences,
    discard,
    freeze,
    is_nameless,
    locked,
    new_run,
    newest_run,
    runs_place,
)
from batch_updater.inputs.columns import Columns, find_columns
from batch_updater.inputs.options import READING, read_options
from batch_updater.inputs.source import Source, check_file, open_source
from batch_updater.journal import Journal
from batch_updater.lookup import OrderNames
from batch_updater.models import SourceRow
from batch_updater.plan import Judge, Plan, make_plan, read_plan
from batch_updater.remembered import LearnedRate, start_rate
from batch_updater.settings import Settings
from batch_updater.tenant import Tenant, meet
from batch_updater.validate import Rules

OnRows = Callable[[int], None]


def _ignore(_number: int) -> None:
    """An `on_rows` for those who do not watch."""


@dataclass
class Run:
    """A planned run: its folder, its journal, what its plan says, and whether it was begun before."""

    folder: RunFolder
    source: Source
    columns: Columns
    journal: Journal
    plan: Plan
    facts: dict[str, Any]
    tenant: Tenant
    resumed: bool = False
    start_rate: LearnedRate | None = None  # where its pace begins, when an earlier run has learned it
    started: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)  # the same moment by the clock that nobody puts forward

    @property
    def results_path(self) -> Path:
        """Where the result file goes: `--output`, else the run folder (Excel in, Excel out)."""
        if self.facts.get("output"):
            return Path(self.facts["output"])
        suffix = ".xlsx" if self.source.is_excel else ".csv"
        return self.folder.path / f"results{suffix}"

    @property
    def open_rows(self) -> int:
        """Rows that may still be sent."""
        return self.plan.to_send + self.plan.in_doubt


@contextlib.contextmanager
def open_run(
    file: Path, settings: Settings, tenant: Tenant, judge: Judge | None = None, on_rows: OnRows = _ignore
) -> Iterator[Run]:
    """The run for this sheet: its unfinished one picked up again, else a new one, planned and locked.

    `on_rows` is told how many rows have been planned so far.

    A new plan asks the service for its statuses; it must not be called from a running event loop.
    Raises InputError, ResumeError, LockedError or SettingsError; then nothing was sent and no new folder stays.
    """
    if file != STDIN:
        check_file(file)
    _refuse_output(file, settings)
    started, began = time.time(), time.monotonic()
    place = runs_place(file, settings.runs_dir)
    with locked(place, file) as hold_for:
        folder = new_run(place)
        hold_for(folder)
        try:
            sha256 = freeze(file, folder)
            run = None if settings.restart else _pick_up(file, sha256, place, settings, tenant)
            if run:
                hold_for(run.folder)
                discard(folder)
            else:
                run = _plan_into(folder, file, sha256, settings, tenant, judge=judge, on_rows=on_rows)
        except BaseException:
            discard(folder)
            raise
        run.started, run.began = started, began
        run.start_rate = start_rate(settings, tenant.base_url, tenant.account)
        with run.journal:
            try:
                yield run
            except BaseException:
                if _nothing_left(run):
                    give_up(run)
                raise


def _nothing_left(run: Run) -> bool:
    """Whether this start has made the run and broke off before anything was announced."""
    try:
        return (
            not run.resumed
            and run.folder.path.exists()
            and run.journal.claims == 0
            and run.journal.meta()["phase"] in {"planned", "sending"}
        )
    except JournalError:
        return False


@contextlib.contextmanager
def open_trial(
    file: Path, settings: Settings, tenant: Tenant, judge: Judge | None = None, on_rows: OnRows = _ignore
) -> Iterator[Run]:
    """The run that this sheet would get, in a place that is removed afterwards; nothing can be sent from it."""
    if file != STDIN:
        check_file(file)
    place = Path(tempfile.mkdtemp(prefix="batch-updater-plan-"))
    try:
        folder = new_run(place)
        run = _plan_into(folder, file, freeze(file, folder), settings, tenant, judge=judge, on_rows=on_rows)
        run.start_rate = start_rate(settings, tenant.base_url, tenant.account)
        with run.journal:
            yield run
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def reopen_run(folder: RunFolder, tenant: Tenant | None = None) -> Iterator[Run]:
    """An earlier run, to read. Raises JournalError; ResumeError when the tenant is not the run's own."""
    with Journal.open(folder.journal_path) as journal:
        facts = journal.meta()
        if tenant and tenant.base_url != facts["base_url"]:
            raise ResumeError(
                f"{folder.run_id} was run on {facts['base_url']}, and the settings name {tenant.base_url}.",
                f"set EVREKA360_BASE_URL={facts['base_url']}",
            )
        settings = Settings(**facts["reading"], compare="each" if facts["compare"] else "no")
        source = open_source(folder.input_path, read_options(settings))
        tenant = tenant or Tenant(facts["base_url"], names=facts["status_names"])
        columns = _find_columns(source, settings)
        yield Run(folder, source, columns, journal, read_plan(journal), facts, tenant, resumed=True)


def give_up(run: Run) -> None:
    """Remove a new run that the person did not confirm; one that was begun before stays as it is."""
    if not run.resumed:
        run.journal.close()
        discard(run.folder)


def _refuse_output(file: Path, settings: Settings) -> None:
    if settings.output and file != STDIN and settings.output.exists() and settings.output.samefile(file):
        raise SettingsError(f"--output {settings.output} is the sheet itself.", "choose another name")


def _reading(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json", include=set(READING))


def _choices(settings: Settings, tenant: Tenant) -> dict[str, Any]:
    """What must be the same for a run to be picked up again."""
    return {
        "base_url": tenant.base_url,
        "account": tenant.account,
        "on_conflict": settings.on_conflict,
        "compare": settings.compares,
        "status_map": settings.status_map,
        **_reading(settings),
    }


def _find_columns(source: Source, settings: Settings) -> Columns:
    return find_columns(
        source.header, settings.order_column, settings.status_column, settings.expect_column,
        compares=settings.compares, hidden=source.hidden_columns, name=source.name,
    )  # fmt: skip


def _plan_into(
    folder: RunFolder,
    file: Path,
    sha256: str,
    settings: Settings,
    tenant: Tenant,
    *,
    judge: Judge | None = None,
    on_rows: OnRows = _ignore,
) -> Run:
    if settings.output and settings.output.exists() and not settings.overwrite:
        raise SettingsError(f"{settings.output} exists already.", "add --overwrite, or choose another name")
    source = open_source(folder.input_path, read_options(settings), shown_as=file)
    columns = _find_columns(source, settings)
    tenant = asyncio.run(meet(tenant, settings))
    journal = Journal.create(folder.journal_path)
    try:
        if judge:
            make_plan(
                source.rows(), judge, journal, settings.on_conflict,
                name=file, on_rows=on_rows, overtaken=source.overtaken,
            )  # fmt: skip
        else:
            rules = Rules(columns.order, columns.status, columns.expect, tenant.book)
            _plan_by_rules(source, rules, journal, settings, tenant, on_rows=on_rows)
        _refuse_names(file, journal, tenant)
        _refuse_if_strict(file, journal, settings)
        facts = {
            "run_id": folder.run_id, "name": file.name, "input": str(file), "phase": "planned", "sha256": sha256,
            "output": str(settings.output) if settings.output else None, "reading": _reading(settings),
            "status_names": dict(tenant.names), **_choices(settings, tenant),
        }  # fmt: skip
        journal.seal(facts)
        return Run(folder, source, columns, journal, read_plan(journal), facts, tenant)
    except BaseException:
        journal.close()
        raise


def _plan_by_rules(
    source: Source, rules: Rules, journal: Journal, settings: Settings, tenant: Tenant, *, on_rows: OnRows
) -> None:
    rows, how = source.rows(), settings.on_conflict
    if settings.order_by == "id":
        make_plan(rows, rules.judge, journal, how, name=source.name, on_rows=on_rows, overtaken=source.overtaken)
        return
    names = OrderNames(tenant, settings)
    rules = replace(rules, orders=names.known)

    def learn(block: list[SourceRow]) -> None:
        names.learn(rules.order_name(row) for row in block)

    make_plan(rows, rules.judge, journal, how, learn, name=source.name, on_rows=on_rows, overtaken=source.overtaken)


def _refuse_names(file: Path, journal: Journal, tenant: Tenant) -> None:
    """A sheet with status names is of no use when names can't be looked up."""
    if tenant.book is None and (found := journal.first("unknown_status")):
        if tenant.failure:
            raise tenant.failure
        row, detail = found
        raise InputError(
            f"{file}, row {row}: {detail} ({tenant.unchecked}).", "write status ids, or set the token for `plan`"
        )


def _refuse_if_strict(file: Path, journal: Journal, settings: Settings) -> None:
    if settings.strict and (problems := journal.problems(1, planned=True)):
        row, result, detail = problems[0]
        raise InputError(
            f"{file}: --strict refuses the sheet; the first problem is row {row}, {result}: {detail}",
            "see `batch-updater plan` for the others; correct them, or leave out --strict",
        )


def _pick_up(file: Path, sha256: str, place: Path, settings: Settings, tenant: Tenant) -> Run | None:
    """The unfinished run of this input. Raises ResumeError when this start asks for something else."""
    found = newest_run(place, file.name, sha256 if is_nameless(file.name) else None)
    if found is None or found[1]["phase"] == "finished":
        return None
    folder, facts = found
    if differ := differences(facts, {"sha256": sha256, **_choices(settings, tenant)}):
        raise ResumeError(
            [f"{file} has an unfinished run, {folder.run_id}, and this start differs from it:", *differ],
            [
                f"to finish that run{_with_its_bytes(facts, sha256)}: {_earlier_command(file, facts)}",
                "to give it up and start anew: the present command with --restart",
            ],
        )
    run = _reopen(folder, file, settings, tenant)
    if run.journal.claims or run.facts["status_names"]:
        return run
    run.journal.close()  # nothing was sent, and its statuses were never looked at: a new plan may know them
    return None


def _with_its_bytes(facts: dict[str, Any], sha256: str) -> str:
    return "" if facts["sha256"] == sha256 else ", put the file back as it was"


def _earlier_command(file: Path, facts: dict[str, Any]) -> str:
    """The command line that asks for what a run was planned for, options that have their default left out."""
    words = ["batch-updater", "run", str(file), "--base-url", facts["base_url"]]
    for key in ("on_conflict", "compare", *sorted(READING)):
        value, option = facts.get(key), "--" + key.replace("_", "-")
        if not value or value == Settings.model_fields[key].default:
            continue
        if key == "where":
            words += [word for condition in value for word in (option, condition)]
        else:
            words += [option] if value is True else [option, ",".join(value) if isinstance(value, list) else str(value)]
    return shlex.join(words)


def _reopen(folder: RunFolder, file: Path, settings: Settings, tenant: Tenant) -> Run:
    try:
        journal = Journal.open(folder.journal_path)
    except JournalError as error:
        raise ResumeError(
            f"The unfinished run {folder.run_id} can't be picked up. {error.message}",
            "restore its files, or start anew with --restart (rows may then be sent a second time)",
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
            raise SettingsError(f"{settings.output} exists already.", "add --overwrite, or choose another name")
        facts["output"] = str(settings.output)
        journal.set_meta({"output": facts["output"]})
    tenant = replace(tenant, names=facts["status_names"])
    return Run(folder, source, columns, journal, read_plan(journal), facts, tenant, resumed=True)

"""Go on with a sheet that has changed since its unfinished run: keep what is done there, send the rest."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from batch_updater.api.pacing.pacer import pacer_for
from batch_updater.app.execute import client_for
from batch_updater.app.resume import has_sent, ways_on
from batch_updater.app.run import Run, reopen_run
from batch_updater.common.errors import JournalError, ResumeError, StoppedError
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings
from batch_updater.common.text import count, moment
from batch_updater.journal.draft import SettledDraft
from batch_updater.journal.facts import RunFacts
from batch_updater.journal.find_runs import FoundRun, newest_runs
from batch_updater.journal.reader import JournalReader, read_journal
from batch_updater.planning.preflight import Tenant
from batch_updater.reports.commands import RunCommands
from batch_updater.sending.settling import Settler

OnWait = Callable[[float], None]


def run_to_carry_over(file: Path, wanted: RunFacts, place: Path, settings: Settings) -> FoundRun | None:
    """Return the unfinished run of this sheet whose done rows a new run is to keep, if that is asked for.

    None when that run has sent nothing, and when nothing has changed, so that it is simply picked up. Raises
    ResumeError when there is no such run, or when what it has done can't be kept.
    """
    if not settings.carry_over:
        return None
    newest, _same_bytes = newest_runs(place, wanted)
    if newest is None or newest.is_over:
        which = f"its newest run, {newest.folder.run_id}, is over" if newest else "it has no run here"
        raise ResumeError(
            f"{file} has no unfinished run to carry over from: {which}.",
            Remedy("to send every row of the sheet, leave out {carry_over}"),
        )
    if not newest.facts.differences(wanted) or not has_sent(newest):
        return None
    if why := why_not(newest.facts, wanted):
        raise ResumeError(
            f"What {newest.folder.run_id}, the unfinished run of {file}, has done can't be kept: {why}.",
            ways_on(file, newest),
        )
    return newest


def why_not(facts: RunFacts, wanted: RunFacts) -> str:
    """Return why a new run can't keep what an unfinished one of these facts has done; empty when it can."""
    if (facts.base_url, facts.account) != (wanted.base_url, wanted.account):
        return "it belongs to another service or account"
    if "sequence" in {facts.on_conflict, wanted.on_conflict}:
        return "an order may have several statuses in turn there, or here"
    if facts.overruled_by:
        return f"{facts.overruled_by} has undone it, or followed it up, since"
    return ""


@dataclass(frozen=True, slots=True)
class Keeping:
    """Keeps in a new plan what an unfinished run has done; `on_wait` is told how many seconds it waits before that."""

    found: FoundRun
    settings: Settings
    tenant: Tenant
    on_wait: OnWait
    is_trial: bool = False

    def into(self, plan: SettledDraft) -> list[str]:
        """Settle what the run has left in doubt, then keep what is done; return what is to be said of that.

        In a trial nothing is settled. Raises StoppedError when an order could not be read, CredentialsError,
        JournalError.
        """
        notes = in_doubt(self.found) if self.is_trial else self._settle(plan)
        with read_journal(self.found.folder.journal_path) as journal:
            plan.keep(journal.done_orders())
        return notes

    def _settle(self, plan: SettledDraft) -> list[str]:
        found = self.found
        ended = min(time.time(), max(path.stat().st_mtime for path in found.folder.path.glob("journal.*")))
        with reopen_run(found.folder, self.settings, self.tenant) as run:
            run.tenant = replace(self.tenant, names=run.facts.status_names)
            run.journal.mark_interrupted()
            if not _unsettled(run.journal):
                return []
            unreadable = asyncio.run(self._read(run, plan, ended + self.settings.timeout))
            if (left := _unsettled(run.journal)) and not unreadable:
                finish = tuple(RunCommands(found.folder.path, found.facts).resume())
                raise StoppedError(
                    f"The orders of {count(left, 'row')} in doubt of {found.folder.run_id} could not be read.",
                    Remedy("run again when they can be read, or finish that run", command=finish),
                )
        sent = count(left, "row", "in doubt is sent again unread", "in doubt are sent again unread")
        return [f"{sent}: {unreadable}"] if left else []

    async def _read(self, run: Run, plan: SettledDraft, not_before: float) -> str:
        """Read the orders in doubt; return why that is refused for all of them."""
        async with client_for(run) as client:
            settler = Settler(
                run.journal, client, pacer_for(run.settings.sending), run.settings.sending, rows=run.plan.rows
            )
            await settler.settle(not_before, plan.ask_otherwise, self.on_wait)
            return settler.why_unreadable


def _unsettled(journal: JournalReader) -> int:
    return journal.states().get("claimed", 0) + journal.results().get("unknown", 0)


def in_doubt(found: FoundRun) -> list[str]:
    """Return a sentence on the rows of a run that have to be read back."""
    with read_journal(found.folder.journal_path) as journal:
        number = _unsettled(journal)
    which = "in doubt of the unfinished run"
    return [count(number, "row", f"{which} is read back first", f"{which} are read back first")] if number else []


def finished_before(place: Path, wanted: RunFacts) -> list[str]:
    """Return a sentence when a run of these very bytes is finished: which one, when, and how much of it is done."""
    try:
        _newest, same_bytes = newest_runs(place, wanted)
        if same_bytes is None or not same_bytes.is_finished:
            return []
        with read_journal(same_bytes.folder.journal_path) as journal:
            done, rows = journal.done(), sum(journal.states().values())
    except (ResumeError, JournalError):
        return []  # a trial may look at a place whose runs can't be picked up
    end = same_bytes.facts.end
    when = moment(end.ended if end else same_bytes.folder.began)
    share = f"{done:,} of {count(rows, 'row')} done"
    return [f"this very file was finished before: {same_bytes.folder.run_id}, {when}, {share}"]

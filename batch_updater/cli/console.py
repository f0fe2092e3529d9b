"""What a person at the terminal sees: the plan, the question, the progress, the summary.

Plan and summary go to stdout or stderr as text; nothing here ends the process.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill

import click

from batch_updater.app.batch import run_loop
from batch_updater.app.execute import send
from batch_updater.app.planner import OnRows
from batch_updater.app.planning import plan, try_plan
from batch_updater.app.preview import Preview, preview, trial_summary, write_problems
from batch_updater.app.resume import resume
from batch_updater.app.run import Run, allow_failures, delete_run
from batch_updater.app.service import find_service, statuses
from batch_updater.app.undo import undo
from batch_updater.app.verify import verify
from batch_updater.cli.notify import Notices, of_error, of_summary
from batch_updater.cli.plan_view import describe
from batch_updater.cli.preview_view import describe_preview
from batch_updater.cli.progress import CheckedRows, ProgressBar
from batch_updater.cli.summary import describe_summary, in_short, next_lines
from batch_updater.cli.terminal import detect_terminal
from batch_updater.common.errors import BatchUpdaterError, ExitCode, SettingsError
from batch_updater.common.models import OrderStatus
from batch_updater.common.remedies import Remedy
from batch_updater.common.secret import Secret
from batch_updater.common.settings import Settings
from batch_updater.common.summary import RunSummary
from batch_updater.common.text import count, duration, escape_controls, escape_lines, shown


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """How to talk: whether to ask, whether the summary is JSON on stdout, and the flags that say so.

    `again` is the command that goes on with what the call was doing, whatever that has begun. `environment` is that of
    the program, with what a `.env` file adds; `problems` is where `plan` writes the rows that will not be sent.
    """

    yes: bool = False
    as_json: bool = False
    quiet: bool = False
    no_color: bool = False
    verbosity: int = 0
    flags: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    notify: Secret | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    problems: Path | None = None


WIDTH = 70  # of a question, so that there is room to answer it
Planned = AbstractContextManager[Run]
MakePlan = Callable[[OnRows], Planned]


def run_sheet(file: Path, settings: Settings, output: OutputOptions, *, dry_run: bool) -> int:
    """Plan a sheet and send it, or only show the plan; return the exit status. Raises BatchUpdaterError.

    With `--compare` a plan that is only shown has what the orders have now.
    """
    reads = settings.compare or settings.compare_list

    def make(on_rows: OnRows) -> Planned:
        tenant = find_service(settings, output.environment, is_needed=not dry_run or reads or settings.carry_over)
        if dry_run:
            return try_plan(file, settings, tenant, on_rows=on_rows)
        return plan(file, settings, tenant, on_rows=on_rows, on_wait=_say_wait)

    return _show_trial(make, output, reads=reads) if dry_run else _plan_and_report(make, file, output)


def _say_wait(seconds: float) -> None:
    what = "updates of the unfinished run may still be applied; their orders are read again after that"
    click.echo(fill(f"Waiting {seconds:.0f} s: {what}."), err=True)


def undo_run(run: Path, settings: Settings, output: OutputOptions, *, dry_run: bool) -> int:
    """Plan the undo of a run and send it, or only show it; return the exit status. Raises BatchUpdaterError."""

    def make(on_rows: OnRows) -> Planned:
        return undo(run, settings, find_service(settings, output.environment), on_rows=on_rows, trial=dry_run)

    return _show_trial(make, output) if dry_run else _plan_and_report(make, run, output)


def resume_run(run: Path, settings: Settings, output: OutputOptions, *, dry_run: bool) -> int:
    """Go on with an unfinished run, or only show its plan; return the exit status. Raises BatchUpdaterError."""

    def make(_on_rows: OnRows) -> Planned:
        return resume(run, settings, find_service(settings, output.environment))

    return _show_trial(make, output) if dry_run else _plan_and_report(make, run, output)


def _plan_and_report(make: MakePlan, subject: Path, output: OutputOptions) -> int:
    notices = Notices(output.notify) if output.notify else None
    try:
        summary = _plan_and_send(make, output)
    except BatchUpdaterError as error:
        _notify(notices, of_error(str(subject), error))
        raise
    show_summary(summary, output)
    _notify(notices, of_summary(summary))
    return summary.exit_code


def _notify(notices: Notices | None, notice: tuple[str, str, bool]) -> None:
    title, body, good = notice
    if notices and not notices.send(title, body, good=good):
        click.echo("The notice could not be delivered.", err=True)


def _plan_and_send(make: MakePlan, output: OutputOptions) -> RunSummary:
    checked = CheckedRows(sys.stderr, quiet=output.quiet)
    planned = make(checked.update)  # finds the service; the plan itself is made below
    if not output.yes and not sys.stdin.isatty():
        look = Remedy("look at what it would do", command=(*output.again, "--dry-run"))
        raise SettingsError("There is no terminal to ask on; nothing was sent.", [look, "then add --yes"])
    with checked, planned as opened:
        checked.clear()
        if not output.quiet:
            _show_plan(opened, err=True)
        if not output.yes and not (opened.tenant.refused or opened.refusal):
            _confirm(opened)
        summary = _send(opened, output)
        if not output.yes and _is_let_go_on(opened, summary):
            summary = _send(opened, output)
        return summary


def _is_let_go_on(opened: Run, summary: RunSummary) -> bool:
    """Return whether a run that was refused from the start goes on, after asking the person."""
    if summary.next_limit is None or opened.settings.max_failures is not None or not sys.stdin.isatty():
        return False
    click.echo(escape_lines(summary.reason), err=True)
    question = f"Go on all the same, until more than {summary.next_limit:,} have failed? (y: go on, n: stop)"
    if not click.confirm(question, err=True):
        return False
    allow_failures(opened, summary.next_limit)
    return True


def _send(opened: Run, output: OutputOptions) -> RunSummary:
    with ProgressBar(sys.stderr, quiet=output.quiet, no_color=output.no_color) as bar:
        return run_loop(send(opened, on_progress=bar.update, catch_signals=True))


def _show_trial(make: MakePlan, output: OutputOptions, *, reads: bool = False) -> int:
    with CheckedRows(sys.stderr, quiet=output.quiet) as checked, make(checked.update) as trial:
        checked.clear()
        _show_plan(trial, err=output.as_json)
        if trial.source.is_empty and not output.as_json:
            click.echo(escape_controls(trial.source.notes[0]), err=True)
        if trial.tenant.refused:
            raise trial.tenant.refused
        if output.problems:
            number, notes = write_problems(trial, output.problems)
            said = [f"{count(number, 'row')} to correct in {output.problems}", *notes]
            click.echo("\n".join(map(escape_controls, said)), err=True)
        found = _read_orders(trial, output) if reads else None
        if output.as_json:
            click.echo(json.dumps(trial_summary(trial, found)))
    return found.exit_code if found else ExitCode.DONE


def _read_orders(trial: Run, output: OutputOptions) -> Preview:
    with ProgressBar(sys.stderr, quiet=output.quiet, no_color=output.no_color) as bar:
        found = run_loop(preview(trial, on_progress=bar.update, catch_signals=True))
    width = min(detect_terminal(sys.stderr if output.as_json else sys.stdout).width, 80)
    click.echo(describe_preview(found, trial.tenant.names, width), err=output.as_json)
    return found


def show_summary(summary: RunSummary, output: OutputOptions) -> None:
    """Say what happened, and the next command to type."""
    for line in (*map(escape_controls, summary.notes), escape_lines(summary.reason)):
        if line:
            click.echo(line, err=True)
    if output.as_json:
        click.echo(json.dumps(summary.to_dict()))
    if output.as_json and not output.quiet:
        click.echo(escape_lines("\n".join(next_lines(summary, output.flags))), err=True)
    elif not output.quiet:
        shown = detect_terminal(sys.stdout, no_color=output.no_color)
        click.echo(describe_summary(summary, output.flags, shown))
    elif not output.as_json and summary.exit_code:
        click.echo(escape_lines(in_short(summary, output.flags)), err=True)


def _confirm(opened: Run) -> None:
    """Ask; without a clear yes the new run is removed. Raises SettingsError or Abort."""
    asked = time.monotonic()
    try:
        agreed = not opened.open_rows or _ask(opened)
    except click.Abort:
        click.echo(err=True)  # the cursor is behind the question
        delete_run(opened)
        raise
    if not agreed:
        delete_run(opened)
        raise SettingsError("Not confirmed; nothing was sent.")
    waited = time.monotonic() - asked  # the program did not work meanwhile
    opened.started, opened.began = opened.started + waited, opened.began + waited


def _ask(opened: Run) -> bool:
    number, undo = opened.open_rows, _about_undo(opened)
    if opened.settings.production:
        asked = f"PRODUCTION. {undo} Type {number} to send that many updates"
        typed = click.prompt(fill(asked, WIDTH), err=True, default="")
        return bool(typed.strip().replace(",", "") == str(number))
    send_all = f"end {count(number, 'update')} to {opened.facts.base_url}? {undo} (y: send, n: stop)"
    if opened.tenant.nobody:
        patience = duration(opened.settings.outage_budget)
        send_all = f"Nobody answers there. Wait for up to {patience}, and s{send_all}"
    else:
        send_all = f"S{send_all}"
    return click.confirm(fill(send_all, WIDTH, break_long_words=False, break_on_hyphens=False), err=True)


def _about_undo(opened: Run) -> str:
    """Return whether what is sent can be undone, and what makes that possible while there is time."""
    if opened.facts.compare:
        return "They can be undone."
    return "They can't be undone." if opened.resumed else "They can't be undone: add --compare for that."


def _show_plan(opened: Run, *, err: bool) -> None:
    width = min(detect_terminal(sys.stderr if err else sys.stdout).width, 80)
    if opened.resumed:
        plan = opened.plan
        picked = f"{plan.done:,} done, {plan.in_doubt:,} to settle, {plan.to_send:,} left"
        click.echo(fill(f"Picking up the unfinished run {opened.folder.run_id}: {picked}.", width) + "\n", err=err)
    click.echo(describe(opened, width), err=err)


def verify_run(run: Path, settings: Settings, output: OutputOptions) -> int:
    """Read every order of a run back; say how many are as planned. Raises BatchUpdaterError."""
    tenant = find_service(settings, output.environment)
    with ProgressBar(sys.stderr, quiet=output.quiet, no_color=output.no_color) as bar:
        summary = run_loop(verify(run, settings, tenant, on_progress=bar.update, catch_signals=True))
    if summary.reason:
        click.echo(escape_lines(summary.reason), err=True)
    if output.as_json:
        click.echo(json.dumps(summary.to_dict()))
    elif not output.quiet or summary.exit_code:
        click.echo(summary.describe(), err=output.quiet)
    return summary.exit_code


def show_statuses(settings: Settings, environment: Mapping[str, str], *, as_json: bool) -> int:
    """List the tenant's statuses. Raises BatchUpdaterError."""
    found = statuses(settings, find_service(settings, environment))
    if as_json:
        click.echo(json.dumps([{"id": one.id, "name": one.name, "color": one.color} for one in found]))
    else:
        click.echo(status_table(found, coloured=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    return ExitCode.DONE


def status_table(found: Sequence[OrderStatus], *, coloured: bool) -> str:
    """Return the statuses as a table in the service's order; `coloured` shows each colour before its name."""
    names = [shown(one.name) for one in found]
    width = max(len(name) for name in names)
    lines = [f"{'  ' if coloured else ''}{'NAME':<{width}}  {'ID':<36}  COLOUR".rstrip()]
    for one, name in zip(found, names, strict=True):
        colour = re.fullmatch(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", one.color)
        red, green, blue = (int(part, 16) for part in colour.groups()) if colour else (0, 0, 0)
        dot = click.style("\u25cf", fg=(red, green, blue)) if colour else " "
        swatch = f"{dot} " if coloured else ""
        lines.append(f"{swatch}{name:<{width}}  {one.id}  {shown(one.color)}".rstrip())
    return "\n".join(lines)

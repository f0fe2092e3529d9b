"""The command line. Heavy modules are imported inside the commands, so that --help is quick."""

import json
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from batch_updater.errors import BatchUpdaterError, ExitCode, SettingsError

if TYPE_CHECKING:
    from batch_updater.models import RunSummary
    from batch_updater.runs import Run
    from batch_updater.settings import Settings

PATH = click.Path(path_type=Path)
CONFLICTS = click.Choice(["hold", "first", "last", "sequence"])

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("file", type=PATH),
    click.option("--base-url", help="The service's address; usually from EVREKA360_BASE_URL."),
    click.option("--order-column", help="Header of the column with order ids.  [found by name]"),
    click.option("--status-column", help="Header of the column with status ids.  [found by name]"),
    click.option("--sheet", help="Excel sheet by name or 1-based number.  [the only visible one]"),
    click.option("--encoding", help="Encoding of a CSV file that is not UTF-8, e.g. cp1254."),
    click.option("--delimiter", help="Delimiter of a CSV file: , ; | or tab.  [detected]"),
    click.option("--only", metavar="WORD[,WORD]", help="FILE is a result file: take only rows with these results."),
    click.option("--on-conflict", type=CONFLICTS,
                 help="One order with several statuses: send none, the first, the last, or each in turn.  [hold]"),
    click.option("--strict", is_flag=True, default=None, help="Any invalid or conflicting row: send nothing, exit 4."),
    click.option("--compare", is_flag=True, default=None,
                 help="Read each order just before; leave it alone when it is so already. Needed for `undo`."),
    click.option("--expect-column", help="Column with the status an order must have now, else it is not sent."),
    click.option("--canary", type=int, metavar="N", help="Send N rows first, read them back, go on if right.  [0]"),
    click.option("--concurrency", type=int, metavar="N", help="Most requests in flight.  [20]"),
    click.option("--rate", type=float, metavar="N", help="Most requests per second, all kinds together.  [none]"),
    click.option("--timeout", type=float, metavar="S", help="Seconds for one attempt, in all.  [30]"),
    click.option("--retries", type=int, metavar="N", help="Further attempts for one row.  [5]"),
    click.option("--max-failures", metavar="N|P%", help="Stop when more rows than this have failed.  [none]"),
    click.option("--outage-budget", type=float, metavar="S", help="Seconds to wait for a silent service.  [300]"),
    click.option("-o", "--output", type=PATH, help="The result file: .csv, .xlsx or .jsonl.  [in the run folder]"),
    click.option("--overwrite", is_flag=True, default=None, help="Replace an existing --output file."),
    click.option("--runs-dir", type=PATH, help="Where run folders are made.  [FILE's folder/<stem>.runs]"),
    click.option("--restart", is_flag=True, default=None, help="Leave this file's unfinished run, start a new one."),
    click.option("--profile", envvar="BATCH_UPDATER_PROFILE", help="Named settings of the config file."),
    click.option("--config", type=PATH, envvar="BATCH_UPDATER_CONFIG", help="Config file.  [batch-updater.toml]"),
    click.option("--json", "as_json", is_flag=True, envvar="BATCH_UPDATER_JSON", help="The summary as JSON on stdout."),
    click.option("-q", "--quiet", is_flag=True, envvar="BATCH_UPDATER_QUIET", help="No plan, no progress."),
    click.option("--no-color", is_flag=True, envvar=["NO_COLOR", "BATCH_UPDATER_NO_COLOR"], help="No colours."),
)  # fmt: skip


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="batch-updater")
def commands() -> None:
    """Set the status of many Evreka360 orders from a CSV or Excel sheet.

    Each row names an order and the status it should get; a result file says for every row what happened.
    Start with `batch-updater demo`: it needs no credentials. Then `batch-updater plan FILE`.

    Every option can be set as BATCH_UPDATER_<NAME> or in batch-updater.toml. The token comes from
    EVREKA360_ACCESS_TOKEN or the file that EVREKA360_ACCESS_TOKEN_FILE names, never from an option.
    """


@commands.command()
@_options
def plan(**options: Any) -> int:
    """Check FILE and show what `run` would do; sends no update.

    FILE is a CSV or Excel sheet, or - for CSV from stdin.
    """
    return _run(dry_run=True, yes=True, **options)


@commands.command()
@_options
@click.option("--yes", "-y", is_flag=True, envvar="BATCH_UPDATER_YES", help="No question; needed without a terminal.")
@click.option("--dry-run", is_flag=True, envvar="BATCH_UPDATER_DRY_RUN", help="As `plan`.")
def run(**options: Any) -> int:
    """Check FILE, show the plan, ask, send the updates, write the result file.

    An interrupted run of the same FILE is picked up again by the same command.
    FILE is a CSV or Excel sheet, or - for CSV from stdin.
    """
    return _run(**options)


@commands.command()
@click.argument("run", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON on stdout.")
def results(run: Path, as_json: bool) -> int:
    """Write the result file and summary of RUN again from its journal.

    RUN is a run folder or any file in it; the run may be unfinished. Nothing is sent.
    """
    from batch_updater import app
    from batch_updater.folder import find_run
    from batch_updater.runs import reopen_run

    with reopen_run(find_run(run)) as opened:
        summary = app.write_outputs(opened)
    _show_summary(summary, as_json=as_json, quiet=False)
    return ExitCode.DONE


@commands.command()
@click.argument("place", type=PATH, default=".")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per run on stdout.")
def runs(place: Path, as_json: bool) -> int:
    """List the runs of PLACE: a sheet, or a folder with sheets; newest first.  [this folder]"""
    from batch_updater.runs import list_runs

    infos = list_runs(place)
    if as_json:
        for info in infos:
            click.echo(json.dumps(info.to_dict()))
        return ExitCode.DONE
    if not infos:
        click.echo(f"There are no runs at {place}.", err=True)
    for info in infos:
        click.echo(info.describe())
    return ExitCode.DONE


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", type=int, default=8360, show_default=True, help="0 takes a free one.")
@click.option("--latency", type=float, default=0.0, help="Seconds before each answer.")
@click.option("--error-rate", type=float, default=0.0, help="Share of updates answered 503, 0 to 1.")
@click.option("--lose-answers", type=float, default=0.0, help="Share of updates applied but never answered.")
@click.option("--rate-limit", type=float, default=0.0, help="Accepted requests per second; 429 above it.")
@click.option("--token-ttl", type=float, default=0.0, help="Seconds that an issued token lives; 0 for ever.")
@click.option("--orders", type=int, default=10_000, show_default=True, help="Orders that exist.")
@click.option("--seed", type=int, default=1, show_default=True, help="Makes the faults repeatable.")
def sandbox(**options: Any) -> int:
    """Serve a local Evreka360-like API with switchable faults, until Ctrl-C."""
    import asyncio

    from batch_updater.sandbox import SandboxOptions, serve

    asyncio.run(serve(SandboxOptions(**options), lambda url: click.echo(f"{url}  (token: sandbox-token)", err=True)))
    return ExitCode.DONE


@commands.command()
@click.option("--rows", type=click.IntRange(10, 10_000), default=2000, show_default=True, help="Rows of the sheet.")
@click.option("--dir", "folder", type=PATH, help="Where to work.  [a new temporary folder]")
def demo(rows: int, folder: Path | None) -> int:
    """Run the whole job on a sample sheet against a local service with faults."""
    from batch_updater.demo import run_demo

    return run_demo(rows, folder, click.echo)


def _run(*, as_json: bool, file: Path, config: Path | None, profile: str | None, **options: Any) -> int:
    from batch_updater.settings import load_settings

    flags = {name: options.pop(name) for name in ("yes", "dry_run", "quiet", "no_color")}
    try:
        settings = load_settings(options, config=config, profile=profile)
        return _run_checked(file, settings, as_json=as_json, **flags)
    except BatchUpdaterError as error:
        if as_json:
            failed = {"schema": 1, "input": str(file), "exit_code": int(error.exit_code), "reason": error.message}
            click.echo(json.dumps({**failed, "resumable": False, "rows": 0, "results": {}, "codes": {}}))
        raise


def _run_checked(file: Path, settings: "Settings", *, yes: bool, dry_run: bool, quiet: bool, no_color: bool,
                 as_json: bool) -> int:  # fmt: skip
    from batch_updater.runs import open_run
    from batch_updater.tenant import find_tenant

    if dry_run:
        return _try(file, settings, as_json=as_json)
    tenant = find_tenant(settings, os.environ)
    if not yes and not sys.stdin.isatty():
        raise SettingsError("There is no terminal to ask on; nothing was sent.", "look at `plan`, then add --yes")
    with open_run(file, settings, tenant) as opened:
        if not quiet:
            _show_plan(opened, file, settings, err=True)
        if not yes and not opened.tenant.refused:
            _confirm(opened, settings)
        return _send(opened, settings, quiet=quiet, no_color=no_color, as_json=as_json)


def _try(file: Path, settings: "Settings", *, as_json: bool) -> int:
    from batch_updater import app
    from batch_updater.runs import open_trial
    from batch_updater.tenant import find_tenant

    with open_trial(file, settings, find_tenant(settings, os.environ, needs_token=False)) as trial:
        _show_plan(trial, file, settings, err=as_json)
        if trial.tenant.refused:
            raise trial.tenant.refused
        if as_json:
            click.echo(json.dumps(app.trial_summary(trial)))
    return ExitCode.DONE


def _confirm(opened: "Run", settings: "Settings") -> None:
    """Ask; without a clear yes the new run is removed. Raises SettingsError or Abort."""
    from batch_updater.runs import give_up

    try:
        agreed = not opened.open_rows or _ask(opened, settings)
    except click.Abort:
        give_up(opened)
        raise
    if not agreed:
        give_up(opened)
        raise SettingsError("Not confirmed; nothing was sent.")


def _ask(opened: "Run", settings: "Settings") -> bool:
    number = opened.open_rows
    if settings.production:
        typed = click.prompt(f"PRODUCTION. Type {number} to send that many updates", err=True, default="")
        return bool(typed.strip().replace(",", "") == str(number))
    return click.confirm(f"Send {number:,} updates to {opened.facts['base_url']}?", err=True)


def _show_plan(opened: "Run", file: Path, settings: "Settings", *, err: bool) -> None:
    from batch_updater.plan import describe

    if opened.resumed:
        plan = opened.plan
        click.echo(
            f"Picking up the unfinished run {opened.folder.run_id}: {plan.done:,} done,"
            f" {plan.in_doubt:,} to settle, {plan.to_send:,} left.\n",
            err=err,
        )
    text = describe(
        opened.plan, source=f"{file} ({opened.source.description})", columns=opened.columns, tenant=opened.tenant,
        settings=settings,
    )  # fmt: skip
    click.echo(text, err=err)


def _send(opened: "Run", settings: "Settings", *, quiet: bool, no_color: bool, as_json: bool) -> int:
    import asyncio

    from batch_updater import app
    from batch_updater.progress import Progress

    with Progress(opened.open_rows, sys.stderr, quiet=quiet, no_color=no_color) as bar:

        def tick(counters: Any, pacer: Any) -> None:
            bar.update(counters.ended, counters.failed, counters.in_flight, pacer.paused_for or None)

        summary = asyncio.run(app.execute(opened, settings, tick))
    _show_summary(summary, as_json=as_json, quiet=quiet)
    return summary.exit_code


def _show_summary(summary: "RunSummary", *, as_json: bool, quiet: bool) -> None:
    if summary.reason:
        click.echo(summary.reason, err=True)
    if as_json:
        click.echo(json.dumps(summary.to_dict()))
    elif not quiet:
        counts = ", ".join(f"{number:,} {word}" for word, number in summary.result_counts.items())
        click.echo(f"{summary.rows:,} rows in {summary.seconds:,.1f} s: {counts or 'nothing to do'}")
        click.echo(f"Results: {summary.results_file or 'not written'}")
    if quiet:
        return
    if summary.resumable:
        click.echo(f"To go on: {shlex.join(['batch-updater', *sys.argv[1:]])}", err=True)
    elif failed := [word for word in ("failed", "unknown") if summary.result_counts.get(word)]:
        again = ["batch-updater", "run", summary.results_file, "--only", ",".join(failed)]
        click.echo(f"To try those again: {shlex.join(again)}", err=True)


def _terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(ExitCode.TERMINATED)


def _say_interrupted() -> None:
    click.echo("Interrupted; nothing is under way.", err=True)
    if sys.argv[1:2] == ["run"]:
        click.echo(f"To go on: {shlex.join(['batch-updater', *sys.argv[1:]])}", err=True)


def main() -> None:
    """Run the program and end with the exit status that the README lists."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = commands.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        _say_interrupted()
        code = ExitCode.INTERRUPTED
    except SystemExit as ended:
        _say_interrupted()
        code = ended.code
    except BatchUpdaterError as error:
        click.echo(f"error: {error}", err=True)
        code = error.exit_code
    sys.exit(int(code or 0))


if __name__ == "__main__":
    main()

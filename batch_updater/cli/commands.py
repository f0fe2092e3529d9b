"""The command line. Heavy modules are imported inside the commands, so that --help is quick."""

from pathlib import Path
from typing import Any

import click

from batch_updater.cli.call import call, settings_of
from batch_updater.cli.options import (
    CONFIRM_OPTIONS,
    DISPLAY_OPTIONS,
    PACE_OPTIONS,
    PATH,
    PLAN_OPTIONS,
    READ_OPTIONS,
    RESULT_OPTIONS,
    SEND_OPTIONS,
    SERVICE_OPTIONS,
    WATCH_OPTIONS,
    WRITE_OPTIONS,
    CommandGroup,
    with_options,
)
from batch_updater.cli.past_runs import list_runs, write_again
from batch_updater.cli.practice import demo, sandbox
from batch_updater.cli.topics import explain
from batch_updater.common.errors import ExitCode


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="batch-updater")
def commands() -> None:
    """Set the status of many Evreka360 orders from a CSV or Excel sheet.

    Each row names an order and the status it should get; a result file says for every row what happened.
    Start with `batch-updater demo`: it needs no credentials. Then `batch-updater plan FILE`.

    Every option can be set as BATCH_UPDATER_<NAME> or in batch-updater.toml. The token comes from
    EVREKA360_ACCESS_TOKEN or the file that EVREKA360_ACCESS_TOKEN_FILE names, never from an option.
    """


@commands.command()
@click.argument("file", type=PATH)
@with_options(
    READ_OPTIONS, PLAN_OPTIONS, SEND_OPTIONS, WRITE_OPTIONS, CONFIRM_OPTIONS, SERVICE_OPTIONS, DISPLAY_OPTIONS,
    WATCH_OPTIONS,
)  # fmt: skip
def run(file: Path, dry_run: bool, **options: Any) -> int:
    """Check FILE, ask, send, write the results.

    An interrupted run of the same FILE is picked up again by the same command.
    FILE is a CSV or Excel sheet, or - for CSV from stdin.
    """
    with call(file, options) as (settings, output):
        from batch_updater.cli.console import run_sheet

        return run_sheet(file, settings, output, dry_run=dry_run)


@commands.command(name="plan")
@click.argument("file", type=PATH)
@with_options(READ_OPTIONS, PLAN_OPTIONS, SEND_OPTIONS, WRITE_OPTIONS, SERVICE_OPTIONS, DISPLAY_OPTIONS)
def _plan(file: Path, **options: Any) -> int:
    """Check FILE and show the plan; send nothing.

    FILE is a CSV or Excel sheet, or - for CSV from stdin.
    """
    with call(file, options) as (settings, output):
        from batch_updater.cli.console import run_sheet

        return run_sheet(file, settings, output, dry_run=True)


@commands.command(name="verify")
@click.argument("run", type=PATH)
@with_options(PACE_OPTIONS, SERVICE_OPTIONS, DISPLAY_OPTIONS)
def _verify(run: Path, **options: Any) -> int:
    """Read the orders of RUN back and compare.

    Writes verify.csv into the run folder; changes nothing.
    One symbol for each order: = as planned, * another status, - no such order, ! could not be read.
    Ends with 0 when all are as planned, with 3 when some are not.
    """
    with call(run, options) as (settings, output):
        from batch_updater.cli import console

        return console.verify_run(run, settings, output)


@commands.command(name="undo")
@click.argument("run", type=PATH)
@with_options(SEND_OPTIONS, WRITE_OPTIONS, CONFIRM_OPTIONS, SERVICE_OPTIONS, DISPLAY_OPTIONS, WATCH_OPTIONS)
def _undo(run: Path, dry_run: bool, **options: Any) -> int:
    """Put back the statuses from before RUN.

    Only where an order still has the status that RUN set.
    Needs a run made with --compare, which records the statuses before. It is a run of its own, with a plan,
    a question and a result file: it can be interrupted, picked up by the same command, and undone.
    """
    with call(run, options) as (settings, output):
        from batch_updater.cli import console

        return console.undo_run(run, settings, output, dry_run=dry_run)


@commands.command(name="resume")
@click.argument("run", type=PATH)
@with_options(SEND_OPTIONS, RESULT_OPTIONS, CONFIRM_OPTIONS, SERVICE_OPTIONS, DISPLAY_OPTIONS, WATCH_OPTIONS)
def _resume(run: Path, dry_run: bool, **options: Any) -> int:
    """Go on with the unfinished RUN.

    It is sent from the copy of the sheet in its folder, by the choices that it was planned by; the sheet need not be
    there any more. RUN is a run folder or any file in it.
    """
    with call(run, options) as (settings, output):
        from batch_updater.cli import console

        return console.resume_run(run, settings, output, dry_run=dry_run)


commands.add_command(write_again)
commands.add_command(list_runs)


@commands.command(name="statuses")
@with_options(SERVICE_OPTIONS)
@click.option("--json", "as_json", is_flag=True, help="A JSON list on stdout.")
def _statuses(as_json: bool, **options: Any) -> int:
    """List the tenant's order statuses."""
    from batch_updater.cli import console

    settings, output = settings_of(options)
    return console.show_statuses(settings, output.environment, as_json=as_json)


@commands.command()
@with_options(SERVICE_OPTIONS)
@click.option("--token", "only_token", is_flag=True, help="Keep an access token instead of the values to sign in with.")
def login(only_token: bool, **options: Any) -> int:
    """Keep credentials in the system's keyring.

    Asks for them, tries them, and keeps them for this service alone.
    """
    from batch_updater.cli.login import log_in

    settings, output = settings_of(options)
    click.echo(log_in(settings, output.environment, only_token=only_token))
    return ExitCode.DONE


@commands.command()
@with_options(SERVICE_OPTIONS)
def logout(**options: Any) -> int:
    """Remove what `login` has kept."""
    from batch_updater.cli.login import log_out

    settings, output = settings_of(options)
    click.echo(log_out(settings, output.environment))
    return ExitCode.DONE


commands.add_command(sandbox)
commands.add_command(demo)
commands.add_command(explain)

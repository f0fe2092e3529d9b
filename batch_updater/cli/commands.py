"""The command line. Heavy modules are imported inside the commands, so that --help is quick."""

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batch_updater.cli.options import (
    ASKING,
    DECIDING,
    PACING,
    PATH,
    READING,
    SENDING,
    SERVICE,
    SHOWING,
    WATCHING,
    WRITING,
    CommandGroup,
    SheetCommand,
    with_options,
    without_option,
)
from batch_updater.cli.system_limits import check_memory, make_room
from batch_updater.common.errors import BatchUpdaterError, ExitCode, LockedError, SettingsError
from batch_updater.common.secret import Secret

if TYPE_CHECKING:
    from batch_updater.cli.console import Manners
    from batch_updater.common.settings import Settings

INTERRUPTED = "Interrupted; nothing is under way."
NO_MEMORY = "There is no memory left."
_SHARE, _POSITIVE = click.FloatRange(0, 1), click.FloatRange(0)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="batch-updater")
def commands() -> None:
    """Set the status of many Evreka360 orders from a CSV or Excel sheet.

    Each row names an order and the status it should get; a result file says for every row what happened.
    Start with `batch-updater demo`: it needs no credentials. Then `batch-updater plan FILE`.

    Every option can be set as BATCH_UPDATER_<NAME> or in batch-updater.toml. The token comes from
    EVREKA360_ACCESS_TOKEN or the file that EVREKA360_ACCESS_TOKEN_FILE names, never from an option.
    """


@commands.command(cls=SheetCommand)
@click.argument("file", type=PATH)
@with_options(READING, DECIDING, SENDING, WRITING, ASKING, SERVICE, SHOWING, WATCHING)
def run(**options: Any) -> int:
    """Check FILE, ask, send, write the results.

    An interrupted run of the same FILE is picked up again by the same command.
    FILE is a CSV or Excel sheet, or - for CSV from stdin.
    """
    return _run(**options)


@commands.command(cls=SheetCommand)
@click.argument("file", type=PATH)
@with_options(READING, DECIDING, SENDING, WRITING, SERVICE, SHOWING)
def plan(**options: Any) -> int:
    """Check FILE and show the plan; send nothing.

    FILE is a CSV or Excel sheet, or - for CSV from stdin.
    """
    return _run(dry_run=True, yes=True, **options)


@commands.command()
@click.argument("run", type=PATH)
@with_options(PACING, SERVICE, SHOWING)
def verify(run: Path, as_json: bool, **options: Any) -> int:
    """Read the orders of RUN back and compare.

    Writes verify.csv into the run folder; changes nothing.
    One symbol for each order: = as planned, * another status, - no such order, ! could not be read.
    Ends with 0 when all are as planned, with 3 when some are not.
    """

    def work() -> int:
        from batch_updater.cli import console
        from batch_updater.common.log import log_to_stderr

        settings, manners = _settings_of({**options, "as_json": as_json})
        with log_to_stderr(manners.verbosity, settings.log_format):
            return console.verify(run, settings, manners)

    return _telling(work, as_json=as_json, subject=run)


@commands.command()
@click.argument("run", type=PATH)
@with_options(SENDING, WRITING, ASKING, SERVICE, SHOWING, WATCHING)
def undo(run: Path, dry_run: bool, as_json: bool, **options: Any) -> int:
    """Put back the statuses from before RUN.

    Only where an order still has the status that RUN set.
    Needs a run made with --compare, which records the statuses before. It is a run of its own, with a plan,
    a question and a result file: it can be interrupted, picked up by the same command, and undone.
    """

    def work() -> int:
        from batch_updater.cli import console
        from batch_updater.common.log import log_to_stderr

        settings, manners = _settings_of({**options, "as_json": as_json})
        with log_to_stderr(manners.verbosity, settings.log_format):
            return console.undo(run, settings, manners, dry_run=dry_run)

    return _telling(work, as_json=as_json, subject=run)


@commands.command()
@click.argument("run", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON on stdout.")
def results(run: Path, as_json: bool) -> int:
    """Write the results of RUN again.

    They are made from its journal; the run may be unfinished, but not under way. RUN is a run folder or any file
    in it. Nothing is sent.
    """
    from batch_updater.app.outputs import write_outputs
    from batch_updater.app.runs import reopen_run
    from batch_updater.cli.console import Manners, show_summary
    from batch_updater.journal.find_runs import find_run
    from batch_updater.journal.lock import worker

    folder = find_run(run)
    if who := worker(folder):  # what is written now could take the place of what that writes in the end
        raise LockedError(f"{folder.run_id} is under way ({who}).", "wait for it; it writes its results at its end")
    with reopen_run(folder) as opened:
        summary = write_outputs(opened)
    show_summary(summary, Manners(as_json=as_json))
    return ExitCode.DONE


@commands.command()
@click.argument("place", type=PATH, default=".")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per run on stdout.")
def runs(place: Path, as_json: bool) -> int:
    """List the runs of a sheet or folder.

    PLACE is a sheet, or a folder with sheets.  [this folder]  The newest run comes first.
    """
    from batch_updater.app.history import list_runs

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
@with_options(SERVICE)
@click.option("--json", "as_json", is_flag=True, help="A JSON list on stdout.")
def statuses(as_json: bool, **options: Any) -> int:
    """List the tenant's order statuses."""
    from batch_updater.cli import console

    settings, _manners = _settings_of(options)
    return console.show_statuses(settings, as_json=as_json)


@commands.command()
@with_options(SERVICE)
@click.option("--token", "only_token", is_flag=True, help="Keep an access token instead of the values to sign in with.")
def login(only_token: bool, **options: Any) -> int:
    """Keep credentials in the system's keyring.

    Asks for them, tries them, and keeps them for this service alone.
    """
    from batch_updater.cli.login import log_in

    settings, _manners = _settings_of(options)
    click.echo(log_in(settings, only_token=only_token))
    return ExitCode.DONE


@commands.command()
@with_options(SERVICE)
def logout(**options: Any) -> int:
    """Remove what `login` has kept."""
    from batch_updater.cli.login import log_out

    settings, _manners = _settings_of(options)
    click.echo(log_out(settings))
    return ExitCode.DONE


@commands.command()
@click.option(
    "--host",
    type=click.Choice(["127.0.0.1", "localhost", "::1"]),
    default="127.0.0.1",
    show_default=True,
    help="A loopback address.",
)
@click.option("--port", type=click.IntRange(0, 65_535), default=8360, show_default=True, help="0 takes a free one.")
@click.option("--latency", type=_POSITIVE, default=0.0, help="Seconds before each answer.")
@click.option("--error-rate", type=_SHARE, default=0.0, help="Share of updates answered 503, 0 to 1.")
@click.option("--lose-answers", type=_SHARE, default=0.0, help="Share of updates applied but never answered.")
@click.option("--rate-limit", type=_POSITIVE, default=0.0, help="Accepted requests per second; 429 above it.")
@click.option("--token-ttl", type=_POSITIVE, default=0.0, help="Seconds that an issued token lives; 0 for ever.")
@click.option("--orders", type=click.IntRange(0), default=10_000, show_default=True, help="Orders that exist.")
@click.option("--seed", type=int, default=1, show_default=True, help="Makes the faults repeatable.")
def sandbox(**options: Any) -> int:
    """Serve a local API with switchable faults.

    It speaks like Evreka360, until Ctrl-C. Every request it receives is listed at /_sandbox/ledger.
    """
    import asyncio

    from batch_updater.sandbox.server import SandboxOptions, serve

    def announce(url: str) -> None:
        click.echo(f"{url} serves {options['orders']:,} orders. In another terminal:", err=True)
        click.echo(f"  export EVREKA360_BASE_URL={url} EVREKA360_ACCESS_TOKEN=sandbox-token", err=True)
        click.echo("  batch-updater statuses", err=True)

    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(SandboxOptions(**options), announce))
    except OSError as error:
        place = f"{options['host']}:{options['port']}"
        raise SettingsError(f"{place} can't be served: {os.strerror(error.errno or 0)}.", "try --port 0") from None
    return ExitCode.DONE


@commands.command()
@click.option("--rows", type=click.IntRange(10, 10_000), default=2000, show_default=True, help="Rows of the sheet.")
@click.option("--dir", "folder", type=PATH, help="Where to work.  [a new temporary folder]")
def demo(rows: int, folder: Path | None) -> int:
    """See the whole job; no credentials needed.

    Starts a local service with faults, makes a sheet with a few bad rows, and runs the real program on it.
    """
    from batch_updater.sandbox.demo import run_demo

    return run_demo(rows, folder, click.echo)


@commands.command(name="help", short_help="Explain a topic, or list the topics.")
@click.argument("topic", required=False, metavar="[TOPIC]")
def help_(topic: str | None) -> int:
    """Explain a topic: inputs, results, resume, exit-codes, scheduling, security, api."""
    from batch_updater.cli.help import TOPICS, contents, page, render_page
    from batch_updater.cli.terminal import look

    if topic is None:
        click.echo(contents())
    elif topic in TOPICS:
        click.echo(render_page(page(topic), look(sys.stdout)))
    else:
        raise click.UsageError(f"There is no topic {topic!r}; there are {', '.join(TOPICS)}.")
    return ExitCode.DONE


def _settings_of(options: dict[str, Any]) -> "tuple[Settings, Manners]":
    """Split what was typed into the run's settings and the manners of talking about it. Raises SettingsError."""
    from batch_updater.cli.console import Manners
    from batch_updater.common.settings import load_settings

    names = ("yes", "as_json", "quiet", "no_color")
    manners = Manners(
        **{name: bool(options.pop(name)) for name in names if name in options},
        verbosity=options.pop("verbose", 0),
        command=("batch-updater", *without_option(sys.argv[1:], "--notify")),
        notify=Secret(address) if (address := options.pop("notify", None)) else None,
    )
    config, profile = options.pop("config"), options.pop("profile")
    settings = load_settings(options, config=config, profile=profile)
    make_room(settings.concurrency)
    return settings, manners


def _telling(work: Callable[[], int], *, as_json: bool, subject: Path) -> int:
    """Do the work; with --json whatever ends it early is an object on stdout too."""
    try:
        check_memory()
        return work()
    except BaseException as error:
        if as_json:
            code, reason = _ending(error)
            resumable = not isinstance(error, BatchUpdaterError)  # the same command begins anew or goes on
            failed = {"schema": 1, "input": str(subject), "exit_code": int(code), "reason": reason}
            click.echo(json.dumps({**failed, "resumable": resumable, "rows": 0, "results": {}, "codes": {}}))
        raise


def _ending(error: BaseException) -> tuple[int, str]:
    """The exit status that `main` will give for this, and a sentence."""
    if isinstance(error, BatchUpdaterError):
        return error.exit_code, error.message
    if isinstance(error, MemoryError):
        return ExitCode.STOPPED, NO_MEMORY
    if isinstance(error, click.Abort | KeyboardInterrupt | SystemExit):
        return ExitCode.TERMINATED if isinstance(error, SystemExit) else ExitCode.INTERRUPTED, INTERRUPTED
    return ExitCode.BUG, f"Unexpected {type(error).__name__}; stderr has the traceback."


def _run(*, file: Path, dry_run: bool, as_json: bool, **options: Any) -> int:
    def work() -> int:
        from batch_updater.cli.console import run_sheet, try_sheet
        from batch_updater.common.log import log_to_stderr

        settings, manners = _settings_of({**options, "as_json": as_json})
        with log_to_stderr(manners.verbosity, settings.log_format):
            return (try_sheet if dry_run else run_sheet)(file, settings, manners)

    return _telling(work, as_json=as_json, subject=file)

"""The command line. Heavy modules are imported inside the commands, so that --help is quick."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from batch_updater.errors import BatchUpdaterError, ExitCode, InputError, SettingsError

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("file", type=click.Path(path_type=Path)),
    click.option("--base-url", envvar="EVREKA360_BASE_URL", help="The service; usually from EVREKA360_BASE_URL."),
    click.option("--order-column", help="Header of the column with order ids."),
    click.option("--status-column", help="Header of the column with status ids."),
    click.option("--sheet", help="Excel sheet by name or 1-based number."),
    click.option("--encoding", help="Encoding of a CSV file that is not UTF-8, e.g. cp1254."),
    click.option("--delimiter", help="Delimiter of a CSV file: , ; | or a tab."),
    click.option("--on-conflict", type=click.Choice(["hold", "first", "last"]), default="hold", show_default=True,
                 help="One order with different statuses: hold sends none of them."),
    click.option("--strict", is_flag=True, help="Any unusable row: send nothing, exit 4."),
    click.option("--concurrency", type=int, default=20, show_default=True, help="Most requests in flight."),
    click.option("--rate", type=float, help="Most requests per second."),
    click.option("--timeout", type=float, default=30.0, show_default=True, help="Seconds for one attempt."),
    click.option("--retries", type=int, default=5, show_default=True, help="Further attempts for one row."),
    click.option("-o", "--output", type=click.Path(path_type=Path), help="Result file: .csv, .xlsx or .jsonl."),
    click.option("--overwrite", is_flag=True, help="Replace an existing --output file."),
    click.option("--runs-dir", type=click.Path(path_type=Path), help="Where run folders are made."),
    click.option("--json", "as_json", is_flag=True, help="The summary as one JSON object on stdout."),
    click.option("-q", "--quiet", is_flag=True, help="No plan and no progress."),
    click.option("--no-color", is_flag=True, help="No colours."),
)  # fmt: skip


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "BATCH_UPDATER"})
@click.version_option(package_name="batch-updater")
def commands() -> None:
    """Set the status of many Evreka360 orders from a CSV or Excel sheet.

    Each row names an order and the status it should get; a result file says for every row what happened.
    Start with `batch-updater demo`: it needs no credentials.
    """


@commands.command()
@_options
def plan(**options: Any) -> int:
    """Check FILE and show what `run` would do; sends nothing."""
    return _run(dry_run=True, yes=True, **options)


@commands.command()
@_options
@click.option("--yes", "-y", is_flag=True, help="Ask no question; needed where there is no terminal.")
@click.option("--dry-run", is_flag=True, help="As `plan`.")
def run(**options: Any) -> int:
    """Check FILE, show the plan, ask, send the updates and write the result file."""
    return _run(**options)


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, default=8360, show_default=True)
@click.option("--latency", type=float, default=0.0, help="Seconds before each answer.")
@click.option("--error-rate", type=float, default=0.0, help="Share of updates answered 503, 0 to 1.")
@click.option("--lose-answers", type=float, default=0.0, help="Share of updates applied but never answered.")
@click.option("--rate-limit", type=float, default=0.0, help="Accepted requests per second; 429 above it.")
def sandbox(**options: Any) -> int:
    """Serve a local Evreka360-like API with switchable faults, until Ctrl-C."""
    import asyncio

    from batch_updater.sandbox import SandboxOptions, serve

    asyncio.run(serve(SandboxOptions(**options), lambda url: click.echo(f"{url}  (token: sandbox-token)", err=True)))
    return ExitCode.DONE


@commands.command()
@click.option("--rows", type=click.IntRange(10, 10_000), default=500, show_default=True)
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="Where to work; a new folder unless given.")
def demo(rows: int, folder: Path | None) -> int:
    """Run the whole job on a sample sheet against a local service with faults."""
    from batch_updater.demo import run_demo

    return run_demo(rows, folder, click.echo)


def _run(*, yes: bool, dry_run: bool, quiet: bool, no_color: bool, as_json: bool, file: Path,
         base_url: str | None, **options: Any) -> int:  # fmt: skip
    from batch_updater import app
    from batch_updater.api.auth import static_token
    from batch_updater.api.protocol import check_base_url
    from batch_updater.plan import describe
    from batch_updater.settings import Settings

    settings = Settings(**options)
    if not base_url:
        raise SettingsError("No service address.", "set EVREKA360_BASE_URL to your tenant's https:// address")
    checked = check_base_url(base_url)
    token = None if dry_run else static_token(os.environ)
    if not dry_run and not yes and not sys.stdin.isatty():
        raise SettingsError("There is no terminal to ask on; nothing was sent.", "look at `plan`, then add --yes")
    prepared = app.prepare(file, settings, checked)
    if not quiet:
        text = describe(prepared.plan, source=f"{file} ({prepared.source.description})", columns=prepared.columns,
                        base_url=checked, rate=settings.rate)  # fmt: skip
        click.echo(text, err=not dry_run or as_json)
    if dry_run or token is None:
        return ExitCode.DONE if not prepared.plan.invalid + prepared.plan.conflicts else ExitCode.NOT_ALL_DONE
    if not yes and not click.confirm(f"Send {prepared.plan.to_send:,} updates?", err=True):
        raise SettingsError("Not confirmed; nothing was sent.")
    return _send(prepared, token, quiet=quiet, no_color=no_color, as_json=as_json)


def _send(prepared: Any, token: Any, *, quiet: bool, no_color: bool, as_json: bool) -> int:
    import asyncio

    from batch_updater import app
    from batch_updater.progress import Progress

    with Progress(prepared.plan.to_send, sys.stderr, quiet=quiet, no_color=no_color) as bar:

        def tick(counters: Any, paused: float) -> None:
            bar.update(counters.ended, counters.failed, counters.in_flight, paused or None)

        counters, code, reason = asyncio.run(app.send(prepared, token, tick))
    summary = app.finish(prepared, counters, code)
    if reason:
        click.echo(f"Stopped: {reason}", err=True)
    if as_json:
        click.echo(json.dumps(summary.to_dict()))
    elif not quiet:
        counts = ", ".join(f"{number:,} {word}" for word, number in summary.results.items())
        click.echo(f"{summary.rows:,} rows in {summary.seconds:g} s: {counts}")
        click.echo(f"Results: {summary.results_file}")
    return summary.exit_code


def main() -> None:
    """Run the program and end with the exit status that the README lists."""
    try:
        code = commands.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = ExitCode.USAGE
    except click.Abort:
        code = ExitCode.INTERRUPTED
    except BatchUpdaterError as error:
        where = "input" if isinstance(error, InputError) else "error"
        click.echo(f"{where}: {error}", err=True)
        code = error.exit_code
    sys.exit(int(code or 0))


if __name__ == "__main__":
    main()

"""The commands to try the program with, on this machine alone."""

import contextlib
import os
from pathlib import Path
from typing import Any

import click

from batch_updater.cli.options import PATH, GroupedCommand
from batch_updater.common.errors import ExitCode, SettingsError

_HOSTS = ("127.0.0.1", "localhost", "::1")
_SHARE, _POSITIVE = click.FloatRange(0, 1), click.FloatRange(0)


@click.command(cls=GroupedCommand)
@click.option("--host", type=click.Choice(_HOSTS), default=_HOSTS[0], show_default=True, help="A loopback address.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8360, show_default=True, help="0 takes a free one.")
@click.option("--latency", type=_POSITIVE, default=0.0, help="Seconds before each answer.")
@click.option("--error-rate", type=_SHARE, default=0.0, help="Share of updates answered 503, 0 to 1.")
@click.option("--lose-answers", type=_SHARE, default=0.0, help="Share of updates applied but never answered.")
@click.option("--gateway-timeouts", type=_SHARE, default=0.0, help="Share of updates applied but answered 504 in HTML.")
@click.option("--answer-with", type=click.IntRange(200, 299), help="Answer updates with this status, in other words.")
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
        if os.name == "nt":
            click.echo(f'  $env:EVREKA360_BASE_URL="{url}"; $env:EVREKA360_ACCESS_TOKEN="sandbox-token"', err=True)
        else:
            click.echo(f"  export EVREKA360_BASE_URL={url} EVREKA360_ACCESS_TOKEN=sandbox-token", err=True)
        click.echo("  batch-updater statuses", err=True)

    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(SandboxOptions(**options), announce))
    except OSError as error:
        place = f"{options['host']}:{options['port']}"
        raise SettingsError(f"{place} can't be served: {os.strerror(error.errno or 0)}.", "try --port 0") from None
    return ExitCode.DONE


@click.command(cls=GroupedCommand)
@click.option("--rows", type=click.IntRange(10, 10_000), default=2000, show_default=True, help="Rows of the sheet.")
@click.option("--dir", "folder", type=PATH, help="Where to work.  [a new temporary folder]")
def demo(rows: int, folder: Path | None) -> int:
    """See the whole job; no credentials needed.

    Starts a local service with faults, makes a sheet with a few bad rows, and runs the real program on it.
    """
    from batch_updater.sandbox.demo import run_demo

    return run_demo(rows, folder, click.echo)

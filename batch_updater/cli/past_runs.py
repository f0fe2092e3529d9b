"""The commands about earlier runs that need no service."""

import json
from pathlib import Path

import click

from batch_updater.cli.options import PATH, GroupedCommand
from batch_updater.common.errors import ExitCode
from batch_updater.common.text import escape_controls


@click.command(name="results", cls=GroupedCommand)
@click.argument("run", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON on stdout.")
def write_again(run: Path, as_json: bool) -> int:
    """Write the results of RUN again.

    They are made from its journal; the run may be unfinished, but not under way. RUN is a run folder or any file
    in it. Nothing is sent.
    """
    from batch_updater.app import outputs
    from batch_updater.cli.console import OutputOptions, show_summary

    summary = outputs.results(run)
    show_summary(summary, OutputOptions(as_json=as_json))
    return ExitCode.DONE if summary.results_file else ExitCode.STOPPED


@click.command(name="runs", cls=GroupedCommand)
@click.argument("place", type=PATH, default=".")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per run on stdout.")
@click.option("--prune", type=click.IntRange(0), metavar="DAYS", help="Remove those that finished longer ago.")
def list_runs(place: Path, as_json: bool, prune: int | None) -> int:
    """List the runs of a sheet or folder, or remove old ones.

    PLACE is a sheet, or a folder with sheets.  [this folder]  The newest run comes first.
    With --prune the finished runs are removed with all files in their folders, but for those that an unfinished run
    or an undo still needs; the runs that stay are listed.
    """
    from batch_updater.app import history

    if prune is not None:
        from batch_updater.app.prune import prune as remove_old

        for folder in remove_old(place, prune):
            click.echo(escape_controls(f"removed {folder.path}"), err=True)
    infos = history.runs(place)
    if as_json:
        for info in infos:
            click.echo(json.dumps(info.to_dict()))
        return ExitCode.DONE
    if not infos:
        click.echo(f"There are no runs at {place}.", err=True)
    for info in infos:
        click.echo(info.describe())
    return ExitCode.DONE

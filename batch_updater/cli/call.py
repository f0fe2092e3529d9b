"""One call of a command: what was typed as settings, and what is said when it ends early."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batch_updater.cli.system_limits import check_memory, make_room
from batch_updater.common.errors import BatchUpdaterError, ExitCode
from batch_updater.common.remedies import command_line
from batch_updater.common.secret import Secret
from batch_updater.common.text import escape_controls

if TYPE_CHECKING:
    from batch_updater.cli.console import OutputOptions
    from batch_updater.common.settings import Settings

FLAGS = {"yes": "--yes", "as_json": "--json", "quiet": "--quiet", "no_color": "--no-color"}
INTERRUPTED = "Interrupted; nothing is under way."
NO_MEMORY = "There is no memory left."


def settings_of(options: dict[str, Any]) -> "tuple[Settings, OutputOptions]":
    """Split what was typed into the run's settings and the output of talking about it. Raises SettingsError."""
    from batch_updater.cli.console import OutputOptions
    from batch_updater.cli.dotenv import with_dotenv
    from batch_updater.common.settings import load_settings

    said = {name: bool(options.pop(name, False)) for name in FLAGS}
    verbosity = options.pop("verbose", 0)
    output = OutputOptions(
        yes=said["yes"],
        as_json=said["as_json"],
        quiet=said["quiet"],
        no_color=said["no_color"],
        verbosity=verbosity,
        flags=(*(FLAGS[name] for name, is_set in said.items() if is_set), *["-v"] * verbosity),
        problems=options.get("output"),
        notify=Secret(address) if (address := options.pop("notify", None)) else None,
    )
    config, profile = options.pop("config"), options.pop("profile")
    environment, unread = with_dotenv(os.environ, config)
    if unread:
        click.echo(escape_controls(unread), err=True)
    settings = load_settings(options, environment, config=config, profile=profile)
    make_room(settings.concurrency)
    return settings, replace(output, environment=environment)


@contextlib.contextmanager
def call(subject: Path, options: dict[str, Any]) -> "Iterator[tuple[Settings, OutputOptions]]":
    """Yield what was typed as settings and output; with --json whatever ends the call early is on stdout too."""
    as_json = options["as_json"]
    try:
        check_memory()
        from batch_updater.common.log import log_to_stderr
        from batch_updater.reports.commands import same_call

        settings, output = settings_of(options)
        name = click.get_current_context().info_name or ""
        output = replace(output, again=tuple(same_call(name, settings, subject)))
        with log_to_stderr(output.verbosity, settings.log_format), _noted(output):
            yield settings, output
    except BaseException as error:
        if as_json:
            code, reason = _ending(error)
            resumable = not isinstance(error, BatchUpdaterError)  # the same command begins anew or goes on
            failed = {"schema": 1, "input": str(subject), "exit_code": int(code), "reason": reason}
            click.echo(json.dumps({**failed, "resumable": resumable, "rows": 0, "results": {}, "codes": {}}))
        raise


@contextlib.contextmanager
def _noted(output: "OutputOptions") -> Iterator[None]:
    """Note on an interruption the command that goes on with what is being done."""
    try:
        yield
    except (click.Abort, KeyboardInterrupt, SystemExit) as error:
        if output.again:
            error.add_note(f"To go on:\n  {command_line([*output.again, *output.flags])}")
        raise


def _ending(error: BaseException) -> tuple[int, str]:
    """Return the exit status that `main` will end with, and a sentence."""
    if isinstance(error, BatchUpdaterError):
        return error.exit_code, error.message
    if isinstance(error, MemoryError):
        return ExitCode.STOPPED, NO_MEMORY
    if isinstance(error, click.Abort | KeyboardInterrupt | SystemExit):
        return ExitCode.TERMINATED if isinstance(error, SystemExit) else ExitCode.INTERRUPTED, INTERRUPTED
    return ExitCode.BUG, f"Unexpected {type(error).__name__}; stderr has the traceback."

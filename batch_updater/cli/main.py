"""The program: run a command, say how it ended, exit."""

import io
import os
import signal
import sys
import threading
import traceback
from _thread import interrupt_main
from types import FrameType
from typing import NoReturn

import click

from batch_updater.cli.call import INTERRUPTED, NO_MEMORY
from batch_updater.cli.commands import commands
from batch_updater.cli.streams import explain_loss, guard_streams
from batch_updater.common.errors import BatchUpdaterError, ExitCode
from batch_updater.common.secret import masked
from batch_updater.common.text import escape_lines


def _terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(ExitCode.TERMINATED)


def _handle_termination() -> None:
    """End as by SIGTERM when the terminal is closed, too; `nohup` has told the program to ignore that."""
    signal.signal(signal.SIGTERM, _terminated)
    hang_up = getattr(signal, "SIGHUP", None)  # Windows has none
    if hang_up and signal.getsignal(hang_up) is not signal.SIG_IGN:
        signal.signal(hang_up, _terminated)


def interrupt_again(lost: "sys.UnraisableHookArgs") -> None:
    """Repeat an interruption that Python has thrown away, because it came within a destructor or a weak reference."""
    if issubclass(lost.exc_type, KeyboardInterrupt | SystemExit):
        number = signal.SIGINT if issubclass(lost.exc_type, KeyboardInterrupt) else signal.SIGTERM
        threading.Timer(0.05, interrupt_main, [number]).start()
    else:
        sys.__unraisablehook__(lost)


def _say_interrupted(error: BaseException) -> None:
    """Say so, and what the command has noted on the exception: how to go on. click wraps that of a Ctrl-C."""
    click.echo(INTERRUPTED, err=True)
    for note in getattr(error, "__notes__", getattr(error.__cause__, "__notes__", ())):
        click.echo(escape_lines(note), err=True)


def main() -> None:
    """Run the program and end with the exit status that the README lists."""
    _handle_termination()
    sys.unraisablehook = interrupt_again
    guard_streams()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # nothing here multiplies matrices: less memory, fewer threads
    try:
        code = commands.main(standalone_mode=False)
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        click.echo(escape_lines(said.getvalue().rstrip("\n")), err=True)
        code = ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt) as error:
        _say_interrupted(error)
        code = ExitCode.INTERRUPTED
    except SystemExit as ended:  # a signal, or click's shell completion, which ends so
        code = ended.code
        if code == ExitCode.TERMINATED:
            _say_interrupted(ended)
    except BatchUpdaterError as error:
        click.echo(escape_lines(f"error: {error}"), err=True)
        code = error.exit_code
    except MemoryError:
        click.echo(f"error: {NO_MEMORY}\n  hint: free some, then run again to go on", err=True)
        code = ExitCode.STOPPED
    except Exception:
        click.echo(escape_lines(masked(traceback.format_exc())), err=True)
        code = ExitCode.BUG
    if lost := explain_loss():
        click.echo(lost, err=True)
    sys.exit(int(code or 0))

"""SIGINT and SIGTERM: the first stops a run gently, a second one ends the process at once."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import NoReturn

from batch_updater.common.errors import BatchUpdaterError, ExitCode
from batch_updater.common.log import event
from batch_updater.common.progress import Stop


@contextlib.contextmanager
def handled_signals(stop: Stop, *, enabled: bool) -> Iterator[list[int]]:
    """Let the first SIGINT or SIGTERM request the stop; yield the list that its number is then put into.

    They are left alone unless `enabled`, and outside the main thread, where no signal can be handled.
    """
    loop = asyncio.get_running_loop()
    interrupted: list[int] = []

    def handle(number: int) -> None:
        if interrupted:
            _leave(128 + number)
        interrupted.append(number)
        event("signal", logging.WARNING, reason=signal.Signals(number).name)
        stop.request()

    handled = {}
    for number in (signal.SIGINT, signal.SIGTERM) if enabled else ():
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            before = signal.getsignal(number)
            loop.add_signal_handler(number, handle, number)
            handled[number] = before
    try:
        yield interrupted
    finally:
        for number, before in handled.items():
            loop.remove_signal_handler(number)
            signal.signal(number, before)


def _leave(code: int) -> NoReturn:
    """End at once, with the cursor that a progress bar may have hidden."""
    if sys.stderr.isatty():
        os.write(2, b"\x1b[?25h\n")
    os._exit(code)


async def drive(work: Callable[[], Awaitable[None]], stop: Stop, interrupted: list[int]) -> tuple[int, str]:
    """Do the work; return its exit code and the reason why it ended early."""
    try:
        await work()
    except BatchUpdaterError as error:
        return error.exit_code, str(error)
    if code := interruption(stop, interrupted):
        return code, "Interrupted; requests in flight were allowed to finish."
    return ExitCode.DONE, ""


def interruption(stop: Stop, interrupted: list[int]) -> int:
    """Return the exit code of what was stopped by a signal, or else by request; 0 when it was not stopped."""
    if interrupted:
        return 128 + interrupted[0]
    return ExitCode.INTERRUPTED if stop.requested else ExitCode.DONE

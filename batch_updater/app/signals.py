"""SIGINT, SIGTERM and SIGHUP: the first stops a run gently, a second one ends the process at once.

SIGHUP, which a closed terminal sends, counts as SIGTERM; often it comes twice, so it never ends the process at once.
"""

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

_HANG_UP = getattr(signal, "SIGHUP", None)  # Windows has none


@contextlib.contextmanager
def handled_signals(stop: Stop, *, enabled: bool, farewell: Callable[[], str] = str) -> Iterator[list[int]]:
    """Let the first signal request the stop; yield the list that its number is then put into.

    They are left alone unless `enabled`, and outside the main thread, where no signal can be handled. A SIGHUP that is
    ignored, as under `nohup`, stays so. `farewell` returns what a second signal, which ends the process, leaves behind.
    """
    loop = asyncio.get_running_loop()
    interrupted: list[int] = []

    def handle(number: int) -> None:
        if interrupted and number != _HANG_UP:
            _leave(128 + number, farewell())
        event("signal", logging.WARNING, reason=signal.Signals(number).name)
        if not interrupted:
            interrupted.append(signal.SIGTERM if number == _HANG_UP else number)
        stop.request()

    handled = {}
    for number in _handled_numbers() if enabled else ():
        with contextlib.suppress(RuntimeError, ValueError):  # not the main thread
            before = signal.getsignal(number)
            _add_handler(loop, number, handle)
            handled[number] = before
    try:
        yield interrupted
    finally:
        for number, before in handled.items():
            with contextlib.suppress(NotImplementedError):  # Windows
                loop.remove_signal_handler(number)
            signal.signal(number, before)


def _add_handler(loop: asyncio.AbstractEventLoop, number: int, handle: Callable[[int], None]) -> None:
    """Let the loop call `handle` with the number of a signal."""
    try:
        loop.add_signal_handler(number, handle, number)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda got, _frame: loop.call_soon_threadsafe(handle, got))


def _handled_numbers() -> Iterator[int]:
    yield from (signal.SIGINT, signal.SIGTERM)
    if _HANG_UP is not None and signal.getsignal(_HANG_UP) is not signal.SIG_IGN:
        yield _HANG_UP


def _leave(code: int, farewell: str) -> NoReturn:
    """End at once, with a last word and the cursor that a progress bar may have hidden."""
    cursor = "\x1b[?25h\n" if sys.stderr.isatty() else ""
    with contextlib.suppress(OSError):  # nobody may be there to read it
        os.write(2, f"{cursor}{farewell}\n".encode("utf-8", "backslashreplace"))
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

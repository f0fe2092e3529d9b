"""Starts the program again and again in forks of one process that has everything loaded, and lets it die.

Reads one JSON object per line: `moment`, `number`, `arguments`, `environment`. Writes the process id of the fork, then
its exit status. With a moment (`before-commit`, `after-commit`, `after-claim-number`, `before-move`, `after-move`: a
file moved to its place) the fork gives itself SIGKILL at the numberth; claims and groups are then small, so that there
are many. With a `fault` (`fsync` or `pwrite`) and a method of the journal as moment, the kernel refuses that call from
then on, to the thread that works on the journal; NO_FAULT is the exit status where it can't be made to, SENT_ON that
of a program that sends although its journal has failed.
"""

import ctypes
import errno
import json
import os
import pathlib
import platform
import signal
import sqlite3
import struct
import sys
from collections import Counter
from typing import Any

from batch_updater.api import client
from batch_updater.app import execute, planning
from batch_updater.cli import main as cli
from batch_updater.journal import draft, journal, recorder
from batch_updater.sending import control, stages

NO_FAULT, SENT_ON = 98, 97
FAULTS = {"fsync": errno.EIO, "pwrite": errno.ENOSPC}
CALLS = {  # numbers of the system calls: fsync and fdatasync, pwrite64
    "x86_64": {"fsync": (74, 75), "pwrite": (18,)},
    "aarch64": {"fsync": (82, 83), "pwrite": (68,)},
}
METHODS = {"add": draft.Draft, "_announce": journal.Journal, "record": journal.Journal, "update_facts": journal.Journal}
LOADED = (execute, planning)
CONNECT, NOTE_CLAIM = sqlite3.connect, journal.Journal._write_claim_number
seen: Counter[str] = Counter()
fate: tuple[str, int] = ("", 0)
fault = ""
failed = False


def reach(moment: str) -> None:
    """Die, or have the disk fail, when this is the moment that was asked for."""
    seen[moment] += 1
    if (moment, seen[moment]) != fate:
        return
    if not fault:
        os.kill(os.getpid(), signal.SIGKILL)
    elif not refuse(CALLS.get(platform.machine(), {}).get(fault, ()), FAULTS[fault]):
        os._exit(NO_FAULT)


def refuse(calls: tuple[int, ...], error: int) -> bool:
    """Have the kernel refuse these system calls to this thread from now on (man 2 seccomp); whether it does."""
    if not calls or sys.platform != "linux":
        return False
    load, is_equal, end, allow = 0x20, 0x15, 0x06, 0x7FFF0000
    filters = [(load, 0, 0, 0)]
    filters += [(is_equal, len(calls) - place, 0, call) for place, call in enumerate(calls)]
    filters += [(end, 0, 0, allow), (end, 0, 0, 0x50000 | error)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in filters))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(filters), ctypes.addressof(code)))
    prctl = ctypes.CDLL(None).prctl
    return not prctl(38, 1, 0, 0, 0) and not prctl(22, 2, program, 0, 0)


def reaching(name: str) -> None:
    """Make a method of the journal a moment."""
    method = getattr(METHODS[name], name)

    def reached(self: journal.JournalWriter, *values: Any, **more: Any) -> Any:
        reach(name)
        return method(self, *values, **more)

    setattr(METHODS[name], name, reached)


def watch_sends() -> None:
    """End the program when it sends an update after its journal has failed."""
    fail, send = control.Control.fail, client.OrderClient.update_status

    def noted(self: control.Control, error: Any) -> None:
        global failed  # noqa: PLW0603 - one process, one disk
        failed = True
        fail(self, error)

    async def watched(self: client.OrderClient, update: Any) -> Any:
        if failed:
            os._exit(SENT_ON)
        return await send(self, update)

    control.Control.fail = noted  # type: ignore[method-assign]
    client.OrderClient.update_status = watched  # type: ignore[method-assign]


class Connection(sqlite3.Connection):
    """A connection that knows its commits."""

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:  # type: ignore[override]
        if statement != "COMMIT":
            return super().execute(statement, *values)
        reach("before-commit")
        done = super().execute(statement)
        reach("after-commit")
        return done


def note_claim(self: journal.Journal, number: int) -> None:
    """Write the claim number, then perhaps die."""
    NOTE_CLAIM(self, number)
    reach("after-claim-number")


def move(self: pathlib.Path, target: pathlib.Path) -> None:
    """Move a file to its place, perhaps dying before or after."""
    reach("before-move")
    os.replace(self, target)  # noqa: PTH105 - Path.replace is what this stands for
    reach("after-move")


def live(order: dict[str, Any]) -> None:
    """Be the program."""
    global fate, fault
    fate, fault = (order["moment"], order["number"]), order["fault"]
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.environ.clear()
    os.environ.update(order["environment"])
    if fate[0]:
        sqlite3.connect = lambda *a, **k: CONNECT(*a, factory=Connection, **k)  # type: ignore[assignment]
        journal.Journal._write_claim_number = note_claim  # type: ignore[method-assign]
        pathlib.Path.rename = pathlib.Path.replace = move  # type: ignore[assignment,method-assign]
        stages.CLAIM_BLOCK = 20
        recorder.FLUSH_SECONDS = 0.01
    if fault:
        watch_sends()
        for name in METHODS:
            reaching(name)
    sys.argv = ["batch-updater", *order["arguments"]]
    cli.main()


def main() -> None:
    """Fork once per line."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                live(json.loads(line))
            except SystemExit as ended:
                os._exit(int(ended.code or 0))
            finally:
                os._exit(99)
        print(child, flush=True)  # noqa: T201 - spoken to by the test
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201 - as above


main()

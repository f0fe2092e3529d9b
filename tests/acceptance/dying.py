"""Starts the program again and again in forks of one process that has everything loaded, and lets it die.

Reads one JSON object per line: `moment`, `number`, `arguments`, `environment`. Writes the process id of the fork, then
its exit status. With a moment (`before-commit`, `after-commit`, `after-claim-number`, `before-move`, `after-move`: a
file moved to its place) the fork gives itself SIGKILL at the numberth; claims and groups are then small, so that there
are many.
"""

import json
import os
import pathlib
import signal
import sqlite3
import sys
from collections import Counter
from typing import Any

from batch_updater import app, cli, journal, recorder, runner, runs

LOADED = (app, runs)
CONNECT, NOTE_CLAIM = sqlite3.connect, journal.Journal._note_claim
seen: Counter[str] = Counter()
fate: tuple[str, int] = ("", 0)


def reach(moment: str) -> None:
    """Die when this is the moment that was asked for."""
    seen[moment] += 1
    if (moment, seen[moment]) == fate:
        os.kill(os.getpid(), signal.SIGKILL)


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
    global fate  # noqa: PLW0603 - one process, one fate
    fate = (order["moment"], order["number"])
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.environ.clear()
    os.environ.update(order["environment"])
    if fate[0]:
        sqlite3.connect = lambda *a, **k: CONNECT(*a, factory=Connection, **k)  # type: ignore[assignment]
        journal.Journal._note_claim = note_claim  # type: ignore[method-assign]
        pathlib.Path.rename = pathlib.Path.replace = move  # type: ignore[assignment,method-assign]
        runner.CLAIM_BLOCK = 20
        recorder.FLUSH_SECONDS = 0.01
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

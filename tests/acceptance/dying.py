"""The program, killing itself at one boundary: `python dying.py MOMENT NUMBER ARGUMENTS...`.

MOMENT is `before-commit`, `after-commit`, `after-claim-number`, `before-move` or `after-move` (a file moved to its
place); the process gets SIGKILL at the NUMBERth. Claims and groups are small, so that there are many.
"""

import os
import pathlib
import signal
import sqlite3
import sys
from collections import Counter
from typing import Any

from batch_updater import cli, journal, recorder, runner

MOMENT, NUMBER = sys.argv[1], int(sys.argv[2])
CONNECT, NOTE_CLAIM, RENAME = sqlite3.connect, journal.Journal._note_claim, os.rename
seen: Counter[str] = Counter()


def reach(moment: str) -> None:
    """Die when this is the moment that was asked for."""
    seen[moment] += 1
    if moment == MOMENT and seen[moment] == NUMBER:
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


sqlite3.connect = lambda *a, **k: CONNECT(*a, factory=Connection, **k)  # type: ignore[assignment]
journal.Journal._note_claim = note_claim  # type: ignore[method-assign]
pathlib.Path.rename = pathlib.Path.replace = move  # type: ignore[assignment,method-assign]
runner.CLAIM_BLOCK = 20
recorder.FLUSH_SECONDS = 0.01
sys.argv = ["batch-updater", *sys.argv[3:]]
cli.main()

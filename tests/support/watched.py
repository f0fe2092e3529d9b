"""Calls the program, in this process where that is enough; `secrecy` looks at what it says and writes."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from support.commands import check_understood
from support.program import PROGRAM, environment
from support.secrecy import WATCH

from batch_updater.api.pacing.pacer import Pacer
from batch_updater.cli import main as cli
from batch_updater.sandbox.server import CLIENT_ID, CLIENT_SECRET, PASSWORD, USER

GRANT = {
    "EVREKA360_AUTH_CLIENT_ID": CLIENT_ID, "EVREKA360_AUTH_CLIENT_SECRET": CLIENT_SECRET,
    "EVREKA360_API_USER": USER, "EVREKA360_API_PASS": PASSWORD,
}  # fmt: skip


def grant_environment(base_url: str, **more: str) -> dict[str, str]:
    """The environment of somebody who signs in."""
    return {**environment(base_url), **GRANT, "EVREKA360_ACCESS_TOKEN": "", **more}


@dataclass(frozen=True)
class Ended:
    """How a call of the program went."""

    returncode: int
    stdout: str
    stderr: str


class Watched:
    """Calls the program in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def call(self, *arguments: object, env: dict[str, str]) -> Ended:
        """The program in this process, without a terminal."""
        words = [str(argument) for argument in arguments]
        out, err, code = io.StringIO(), io.StringIO(), 0
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.dict(os.environ, env, clear=True))
            stack.enter_context(mock.patch.object(sys, "argv", ["batch-updater", *words]))
            stack.enter_context(mock.patch.object(sys, "stdin", io.StringIO("")))
            stack.enter_context(contextlib.redirect_stdout(out))
            stack.enter_context(contextlib.redirect_stderr(err))
            try:
                cli.main()
            except SystemExit as ended:
                code = int(ended.code or 0)
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        for what, text in (("stdout", out), ("stderr", err)):
            WATCH.hear(f"{what} of the program", text.getvalue())
            check_understood(text.getvalue())
        return Ended(code, out.getvalue(), err.getvalue())

    @contextlib.contextmanager
    def started(self, *arguments: object, env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
        """The program as a process; what it was started with is looked at while it runs."""
        process = subprocess.Popen(
            [*PROGRAM, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, env=env,
        )  # fmt: skip
        try:
            WATCH.hear("/proc", Path(f"/proc/{process.pid}/cmdline").read_text())
            yield process
        finally:
            process.kill()
            process.wait(30)
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()

    def process(
        self, *arguments: object, env: dict[str, str], meanwhile: Callable[[subprocess.Popen[str]], None] | None = None
    ) -> Ended:
        """The program as a process, to its end; `meanwhile` may wait for something and send a signal."""
        with self.started(*arguments, env=env) as process:
            if meanwhile:
                meanwhile(process)
            out, err = process.communicate(timeout=240)
        return Ended(process.returncode, out, err)


def noted_pacers(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options with which pacers are made from now on."""
    asked: list[dict[str, Any]] = []

    class Noted(Pacer):
        """A pacer that keeps how it was asked for."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            asked.append(options)
            super().__init__(*arguments, **options)

    monkeypatch.setattr("batch_updater.api.pacing.pacer.Pacer", Noted)
    return asked

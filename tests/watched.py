"""The program under watch: whatever it says, writes or is started with must hold no secret."""

import base64
import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock
from urllib.parse import quote, quote_plus

from support import PROGRAM, TOKEN, environment

from batch_updater import cli
from batch_updater.sandbox import CLIENT_ID, CLIENT_SECRET, PASSWORD, USER, Sandbox

GRANT = {
    "EVREKA360_AUTH_CLIENT_ID": CLIENT_ID, "EVREKA360_AUTH_CLIENT_SECRET": CLIENT_SECRET,
    "EVREKA360_API_USER": USER, "EVREKA360_API_PASS": PASSWORD,
}  # fmt: skip


def grant_environment(base_url: str, **more: str) -> dict[str, str]:
    """The environment of somebody who signs in."""
    return {**environment(base_url), **GRANT, "EVREKA360_ACCESS_TOKEN": "", **more}


def spellings(secret: str) -> set[bytes]:
    """The ways in which a secret could be written by accident."""
    raw = secret.encode()
    basic = f"{CLIENT_ID}:{secret}".encode()
    inner = [base64.b64encode(b" " * shift + raw)[4:-4] for shift in (0, 1, 2)]  # within a longer text
    found = {raw, base64.b64encode(raw), base64.b64encode(basic), *inner}
    return found | {quote(secret, safe="").encode(), quote_plus(secret).encode(), raw.hex().encode()}


@dataclass(frozen=True)
class Ended:
    """How a call of the program went."""

    returncode: int
    stdout: str
    stderr: str


class Watched:
    """Calls the program, in this process where that is enough, and keeps what it said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets = {TOKEN, CLIENT_SECRET, PASSWORD}
        self.said: list[str] = []
        self._sandboxes: list[Sandbox] = []
        self._lock = threading.Lock()

    def knows(self, sandbox: Sandbox) -> None:
        """Look for the tokens that this sandbox has issued, too."""
        self._sandboxes.append(sandbox)

    def call(self, *arguments: object, env: dict[str, str]) -> Ended:
        """The program in this process, without a terminal."""
        words = [str(argument) for argument in arguments]
        out, err, code = io.StringIO(), io.StringIO(), 0
        handler = signal.getsignal(signal.SIGTERM)
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
                signal.signal(signal.SIGTERM, handler)
        self.said += [out.getvalue(), err.getvalue()]
        return Ended(code, out.getvalue(), err.getvalue())

    @contextlib.contextmanager
    def started(self, *arguments: object, env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
        """The program as a process; what it was started with is looked at while it runs."""
        process = subprocess.Popen(
            [*PROGRAM, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, env=env,
        )  # fmt: skip
        try:
            self.said.append(Path(f"/proc/{process.pid}/cmdline").read_text())
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
        self.said += [out, err]
        return Ended(process.returncode, out, err)

    def check_secrecy(self) -> None:
        """No secret in any spelling: not in what was said, not in any file of the test's folder."""
        issued = {token for sandbox in self._sandboxes for token in (*sandbox.tokens, *sandbox.refresh_tokens)}
        places = {f"output {n}": text.encode() for n, text in enumerate(self.said)}
        places |= {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        for secret in self.secrets | issued:
            for spelling in spellings(secret):
                for place, content in places.items():
                    assert spelling not in content, f"{place} holds a secret"

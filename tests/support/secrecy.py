"""Looks for secrets in all that a test leaves behind and all that the program says in it.

`watched_for_secrets` is used by every test that runs the program or the library (`FOLDERS`), without being asked for.
"""

import base64
import contextlib
import re
import subprocess
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from batch_updater.api.credentials import GRANT_NAMES, TOKEN_NAMES
from batch_updater.common.secret import Secret

FOLDERS = {"integration", "acceptance", "attack"}
MARK = "k4n4rY"  # stands in no other text, looks the same in URLs and in JSON, and is long enough for base64
TOKEN = f"{MARK}/of+the~tests.{MARK}=="
KNOWN = (MARK, "sandbox-token", "sandbox-secret", "sandbox-pass")
ISSUED = ("access-", "refresh-")  # and a UUID: tokens of the sandbox
SHORTEST = 8  # a shorter one, e.g. "wrong", stands in other words too: tests use longer ones
LARGEST = 64 * 1024 * 1024


def spellings(secret: str) -> set[str]:
    """The ways in which a secret could be written by accident.

    As it is, percent-encoded or escaped as in JSON, in hexadecimal, and in base64 within a longer text (so within the
    Basic header of any client id, too).
    """
    code = secret.encode().hex()
    found = {secret, quote(secret), quote(secret, safe=""), secret.replace("/", r"\/"), code, code.upper()}
    for before in ("%", r"\u00"):
        found |= {"".join(f"{before}{byte:{form}}" for byte in secret.encode()) for form in ("02x", "02X")}
    return found | set(_in_base64(secret))


def _in_base64(secret: str) -> Iterator[str]:
    """The characters of base64 that depend on the secret alone, for each of its three places in a group."""
    raw = secret.encode()
    for shift in range(3):
        code = base64.b64encode(b"\0" * shift + raw + b"\0\0\0").decode()
        inner = code[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]
        yield inner
        yield inner.translate(str.maketrans("+/", "-_"))


@lru_cache(64)
def pattern(secrets: frozenset[str]) -> re.Pattern[bytes]:
    """One expression for all spellings of all these, and for tokens as the sandbox issues them."""
    words = {word for secret in secrets for word in spellings(secret)}
    words |= {word for beginning in ISSUED for word in _in_base64(beginning)}
    shapes = [f"{beginning}[0-9a-f]{{8}}-" for beginning in ISSUED]
    return re.compile("|".join([*map(re.escape, sorted(words)), *shapes]).encode())


KNOWN_PATTERN = pattern(frozenset(KNOWN))


class Watch:
    """What one test has said and which secrets it has used."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin a test."""
        self.secrets: set[str] = set()
        self.leaks: list[str] = []
        self._said: list[tuple[str, bytes]] = []

    def learn(self, secret: object) -> None:
        """Look for this secret as well. One that can't be told from other text is a mistake of the test."""
        if not isinstance(secret, str) or not secret:
            return
        if len(secret) < SHORTEST:
            self.leaks.append(f"{secret!r} is too short a secret to be looked for")
        elif not KNOWN_PATTERN.search(secret.encode()):
            self.secrets.add(secret)

    def hear(self, what: str, text: str | bytes | None) -> None:
        """Take down what was said; it is looked at in the end, when all secrets are known."""
        if text:
            self._said.append((what, text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")))

    def look_into(self, folder: Path) -> None:
        """Look into every file below a folder, members of zipped ones (.xlsx) too.

        A file that holds a secret and nothing else is where the test has put it, unless it is in a run folder.
        """
        secret = self._pattern()
        for path in folder.rglob("*"):
            if path.is_file() and path.stat().st_size < LARGEST:
                content = path.read_bytes()
                own = not any(".runs" in part for part in path.parts) and secret.fullmatch(content.strip())
                if not own:
                    self._look(secret, str(path), [content, *_members(path, content)])

    def look_at_words(self) -> None:
        """Look at what was taken down."""
        secret = self._pattern()
        for what, text in self._said:
            self._look(secret, what, [text])
        self._said.clear()

    def _pattern(self) -> re.Pattern[bytes]:
        return pattern(frozenset({*KNOWN, TOKEN, *self.secrets}))

    def _look(self, secret: re.Pattern[bytes], what: str, contents: Iterable[bytes]) -> None:
        for content in contents:
            if found := secret.search(content):
                around = content[max(found.start() - 60, 0) : found.end() + 20]
                self.leaks.append(f"{what} holds a secret: {around!r}")
                return


def _members(path: Path, content: bytes) -> Iterator[bytes]:
    if not content.startswith(b"PK\x03\x04"):
        return
    with contextlib.suppress(zipfile.BadZipFile, NotImplementedError, RuntimeError), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.file_size < LARGEST:
                yield archive.read(member)


WATCH = Watch()


def _heard(watch: Watch, stack: contextlib.ExitStack) -> None:
    """Listen to every process, click runner and capture of this test, and learn every secret that it makes."""

    def listen(owner: Any, name: str, note: Callable[..., None], *, first: bool = False) -> None:
        original = getattr(owner, name)

        def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            if first:
                note(*args, **kwargs)
            answer = original(self, *args, **kwargs)
            if not first:
                note(answer)
            return answer

        stack.enter_context(mock.patch.object(owner, name, wrapped))

    def started(args: Any, *_rest: Any, **kwargs: Any) -> None:
        words = [args] if isinstance(args, str | bytes) else args
        watch.hear("the command line of a process", "\0".join(map(str, words)))
        for name in (*TOKEN_NAMES, *GRANT_NAMES):
            watch.learn((kwargs.get("env") or {}).get(name))

    def ended(said: tuple[Any, Any]) -> None:
        for what, text in zip(("stdout", "stderr"), said, strict=True):
            watch.hear(f"{what} of a process", text)

    listen(Secret, "__init__", watch.learn, first=True)
    listen(subprocess.Popen, "__init__", started, first=True)
    listen(subprocess.Popen, "communicate", ended)
    listen(CliRunner, "invoke", lambda result: watch.hear("the command's output", result.output))
    listen(pytest.CaptureFixture, "readouterr", lambda said: watch.hear("captured output", "".join(map(str, said))))


@pytest.fixture(autouse=True)
def watched_for_secrets(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fails a test that runs the program when a secret is in a file, in an output or on a command line."""
    if not _is_watched(request.path):
        yield
        return
    WATCH.clear()
    tmp_path: Path = request.getfixturevalue("tmp_path")
    with contextlib.ExitStack() as stack:
        _heard(WATCH, stack)
        yield
    WATCH.look_into(tmp_path)
    WATCH.look_at_words()
    assert not WATCH.leaks, "\n".join(WATCH.leaks)


def _is_watched(path: Path) -> bool:
    return path.parent.name in FOLDERS and path.name != "test_fuzz.py"  # which runs nothing, and reads random tokens


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What pytest itself has captured (stdout, stderr, log) is known only after the fixtures have ended."""
    report = yield
    if report.when == "teardown" and report.passed and _is_watched(item.path):
        for title, text in report.sections:
            WATCH.hear(title, text)
        WATCH.look_at_words()
        if WATCH.leaks:
            report.outcome, report.longrepr = "failed", "\n".join(WATCH.leaks)
    return report

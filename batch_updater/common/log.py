"""The log of a run: events with stable field names, as text or JSON lines, in `run.log` and on stderr.

Standard library's `logging` under the name `batch_updater`, so that a program around it can listen as well.
Fields, where they apply: `time` (UTC), `level`, `event`, `row`, `order_id`, `reason` (a result code or a sentence),
`seconds`, `rate` (requests per second), `attempt`, `http_status`, `detail`, `error`. Secrets show only `Secret(***)`.
"""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from threading import Lock
from typing import Any

from batch_updater.common.files import make_private
from batch_updater.common.text import escape_controls

LOG = "run.log"
LARGEST = 10 * 1024 * 1024  # bytes; one older file of this size is kept beside it
LOGGER = logging.getLogger("batch_updater")
_file: ContextVar[logging.Handler | None] = ContextVar("run.log", default=None)  # of the run that logs
_LEVELS = (logging.CRITICAL + 1, logging.INFO, logging.DEBUG)


def event(name: str, level: int = logging.INFO, **fields: object) -> None:
    """Log an event; fields that are None or empty are left out."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, "%s", name, extra={"fields": fields})


@contextmanager
def log_to_file(path: Path, form: str = "text") -> Iterator[None]:
    """Append the block's own events of level INFO and above to this file while it runs.

    Tasks and threads (`asyncio.to_thread`) that it starts belong to it, other runs in the process do not. When the
    log can't be written the run goes on without it.
    """
    try:
        handler = _File(path, maxBytes=LARGEST, backupCount=1, encoding="utf-8", errors="backslashreplace")
    except OSError:
        yield
        return
    handler.addFilter(lambda _record: _file.get() is handler)
    before = _file.set(handler)
    try:
        with _attached(handler, logging.INFO, form):
            yield
    finally:
        _file.reset(before)


@contextmanager
def log_to_stderr(verbosity: int, form: str = "text") -> Iterator[None]:
    """Show events on stderr while the block runs: none at 0, INFO at 1, DEBUG from 2 on."""
    level = _LEVELS[min(verbosity, 2)]
    if not verbosity:
        yield
        return
    with _attached(_Stderr(), level, form):
        yield


@contextmanager
def _attached(handler: logging.Handler, level: int, form: str) -> Iterator[None]:
    handler.setLevel(level)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    LOGGER.addHandler(handler)
    _level.add(level)
    try:
        yield
    finally:
        _level.remove(level)
        LOGGER.removeHandler(handler)
        with suppress(OSError):  # what could not be written before can't be flushed now
            handler.close()


class _Level:
    """The logger's level: its own, lowered to what attached handlers need. Blocks of several runs may overlap."""

    def __init__(self) -> None:
        self._own = logging.NOTSET
        self._levels: list[int] = []
        self._lock = Lock()

    def add(self, level: int) -> None:
        """Register a handler that needs events of this level."""
        with self._lock:
            if not self._levels:
                self._own = LOGGER.level
            self._levels.append(level)
            LOGGER.setLevel(min([*self._levels, self._own or level]))

    def remove(self, level: int) -> None:
        """Unregister such a handler."""
        with self._lock:
            self._levels.remove(level)
            LOGGER.setLevel(min([*self._levels, self._own or self._levels[0]]) if self._levels else self._own)


_level = _Level()


class _File(RotatingFileHandler):
    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        make_private(Path(self.baseFilename))
        return stream

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Ignore it: on a full disk each event would print a traceback, and the journal reports that anyway."""


class _Stderr(logging.Handler):
    """Finds stderr anew for each event: a live progress bar replaces it, to keep lines out of the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of one event, in a fixed order."""
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    found: dict[str, Any] = {"time": moment, "level": record.levelname.lower(), "event": record.getMessage()}
    given: dict[str, Any] = getattr(record, "fields", {})
    found.update((name, _plain(value)) for name, value in given.items() if value is not None and value != "")
    return found


def _plain(value: object) -> object:
    if isinstance(value, float):
        return round(value, 3)
    return value if isinstance(value, bool | int) else str(value)


class TextLines(logging.Formatter):
    """`2026-11-23T10:15:00.123Z info retry row=17 reason=timeout`; values with blanks are quoted as in JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; control characters in it are escaped."""
        fields = _fields(record)
        head = f"{fields.pop('time')} {fields.pop('level'):<7} {escape_controls(fields.pop('event'))}"
        return " ".join([head, *(f"{name}={_quoted(value)}" for name, value in fields.items())])


class JsonLines(logging.Formatter):
    """One JSON object per line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        return json.dumps(_fields(record))


def _quoted(value: object) -> str:
    text = str(value)
    if text and not set(text) & set(' "=\\') and text.isprintable():
        return text
    return escape_controls(json.dumps(text, ensure_ascii=False))

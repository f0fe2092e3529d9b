"""Streams whose reader may go away: what can't be written is dropped, and the run goes on."""

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO, cast


class LossyStream:
    """A text stream that never fails to be written; `lost` is the first error, if there was one."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        """Write, or drop."""
        try:
            return len(text) if self.lost else self._stream.write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        """Flush, or drop."""
        try:
            if not self.lost:
                self._stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        """Lead the stream to nowhere, or the interpreter complains at its end about what is left in its buffer."""
        self.lost = error
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard_streams() -> None:
    """Make stdout and stderr lossy; closed ones lead nowhere, so that no other file gets their numbers."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8")  # noqa: SIM115, PTH123 - stays
            setattr(sys, name, nowhere)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # into a file Windows writes cp1252, which knows no arrow
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = cast(TextIO, LossyStream(sys.stdout)), cast(TextIO, LossyStream(sys.stderr))


def explain_loss() -> str:
    """Return a sentence when stdout could not be written, unless its reader simply went away."""
    sys.stdout.flush()
    lost = getattr(sys.stdout, "lost", None)
    return f"stdout can't be written: {lost.strerror}." if lost and lost.errno != errno.EPIPE else ""

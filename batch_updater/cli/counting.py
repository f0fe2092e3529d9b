"""How far planning is, on stderr: a counter on a terminal, a plain line every ten seconds elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

_OFTEN, _RARELY = 0.2, 10.0  # seconds


class Counting:
    """Shows how many rows have been checked; a context manager. A sheet that is planned at once shows nothing."""

    def __init__(self, stream: TextIO, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._quiet, self._clock = stream, quiet, clock
        self._live = stream.isatty()
        self._interval = _OFTEN if self._live else _RARELY
        self._last, self._shown = clock(), False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def rows(self, number: int) -> None:
        """That many rows have been checked so far."""
        if self._quiet or self._clock() - self._last < self._interval:
            return
        self._last = self._clock()
        text = f"{number:,} rows checked"
        self._stream.write(f"\r{text}" if self._live else f"{text}\n")
        self._stream.flush()
        self._shown = self._live

    def clear(self) -> None:
        """Take the counter off the terminal, so that the plan can take its place."""
        if self._shown:
            self._stream.write(f"\r{' ' * 40}\r")
            self._stream.flush()
            self._shown = False

"""Progress on stderr: a live bar on a terminal, a plain line every ten seconds elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TextIO


class Progress:
    """Shows how far a run is; a context manager."""

    def __init__(
        self,
        total: int,
        stream: TextIO,
        *,
        quiet: bool = False,
        no_color: bool = False,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._stream, self._quiet, self._interval, self._clock = total, stream, quiet, interval, clock
        self._began = self._last = clock()
        self._bar: Any = None
        if stream.isatty() and not quiet:
            self._bar = _live_bar(stream, no_color)
            self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, done: int, failed: int, in_flight: int, paused_for: float | None = None) -> None:
        """Show the present state; `paused_for` is seconds until sending goes on."""
        rate = done / max(self._clock() - self._began, 0.001)
        text = f"{failed:,} failed, {in_flight} in flight, {rate:,.0f} rows/s"
        if paused_for:
            text += f", paused {paused_for:.0f} s"
        if self._bar:
            self._bar.update(self._task, completed=done, description=text)
        elif not self._quiet and self._clock() - self._last >= self._interval:
            self._last = self._clock()
            self._stream.write(f"{done:,} of {self._total:,} rows, {text}\n")
            self._stream.flush()


def _live_bar(stream: TextIO, no_color: bool) -> Any:
    from rich import progress  # noqa: PLC0415 - rich is loaded only where there is a terminal
    from rich.console import Console  # noqa: PLC0415 - as above

    return progress.Progress(
        progress.BarColumn(20),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.description}"),
        progress.TimeRemainingColumn(),
        console=Console(file=stream, no_color=no_color),
    )

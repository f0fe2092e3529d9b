"""Progress on stderr: a live bar on a terminal, a plain line every ten seconds elsewhere."""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TextIO

from batch_updater.cli.terminal import look

WINDOW = 15.0  # seconds over which the present pace is measured: long enough to be calm, short enough to be true


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of what is said. Where there is little room, those with the highest `rank` are left out first."""

    rank: int
    text: str
    style: str = ""


class Progress:
    """Shows how far a run is; a context manager.

    The live bar needs a terminal that can move its cursor; `TERM=dumb` and files get plain lines.
    `clock` gives seconds from any beginning, `today` the time of day.
    """

    def __init__(
        self,
        total: int,
        stream: TextIO,
        *,
        quiet: bool = False,
        no_color: bool = False,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], datetime] = datetime.now,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._total, self._stream, self._quiet, self._interval = total, stream, quiet, interval
        self._clock, self._today = clock, today
        self._last = clock()
        self._seen: deque[tuple[float, int]] = deque([(self._last, 0)])
        self._bar: Any = None
        if stream.isatty() and not quiet and environment.get("TERM") != "dumb":
            self._bar = _live_bar(stream, color=look(stream, no_color=no_color, environment=environment).color)
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

    def update(
        self, done: int, failed: int, in_flight: int, paused_for: float | None = None, limit: float | None = None
    ) -> None:
        """Show the present state.

        `paused_for` is seconds until sending goes on, `limit` the most requests per second at present.
        """
        pieces = [
            _Piece(0, f"{done:,} of {self._total:,}"),
            _Piece(2, f"{failed:,} failed", "red" if failed else ""),
            _Piece(4, f"{in_flight} in flight"),
            *self._speed(done, paused_for, limit),
        ]
        if self._bar:
            self._show(done, pieces)
        elif not self._quiet and self._clock() - self._last >= self._interval:
            self._last = self._clock()
            self._stream.write(", ".join(piece.text for piece in pieces) + "\n")
            self._stream.flush()

    def _speed(self, done: int, paused_for: float | None, limit: float | None) -> list[_Piece]:
        pace = self._pace(done)
        found = [_Piece(3, f"{pace:,.0f} rows/s")]
        if limit is not None:
            found.append(_Piece(5, f"limit {limit:,.0f}/s", "yellow"))
        if paused_for:
            until = self._today() + timedelta(seconds=paused_for)
            found.append(_Piece(1, f"paused until {until:%H:%M:%S}", "yellow"))
        elif pace and done < self._total:
            found.append(_Piece(1, f"{_clock_text((self._total - done) / pace)} left", "cyan"))
        return found

    def _pace(self, done: int) -> float:
        """Rows per second over the last 15 s."""
        now = self._clock()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] >= WINDOW:
            self._seen.popleft()
        began, before = self._seen[0]
        return (done - before) / max(now - began, 0.001)

    def _show(self, done: int, pieces: list[_Piece]) -> None:
        columns = self._bar.console.width
        width = max(min(columns // 7, 40), 8)
        room = columns - width - len("100 %") - 3
        while len(pieces) > 1 and len(" · ".join(piece.text for piece in pieces)) > room:
            pieces.remove(max(pieces, key=lambda piece: piece.rank))
        text = " [dim]·[/] ".join(f"[{p.style}]{p.text}[/]" if p.style else p.text for p in pieces)
        self._bar.columns[0].bar_width = width
        self._bar.update(self._task, completed=done, description=text)


def _clock_text(seconds: float) -> str:
    """Seconds as `1:05` or `2:03:09`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _live_bar(stream: TextIO, *, color: bool) -> Any:
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.BarColumn(complete_style="green", finished_style="green", pulse_style="green"),
        progress.TextColumn("{task.percentage:>3.0f} %"),
        progress.TextColumn("{task.description}"),
        console=Console(file=stream, no_color=not color, highlight=False),
    )

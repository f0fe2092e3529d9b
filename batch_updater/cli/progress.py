"""Progress on stderr: live on a terminal, a plain line every ten seconds elsewhere."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TextIO

from batch_updater.cli.terminal import detect_terminal
from batch_updater.common.progress import Progress
from batch_updater.common.text import LATEST, count, escape_controls

_OFTEN, _RARELY = 0.2, 10.0  # seconds


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of the line. Where there is little room, those with the highest `rank` are left out first."""

    rank: int
    text: str
    style: str = ""


class ProgressBar:
    """Shows the progress of a run or a verification; a context manager.

    The live bar needs a terminal that can move its cursor; `TERM=dumb` and files get plain lines.
    `clock` returns seconds from any beginning.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        quiet: bool = False,
        no_color: bool = False,
        clock: Callable[[], float] = time.monotonic,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._stream, self._quiet, self._clock = stream, quiet, clock
        self._last = clock()
        self._is_waiting = False
        self._bar: Any = None
        if stream.isatty() and not quiet and environment.get("TERM") != "dumb":
            self._bar = _live_bar(
                stream, color=detect_terminal(stream, no_color=no_color, environment=environment).color
            )
            self._task = self._bar.add_task("", total=1)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, progress: Progress) -> None:
        """Show the present state."""
        pieces = [
            _Piece(0, f"{progress.ended:,} of {progress.rows:,}"),
            _Piece(2, f"{progress.failed:,} failed", "red" if progress.failed else ""),
            _Piece(4, f"{progress.in_flight} in flight"),
            *_speed(progress),
        ]
        if unconfirmed := progress.unconfirmed:
            pieces.insert(2, _Piece(2, f"{unconfirmed:,} unconfirmed", "magenta"))
        if self._bar:
            if self._has_stalled(progress):
                self._bar.console.print(_stall(progress), markup=False)
            self._show(progress, pieces)
        elif not self._quiet and (self._clock() - self._last >= _RARELY or self._has_stalled(progress)):
            self._last = self._clock()
            self._stream.write(", ".join(piece.text for piece in pieces) + "\n")
            self._stream.flush()

    def _has_stalled(self, progress: Progress) -> bool:
        """Return whether the run waits for the service now and did not before: that is said at once."""
        before, self._is_waiting = self._is_waiting, bool(progress.outage_since)
        return self._is_waiting and not before

    def _show(self, progress: Progress, pieces: list[_Piece]) -> None:
        columns = self._bar.console.width
        width = max(min(columns // 7, 40), 8)
        room = columns - width - len("100 %") - 3
        while len(pieces) > 1 and len(" · ".join(piece.text for piece in pieces)) > room:
            pieces.remove(max(pieces, key=lambda piece: piece.rank))
        text = " [dim]·[/] ".join(f"[{p.style}]{p.text}[/]" if p.style else p.text for p in pieces)
        self._bar.columns[0].bar_width = width
        self._bar.update(self._task, completed=progress.ended, total=progress.rows, description=text)


def _speed(progress: Progress) -> list[_Piece]:
    speed, left = progress.rows_per_second, progress.rows - progress.ended
    found = [_Piece(3, f"{speed:,.0f} rows/s")]
    if progress.limit is not None:
        found.append(_Piece(5, f"limit {progress.limit:,.0f}/s", "yellow"))
    if progress.window is not None:
        found.append(_Piece(5, f"at most {progress.window} at once", "yellow"))
    if progress.outage_since:
        found[:0] = _waiting(progress)
    elif progress.paused_until:
        found.append(_Piece(1, f"paused until {_time(progress.paused_until)}", "yellow"))
    elif speed and left > 0:
        found.append(_Piece(1, f"{_clock_text(left / speed)} left", "cyan"))
    return found


def _waiting(progress: Progress) -> list[_Piece]:
    """Return since when the service does not answer, until when the run waits for it, and what was seen last."""
    since, until = _time(progress.outage_since or 0.0), _time(progress.outage_until or 0.0)
    down = _Piece(1, f"down since {since}, waiting until {until}", "yellow")
    return [down, *([_Piece(2, progress.last_seen, "yellow")] if progress.last_seen else [])]


def _stall(progress: Progress) -> str:
    """Return the sentence above the bar, which has no room for it, when the service stops answering."""
    since, until = _time(progress.outage_since or 0.0), _time(progress.outage_until or 0.0)
    seen = f": {progress.last_seen}" if progress.last_seen else ""
    return escape_controls(f"{since} The service is down{seen}. It is asked again until {until}; Ctrl-C stops.")


def _time(when: float) -> str:
    """Return seconds since the epoch as a time of day."""
    return f"{datetime.fromtimestamp(min(when, LATEST)):%H:%M:%S}"


def _clock_text(seconds: float) -> str:
    """Return seconds as `1:05` or `2:03:09`."""
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


class CheckedRows:
    """Shows how many rows planning has checked; a context manager. A sheet that is planned at once shows nothing."""

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

    def update(self, number: int) -> None:
        """Show that so many rows have been checked."""
        if self._quiet or self._clock() - self._last < self._interval:
            return
        self._last = self._clock()
        text = f"{count(number, 'row')} checked"
        self._stream.write(f"\r{text}" if self._live else f"{text}\n")
        self._stream.flush()
        self._shown = self._live

    def clear(self) -> None:
        """Take the counter off the terminal, so that the plan can take its place."""
        if self._shown:
            self._stream.write(f"\r{' ' * 40}\r")
            self._stream.flush()
            self._shown = False

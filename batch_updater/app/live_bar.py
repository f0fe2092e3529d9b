"""The progress bar of a notebook's cell, or of a script's terminal, by rich."""

import contextlib
import sys
import time
from collections.abc import Callable
from datetime import datetime
from io import StringIO
from types import TracebackType
from typing import Any, Self

from batch_updater.common.progress import Progress

OFTEN = 0.2  # seconds between two pictures
_CELL = "<pre style='font-family:monospace;white-space:pre-wrap;margin:0'>{code}</pre>"


class LiveBar:
    """Shows how far a use case has come, in the output of the present cell, or on stderr; a context manager.

    What stays afterwards is the last picture. Where there is neither a notebook nor a terminal it shows nothing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        from rich import progress  # noqa: PLC0415 - takes a while, and most calls have no bar

        self._clock, self._next, self._latest = clock, 0.0, ""
        self._show = _cell() or _terminal()
        self._bar = progress.Progress(
            progress.TextColumn("{task.fields[stage]}"), progress.BarColumn(bar_width=30),
            progress.TextColumn("{task.percentage:>3.0f} %"), progress.TextColumn("{task.description}", markup=False),
            auto_refresh=False, disable=True,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=None, stage="")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._latest:
            self._draw(is_last=True)

    def update(self, progress: Progress) -> None:
        """Show the present state, unless that was done a moment ago."""
        self._latest = describe_progress(progress)
        stage = "done" if progress.ended >= progress.rows else progress.stage
        self._bar.update(
            self._task, completed=progress.ended, total=progress.rows, stage=stage, description=self._latest
        )
        if self._clock() >= self._next:
            self._next = self._clock() + OFTEN
            self._draw(is_last=False)

    def _draw(self, *, is_last: bool) -> None:
        with contextlib.suppress(Exception):  # what can't be shown must not end a run
            if self._show:
                self._show(self._bar.get_renderable(), is_last)


def describe_progress(progress: Progress) -> str:
    """Return in a line how far it is, how fast, and what it waits for."""
    pieces = [f"{progress.ended:,} of {progress.rows:,}"]
    if progress.failed:
        pieces.append(f"{progress.failed:,} failed")
    if progress.unconfirmed:
        pieces.append(f"{progress.unconfirmed:,} unconfirmed")
    pieces.append(f"{progress.rows_per_second:,.0f} rows/s")
    if progress.outage_since:
        until = f", waiting until {_time(progress.outage_until)}" if progress.outage_until else ""
        pieces.append(f"down since {_time(progress.outage_since)}{until}: {progress.last_seen}")
    elif progress.paused_until:
        pieces.append(f"paused until {_time(progress.paused_until)}")
    return " · ".join(pieces)


def _time(when: float) -> str:
    return f"{datetime.fromtimestamp(min(when, 2**32)):%H:%M:%S}"


def _cell() -> Callable[[Any, bool], None] | None:
    """Return what shows a picture in the present cell; None outside a notebook."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_ipython() if get_ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    handle = None

    def show(picture: Any, _is_last: bool) -> None:
        nonlocal handle
        html, text = _drawn(picture)
        data = {"text/html": html, "text/plain": text}
        if handle is None:
            display: Any = sys.modules["IPython"].display
            handle = display.display(data, raw=True, display_id=True)
        else:
            handle.update(data, raw=True)

    return show


def _drawn(picture: Any) -> tuple[str, str]:
    """Return a picture as HTML and as text."""
    from rich.console import Console  # noqa: PLC0415 - see above

    console = Console(file=StringIO(), record=True, width=110, force_jupyter=False, color_system="truecolor")
    console.print(picture)
    html = console.export_html(inline_styles=True, code_format=_CELL, clear=False)
    return html, console.export_text().rstrip()


def _terminal() -> Callable[[Any, bool], None] | None:
    """Return what shows a picture on stderr; None when that is no terminal."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.live import Live  # noqa: PLC0415 - see above

    live = Live(console=Console(file=sys.stderr, highlight=False), auto_refresh=False)

    def show(picture: Any, is_last: bool) -> None:
        live.start()
        live.update(picture, refresh=True)
        if is_last:
            live.stop()

    return show

import io
import re
from collections.abc import Iterator
from datetime import datetime

import pytest

from batch_updater.cli.progress import Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def noon() -> datetime:
    return datetime(2026, 11, 23, 10, 15, 0)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LINES", "25")
    monkeypatch.setenv("TERM", "xterm")
    return


def test_a_log_gets_a_line_every_ten_seconds() -> None:
    """Where there is no terminal, progress is plain and rare, and says until when sending is held."""
    stream, clock = io.StringIO(), Clock()
    with Progress(1000, stream, clock=clock, today=noon) as bar:
        for tick in range(0, 251):
            clock.now = tick / 10
            held = (30.4, 140.0) if tick > 150 else (None, None)
            bar.update(tick * 4, 1, 20, *held)
    assert stream.getvalue().splitlines() == [
        "400 of 1,000, 1 failed, 20 in flight, 40 rows/s, 0:15 left",
        "800 of 1,000, 1 failed, 20 in flight, 40 rows/s, limit 140/s, paused until 10:15:30",
    ]


def test_the_pace_is_that_of_the_last_seconds() -> None:
    """A slow beginning does not weigh on the pace for ever."""
    stream, clock = io.StringIO(), Clock()
    with Progress(10_000, stream, clock=clock) as bar:
        for second in range(0, 101):
            clock.now = float(second)
            bar.update(max(second - 50, 0) * 100, 0, 1)
    assert "100 rows/s, 0:50 left" in stream.getvalue().splitlines()[-1]


def test_quiet_says_nothing() -> None:
    """--quiet writes no progress, on a terminal neither."""
    for stream in (io.StringIO(), Terminal()):
        clock = Clock()
        with Progress(10, stream, quiet=True, clock=clock) as bar:
            clock.now = 60
            bar.update(1, 0, 1)
        assert stream.getvalue() == ""


def test_a_dumb_terminal_gets_plain_lines() -> None:
    """Where the cursor can't move, there is no live bar."""
    stream, clock = Terminal(), Clock()
    with Progress(10, stream, clock=clock, environment={"TERM": "dumb"}) as bar:
        clock.now = 11
        bar.update(5, 0, 1)
    assert stream.getvalue() == "5 of 10, 0 failed, 1 in flight, 0 rows/s, 0:11 left\n"


def last_frame(stream: Terminal) -> str:
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    return [line for line in re.split(r"[\r\n]+", plain) if line.strip()][-1].rstrip()


def test_a_wide_terminal_shows_everything(wide: None) -> None:
    """Share, counts, pace, limit and the end of the pause stand beside the bar."""
    stream, clock = Terminal(), Clock()
    with Progress(123_456, stream, clock=clock, today=noon) as bar:
        clock.now = 10.0
        bar.update(23_850, 17, 20, 30.0, 140.0)
    said = "19 % 23,850 of 123,456 · 17 failed · 20 in flight · 2,385 rows/s · limit 140/s · paused until 10:15:30"
    assert last_frame(stream).endswith(said)


@pytest.mark.parametrize("columns", [50, 80])
def test_a_narrow_terminal_keeps_the_most_important(wide: None, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """One line, never longer than the terminal; counts and the pause stay, details go first."""
    monkeypatch.setenv("COLUMNS", str(columns))
    stream, clock = Terminal(), Clock()
    with Progress(123_456, stream, clock=clock, today=noon) as bar:
        clock.now = 10.0
        bar.update(23_850, 17, 20, 30.0, 140.0)
    line = last_frame(stream)
    assert len(line) <= columns
    assert "23,850 of 123,456" in line
    assert "paused until 10:15:30" in line if columns == 80 else "…" not in line


def test_no_colour_means_no_colour(wide: None) -> None:
    """--no-color and NO_COLOR leave the bar, and take its colours away."""
    stream = Terminal()
    with Progress(10, stream, no_color=True) as bar:
        bar.update(5, 1, 1)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", stream.getvalue())
    assert "5 of 10" in stream.getvalue()

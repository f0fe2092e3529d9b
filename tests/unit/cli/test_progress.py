import io
import re
from collections.abc import Iterator
from datetime import datetime

import pytest

from batch_updater.cli.progress import CheckedRows, ProgressBar
from batch_updater.common.progress import Progress

HALF_A_MINUTE_PAST = datetime(2026, 11, 23, 10, 15, 30).timestamp()
BUSY = Progress(
    "sending", 123_456, {"updated": 23_829, "failed": 17, "unknown": 4}, in_flight=20, rows_per_second=2385.0,
    limit=140.0, paused_until=HALF_A_MINUTE_PAST,
)  # fmt: skip


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LINES", "25")
    monkeypatch.setenv("TERM", "xterm")
    return


def test_a_log_gets_a_line_every_ten_seconds() -> None:
    """Where there is no terminal, progress is plain and rare, and says until when sending is held."""
    stream, clock = io.StringIO(), Clock()
    with ProgressBar(stream, clock=clock) as bar:
        for tick in range(0, 251):
            clock.now = tick / 10
            held = (140.0, HALF_A_MINUTE_PAST) if tick > 150 else (None, None)
            ended = {"updated": tick * 4 - 1, "failed": 1}
            bar.update(Progress("sending", 1000, ended, 20, 40.0, limit=held[0], paused_until=held[1]))
    assert stream.getvalue().splitlines() == [
        "400 of 1,000, 1 failed, 20 in flight, 40 rows/s, 0:15 left",
        "800 of 1,000, 1 failed, 20 in flight, 40 rows/s, limit 140/s, paused until 10:15:30",
    ]


def test_quiet_says_nothing() -> None:
    """--quiet writes no progress, on a terminal neither."""
    for stream in (io.StringIO(), Terminal()):
        clock = Clock()
        with ProgressBar(stream, quiet=True, clock=clock) as bar:
            clock.now = 60
            bar.update(BUSY)
        assert stream.getvalue() == ""


def test_a_dumb_terminal_gets_plain_lines() -> None:
    """Where the cursor can't move, there is no live bar."""
    stream, clock = Terminal(), Clock()
    with ProgressBar(stream, clock=clock, environment={"TERM": "dumb"}) as bar:
        clock.now = 11
        bar.update(Progress("verifying", 10, {"=": 4, "*": 1}, 1, 0.45))
    assert stream.getvalue() == "5 of 10, 1 failed, 1 in flight, 0 rows/s, 0:11 left\n"


def last_frame(stream: Terminal) -> str:
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    return [line for line in re.split(r"[\r\n]+", plain) if line.strip()][-1].rstrip()


def test_a_wide_terminal_shows_everything(wide: None) -> None:
    """Share, counts, pace, limit and the end of the pause stand beside the bar."""
    stream = Terminal()
    with ProgressBar(stream) as bar:
        bar.update(BUSY)
    counts, pace = "17 failed · 4 unconfirmed · 20 in flight", "2,385 rows/s · limit 140/s · paused until 10:15:30"
    assert last_frame(stream).endswith(f"19 % 23,850 of 123,456 · {counts} · {pace}")


@pytest.mark.parametrize("columns", [50, 80])
def test_a_narrow_terminal_keeps_the_most_important(wide: None, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """One line, never longer than the terminal; counts and the pause stay, details go first."""
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    with ProgressBar(stream) as bar:
        bar.update(BUSY)
    line = last_frame(stream)
    assert len(line) <= columns
    assert "23,850 of 123,456" in line
    assert "paused until 10:15:30" in line if columns == 80 else "…" not in line


DOWN = Progress("sending", 600, outage_since=36903.0, outage_until=37203.0, last_seen="nobody there")


@pytest.mark.parametrize(("columns", "said"), [(80, ""), (120, " · nobody there")])
def test_a_service_that_is_down_is_told_on_a_terminal(
    wide: None, monkeypatch: pytest.MonkeyPatch, columns: int, said: str
) -> None:
    """Since when, until when the run waits, and where there is room what was seen last."""
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    with ProgressBar(stream) as bar:
        bar.update(DOWN)
    times = [f"{datetime.fromtimestamp(when):%H:%M:%S}" for when in (36903, 37203)]
    line = last_frame(stream)
    assert len(line) <= columns
    assert "0 of 600" in line
    assert f"down since {times[0]}, waiting until {times[1]}{said}" in line


def test_a_service_that_goes_down_is_told_to_a_log_at_once() -> None:
    """Not only with the next line of the ten seconds; while it stays down no line is added before that."""
    stream, clock = io.StringIO(), Clock()
    with ProgressBar(stream, clock=clock) as bar:
        for clock.now in (0.0, 1.0, 2.0, 3.0):
            bar.update(DOWN if clock.now else Progress("sending", 600))
    (line,) = stream.getvalue().splitlines()
    assert "down since" in line
    assert "nobody there" in line


def test_no_colour_means_no_colour(wide: None) -> None:
    """--no-color and NO_COLOR leave the bar, and take its colours away."""
    stream = Terminal()
    with ProgressBar(stream, no_color=True) as bar:
        bar.update(Progress("sending", 10, {"updated": 4, "failed": 1}))
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", stream.getvalue())
    assert "5 of 10" in stream.getvalue()


def counted(stream: io.StringIO, *, quiet: bool = False) -> str:
    clock = Clock()
    with CheckedRows(stream, quiet=quiet, clock=clock) as checked:
        for second in range(25):
            clock.now = float(second)
            checked.update(second * 5000)
    return stream.getvalue()


def test_planning_tells_a_log_every_ten_seconds() -> None:
    """Where there is no terminal, planning a large sheet says how far it is, rarely."""
    assert counted(io.StringIO()) == "50,000 rows checked\n100,000 rows checked\n"


def test_planning_shows_a_terminal_a_counter_that_goes_away() -> None:
    """The counter is written over itself and leaves an empty line to the plan."""
    said = counted(Terminal())
    assert said.startswith("\r5,000 rows checked\r10,000 rows checked")
    assert said.endswith("\r")
    assert "\n" not in said


def test_nothing_is_said_of_a_small_sheet_or_in_quiet() -> None:
    """A sheet that is planned at once needs no counter, and --quiet wants none."""
    stream = Terminal()
    with CheckedRows(stream, clock=Clock()) as checked:
        checked.update(500)
    assert stream.getvalue() == counted(Terminal(), quiet=True) == ""


def test_a_terminal_is_told_at_once_why_the_run_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """In 80 columns the bar has no room for what was last seen: that and the end of the wait stand above it, once."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    down = Progress(
        "sending", 10, {}, outage_since=HALF_A_MINUTE_PAST, outage_until=HALF_A_MINUTE_PAST + 300,
        last_seen="the service can't be reached\x1b[31m",
    )  # fmt: skip
    with ProgressBar(stream, no_color=True) as bar:
        for _ in range(3):
            bar.update(down)
        bar.update(Progress("sending", 10, {"updated": 1}))
        bar.update(down)
    shown = " ".join(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()).split())
    said = (
        r"10:15:30 The service is down: the service can't be reached\x1b[31m. It is asked again until 10:20:30;"
        " Ctrl-C stops."
    )
    assert shown.count(said) == 2

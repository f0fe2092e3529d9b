import io
import sys
from collections.abc import Callable

import pytest

from batch_updater.app.live_bar import OFTEN, LiveBar, describe_progress
from batch_updater.common.progress import Progress


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of 110 columns in place of stderr; made in the test, for pytest changes it after a fixture."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("TERM", "xterm")
    return stream


def ticking(step: float) -> Callable[[], float]:
    """A clock that goes on by so many seconds whenever it is asked."""
    times = iter(range(10_000))
    return lambda: next(times) * step


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress("sending", 2000, {"updated": 1500}, rows_per_second=250.4), "1,500 of 2,000 · 250 rows/s"),
        (
            Progress("sending", 9, {"failed": 2, "unknown": 1}, rows_per_second=3),
            "3 of 9 · 2 failed · 1 unconfirmed · 3 rows/s",
        ),
        (Progress("sending", 9, paused_until=0.0 + 86_400), "0 of 9 · 0 rows/s · paused until "),
        (
            Progress("sending", 9, outage_since=86_400, outage_until=86_700, last_seen="[/] refused"),
            "0 of 9 · 0 rows/s · down since ",
        ),
    ],
)
def test_a_line_says_how_far_it_is_and_what_it_waits_for(progress: Progress, words: str) -> None:
    """Failures, pauses and outages are named when there are some."""
    assert describe_progress(progress).startswith(words)


def test_a_script_s_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage, the share and the line; what a service says is no markup; the last picture stays."""
    stderr = terminal(monkeypatch)
    with LiveBar(ticking(OFTEN)) as bar:
        bar.update(Progress("sending", 4, {"updated": 1}, outage_since=1.0, last_seen="[/] refused [red]"))
        bar.update(Progress("sending", 4, {"updated": 4}))
    assert "sending" in stderr.getvalue()
    assert "[/] refused" in stderr.getvalue()
    assert "done " in stderr.getvalue().split("\r")[-1]
    assert "100 %" in stderr.getvalue().split("\r")[-1]
    assert "4 of 4 · 0 rows/s\n" in stderr.getvalue()
    assert "done " in stderr.getvalue().split("\r")[-1]
    assert "100 %" in stderr.getvalue()


def test_pictures_are_not_drawn_more_often_than_one_can_see(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two there is a fifth of a second; the end is always drawn."""
    stderr = terminal(monkeypatch)
    with LiveBar(ticking(OFTEN / 100)) as bar:
        for ended in range(41):
            bar.update(Progress("sending", 40, {"updated": ended}))
    assert 0 < stderr.getvalue().count(" of 40") < 5
    assert "40 of 40" in stderr.getvalue()


def test_without_terminal_or_notebook_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A log file gets no pictures."""
    with LiveBar() as bar:
        bar.update(Progress("sending", 4, {"updated": 1}))
    assert capsys.readouterr() == ("", "")


def test_a_bar_that_can_not_be_drawn_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run matters more."""
    stderr = terminal(monkeypatch)
    with LiveBar() as bar:
        monkeypatch.setattr(stderr, "write", lambda _text: 1 / 0)
        bar.update(Progress("sending", 4, {"updated": 1}))

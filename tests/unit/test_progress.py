import io

from batch_updater.progress import Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_every_ten_seconds() -> None:
    """Where there is no terminal, progress is plain and rare."""
    stream, clock = io.StringIO(), Clock()
    with Progress(1000, stream, clock=clock) as bar:
        for tick in range(0, 251):
            clock.now = tick / 10
            bar.update(tick * 4, 1, 20, 3.0 if tick > 150 else None)
    lines = stream.getvalue().splitlines()
    assert lines == [
        "400 of 1,000 rows, 1 failed, 20 in flight, 40 rows/s",
        "800 of 1,000 rows, 1 failed, 20 in flight, 40 rows/s, paused 3 s",
    ]


def test_quiet_says_nothing() -> None:
    """--quiet writes no progress."""
    stream, clock = io.StringIO(), Clock()
    with Progress(10, stream, quiet=True, clock=clock) as bar:
        clock.now = 60
        bar.update(1, 0, 1)
    assert stream.getvalue() == ""

import io

from batch_updater.cli.counting import Counting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def counted(stream: io.StringIO, *, quiet: bool = False) -> str:
    clock = Clock()
    with Counting(stream, quiet=quiet, clock=clock) as counting:
        for second in range(25):
            clock.now = float(second)
            counting.rows(second * 5000)
    return stream.getvalue()


def test_a_log_gets_a_line_every_ten_seconds() -> None:
    """Where there is no terminal, planning a large sheet says how far it is, rarely."""
    assert counted(io.StringIO()) == "50,000 rows checked\n100,000 rows checked\n"


def test_a_terminal_gets_a_counter_that_goes_away() -> None:
    """The counter is written over itself and leaves an empty line to the plan."""
    said = counted(Terminal())
    assert said.startswith("\r5,000 rows checked\r10,000 rows checked")
    assert said.endswith("\r")
    assert "\n" not in said


def test_nothing_is_said_of_a_small_sheet_or_in_quiet() -> None:
    """A sheet that is planned at once needs no counter, and --quiet wants none."""
    stream = Terminal()
    with Counting(stream, clock=Clock()) as counting:
        counting.rows(500)
    assert stream.getvalue() == counted(Terminal(), quiet=True) == ""

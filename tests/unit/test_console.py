import click

from batch_updater.console import status_table
from batch_updater.statuses import OrderStatus

STATUSES = [
    OrderStatus("a" * 36, "Planned", "#ff0080"),
    OrderStatus("b" * 36, "X\x1b[31m", "red"),
    OrderStatus("c" * 36, "Y"),
]


def test_a_terminal_gets_a_swatch_of_each_colour() -> None:
    """A status with a colour has a dot in it, others none; no name can colour the terminal by itself."""
    lines = status_table(STATUSES, coloured=True).splitlines()
    assert lines[1].startswith(click.style("\u25cf", fg=(255, 0, 128)))
    assert "\x1b" not in lines[2]
    assert {click.unstyle(line).index(one.id) for line, one in zip(lines[1:], STATUSES, strict=True)} == {13}
    assert "\x1b" not in status_table(STATUSES, coloured=False)

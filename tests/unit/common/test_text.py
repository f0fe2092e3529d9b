"""Text from strangers: made harmless for CSV and visible for people."""

import json
import time
from collections.abc import Iterator

import pytest

from batch_updater.api.protocol import detail_text
from batch_updater.cli.terminal import TerminalStyle, render
from batch_updater.common.errors import InputError
from batch_updater.common.models import OrderStatus
from batch_updater.common.text import (
    FORMULA,
    count,
    escape_controls,
    escape_formula,
    escape_lines,
    moment,
    unescape_formula,
)
from batch_updater.planning.statuses import StatusBook, UnknownStatusError

HOSTILE = ("\x1b]0;title\x07", "\x1b[2J", "\u202etxt.exe", "\x9b31m", "a\rb", "\x00", "\ud800", "a\u200bb", "\x08")


@pytest.mark.parametrize("apostrophes", ["", "'", "''"])
@pytest.mark.parametrize("start", [*FORMULA, "a", ""])
def test_a_csv_cell_is_harmless_and_comes_back_as_it_was(start: str, apostrophes: str) -> None:
    """Whatever it begins with, own apostrophes too; no formula is left at the beginning."""
    cell = f"{apostrophes}{start}1+1"
    written = escape_formula(cell)
    assert unescape_formula(written) == cell
    assert not written.startswith(FORMULA)
    assert (written == cell) is (start not in FORMULA)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("color", [False, True])
def test_foreign_text_can_do_nothing_to_a_terminal(text: str, color: bool) -> None:
    """Neither as a detail, nor in a styled line, nor as the name of a status or in what is said of it."""
    book = StatusBook([OrderStatus("1", f"Done {text}")])
    with pytest.raises(UnknownStatusError) as unknown:
        book.find("Nothing")
    seen = [
        detail_text(json.dumps({"detail": text}).encode()),
        escape_lines(text),
        book.names["1"],
        str(unknown.value),
    ]
    assert [one for one in seen if not one.isprintable()] == []
    assert text not in render([[(text, "bold" if color else "")]], TerminalStyle(color=color))


@pytest.mark.parametrize("text", [*HOSTILE, "a\nb"])
def test_the_lines_of_an_error_are_those_of_the_program(text: str) -> None:
    """One for a sentence, more only where more are given, whatever names are in them."""
    assert str(InputError(f"x {text}", f"do {text}")).split("\n") == [
        f"x {escape_controls(text)}",
        f"  hint: do {escape_controls(text)}",
    ]
    lines = str(InputError([text, text], [text, "or"])).split("\n")
    assert [line.strip() for line in lines] == [
        escape_controls(text),
        escape_controls(text),
        f"hint: {escape_controls(text)}",
        "or",
    ]


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time zone of the test's machine."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "local"),
    [
        ("UTC", ""),
        ("Europe/Istanbul", " (02:00:00 UTC+3)".replace("(", "(2026-11-24 ")),
        ("America/St_Johns", " (19:30:00 UTC-03:30)"),
    ],
    indirect=["zone"],
)
@pytest.mark.usefixtures("zone")
def test_a_moment_is_told_in_utc_and_as_the_clock_on_the_wall(local: str) -> None:
    """The files of a run are in UTC; the local time stands beside it where it is another, with its date if needed."""
    assert moment(1_795_474_800.0) == f"2026-11-23 23:00:00 UTC{local}"


@pytest.mark.parametrize(("number", "said"), [(0, "0 rows are"), (1, "1 row is"), (2000, "2,000 rows are")])
def test_a_number_has_its_noun_and_verb(number: int, said: str) -> None:
    """One row is no rows."""
    assert count(number, "row", "is", "are") == said
    assert count(number, "row") == said.rpartition(" ")[0]

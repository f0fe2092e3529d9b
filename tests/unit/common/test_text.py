"""Text from strangers: made harmless for CSV and visible for people."""

import json

import pytest

from batch_updater.api.protocol import detail_text
from batch_updater.cli.terminal import TerminalStyle, render
from batch_updater.common.errors import InputError
from batch_updater.common.models import OrderStatus
from batch_updater.common.text import FORMULA, escape_controls, escape_formula, escape_lines, unescape_formula
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

"""Ranges and columns as spreadsheets write them. Pure."""

import re

_PLACE = re.compile(r"\$?([A-Za-z]{1,3})\$?([0-9]{1,7})")


def parse_range(ref: str) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom (0-based) of a range such as `A1:F10`. Raises ValueError."""
    corners = [_PLACE.fullmatch(corner) for corner in ref.split(":")]
    found = [(column_number(corner[1]), int(corner[2]) - 1) for corner in corners if corner]
    if len(found) != len(corners) or len(found) > 2:
        raise ValueError(f"has a range {ref[:60]!r}")
    (left, top), (right, bottom) = min(found), max(found)
    return left, min(top, bottom), right, max(top, bottom)


def column_number(letters: str) -> int:
    """Return the position (0-based) of a column."""
    column = 0
    for letter in letters.upper():
        column = column * 26 + ord(letter) - 64
    return column - 1


def column_letters(place: int) -> str:
    """Return the name of a column (0-based) as a spreadsheet shows it: A, B, …, AA."""
    before, last = divmod(place, 26)
    return (column_letters(before - 1) if before else "") + chr(ord("A") + last)

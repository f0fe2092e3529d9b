"""Make text from sheets and services safe to show; the one form of an id. Pure."""

import re
from datetime import UTC, datetime
from typing import Final

UUID_SHAPE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")  # as ids are sent
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four are full-width
_FORMULA = frozenset(FORMULA)
LATEST = 2**32  # seconds since the epoch, a time that any system can show
HALVES: Final = "backslashreplace"  # how half a UTF-16 pair, which UTF-8 cannot hold, is written: as in JSON


def escape_formula(text: str) -> str:
    """Return a CSV cell with an apostrophe before what a spreadsheet would calculate."""
    return f"'{text}" if text.lstrip("'")[:1] in _FORMULA else text


def unescape_formula(text: str) -> str:
    """Undo `escape_formula`."""
    return text[1:] if text[:1] == "'" and text.lstrip("'")[:1] in _FORMULA else text


def encodable(text: str) -> str:
    """Return the text with what UTF-8 can't hold as escapes."""
    return text if text.isascii() else text.encode("utf-8", HALVES).decode()


def escape_controls(text: str) -> str:
    """Return the text with control, formatting and other invisible characters as escapes.

    Nothing in it can move a cursor, colour a terminal, break a log line or reverse the reading direction.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def escape_lines(text: str) -> str:
    """Return text of several lines with control characters as escapes."""
    return "\n".join(map(escape_controls, text.split("\n")))


def shortened(text: str, width: int) -> str:
    """Return the escaped text in at most `width` characters, with an ellipsis where it is cut."""
    safe = escape_controls(text)
    return safe if len(safe) <= width else safe[: width - 1] + "…"


def shown(text: str) -> str:
    """Return the text as a message shows it: escaped, at most 60 characters."""
    return shortened(text, 60)


def moment(seconds: float) -> str:
    """Return seconds since the epoch as a time for people: UTC, and the local one where that differs."""
    utc = datetime.fromtimestamp(min(seconds, LATEST), UTC)
    local = utc.astimezone()
    said = f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    offset = utc_offset(local)
    form = "%H:%M:%S" if local.date() == utc.date() else "%Y-%m-%d %H:%M:%S"
    return f"{said} ({local:{form}} UTC{offset})" if offset else said


def utc_offset(local: datetime) -> str:
    """Return how far a local time is from UTC, e.g. `+3` or `-03:30`; empty when it is no other."""
    if not local.utcoffset():
        return ""
    text = f"{local:%z}"
    return f"{text[0]}{int(text[1:3])}" if text[3:5] == "00" else f"{text[:3]}:{text[3:5]}"


def count(number: int, noun: str, one: str = "", many: str = "") -> str:
    """Return a number with its noun and the verb for it, e.g. `1 row is` or `2,000 rows are`."""
    return f"{number:,} {noun} {one}".rstrip() if number == 1 else f"{number:,} {noun}s {many}".rstrip()


def duration(seconds: float) -> str:
    """Return seconds in words: `4.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"

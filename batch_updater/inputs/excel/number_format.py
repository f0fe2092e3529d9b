"""Number formats of spreadsheets: how they display a number, a date or a text, and whether that is certain. Pure.

ECMA-376, part 1, 18.8.31. What depends on the computer's language, on the width of the column or on rules that are
not built here raises Uncertain: the caller then takes the plain value, which may not be what is displayed.
"""

import datetime
import re
import unicodedata
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import lru_cache
from typing import NamedTuple

MOST_EXACT = 999_999_999_999_999  # spreadsheets keep 15 digits
_MOST_GENERAL = 99_999_999_999  # with more digits, a number without a format is shown shortened
_FIRST_DAY = datetime.datetime(1900, 3, 1)  # before it, Excel counts a 29 February that never existed
_TOKEN = re.compile(
    r"""\[(?P<bracket>[^\]]*)\] | "(?P<quoted>[^"]*)"? | \\(?P<escaped>.) | _(?P<gap>.) | \*(?P<fill>.) |
    (?P<general>General) | (?P<noon>AM/PM|A/P) | (?P<power>E[+]) | (?P<date>y+|m+|d+|h+|s+) | (?P<digit>[0#?]) |
    (?P<end>;) | (?P<mark>[.,%@/]) | (?P<other>.)""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_COLOUR = re.compile(r"black|blue|cyan|green|magenta|red|white|yellow|colou?r ?[0-9]+", re.IGNORECASE)
_SYMBOL = re.compile(r"\$([^-]*)(?:-[0-9A-F]*)?", re.IGNORECASE)
_SYSTEM = re.compile(r"\$-F[0-9A-F]{3}", re.IGNORECASE)  # the long date and the time as the computer is set up
_ELAPSED = re.compile(r"h+|m+|s+", re.IGNORECASE)
_AS_IT_IS = set("$-+():!^&'~{}<>= ")


class Token(NamedTuple):
    """A piece of a format: `text` literally, `digit`, `date`, `elapsed`, `mark`, `power`, `general` or `odd`."""

    kind: str
    text: str


Section = tuple[Token, ...]
_POINT, _COMMA, _PERCENT, _VALUE = (Token("mark", text) for text in ".,%@")


class Uncertain(Exception):  # noqa: N818 - an answer, not an error
    """What is displayed can't be known."""


@lru_cache(1000)
def sections(code: str) -> tuple[Section, ...]:
    """Return the parts of a format: for positive numbers, negative ones, zero and text."""
    found: list[list[Token]] = [[]]
    for match in _TOKEN.finditer(code):
        kind, text = str(match.lastgroup), match[str(match.lastgroup)]
        if kind == "end":
            found.append([])
        elif token := _token(kind, text):
            found[-1].append(token)
    return tuple(_trimmed(section) for section in found)


def _token(kind: str, text: str) -> Token | None:
    if kind == "bracket":
        if _COLOUR.fullmatch(text):
            return None
        if _ELAPSED.fullmatch(text):
            return Token("elapsed", text.lower())
        symbol = None if _SYSTEM.fullmatch(text) else _SYMBOL.fullmatch(text)
        return Token("text", symbol[1]) if symbol else Token("odd", text)
    if kind in {"quoted", "escaped"}:
        return Token("text", text)
    if kind == "other":
        plain = text in _AS_IT_IS or unicodedata.category(text) == "Sc"
        return Token("text" if plain else "odd", text)
    return Token("odd", text) if kind in {"fill", "noon"} else Token(kind, text.lower())


def _trimmed(section: Sequence[Token]) -> Section:
    """Return a section without the gaps at its ends; the width of one within can't be known."""
    kept = list(section)
    while kept and kept[-1].kind == "gap":
        kept.pop()
    while kept and kept[0].kind == "gap":
        kept.pop(0)
    return tuple(Token("odd", token.text) if token.kind == "gap" else token for token in kept)


def text_section(code: str) -> Section | None:
    """Return the section for texts, or None when they are shown as they are."""
    found = sections(code)
    if len(found) == 4:
        return None if found[3] == (_VALUE,) else found[3]
    having = [section for section in found if any(token == _VALUE for token in section)]
    return None if not having or len(having[-1]) == 1 else having[-1]


def format_text(value: str, section: Section) -> str:
    """Return a text as a section shows it. Raises Uncertain."""
    return "".join(value if token == _VALUE else _literal(token) for token in section)


def format_number(number: float, code: str, plain: str) -> str:
    """Return a number as its format shows it; `plain` is the number without one. Raises Uncertain."""
    if not abs(number) <= MOST_EXACT:  # nor for what is not a number
        raise Uncertain
    found = sections(code)
    section = found[0]
    if number < 0 and len(found) > 1:
        section, number, plain = found[1], -number, plain.removeprefix("-")
    elif number == 0 and len(found) > 2:
        section = found[2]
    kinds = {token.kind for token in section}
    if "general" in kinds or _VALUE in section:
        if not number.is_integer() or abs(number) > _MOST_GENERAL:
            raise Uncertain
        return "".join(plain if t.kind == "general" or t.text == "@" else _literal(t) for t in section)
    if kinds <= {"text"}:
        if number < 0 and section:
            raise Uncertain
        return "".join(token.text for token in section)
    return _shown_power(number, section) if "power" in kinds else _shown_digits(number, section)


def _literal(token: Token) -> str:
    if token.kind != "text":
        raise Uncertain
    return token.text


def _shown_digits(number: float, section: Section) -> str:
    """Return a number by digits, thousands, decimals and percents, with texts between them."""
    points = [place for place, token in enumerate(section) if token == _POINT]
    point = points[0] if points else len(section)
    whole, behind = section[:point], section[point + 1 :]
    percents = sum(token == _PERCENT for token in section)
    decimals = sum(token.kind == "digit" for token in behind)
    if len(points) > 1 or "#" in {token.text for token in behind if token.kind == "digit"}:
        raise Uncertain
    value = Decimal(repr(number)).scaleb(2 * percents)
    rounded = value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    if not rounded and number:
        if number < 0:
            raise Uncertain  # versions of Excel differ in the sign of such a zero
        rounded = abs(rounded)
    integer, _, fraction = f"{abs(rounded):f}".partition(".")
    text = _filled(integer, whole) + ("." if points else "") + _behind(fraction, behind)
    return f"-{text}" if rounded < 0 else text


def _filled(integer: str, tokens: Section) -> str:
    """Return the digits of a whole number in their places, with the texts around and between them."""
    places = [place for place, token in enumerate(tokens) if token.kind == "digit"]
    if not places or any(tokens[place].text == "?" for place in places):
        raise Uncertain
    digits = integer.lstrip("0").zfill(sum(tokens[place].text == "0" for place in places))
    inner = tokens[places[0] : places[-1] + 1]
    if _COMMA not in inner:
        middle = _placed(digits, inner)
    elif all(token.kind == "digit" or token == _COMMA for token in inner):
        middle = _thousands(digits)
    else:
        raise Uncertain
    return "".join(map(_piece, tokens[: places[0]])) + middle + "".join(map(_piece, tokens[places[-1] + 1 :]))


def _placed(digits: str, tokens: Section) -> str:
    """Return one digit for each place from the right; the first place takes all that are left."""
    made: list[str] = []
    for place in range(len(tokens) - 1, -1, -1):
        if tokens[place].kind == "digit":
            cut = max(len(digits) - 1, 0) if place else 0
            made.append(digits[cut:])
            digits = digits[:cut]
        else:
            made.append(_piece(tokens[place]))
    return "".join(reversed(made))


def _piece(token: Token) -> str:
    return "%" if token == _PERCENT else _literal(token)


def _thousands(digits: str) -> str:
    first = len(digits) % 3
    parts = [digits[:first], *(digits[place : place + 3] for place in range(first, len(digits), 3))]
    return ",".join(part for part in parts if part)


def _behind(fraction: str, tokens: Section) -> str:
    """Return decimals in their places."""
    made, left = [], iter(fraction)
    for token in tokens:
        if token.kind == "digit" and token.text == "0":
            made.append(next(left, "0"))
        else:
            made.append(_piece(token))
    return "".join(made)


def _shown_power(number: float, section: Section) -> str:
    """Return a number by a power of ten, in the one common form: `0.00E+00`."""
    found = re.fullmatch(r"0(?:\.(0+))?e\+00", "".join(token.text for token in section))
    if not found:
        raise Uncertain
    with localcontext() as context:
        context.rounding = ROUND_HALF_UP
        mantissa, _, power = f"{Decimal(repr(number)):.{len(found[1] or '')}E}".partition("E")
    return f"{mantissa}E{int(power):+03d}"


def is_date(code: str) -> bool:
    """Whether numbers under this format are dates or times."""
    return any(token.kind in {"date", "elapsed"} for section in sections(code) for token in section)


def format_date(value: datetime.datetime | datetime.timedelta, code: str) -> str:
    """Return a date and time, or a duration, as its format shows it. Raises Uncertain."""
    section = sections(code)[0]
    elapsed = [token for token in section if token.kind == "elapsed"]
    if isinstance(value, datetime.timedelta):
        if not elapsed or value < datetime.timedelta() or value.microseconds:
            raise Uncertain
        seconds = value.days * 86_400 + value.seconds
        clock = datetime.datetime(1900, 3, 1) + datetime.timedelta(seconds=seconds % 86_400)
    else:
        seconds, clock = 0, value
        if elapsed or clock.microsecond:
            raise Uncertain
    made = [
        _elapsed(seconds, token.text) if token.kind == "elapsed" else _shown_part(clock, section, place)
        for place, token in enumerate(section)
    ]
    return "".join(made)


def _elapsed(seconds: int, text: str) -> str:
    return str(seconds // {"h": 3600, "m": 60, "s": 1}[text[0]]).zfill(len(text))


def _shown_part(value: datetime.datetime, section: Section, place: int) -> str:
    token = section[place]
    if token.kind == "mark" and token.text in {".", ","}:
        if place + 1 < len(section) and section[place + 1].kind == "digit":
            raise Uncertain  # parts of a second
        return token.text
    if token.kind != "date":
        return _literal(token)
    letter, length = token.text[0], len(token.text)
    if letter == "m" and _is_minute(section, place):
        letter = "n"
    if letter in "ymd" and value < _FIRST_DAY:
        raise Uncertain
    number = {"y": value.year, "m": value.month, "d": value.day, "h": value.hour, "n": value.minute, "s": value.second}
    if letter == "y":
        return f"{value.year:04}" if length > 2 else f"{value.year % 100:02}"
    if length > 2:
        raise Uncertain  # names of months and days
    return str(number[letter]).zfill(length)


def _is_minute(section: Section, place: int) -> bool:
    """Whether an `m` follows hours or precedes seconds."""
    others = ("date", "elapsed")
    before = next((t.text[0] for t in reversed(section[:place]) if t.kind in others), "")
    after = next((t.text[0] for t in section[place + 1 :] if t.kind in others), "")
    return before == "h" or after == "s"

"""What a cell holds, and the text of it where text is needed: in used columns, conditions, and CSV. Pure."""

import datetime
import re
from collections.abc import Sequence
from functools import lru_cache

from batch_updater.common.models import Flaw, Value
from batch_updater.common.text import shown

MOST_EXACT = 999_999_999_999_999  # spreadsheets keep 15 digits
# Built-in number formats by number: ECMA-376, part 1, 18.8.30. The others depend on the language of the computer.
BUILT_IN = {
    "0": "General", "1": "0", "2": "0.00", "3": "#,##0", "4": "#,##0.00", "9": "0%", "10": "0.00%", "11": "0.00E+00",
    "12": "# ?/?", "13": "# ??/??", "14": "m/d/yyyy", "15": "d-mmm-yy", "16": "d-mmm", "17": "mmm-yy",
    "18": "h:mm AM/PM", "19": "h:mm:ss AM/PM", "20": "h:mm", "21": "h:mm:ss", "22": "m/d/yyyy h:mm", "45": "mm:ss",
    "46": "[h]:mm:ss", "47": "mm:ss.0", "48": "##0.0E+0", "49": "@",
}  # fmt: skip
_PLAIN = {"", "general", "@"}
_ZEROS = re.compile("0+")
_UNSEEN = re.compile(r"\[[^\]]*\]|_.|\*.", re.DOTALL)  # colours and conditions, gaps, what fills the cell up
_LITERAL = re.compile(r'"[^"]*"|\\.', re.DOTALL)


@lru_cache(1000)
def formats_numbers(code: str) -> bool:
    """Whether this format may change how a number is displayed."""
    return code.casefold() not in _PLAIN


@lru_cache(1000)
def formats_texts(code: str) -> bool:
    """Whether this format adds something to a text, or hides it."""
    sections = _UNSEEN.sub("", _LITERAL.sub("!", code)).split(";")
    of_texts = sections[3] if len(sections) > 3 else next((section for section in sections if "@" in section), "@")
    return of_texts.strip() != "@"


def stored_value(cell: Value, code: str) -> tuple[Value, Flaw | None]:
    """Return what a cell of this format holds, and a flaw where its display is another one.

    A whole number by zeros alone, e.g. 7 by `000`, is the text that is displayed: 007.
    """
    if cell is None or isinstance(cell, bool):
        return cell, None
    if isinstance(cell, str):
        return cell, uncertain_format(code) if formats_texts(code) else None
    if isinstance(cell, int | float) and _ZEROS.fullmatch(code) and float(cell).is_integer():
        if len(code) == 1:
            return cell, None
        if 0 <= cell <= MOST_EXACT:
            return plain_text(cell).zfill(len(code)), None
    return cell, uncertain_format(code) if formats_numbers(code) else None


@lru_cache(1000)
def uncertain_format(code: str, display: str = "") -> Flaw:
    """Return the flaw of a cell that is displayed otherwise than it is stored, by this format, or as this text."""
    form = f"by the format '{shown(code)}'" if code else "by a format that this kind of file hides"
    form = f"as '{shown(display)}'" if display else form
    return Flaw(
        "number_format",
        f"the cell is a number, date or text shown {form}, so that what it holds is not what you see;"
        " format the column as text and enter the value again",
    )


def plain_text(cell: Value) -> str:
    """Return a cell as text: whole numbers without a point, others with 15 digits, TRUE and FALSE as in Excel.

    Dates are written as ISO 8601.
    """
    match cell:
        case None:
            return ""
        case str():
            return cell
        case bool():
            return str(cell).upper()
        case float():
            return str(int(cell)) if cell.is_integer() and abs(cell) <= MOST_EXACT else f"{cell:.15g}"
        case datetime.datetime() if cell.time() == datetime.time():
            return cell.date().isoformat()
        case datetime.datetime():
            return cell.isoformat(" ")
        case _:
            return str(cell)


def texts_of(cells: Sequence[Value]) -> list[str]:
    """Return cells as text."""
    return [cell if type(cell) is str else plain_text(cell) for cell in cells]

"""How a spreadsheet shows a cell: its text, and whether a person is certain to see just that. Pure."""

import datetime
from functools import lru_cache

from batch_updater.common.models import Flaw
from batch_updater.common.text import shown
from batch_updater.inputs.excel.number_format import (
    MOST_EXACT,
    Uncertain,
    is_date,
    shown_date,
    shown_number,
    shown_text,
    text_section,
)

# Number formats that a style can name without spelling them out: ECMA-376, part 1, 18.8.30. What the language of the
# computer decides stands here as a format that is not certain.
BUILT_IN = {
    "1": "0", "2": "0.00", "3": "#,##0", "4": "#,##0.00", "9": "0%", "10": "0.00%", "11": "0.00E+00", "12": "# ?/?",
    "13": "# ??/??", "14": "m/d/yyyy", "15": "d-mmm-yy", "16": "d-mmm", "17": "mmm-yy", "18": "h:mm AM/PM",
    "19": "h:mm:ss AM/PM", "20": "h:mm", "21": "h:mm:ss", "22": "m/d/yyyy h:mm", "45": "mm:ss", "46": "[h]:mm:ss",
    "47": "mm:ss.0", "48": "##0.0E+0", "49": "@",
    **{str(number): "[as the computer has it]0" for number in (*range(5, 9), *range(37, 45))},
    **{str(number): "[as the computer has it]d" for number in (*range(27, 37), *range(50, 59))},
}  # fmt: skip
Cell = str | float | int | bool | datetime.date | datetime.time | datetime.timedelta | None
_PLAIN = {"", "general", "@"}
_MIDNIGHT = datetime.datetime(1900, 1, 1)


@lru_cache(1000)
def changes_look(code: str) -> bool:
    """Whether a number under this format looks otherwise than without one."""
    return code.casefold() not in _PLAIN


@lru_cache(1000)
def changes_text(code: str) -> bool:
    """Whether a text under this format looks otherwise than it is."""
    return text_section(code) is not None


def as_seen(cell: Cell, code: str) -> tuple[str, Flaw | None]:
    """A cell as its format shows it, e.g. 7 with `000` as 007; and a flaw when what a person sees is not certain.

    The text is then the plain value. Decimal points and thousands' commas are those of the format itself.
    """
    plain = as_text(cell)
    if not changes_look(code):
        return plain, None
    try:
        return _seen(cell, code, plain), None
    except Uncertain:
        return plain, uncertain(code)


def _seen(cell: Cell, code: str, plain: str) -> str:
    match cell:
        case None | bool():
            return plain
        case str():
            section = text_section(code)
            return plain if section is None else shown_text(cell, section)
        case float() | int():
            if is_date(code):
                raise Uncertain
            return shown_number(float(cell), code, plain)
        case datetime.datetime() | datetime.timedelta():
            return shown_date(cell, code)
        case datetime.date():
            return shown_date(datetime.datetime.combine(cell, datetime.time()), code)
        case _:
            return shown_date(datetime.datetime.combine(_MIDNIGHT, cell), code)


@lru_cache(1000)
def uncertain(code: str) -> Flaw:
    """What is wrong with a cell of which nobody can tell how it looks."""
    how = f"shown by the format '{shown(code)}'" if code else "shown by a format that this kind of file hides"
    return Flaw(
        "number_format",
        f"the cell is a number or date {how}, so that what a person sees is not certain;"
        " format the column as text and enter the value again",
    )


def as_text(cell: object) -> str:
    """A cell as text: whole numbers without a point, dates as ISO 8601, true and false as Excel shows them."""
    match cell:
        case None:
            return ""
        case str():
            return cell
        case bool():
            return str(cell).upper()
        case float():
            return str(int(cell)) if cell.is_integer() and abs(cell) <= MOST_EXACT else repr(cell)
        case datetime.datetime() if cell.time() == datetime.time():
            return cell.date().isoformat()
        case datetime.datetime():
            return cell.isoformat(" ")
        case _:
            return str(cell)

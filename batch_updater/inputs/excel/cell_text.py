"""The text that a spreadsheet displays for a cell, and whether that is certain. Pure."""

import datetime
from functools import lru_cache

from batch_updater.common.models import Flaw
from batch_updater.common.text import shown
from batch_updater.inputs.excel import number_format
from batch_updater.inputs.excel.number_format import MOST_EXACT, Uncertain, format_date, text_section

# Built-in number formats by number: ECMA-376, part 1, 18.8.30. Those that depend on the language of the computer are
# replaced by an uncertain one.
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
def formats_numbers(code: str) -> bool:
    """Whether this format changes how a number is displayed."""
    return code.casefold() not in _PLAIN


@lru_cache(1000)
def formats_texts(code: str) -> bool:
    """Whether this format changes how a text is displayed."""
    return text_section(code) is not None


def displayed_text(cell: Cell, code: str) -> tuple[str, Flaw | None]:
    """Return a cell as its format displays it, e.g. 7 with `000` as 007, and a flaw when that is not certain.

    The text is then the plain value. Decimal points and thousands' commas are those of the format itself.
    """
    plain = plain_text(cell)
    if not formats_numbers(code):
        return plain, None
    try:
        return _seen(cell, code, plain), None
    except Uncertain:
        return plain, uncertain_format(code)


def _seen(cell: Cell, code: str, plain: str) -> str:
    match cell:
        case None | bool():
            return plain
        case str():
            section = text_section(code)
            return plain if section is None else number_format.format_text(cell, section)
        case float() | int():
            if number_format.is_date(code):
                raise Uncertain
            return number_format.format_number(float(cell), code, plain)
        case datetime.datetime() | datetime.timedelta():
            return format_date(cell, code)
        case datetime.date():
            return format_date(datetime.datetime.combine(cell, datetime.time()), code)
        case _:
            return format_date(datetime.datetime.combine(_MIDNIGHT, cell), code)


@lru_cache(1000)
def uncertain_format(code: str) -> Flaw:
    """Return the flaw of a cell whose display can't be known."""
    form = f"the format '{shown(code)}'" if code else "a format that this kind of file hides"
    return Flaw(
        "number_format",
        f"the cell is a number or date shown by {form}, so that what is displayed is not certain;"
        " format the column as text and enter the value again",
    )


def plain_text(cell: object) -> str:
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

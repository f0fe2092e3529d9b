"""How a spreadsheet shows a number: the formats that people use for codes and amounts. Pure."""

import datetime
import re
from decimal import ROUND_HALF_UP, Decimal

_ZEROS = re.compile(r"0+")
_DECIMALS = re.compile(r"(#,##)?0(?:\.(0+))?(%)?")
# Number formats that a style can name without spelling them out: ECMA-376, part 1, 18.8.30.
BUILT_IN = {"1": "0", "2": "0.00", "3": "#,##0", "4": "#,##0.00", "9": "0%", "10": "0.00%"}
MOST_EXACT = 999_999_999_999_999  # spreadsheets keep 15 digits


def changes_look(code: str) -> bool:
    """Whether `as_seen` knows this number format."""
    return bool(_ZEROS.fullmatch(code) or _DECIMALS.fullmatch(code))


def as_seen(number: float, code: str) -> str:
    """A number as its format shows it, e.g. 7 with `000` as 007."""
    if _ZEROS.fullmatch(code) and number.is_integer() and number >= 0:
        return str(int(number)).zfill(len(code))
    found = _DECIMALS.fullmatch(code)
    if not found or abs(number) > MOST_EXACT:
        return as_text(number)
    thousands, decimals, percent = found.groups()
    value = Decimal(repr(number)) * (100 if percent else 1)
    rounded = value.quantize(Decimal(1).scaleb(-len(decimals or "")), ROUND_HALF_UP)
    return f"{rounded:{',' if thousands else ''}f}{percent or ''}"


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

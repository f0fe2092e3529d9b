"""What a cell of an OpenDocument sheet holds: OpenDocument 1.3, part 3, 19.385 and after. Pure."""

import datetime
import math
import re
from collections.abc import Callable, Mapping

from batch_updater.common.models import Flaw, Value
from batch_updater.inputs.excel.cell_text import plain_text, uncertain_format

_ERRORS = ("#", "Err:")  # how LibreOffice shows them, beside a value of 0 or none
_TIME = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:[.,]\d+)?)S)?)?")


def typed_value(cell: Mapping[str, str], text: str) -> tuple[Value, Flaw | None]:
    """Return the value in a cell's attributes, and a flaw where `text`, its display, is another one.

    A whole number that is displayed with zeros before it is that text, as in Excel workbooks.
    """
    key = next((key for key in _VALUES if cell.get(key)), None)
    if key is None or text.startswith(_ERRORS):
        return text, None
    try:
        value = _VALUES[key](cell[key])
    except (ValueError, OverflowError):
        return text or cell[key], None if text else uncertain_format("")
    if isinstance(value, bool) or (isinstance(value, str) and not text):
        return value, None
    if isinstance(value, str):
        return text, None
    if text.replace(",", ".") == plain_text(value):  # the point is that of the document's language
        return value, None
    if text.isascii() and text.isdigit() and text.lstrip("0") == plain_text(value).lstrip("0"):
        return text, None
    return value, uncertain_format("", text)


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(text)
    return value


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=None)


def _time(text: str) -> datetime.time | datetime.timedelta:
    """Return a time of day, or a duration of a day and more."""
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError(text)
    days, hours, minutes, seconds = (float((part or "0").replace(",", ".")) for part in found.groups())
    length = datetime.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return length if length.days else (datetime.datetime.min + length).time()


_VALUES: Mapping[str, Callable[[str], Value]] = {
    "office:string-value": str,
    "office:value": _number,
    "office:date-value": _moment,
    "office:time-value": _time,
    "office:boolean-value": "true".__eq__,
}

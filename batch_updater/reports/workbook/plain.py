"""The result file as a plain new workbook of typed cells, where results can't be added to a person's own."""

import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.worksheet import Worksheet

from batch_updater.common.models import RESULT_COLUMNS, ResultRow, Value
from batch_updater.common.text import FORMULA
from batch_updater.inputs.excel.cell_text import plain_text
from batch_updater.inputs.excel.worksheet import LAST_COLUMN
from batch_updater.reports.workbook.cells import COLOURS, Cuts, escape_odd, width_of

EXCEL_ROWS = 1_048_575  # under the header
_FIRST_DAY = datetime.date(1900, 3, 1)  # before it, Excel counts a 29 February that never existed


def write_plain(path: Path, header: Sequence[str], rows: Iterable[ResultRow]) -> list[str]:
    """Write rows as sheets `results`, `results 2` … of at most 1,048,575 rows each.

    Every text is a text cell: nothing is calculated, linked or turned into a number. Memory does not grow.
    Of a header that leaves no room for the result columns, those without a name are left out. Return a note when texts
    are too long for a cell. Raises OSError.
    """
    book = xlsxwriter.Workbook(
        str(path), {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    try:
        cut = _fill(book, header, rows)
        book.close()
    except FileCreateError as error:
        raise error.args[0] if isinstance(error.args[0], OSError) else OSError(str(error)) from None
    finally:
        book.fileclosed = True  # not to be written again when the object is deleted
    return cut


def _fill(book: Any, header: Sequence[str], rows: Iterable[ResultRow]) -> list[str]:
    formats, cuts = _Formats(book), Cuts()
    kept: Sequence[int] = range(len(header))
    if len(header) > (most := LAST_COLUMN - len(RESULT_COLUMNS)):
        kept = [place for place in kept if header[place].strip()][:most]
    names = (*(header[place] for place in kept), *RESULT_COLUMNS)
    sheet, line, number = None, EXCEL_ROWS, 0
    for row in rows:
        if sheet is None or line >= EXCEL_ROWS:
            number += 1
            sheet, line = _new_sheet(book, number, [cuts.fit(name, 1) for name in names], formats), 0
        line += 1
        for place, value in enumerate((*(row.cells[place] for place in kept), *row[2:])):
            fitting = cuts.fit(value, row.row) if isinstance(value, str) else value
            _write(sheet, line, place, fitting, formats, coloured=place == len(kept))
    if sheet is None:
        _new_sheet(book, 1, [cuts.fit(name, 1) for name in names], formats)
    return cuts.notes()


class _Texts(Worksheet):  # type: ignore[misc]  # xlsxwriter has no types
    """A worksheet of plain texts, none of which is taken for XML or for an escaped character."""

    @staticmethod
    def _escape_control_characters(data: str) -> str:
        """Escape as Excel does; xlsxwriter's own misses an escape that begins in another, and half a character."""
        return escape_odd(str(data))  # booleans come as numbers

    def _xml_rich_inline_string(self, string: str, attributes: Any) -> None:
        """Write a text that looks like rich text, `<r>…</r>`, as the text it is."""
        self._xml_inline_string(string, True, attributes)


class _Formats:
    """The few formats of a workbook."""

    def __init__(self, book: Any) -> None:
        self.bold = book.add_format({"bold": True})
        self.text = book.add_format({"num_format": "@"})
        self.quoted = book.add_format({"num_format": "@", "quote_prefix": True})
        self.colours = {word: book.add_format({"bg_color": f"#{colour}"}) for word, colour in COLOURS.items()}
        self.date = book.add_format({"num_format": "yyyy-mm-dd"})
        self.moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self.time = book.add_format({"num_format": "hh:mm:ss"})
        self.duration = book.add_format({"num_format": "[h]:mm:ss"})

    def of(self, value: Value) -> Any:
        """Return the format of a date or time that a cell can hold; None for what it can't."""
        match value:
            case datetime.datetime() if value.date() >= _FIRST_DAY:
                return self.date if value.time() == datetime.time() else self.moment
            case datetime.datetime():
                return None
            case datetime.date():
                return self.date if value >= _FIRST_DAY else None
            case datetime.time():
                return self.time
            case datetime.timedelta():
                return self.duration if value >= datetime.timedelta() else None
            case _:
                return None


def _new_sheet(book: Any, number: int, names: Sequence[str], formats: _Formats) -> Any:
    sheet = book.add_worksheet("results" if number == 1 else f"results {number}", _Texts)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, EXCEL_ROWS, len(names) - 1)
    sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})
    for place, name in enumerate(names):
        sheet.set_column(place, place, width_of(name))
        sheet.write_string(0, place, name, formats.bold)
    return sheet


def _write(sheet: Any, line: int, place: int, value: Value, formats: _Formats, *, coloured: bool) -> None:
    if isinstance(value, bool):
        sheet.write_boolean(line, place, value)
    elif isinstance(value, int | float) and abs(value) < 1e300:  # not for what is no number
        sheet.write_number(line, place, value)
    elif (shape := formats.of(value)) is not None:
        sheet.write_datetime(line, place, value, shape)
    elif value and coloured:
        sheet.write_string(line, place, value, formats.colours.get(str(value), formats.text))
    elif text := plain_text(value):
        shape = formats.quoted if text.startswith(FORMULA) else formats.text
        sheet.write_string(line, place, text, shape)

"""The result file as an Excel workbook that looks like its sheet, with the counts on a sheet of their own."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError

from batch_updater.inputs.frames import SUMMARY_SHEET
from batch_updater.models import ResultRow
from batch_updater.text import FORMULA

EXCEL_ROWS = 1_048_575  # under the header
LONGEST_TEXT = 32_767  # characters that a cell can hold
_GREEN, _RED, _YELLOW, _GREY = "#C6EFCE", "#FFC7CE", "#FFEB9C", "#E7E6E6"
_COLOURS = {
    "updated": _GREEN, "unchanged": _GREEN, "duplicate": _GREY, "failed": _RED, "unknown": _RED, "invalid": _YELLOW,
    "conflict": _YELLOW, "not_sent": _GREY,
}  # fmt: skip
Value = str | int | None


@dataclass(frozen=True, slots=True)
class Look:
    """How the sheet looked: widths of its columns in characters (0 hides, None is open), and notes about its rows."""

    widths: tuple[float | None, ...] = ()
    notes: Sequence[str] = ()


def write_workbook(
    path: Path,
    header: Sequence[str],
    result_header: Sequence[str],
    rows: Iterable[tuple[ResultRow, Sequence[Value]]],
    look: Look,
) -> None:
    """Write rows as sheets `results`, `results 2` … of at most 1,048,575 rows each, and a summary.

    Every text is a text cell: nothing is calculated, linked or turned into a number. Memory does not grow.
    Raises OSError.
    """
    book = xlsxwriter.Workbook(
        str(path), {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    try:
        _fill(book, (header, result_header), rows, look)
        book.close()
    except FileCreateError as error:
        raise error.args[0] if isinstance(error.args[0], OSError) else OSError(str(error)) from None
    finally:
        book.fileclosed = True  # what failed is not tried again when the object goes


def _fill(
    book: Any,
    headers: tuple[Sequence[str], Sequence[str]],
    rows: Iterable[tuple[ResultRow, Sequence[Value]]],
    look: Look,
) -> None:
    header, result_header = headers
    formats = _Formats(book)
    names = (*header, *result_header)
    sheet, line, number = None, EXCEL_ROWS, 0
    results: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for row, values in rows:
        if sheet is None or line >= EXCEL_ROWS:
            number += 1
            sheet, line = _new_sheet(book, number, names, look, formats), 0
        line += 1
        for place, value in enumerate((*row.cells, *values)):
            _write(sheet, line, place, value, formats, coloured=place == len(header))
        results[row.result.value] += 1
        codes[row.code] += 1
    _write_summary(book.add_worksheet(SUMMARY_SHEET), results, codes, look.notes, formats)


class _Formats:
    """The few formats of a workbook."""

    def __init__(self, book: Any) -> None:
        self.bold = book.add_format({"bold": True})
        self.text = book.add_format({"num_format": "@"})
        self.quoted = book.add_format({"num_format": "@", "quote_prefix": True})
        self.colours = {word: book.add_format({"bg_color": colour}) for word, colour in _COLOURS.items()}


def _new_sheet(book: Any, number: int, names: Sequence[str], look: Look, formats: _Formats) -> Any:
    sheet = book.add_worksheet("results" if number == 1 else f"results {number}")
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, EXCEL_ROWS, len(names) - 1)
    sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})
    for place, name in enumerate(names):
        width = look.widths[place] if place < len(look.widths) else None
        if width is None:
            width = 38 if name.lower().endswith("id") else max(12, min(len(name) + 4, 40))
        sheet.set_column(place, place, width, None, {"hidden": width == 0})
        sheet.write_string(0, place, name[:LONGEST_TEXT], formats.bold)
    return sheet


def _write(sheet: Any, line: int, place: int, value: Value, formats: _Formats, *, coloured: bool) -> None:
    if isinstance(value, int):
        sheet.write_number(line, place, value)
    elif value and coloured:
        sheet.write_string(line, place, value, formats.colours.get(value, formats.text))
    elif value:
        look = formats.quoted if value.startswith(FORMULA) else formats.text
        sheet.write_string(line, place, value[:LONGEST_TEXT], look)


def _write_summary(
    sheet: Any, results: Counter[str], codes: Counter[str], notes: Sequence[str], formats: _Formats
) -> None:
    sheet.set_column(0, 0, 28)
    sheet.write_string(0, 0, "rows", formats.bold)
    sheet.write_number(0, 1, sum(results.values()))
    line = 2
    for title, counts in (("result", results), ("code", codes)):
        sheet.write_string(line, 0, title, formats.bold)
        for word, count in counts.most_common():
            line += 1
            sheet.write_string(line, 0, word, formats.colours.get(word, formats.text))
            sheet.write_number(line, 1, count)
        line += 2
    for note in notes:
        sheet.write_string(line, 0, note, formats.text)
        line += 1

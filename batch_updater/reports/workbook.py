"""The result file as an Excel workbook like its sheet, with the counts on a sheet of their own."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.worksheet import Worksheet

from batch_updater.common.models import RESULT_COLUMNS, ResultRow
from batch_updater.common.text import FORMULA, HALVES
from batch_updater.inputs.pandas_io import SUMMARY_SHEET

EXCEL_ROWS = 1_048_575  # under the header
LONGEST_TEXT = 32_767  # UTF-16 units that a cell can hold
_GREEN, _RED, _YELLOW, _GREY = "#C6EFCE", "#FFC7CE", "#FFEB9C", "#E7E6E6"
_COLOURS = {
    "updated": _GREEN, "unchanged": _GREEN, "duplicate": _GREY, "failed": _RED, "unknown": _RED, "invalid": _YELLOW,
    "conflict": _YELLOW, "not_sent": _GREY,
}  # fmt: skip
_WIDTHS = {"result_detail": 60, "result_sent_at": 25}  # where the content is longer than the name
Value = str | int | None
# What XML can't hold, and what readers would take for the escape of it (ECMA-376, part 1, 22.9.2.19).
_ODD = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff\ud800-\udfff]|_(?=x[0-9a-fA-F]{4}_)")


def write_workbook(
    path: Path, header: Sequence[str], rows: Iterable[ResultRow], widths: Sequence[float | None], notes: Sequence[str]
) -> list[str]:
    """Write rows as sheets `results`, `results 2` … of at most 1,048,575 rows each, and a summary.

    The sheet's own columns get `widths` (characters; 0 hides, None leaves it open); `notes` are in the summary.
    Every text is a text cell: nothing is calculated, linked or turned into a number. Memory does not grow.
    Return a note when texts are too long for a cell; it is also in the summary. Raises OSError.
    """
    book = xlsxwriter.Workbook(
        str(path), {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    try:
        cut = _fill(book, header, rows, widths, notes)
        book.close()
    except FileCreateError as error:
        raise error.args[0] if isinstance(error.args[0], OSError) else OSError(str(error)) from None
    finally:
        book.fileclosed = True  # not to be written again when the object is deleted
    return cut


def _fill(
    book: Any, header: Sequence[str], rows: Iterable[ResultRow], widths: Sequence[float | None], notes: Sequence[str]
) -> list[str]:
    formats, cuts = _Formats(book), _Cuts()
    names = (*header, *RESULT_COLUMNS)
    sheet, line, number = None, EXCEL_ROWS, 0
    results: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for row in rows:
        if sheet is None or line >= EXCEL_ROWS:
            number += 1
            sheet, line = _new_sheet(book, number, [cuts.fit(name, 1) for name in names], widths, formats), 0
        line += 1
        for place, value in enumerate((*row.cells, *row[1:])):
            fitting = cuts.fit(value, row.row) if isinstance(value, str) else value
            _write(sheet, line, place, fitting, formats, coloured=place == len(header))
        results[row.result.value] += 1
        codes[row.code] += 1
    cut = cuts.notes()
    _write_summary(book.add_worksheet(SUMMARY_SHEET), results, codes, [*notes, *cut], formats)
    return cut


class _Texts(Worksheet):  # type: ignore[misc]  # xlsxwriter has no types
    """A worksheet of plain texts, none of which is taken for XML or for an escaped character."""

    @staticmethod
    def _escape_control_characters(data: str) -> str:
        """Escape as Excel does; xlsxwriter's own misses an escape that begins in another, and half a character."""
        return _ODD.sub(_escape, data)

    def _xml_rich_inline_string(self, string: str, attributes: Any) -> None:
        """Write a text that looks like rich text, `<r>…</r>`, as the text it is."""
        self._xml_inline_string(string, True, attributes)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if 0xD800 <= code <= 0xDFFF else f"_x{code:04X}_"


class _Cuts:
    """Cuts texts that are too long for a cell, and remembers the first row."""

    def __init__(self) -> None:
        self._count, self._first = 0, 0

    def fit(self, text: str, row: int) -> str:
        """Return as much of the text as a cell can hold."""
        if len(text) <= LONGEST_TEXT // 2:
            return text
        units = text.encode("utf-16-le", HALVES)
        if len(units) <= 2 * LONGEST_TEXT:
            return text
        self._count, self._first = self._count + 1, self._first or row
        return units[: 2 * LONGEST_TEXT].decode("utf-16-le", "ignore")

    def notes(self) -> list[str]:
        """Return one sentence when something was cut."""
        if not self._count:
            return []
        what = "1 text is" if self._count == 1 else f"{self._count:,} texts are"
        where = "in" if self._count == 1 else "the first in"
        return [
            f"{what} cut in the Excel result file, {where} row {self._first}: a cell holds {LONGEST_TEXT:,} characters."
            " The sheet itself has the whole text, and so has a result file in CSV (-o x.csv)"
        ]


class _Formats:
    """The few formats of a workbook."""

    def __init__(self, book: Any) -> None:
        self.bold = book.add_format({"bold": True})
        self.text = book.add_format({"num_format": "@"})
        self.quoted = book.add_format({"num_format": "@", "quote_prefix": True})
        self.colours = {word: book.add_format({"bg_color": colour}) for word, colour in _COLOURS.items()}


def _new_sheet(book: Any, number: int, names: Sequence[str], widths: Sequence[float | None], formats: _Formats) -> Any:
    sheet = book.add_worksheet("results" if number == 1 else f"results {number}", _Texts)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, EXCEL_ROWS, len(names) - 1)
    sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})
    for place, name in enumerate(names):
        width = widths[place] if place < len(widths) else None
        if width is None:
            usual = 38 if name.lower().endswith("id") else max(12, min(len(name) + 4, 40))
            width = _WIDTHS.get(name, usual)
        sheet.set_column(place, place, width, None, {"hidden": width == 0})
        sheet.write_string(0, place, name, formats.bold)
    return sheet


def _write(sheet: Any, line: int, place: int, value: Value, formats: _Formats, *, coloured: bool) -> None:
    if isinstance(value, int):
        sheet.write_number(line, place, value)
    elif value and coloured:
        sheet.write_string(line, place, value, formats.colours.get(value, formats.text))
    elif value:
        shape = formats.quoted if value.startswith(FORMULA) else formats.text
        sheet.write_string(line, place, value, shape)


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

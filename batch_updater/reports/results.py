"""The result file: CSV, Excel or JSONL, written beside its place and moved there when whole."""

import csv
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError

from batch_updater.errors import SettingsError
from batch_updater.models import ResultRow

RESULT_COLUMNS = (
    "result", "result_http_status", "result_code", "result_detail", "result_attempts", "result_order_id",
    "result_status_id", "result_status_name", "result_previous_status_id", "result_row", "result_sent_at",
    "result_duration_ms", "result_run_id",
)  # fmt: skip
EXCEL_ROWS = 1_048_575
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_COLOURS = {"updated": "#C6EFCE", "unchanged": "#C6EFCE", "failed": "#FFC7CE", "unknown": "#FFC7CE"}


def write_results(path: Path, header: Sequence[str], rows: Iterable[ResultRow]) -> None:
    """Write the result file in the form its ending says; the file is whole or not there.

    Raises SettingsError for an unknown ending.
    """
    writers = {".csv": _write_csv, ".xlsx": _write_excel, ".jsonl": _write_jsonl}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise SettingsError(f"{path} has no known ending.", "use .csv, .xlsx or .jsonl")
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        writer(part, header, rows)
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _values(row: ResultRow) -> list[str | int | None]:
    return [
        row.result.value, row.http_status, row.code, row.detail, row.attempts, row.order_id, row.status_id,
        row.status_name, row.previous_status_id, row.row, row.sent_at, row.duration_ms, row.run_id,
    ]  # fmt: skip


def _harmless(value: str | int | None) -> str | int | None:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[ResultRow]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([_harmless(name) for name in (*header, *RESULT_COLUMNS)])
        writer.writerows([_harmless(value) for value in (*row.cells, *_values(row))] for row in rows)


def _write_jsonl(path: Path, header: Sequence[str], rows: Iterable[ResultRow]) -> None:
    names = (*header, *RESULT_COLUMNS)
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            values = (*row.cells, *_values(row))
            stream.write(json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False) + "\n")


def _write_excel(path: Path, header: Sequence[str], rows: Iterable[ResultRow]) -> None:
    book = xlsxwriter.Workbook(
        str(path), {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    try:
        _fill(book, header, rows)
        book.close()
    except FileCreateError as error:
        raise error.args[0] if isinstance(error.args[0], OSError) else OSError(str(error)) from None
    finally:
        book.fileclosed = True  # what failed is not tried again when the object goes


def _fill(book: xlsxwriter.Workbook, header: Sequence[str], rows: Iterable[ResultRow]) -> None:
    bold = book.add_format({"bold": True})
    colours = {word: book.add_format({"bg_color": colour}) for word, colour in _COLOURS.items()}
    other = book.add_format({"bg_color": "#FFEB9C"})
    names = (*header, *RESULT_COLUMNS)
    sheet, line = None, EXCEL_ROWS
    for row in rows:
        if sheet is None or line >= EXCEL_ROWS:
            sheet, line = book.add_worksheet(), 0
            sheet.freeze_panes(1, 0)
            sheet.autofilter(0, 0, EXCEL_ROWS, len(names) - 1)
            for place, name in enumerate(names):
                sheet.set_column(place, place, 38 if name.endswith("id") else max(12, min(len(name) + 4, 40)))
                sheet.write_string(0, place, name, bold)
        line += 1
        for place, value in enumerate((*row.cells, *_values(row))):
            if isinstance(value, int):
                sheet.write_number(line, place, value)
            elif value:
                look = colours.get(value, other) if place == len(header) else None
                sheet.write_string(line, place, value[:32_767], look)

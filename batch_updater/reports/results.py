"""Write the result file: CSV, Excel or JSONL, completely or not at all."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from batch_updater.common.errors import SettingsError
from batch_updater.common.files import replaced
from batch_updater.common.models import RESULT_COLUMNS, ResultRow, Value
from batch_updater.common.secret import Secret
from batch_updater.common.text import FORMULA, HALVES, encodable, escape_formula
from batch_updater.inputs.excel.cell_text import plain_text, texts_of
from batch_updater.inputs.excel.worksheet import UserSheet
from batch_updater.reports.workbook import Written, write_workbook

_FIRST_TO_ESCAPE = frozenset((*FORMULA, "'"))


def write_results(
    path: Path, header: Sequence[str], rows: Iterable[ResultRow],
    own: UserSheet | None = None, password: Secret | None = None, *, delimiter: str = ",",
) -> Written:  # fmt: skip
    """Write the result file in the format of its ending.

    `own` is the sheet in the person's own workbook, which an Excel result becomes; see `write_workbook`. `delimiter` is
    for CSV. A text file can have no password, and a note says so. Raises SettingsError for an unknown ending.
    """
    with replaced(path) as part:
        match path.suffix.lower():
            case ".csv":
                _write_csv(part, header, rows, delimiter)
            case ".jsonl":
                _write_jsonl(part, header, rows)
            case ".xlsx" | ".xlsm":
                return write_workbook(part, header, rows, own, password)
            case _:
                raise SettingsError(f"{path} has no known ending.", "use .csv, .xlsx, .xlsm or .jsonl")
    notes = [] if password is None else ["the result file has no password, as the sheet has: only a workbook can"]
    return Written(is_own=False, notes=notes)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[ResultRow], delimiter: str) -> None:
    with path.open("w", encoding="utf-8-sig", errors=HALVES, newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow([escape_formula(name) for name in (*header, *RESULT_COLUMNS)])
        writer.writerows(map(_csv_line, rows))


def _csv_line(row: ResultRow) -> list[Value]:
    texts = texts_of(row.cells)
    cells: list[Value] = [escape_formula(text) if text[:1] in _FIRST_TO_ESCAPE else text for text in texts]
    escaped = row._replace(detail=escape_formula(row.detail), status_name=escape_formula(row.status_name))
    return [*cells, *escaped[2:]]


def _write_jsonl(path: Path, header: Sequence[str], rows: Iterable[ResultRow]) -> None:
    names = _distinct([*map(encodable, header), *RESULT_COLUMNS])
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            values = [_json_value(value) for value in (*row.cells, *row[2:])]
            stream.write(json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False) + "\n")


def _json_value(value: Value) -> Value:
    """Return a value as JSON can hold it: dates and times as text."""
    if isinstance(value, str):
        return encodable(value)
    return value if value is None or isinstance(value, int | float) else plain_text(value)


def _distinct(names: Iterable[str]) -> list[str]:
    """Return the names with a number after each repeated one, since a JSON object has each key once."""
    taken: dict[str, int] = {}
    for name in names:
        one = name
        while one in taken:
            taken[name] += 1
            one = f"{name} ({taken[name]})"
        taken[one] = 1
    return list(taken)

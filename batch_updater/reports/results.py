"""Write the result file: CSV, Excel or JSONL, completely or not at all."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from batch_updater.common.errors import SettingsError
from batch_updater.common.files import replaced
from batch_updater.common.models import RESULT_COLUMNS, ResultRow
from batch_updater.common.text import FORMULA, HALVES, encodable, escape_formula
from batch_updater.reports.workbook import Value, write_workbook

_FIRST_TO_ESCAPE = frozenset((*FORMULA, "'"))


def write_results(
    path: Path, header: Sequence[str], rows: Iterable[ResultRow],
    widths: Sequence[float | None] = (), notes: Sequence[str] = (), *, delimiter: str = ",",
) -> list[str]:  # fmt: skip
    """Write the result file in the format of its ending; return notes on what it could not hold.

    `widths` and `notes` are for Excel, see `write_workbook`; `delimiter` is for CSV. Raises SettingsError for
    an unknown ending.
    """
    with replaced(path) as part:
        match path.suffix.lower():
            case ".csv":
                _write_csv(part, header, rows, delimiter)
            case ".jsonl":
                _write_jsonl(part, header, rows)
            case ".xlsx":
                return write_workbook(part, header, rows, widths, notes)
            case _:
                raise SettingsError(f"{path} has no known ending.", "use .csv, .xlsx or .jsonl")
    return []


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[ResultRow], delimiter: str) -> None:
    with path.open("w", encoding="utf-8-sig", errors=HALVES, newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow([escape_formula(name) for name in (*header, *RESULT_COLUMNS)])
        writer.writerows(map(_csv_line, rows))


def _csv_line(row: ResultRow) -> list[Value]:
    cells: list[Value] = [escape_formula(cell) if cell[:1] in _FIRST_TO_ESCAPE else cell for cell in row.cells]
    escaped = row._replace(detail=escape_formula(row.detail), status_name=escape_formula(row.status_name))
    return [*cells, *escaped[1:]]


def _write_jsonl(path: Path, header: Sequence[str], rows: Iterable[ResultRow]) -> None:
    names = _distinct([*map(encodable, header), *RESULT_COLUMNS])
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            values = [encodable(value) if isinstance(value, str) else value for value in (*row.cells, *row[1:])]
            stream.write(json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False) + "\n")


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

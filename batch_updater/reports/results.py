"""Write the result file: CSV, Excel or JSONL, completely or not at all."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from batch_updater.common.errors import SettingsError
from batch_updater.common.files import replaced
from batch_updater.common.models import RESULT_COLUMNS, ResultRow
from batch_updater.common.text import FORMULA, HALVES, encodable, escape_formula
from batch_updater.reports.workbook import SheetLayout, Value, write_workbook

_FIRST_TO_ESCAPE = frozenset((*FORMULA, "'"))


def write_results(
    path: Path,
    header: Sequence[str],
    rows: Iterable[ResultRow],
    widths: Sequence[float | None] = (),
    notes: Sequence[str] = (),
) -> list[str]:
    """Write the result file in the format of its ending; return notes on what it could not hold.

    In Excel, the sheet's own columns get `widths` (characters; 0 hides, None leaves it open), and `notes` are in the
    summary. Raises SettingsError for an unknown ending.
    """

    def _write_excel(part: Path, header: Sequence[str], rows: Iterable[ResultRow]) -> list[str]:
        layout = SheetLayout(tuple(widths), notes)
        return write_workbook(part, header, RESULT_COLUMNS, ((row, row[1:]) for row in rows), layout)

    writers = {".csv": _write_csv, ".xlsx": _write_excel, ".jsonl": _write_jsonl}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise SettingsError(f"{path} has no known ending.", "use .csv, .xlsx or .jsonl")
    with replaced(path) as part:
        return writer(part, header, rows)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[ResultRow]) -> list[str]:
    with path.open("w", encoding="utf-8-sig", errors=HALVES, newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([escape_formula(name) for name in (*header, *RESULT_COLUMNS)])
        writer.writerows(map(_csv_line, rows))
    return []


def _csv_line(row: ResultRow) -> list[Value]:
    cells: list[Value] = [escape_formula(cell) if cell[:1] in _FIRST_TO_ESCAPE else cell for cell in row.cells]
    escaped = row._replace(detail=escape_formula(row.detail), status_name=escape_formula(row.status_name))
    return [*cells, *escaped[1:]]


def _write_jsonl(path: Path, header: Sequence[str], rows: Iterable[ResultRow]) -> list[str]:
    names = _distinct([*map(encodable, header), *RESULT_COLUMNS])
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            values = (*row.cells, *row[1:])
            try:
                stream.write(_json_line(names, values))
            except UnicodeEncodeError:
                stream.write(
                    _json_line(names, [encodable(value) if isinstance(value, str) else value for value in values])
                )
    return []


def _json_line(names: Iterable[str], values: Iterable[Value]) -> str:
    return json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False) + "\n"


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

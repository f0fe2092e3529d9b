"""Cells of OpenDocument sheets: values of their own kinds, and what is displayed otherwise."""

import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from support.sheets import DONE, HEAD, ods_file, order, read
from support.workbooks import add_results

from batch_updater.inputs.excel.ods_values import typed_value

DAY = datetime.datetime(2026, 11, 23)
SAME = [
    ("value", "12", "12", 12.0), ("value", "12.5", "12,5", 12.5), ("value", "0", "0", 0.0),
    ("value", "0.1", "0.1", 0.1), ("value", "123", "000123", "000123"), ("value", "0", "00", "00"),
    ("value", "0", "#N/A", "#N/A"), ("value", "0", "Err:502", "Err:502"), ("value", "nan", "7", "7"),
    ("value", "seven", "7", "7"), ("date-value", "2026-11-23", "2026-11-23", DAY),
    ("date-value", "2026-02-30", "30.2.2026", "30.2.2026"), ("boolean-value", "true", "WAHR", True),
    ("boolean-value", "false", "FALSE", False), ("string-value", "x", "", "x"), ("string-value", "x ", "x", "x"),
]  # fmt: skip
OTHERWISE = [
    ("value", "0.5", "50 %", 0.5), ("value", "1234", "1,234", 1234.0), ("value", "17", "ORD-0017", 17.0),
    ("value", "7", "", 7.0), ("date-value", "2026-11-23", "23.11.26", DAY),
    ("date-value", "2026-11-23T08:05:00.5Z", "x", DAY.replace(hour=8, minute=5, microsecond=500_000)),
    ("time-value", "PT08H05M00S", "8:05 AM", datetime.time(8, 5)),
    ("time-value", "PT26H00M01,5S", "26:00", datetime.timedelta(hours=26, seconds=1.5)),
    ("value", "1e", "", "1e"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "stored", "display", "value"), SAME)
def test_a_value_that_is_displayed_as_it_is_has_no_flaw(key: str, stored: str, display: str, value: Any) -> None:
    """Points or commas are the same number; zeros before it, errors and what is no value are the displayed text."""
    found, flaw = typed_value({f"office:{key}": stored}, display)
    assert (found, type(found), flaw) == (value, type(value), None)


@pytest.mark.parametrize(("key", "stored", "display", "value"), OTHERWISE)
def test_a_value_that_is_displayed_otherwise_is_told(key: str, stored: str, display: str, value: Any) -> None:
    """The value is kept, and in a used column its row is invalid."""
    found, flaw = typed_value({f"office:{key}": stored}, display)
    assert (found, type(found)) == (value, type(value))
    assert flaw
    assert flaw.code == "number_format"
    assert (f"'{display}'" if display else "hides") in flaw.detail


def cell(kind: str, stored: str, display: str) -> str:
    """A cell with a value of some kind."""
    key = {"float": "value"}.get(kind, f"{kind}-value")
    attributes = f'office:value-type="{kind}" office:{key}="{stored}"'
    return f"<table:table-cell {attributes}><text:p>{display}</text:p></table:table-cell>"


def test_the_result_of_an_open_document_has_typed_cells(tmp_path: Path) -> None:
    """Numbers, dates and truth values are such cells of the new workbook, and texts stay texts."""
    text = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'.format
    row = "<table:table-row>{}</table:table-row>".format
    header = row("".join(map(text, [*HEAD, "amount", "day", "paid", "zip", "none"])))
    cells = [text(order(1)), text(DONE), cell("float", "0", "0"), cell("date", "2026-11-23", "23.11.26"),
             cell("boolean", "false", "FALSE"), cell("float", "42", "00042")]  # fmt: skip
    table = f'<table:table table:name="T">{header}{row("".join(cells))}</table:table>'
    source = read(ods_file(tmp_path, table))
    assert add_results(source, tmp_path / "r.xlsx").notes == []
    found = next(openpyxl.load_workbook(tmp_path / "r.xlsx")["results"].iter_rows(min_row=2, values_only=True))
    assert found[2:8] == (0, DAY, False, "00042", None, "updated")
    assert [row.cells[2:6] for row in source.rows()] == [("0", "2026-11-23", "FALSE", "00042")]

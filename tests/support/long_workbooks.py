"""Adds results to a workbook of many rows, in a process of its own: what that costs in memory, as the kernel saw it.

`python -m support.long_workbooks FOLDER ROWS` prints the growth in kB while the sheet is scanned and results are added.
"""

import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from support.sheets import DONE, HEAD, order, raw_excel, xml_row

from batch_updater.common.models import Result, ResultRow
from batch_updater.inputs.excel import worksheet
from batch_updater.inputs.excel.worksheet import CellFormats, UserSheet
from batch_updater.reports.results import write_results

PART = "xl/worksheets/sheet1.xml"


def make_sheet(folder: Path, rows: int) -> Path:
    """Write a workbook of two columns, one row after the other."""
    small, path = raw_excel(folder, ""), folder / "long.xlsx"
    with zipfile.ZipFile(small) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
        for info in old.infolist():
            before, rest = old.read(info).split(b"</sheetData>") if info.filename == PART else (old.read(info), b"")
            with new.open(info.filename, "w", force_zip64=True) as stream:
                stream.write(before)
                for number in range(1, rows + 2) if rest else ():
                    stream.write(xml_row(number, *(HEAD if number == 1 else (order(number), DONE))).encode())
                stream.write(b"</sheetData>" + rest if rest else b"")
    return path


def results(rows: int) -> Iterator[ResultRow]:
    """A result for each row, without its cells."""
    for number in range(2, rows + 2):
        yield ResultRow(
            number=number, cells=(), result=Result.UPDATED, http_status=200, code="ok", detail="", attempts=1,
            order_id=order(number), status_id=DONE, status_name="Completed", previous_status_id="", row=number,
            sent_at="2026-11-23T10:00:00.000Z", duration_ms=12, run_id="20261123T101500Z-3f9a",
        )  # fmt: skip


def peak() -> int:
    """The most memory in kB that this process has had (`ru_maxrss` would include what its parent had)."""
    (found,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found)


def main() -> None:
    """Make the sheet, then measure."""
    folder, rows = Path(sys.argv[1]), int(sys.argv[2])
    path = make_sheet(folder, rows)
    before = peak()
    with zipfile.ZipFile(path) as archive, archive.open(PART) as stream:
        facts = worksheet.scan(stream, CellFormats({}, {}), 10**9)
    own = UserSheet(path, PART, "Orders", facts, 1, tuple(HEAD))
    assert write_results(folder / "result.xlsx", HEAD, results(rows), own).is_own
    sys.stdout.write(f"{peak() - before}\n")


if __name__ == "__main__":
    main()

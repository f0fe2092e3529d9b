"""What it costs to add results to a person's own workbook, beside writing a plain new one.

Each figure is of a process of its own: `python tests/bench/workbook.py --rows 1000 100000`.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import xlsxwriter
from support.sheets import DONE, HEAD, order, read
from support.workbooks import SomeResults

from batch_updater.reports.results import write_results


def make_sheet(path: Path, rows: int) -> None:
    """Write a workbook of six columns."""
    with xlsxwriter.Workbook(str(path), {"constant_memory": True}) as book:
        sheet = book.add_worksheet("Orders")
        sheet.write_row(0, 0, [*HEAD, "customer", "amount", "note", "place"])
        for line in range(1, rows + 1):
            sheet.write_row(line, 0, [order(line), DONE, f"customer {line}", line / 4, "some note", "Ankara"])


def measure(path: Path, way: str) -> None:
    """Write one result and print what it took."""
    began, used = time.monotonic(), time.process_time()
    source = read(path, max_cells=100_000_000)
    own = source.user_sheet if way == "own" else None
    write_results(path.with_name(f"{way}.xlsx"), source.header, SomeResults(source), own)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{way:>6} {time.monotonic() - began:8.1f} s {time.process_time() - used:8.1f} s of CPU {memory:6} MB")


def main() -> None:
    """Measure each way of writing, reading included, at each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[1000, 100_000])
    parser.add_argument("--one", nargs=2)
    options = parser.parse_args()
    if options.one:
        measure(Path(options.one[0]), options.one[1])
        return
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            make_sheet(Path(folder) / "sheet.xlsx", rows)
            print(f"{rows:,} rows", flush=True)
            for way in ("own", "plain"):
                subprocess.run([sys.executable, __file__, "--one", str(Path(folder) / "sheet.xlsx"), way], check=True)


if __name__ == "__main__":
    main()

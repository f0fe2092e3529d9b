"""Time and peak memory of reading and planning, against `pandas.read_csv(dtype=str)` of the same file in the same run.

    python tests/bench/read.py                      # 100,000 and 1,000,000 CSV rows, 1,000,000 Excel rows
    python tests/bench/read.py --csv 10000000       # ten million

Each step runs in a process of its own, so that its peak is its own. `plan` is everything from opening the sheet to the
sealed plan in the journal; `results` streams the result file from both. Times are CPU seconds.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import xlsxwriter

sys.path[:0] = [str(Path(__file__).parents[1])]

from support.journals import some_facts

SEED = 7
HEADER = ("order_id", "status_id", "note")


def made_rows(count: int) -> Iterator[tuple[str, str, str]]:
    """Rows as a tenant's export has them: an id of its own each, five statuses, a short note."""
    chance = random.Random(SEED)
    statuses = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(5)]
    for number in range(count):
        digits = f"{chance.getrandbits(128):032x}"
        order = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        yield order, statuses[number % 5], f"Row {number}"


def make_csv(path: Path, count: int) -> None:
    """Write a CSV of that many rows."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write(",".join(HEADER) + "\n")
        stream.writelines(",".join(row) + "\n" for row in made_rows(count))


def make_excel(path: Path, count: int) -> None:
    """Write a workbook of that many rows."""
    book = xlsxwriter.Workbook(str(path), {"constant_memory": True})
    sheet = book.add_worksheet("Orders")
    sheet.write_row(0, 0, HEADER)
    for number, row in enumerate(made_rows(count), 1):
        sheet.write_row(number, 0, row)
    book.close()


def step_pandas(path: Path, _place: Path) -> None:
    """The reference: the whole file into memory, nothing checked."""
    import pandas as pd

    if path.suffix == ".csv":
        pd.read_csv(path, dtype=str)
    else:
        pd.read_excel(path, dtype=str, engine="calamine")


def step_plan(path: Path, place: Path) -> None:
    """Open the sheet, validate every row, write the plan."""
    from batch_updater.inputs.columns import ColumnNames, find_columns
    from batch_updater.inputs.selection import ReadOptions
    from batch_updater.inputs.source import open_source
    from batch_updater.journal.draft import Draft
    from batch_updater.planning.plan import make_plan
    from batch_updater.planning.validate import RowValidator

    source = open_source(path, ReadOptions())
    columns = find_columns(source.header, ColumnNames())
    draft = Draft.create(place / "journal.sqlite")
    make_plan(source.rows(), RowValidator(columns.order, columns.status).validate, draft, "hold").seal(
        some_facts()
    ).close()


def step_results(path: Path, place: Path) -> None:
    """Stream the result file from the sheet and the journal that `plan` has left."""
    from batch_updater.inputs.selection import ReadOptions
    from batch_updater.inputs.source import open_source
    from batch_updater.journal.journal import Journal
    from batch_updater.reports.results import write_results
    from batch_updater.reports.rows import ResultRows

    source = open_source(path, ReadOptions())
    with Journal.open(place / "journal.sqlite") as journal:
        write_results(place / "results.csv", source.header, ResultRows(source, journal, "bench"), source.widths)


STEPS = {"pandas": step_pandas, "plan": step_plan, "results": step_results}


def measured(step: str, path: Path, place: Path) -> tuple[float, float]:
    """CPU seconds and peak MB of a step in a process of its own."""
    command = [sys.executable, __file__, "--step", step, str(path), str(place)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found["seconds"], found["megabytes"]


def bench(path: Path, count: int) -> None:
    """Print one line per step."""
    with tempfile.TemporaryDirectory(dir=path.parent) as place:
        reference, megabytes = measured("pandas", path, Path(place))
        print(f"{path.suffix[1:]:>5} {count:>11,}  pandas   {reference:8.2f} s            {megabytes:7,.0f} MB")
        for step in ("plan", "results"):
            seconds, megabytes = measured(step, path, Path(place))
            ratio = f"{seconds / reference:5.1f} x pandas"
            print(f"{path.suffix[1:]:>5} {count:>11,}  {step:<8} {seconds:8.2f} s {ratio} {megabytes:7,.0f} MB")


def run_step(step: str, path: Path, place: Path) -> None:
    """Do one step and print what it took, imports left aside."""
    import pandas as pd

    import batch_updater.app.execute

    assert batch_updater.app.execute and pd
    began = time.process_time()
    STEPS[step](path, place)
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    print(json.dumps({"seconds": seconds, "megabytes": peak}))


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=int, nargs="*", default=[100_000, 1_000_000], help="numbers of CSV rows")
    parser.add_argument("--excel", type=int, nargs="*", default=[1_000_000], help="numbers of Excel rows")
    parser.add_argument("--dir", type=Path, help="where to work  [a temporary folder]")
    parser.add_argument("--step", nargs=3, metavar=("STEP", "FILE", "PLACE"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.step:
        run_step(chosen.step[0], Path(chosen.step[1]), Path(chosen.step[2]))
        return
    with tempfile.TemporaryDirectory(dir=chosen.dir) as folder:
        for count, maker, ending in (
            *((count, make_csv, "csv") for count in chosen.csv),
            *((count, make_excel, "xlsx") for count in chosen.excel),
        ):
            path = Path(folder) / f"{count}.{ending}"
            maker(path, count)
            bench(path, count)
            path.unlink()


if __name__ == "__main__":
    main()

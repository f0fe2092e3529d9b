"""A long run: does the program grow, tire or lose anything on the way?

    python tests/bench/endurance.py --rows 5000000    # against a fast server: nginx, if it is installed

Once a second the program's memory, file descriptors and CPU time are looked at, and how many PUTs the server has had.
Rates are given per tenth of the PUTs, in rows per second and in CPU time per row, which a busy machine disturbs less.
`soak.py` runs against a service with faults.
"""

import argparse
import contextlib
import csv
import itertools
import os
import re
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from limits import write_sheet
from support.program import PROGRAM
from throughput import cores, start, target

Ask = Callable[[], int]


@dataclass(frozen=True)
class Look:
    """The program at one moment: seconds, PUTs that the server has had, MB, open files, CPU seconds."""

    when: float
    puts: int
    megabytes: float
    files: int
    cpu: float


@dataclass(frozen=True)
class Service:
    """What the program talks to: the environment that leads to it, and a counter of PUTs."""

    environment: dict[str, str]
    puts: Ask


@contextlib.contextmanager
def fast_service(place: Path, core: set[int]) -> Iterator[Service]:
    """A server that says yes to everything."""
    with target(place, core) as (url, _kind):

        def puts() -> int:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/count", timeout=5) as answer:
                return int(re.findall(rb"\d+", answer.read())[3])
            return 0

        yield Service({"EVREKA360_BASE_URL": url, "EVREKA360_ACCESS_TOKEN": "bench-token"}, puts)


def watch(sheet: Path, service: Service, core: set[int], *options: object) -> tuple[int, list[Look]]:
    """Run the program on the sheet; its exit code and what was seen of it, once a second."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("EVREKA360", "ACCESS_TOKEN", "BATCH_UPDATER"))}
    command = [*PROGRAM, "run", str(sheet), "--yes", "--quiet", "--concurrency", "64", *map(str, options)]
    looks: list[Look] = []
    began = time.monotonic()
    with sheet.with_suffix(".log").open("w", encoding="utf-8") as log:
        process = start(command, core, env={**keep, **service.environment}, stdout=log, stderr=log)
        try:
            while process.poll() is None:
                with contextlib.suppress(OSError, IndexError):
                    looks.append(_look(process.pid, time.monotonic() - began, service.puts()))
                time.sleep(1.0)
        finally:
            process.kill()
            process.wait()
    return process.returncode, looks


def _look(pid: int, when: float, puts: int) -> Look:
    proc = Path(f"/proc/{pid}")
    pages = int((proc / "statm").read_text().split()[1])
    spent = (proc / "stat").read_text().rpartition(")")[2].split()
    cpu = (int(spent[11]) + int(spent[12])) / os.sysconf("SC_CLK_TCK")
    return Look(when, puts, pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(os.listdir(proc / "fd")), cpu)  # noqa: PTH208 - names only


def tenths(looks: list[Look]) -> Iterator[tuple[Look, Look]]:
    """The looks at the beginning and end of each tenth of the PUTs; the very first and last are left aside."""
    total = looks[-1].puts
    edges = [next(look for look in looks if look.puts >= total * (0.01 + 0.098 * part)) for part in range(11)]
    yield from itertools.pairwise(edges)


def report(looks: list[Look]) -> Iterator[str]:
    """A line per tenth, then what is asked of it: the last against the first but one, and how much has grown."""
    speeds: list[float] = []
    yield "tenth      rows/s   CPU us/row   memory MB   open files"
    for number, (first, last) in enumerate(tenths(looks), 1):
        count, seconds = max(last.puts - first.puts, 1), max(last.when - first.when, 1e-9)
        speeds.append(count / seconds)
        cost = 1e6 * (last.cpu - first.cpu) / count
        yield f"{number:>5} {speeds[-1]:>11,.0f} {cost:>12.1f} {last.megabytes:>11.0f} {last.files:>12}"
    peak = max(look.megabytes for look in looks)
    yield f"last tenth at {speeds[-1] / speeds[0]:.2f} of the first one's speed; peak {peak:.0f} MB"


def count_results(sheet: Path, rows: int) -> str:
    """The counts of the results. Raises SystemExit when a row is missing or out of place."""
    run = max(sheet.with_suffix(".runs").glob("2*"))
    results: Counter[str] = Counter()
    missing = 0
    with (run / "results.csv").open(encoding="utf-8-sig", newline="") as stream:
        for number, row in enumerate(csv.DictReader(stream), 2):
            results[row["result"]] += 1
            missing += int(row["result_row"]) != number
    if missing or results.total() != rows:
        raise SystemExit(f"{missing} rows out of place, {results.total()} rows")
    return ", ".join(f"{number:,} {result}" for result, number in results.items())


def main() -> None:
    """Run, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    asked = parser.parse_args()
    server_core, client_core = cores()
    with tempfile.TemporaryDirectory() as name:
        sheet = write_sheet(Path(name) / "orders.csv", asked.rows)
        with fast_service(Path(name), server_core) as service:
            code, looks = watch(sheet, service, client_core)
        if code:
            raise SystemExit(f"exit {code}: {sheet.with_suffix('.log').read_text(encoding='utf-8')[-2000:]}")
        found = count_results(sheet, asked.rows)
        print(f"{asked.rows:,} rows in {looks[-1].when:,.0f} s, exit {code}: {found}")
        print("\n".join(report(looks)))


if __name__ == "__main__":
    main()

"""Whether slow rows hold back others, and how late the loop gets under full load.

    python tests/bench/tail.py [--seconds 60] [--workers 64] [--rows 100000] [--only even,slow,lag]

`even`: a server that takes 50 ms for every answer; `slow`: it takes 1 s for one in a hundred. The ideal is what the
workers could do if nothing took time but the server: workers / mean time of an answer, once as the server should
take it and once as it took it (a busy machine is late). Both leave out the first second. `lag`: the sending part
against a server that answers at once (nginx where it is installed); how much later than asked a task wakes up.
"""

import argparse
import asyncio
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from clients import sending
from limits import start_program, write_sheet
from server import ACCEPTED, serve
from throughput import cores, start, target

USUAL, SLOW, SLOW_SHARE = 0.05, 1.0, 0.01
WARM_UP = 1.0
TICK = 0.01


class Watch:
    """Chooses how long each answer takes, and remembers when requests came and how long their answers really took."""

    def __init__(self, slow_share: float) -> None:
        self._slow_share, self._random = slow_share, random.Random(1)
        self.came: list[float] = []
        self.took: list[float] = []

    @property
    def mean(self) -> float:
        """Seconds that an answer should take on average."""
        return USUAL + (SLOW - USUAL) * self._slow_share

    def latency(self) -> float:
        """Seconds for the next answer."""
        return SLOW if self._random.random() < self._slow_share else USUAL

    def answer(self) -> bytes:
        """The answer to a PUT that arrives now."""
        self.came.append(time.monotonic())
        return ACCEPTED


async def pool(title: str, slow_share: float, seconds: float, workers: int) -> str:
    """Run the program against a slow server for so long; give the line of the table."""
    watch = Watch(slow_share)
    server, url = await serve(watch.answer, watch.latency, took=watch.took.append)
    async with server:
        with tempfile.TemporaryDirectory() as place:
            sheet = write_sheet(Path(place) / "orders.csv", round(workers / watch.mean * (seconds + 5)))
            program = await start_program(sheet, url, workers)
            while not watch.came and program.returncode is None:
                await asyncio.sleep(0.01)
            await asyncio.wait([asyncio.create_task(program.wait())], timeout=seconds + WARM_UP)
            program.send_signal(signal.SIGTERM)
            await program.wait()
    began = watch.came[0] + WARM_UP
    speed = sum(began <= when < began + seconds for when in watch.came) / seconds
    told, real = workers / watch.mean, workers / statistics.fmean(watch.took)
    return f"| {title} | {speed:,.0f} | {told:,.0f} | {100 * speed / told:.1f} % | {100 * speed / real:.1f} % |"


def lag(rows: int, workers: int) -> Iterator[str]:
    """Measure the loop's lag in a process of its own; give the table."""
    server_core, client_core = cores()
    with tempfile.TemporaryDirectory() as place, target(Path(place), server_core) as (url, kind):
        sheet = write_sheet(Path(place) / "orders.csv", rows)
        command = [sys.executable, __file__, "--workers", str(workers), "--probe", str(sheet), url]
        process = start(command, client_core, stdout=subprocess.PIPE)
        out, _ = process.communicate()
        if process.returncode:
            raise SystemExit("the probe failed")
    told = json.loads(out.splitlines()[-1])
    late = sorted(told["late"])
    yield f"\n{rows:,} rows against {kind}, {rows / told['wall']:,.0f} rows/s, {len(late):,} looks"
    yield "| the loop's lag | p50 | p99 | p99.9 | longest |\n|---|---|---|---|---|"
    shown = [late[min(round(share * len(late)), len(late) - 1)] for share in (0.5, 0.99, 0.999, 1)]
    yield "| ms | " + " | ".join(f"{1000 * value:.1f}" for value in shown) + " |"


def probe(sheet: Path, url: str, workers: int) -> None:
    """Send a sheet with a task beside it that wants to wake up every 10 ms; print how late it was each time."""
    late: list[float] = []

    async def look() -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK
            await asyncio.sleep(TICK)
            late.append(loop.time() - due)

    meter = sending(sheet, url, workers, look)
    print(json.dumps({"wall": meter.wall, "late": late}))


def main() -> None:
    """Measure what was asked for and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only", default="even,slow,lag")
    parser.add_argument("--probe", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.probe:
        probe(Path(asked.probe[0]), asked.probe[1], asked.workers)
        return
    kinds = asked.only.split(",")
    print("| server | rows/s | ideal | of the ideal | of the ideal at the server's real times |\n|---|---|---|---|---|")
    if "even" in kinds:
        print(asyncio.run(pool("50 ms", 0.0, asked.seconds, asked.workers)), flush=True)
    if "slow" in kinds:
        title = "50 ms, one in a hundred 1 s"
        print(asyncio.run(pool(title, SLOW_SHARE, asked.seconds, asked.workers)), flush=True)
    if "lag" in kinds:
        print("\n".join(lag(asked.rows, asked.workers)))


if __name__ == "__main__":
    main()

"""How much of a hidden rate limit `batch-updater run` uses, and how much of what it sends is refused.

    python tests/bench/limits.py [--limits 100,500,2000] [--seconds 70] [--at-once 2] [--only a,b,c,d,e,half]

Each case is a server of its own on loopback with 20 ms latency and the program as a process of its own. "Accepted" is
the share of the limit, "refused" the share of all requests, both after the first 10 s; "learned" is when the first
5 s began in which 95 % of the limit was accepted, in seconds from the first request.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from server import ACCEPTED, BAD, response, serve
from support.limiters import FixedWindow, LeakyBucket, Limiter

LATENCY = 0.02
LEARNING = 10.0
WORKERS = 64


@dataclass(frozen=True)
class Case:
    """A kind of limiter: what it is, how it says no, and whether its limit halves half-way."""

    title: str
    limiter: Callable[[float], Limiter]
    refusal: bytes
    halves: bool = False


def _leaky(limit: float) -> Limiter:
    return LeakyBucket(limit, 20)


def _patient(limit: float) -> Limiter:
    return LeakyBucket(limit, 500)


TOLD = response("429 Too Many Requests", BAD, "Retry-After: 1")
BARE = response("429 Too Many Requests", BAD)
DOWN = response("503 Service Unavailable", BAD)
CASES = {
    "a": Case("leaky bucket, burst 20, 429 + Retry-After: 1", _leaky, TOLD),
    "b": Case("leaky bucket, burst 500, 429 + Retry-After: 1", _patient, TOLD),
    "c": Case("fixed window of 1 s, 429 + Retry-After: 1", FixedWindow, TOLD),
    "d": Case("leaky bucket, burst 20, bare 429", _leaky, BARE),
    "e": Case("leaky bucket, burst 20, bare 503", _leaky, DOWN),
    "half": Case("as the first, and the limit halves at 20 s", _leaky, TOLD, halves=True),
}


class Witness:
    """Lets a limiter decide and remembers when it accepted and refused."""

    def __init__(self, limiter: Limiter, refusal: bytes) -> None:
        self.limiter, self._refusal = limiter, refusal
        self.accepted: list[float] = []
        self.refused: list[float] = []

    def answer(self) -> bytes:
        """The answer to one PUT that arrives now."""
        now = time.monotonic()
        good = self.limiter.accepts(now)
        (self.accepted if good else self.refused).append(now)
        return ACCEPTED if good else self._refusal

    @property
    def began(self) -> float:
        """When the first PUT arrived."""
        return min([*self.accepted[:1], *self.refused[:1]], default=time.monotonic())

    def between(self, start: float, end: float) -> tuple[int, int]:
        """Accepted and refused between two times in seconds from the first PUT."""
        first, last = self.began + start, self.began + end
        return sum(first <= t < last for t in self.accepted), sum(first <= t < last for t in self.refused)

    def learned(self, limit: float, end: float) -> float | None:
        """When the first 5 s began in which 95 % of the limit was accepted; None when there were none."""
        tenths = range(round((end - 5) * 10))
        return next((n / 10 for n in tenths if self.between(n / 10, n / 10 + 5)[0] >= 0.95 * limit * 5), None)


async def measure(case: Case, limit: float, seconds: float) -> str:
    """Run the program against one limiter for so long; give the line of the table."""
    witness = Witness(case.limiter(limit), case.refusal)
    server, url = await serve(witness.answer, lambda: LATENCY)
    async with server:
        with tempfile.TemporaryDirectory() as place:
            sheet = write_sheet(Path(place) / "orders.csv", round(limit * (seconds + 5)))
            program = await start_program(sheet, url, WORKERS)
            while not witness.accepted and program.returncode is None:
                await asyncio.sleep(0.01)
            if case.halves:
                asyncio.get_running_loop().call_later(20, lambda: setattr(witness.limiter, "limit", limit / 2))
            try:
                await asyncio.wait_for(program.wait(), seconds)
            except TimeoutError:
                program.send_signal(signal.SIGTERM)
            await program.wait()
    start = 40.0 if case.halves else LEARNING
    target = limit / 2 if case.halves else limit
    accepted, refused = witness.between(start, seconds)
    learned = witness.learned(limit, seconds)
    return (
        f"| {case.title} | {limit:,.0f}/s | {100 * accepted / (target * (seconds - start)):.1f} %"
        f" | {100 * refused / max(accepted + refused, 1):.2f} % | {'-' if learned is None else f'{learned:.1f} s'} |"
    )


def write_sheet(path: Path, rows: int) -> Path:
    """A sheet of different orders, all to get the same status."""
    status = uuid.UUID(int=1)
    lines = (f"{uuid.UUID(int=n + 2**100)},{status}\n" for n in range(rows))
    path.write_text("order_id,status_id\n" + "".join(lines), encoding="ascii")
    return path


async def start_program(sheet: Path, url: str, workers: int, *more: str) -> asyncio.subprocess.Process:
    """Start `batch-updater run` on a sheet, quietly."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("EVREKA360", "ACCESS_TOKEN", "BATCH_UPDATER"))}
    options = ["--yes", "--quiet", "--concurrency", str(workers), "--retries", "50", *more]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "batch_updater", "run", str(sheet), *options,
        env={**keep, "EVREKA360_BASE_URL": url, "EVREKA360_ACCESS_TOKEN": "bench-token"},
    )  # fmt: skip


async def main() -> None:
    """Measure the cases that were asked for, some at once, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limits", default="100,500,2000")
    parser.add_argument("--seconds", type=float, default=70.0)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--only", default=",".join(CASES))
    asked = parser.parse_args()
    turns = asyncio.Semaphore(asked.at_once)

    async def line(case: Case, limit: float) -> str:
        async with turns:
            return await measure(case, limit, asked.seconds)

    print("| limiter | limit | accepted, of the limit | refused, of all | learned |\n|---|---|---|---|---|")
    tasks = [
        asyncio.create_task(line(CASES[name], float(limit)))
        for limit in asked.limits.split(",")
        for name in asked.only.split(",")
    ]
    for task in tasks:
        print(await task, flush=True)


if __name__ == "__main__":
    asyncio.run(main())

"""How much of a hidden rate limit `batch-updater run` uses, and how much of what it sends is refused.

    python tests/bench/limits.py [--limits 100,500,2000] [--seconds 70] [--at-once 2] [--only a,b,c,d,e,half,…]

Each case is a server of its own on loopback with 20 ms latency and the program as a process of its own: our limiters
at each of the limits, then nginx and uvicorn, where they are installed, at their own. "Accepted" is the share of the
limit, "refused" the share of all requests, both after the first 10 s; "learned" is when the first 5 s began in which
95 % of the limit was accepted, in seconds from the first request. `--python` is the interpreter of another
version's environment, to measure that version.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from limited_servers import SERVERS, LimitedServer, started
from server import ACCEPTED, BAD, response, serve
from support.limiters import FixedWindow, LeakyBucket, Limiter

LATENCY = 0.02
LEARNING = 10.0
WORKERS = 64


@dataclass(frozen=True)
class Case:
    """A kind of limiter: what it is, how it says no, whether its limit halves half-way, whether it names its quota."""

    title: str
    limiter: Callable[[float], Limiter]
    refusal: bytes
    halves: bool = False
    has_headers: bool = False


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
    "window": Case("fixed window of 10 s, bare 429", lambda limit: FixedWindow(limit, 10.0), BARE),
    "told": Case(
        "fixed window of 10 s, 429, rate-limit headers", lambda limit: FixedWindow(limit, 10.0), BARE, has_headers=True
    ),
    "half": Case("as the first, and the limit halves at 20 s", _leaky, TOLD, halves=True),
}


class Witness:
    """Lets a limiter decide and remembers when it accepted and refused."""

    def __init__(self, limiter: Limiter, refusal: bytes, *, has_headers: bool = False) -> None:
        self.limiter, self._refusal, self._has_headers = limiter, refusal, has_headers
        self.accepted: list[float] = []
        self.refused: list[float] = []

    def answer(self) -> bytes:
        """The answer to one PUT that arrives now."""
        now = time.monotonic()
        good = self.limiter.accepts(now)
        self.saw(good)
        reply = ACCEPTED if good else self._refusal
        if self._has_headers and (quota := self.limiter.quota(now)):
            told = f"\r\nRateLimit-Remaining: {quota.remaining}\r\nRateLimit-Reset: {quota.reset}\r\n\r\n"
            return reply.replace(b"\r\n\r\n", told.encode(), 1)
        return reply

    def saw(self, good: bool) -> None:
        """Remember that a PUT was accepted or refused now."""
        (self.accepted if good else self.refused).append(time.monotonic())

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


async def measure(case: Case, limit: float, seconds: float, python: str) -> str:
    """Run the program against one limiter for so long; give the line of the table."""
    witness = Witness(case.limiter(limit), case.refusal, has_headers=case.has_headers)
    server, url = await serve(witness.answer, lambda: LATENCY)
    async with server:
        if case.halves:
            asyncio.get_running_loop().call_later(20, lambda: setattr(witness.limiter, "limit", limit / 2))
        failed = await send_to(url, witness, limit, seconds, python)
    start, target = (40.0, limit / 2) if case.halves else (LEARNING, limit)
    return line(case.title, witness, limit, target, start, seconds, failed)


async def measure_server(server: LimitedServer, seconds: float, python: str) -> str:
    """Run the program against nginx or uvicorn for so long; give the line of the table."""
    witness = Witness(Limiter(server.limit), b"")
    behind, url = await serve(latency=lambda: LATENCY)
    async with behind:
        with tempfile.TemporaryDirectory() as place:
            async with started(server, url, Path(place), witness.saw) as front:
                failed = await send_to(front, witness, server.limit, seconds, python)
    return line(server.title, witness, server.limit, server.limit, LEARNING, seconds, failed)


async def send_to(url: str, witness: Witness, limit: float, seconds: float, python: str) -> int:
    """Let the program send for so long; give the number of rows that are `failed` or `unknown`."""
    with tempfile.TemporaryDirectory() as place:
        sheet = write_sheet(Path(place) / "orders.csv", round(limit * (seconds + 5)))
        program = await start_program(sheet, url, WORKERS, python)
        while not witness.accepted and program.returncode is None:
            await asyncio.sleep(0.01)
        try:
            await asyncio.wait_for(program.wait(), seconds)
        except TimeoutError:
            program.send_signal(signal.SIGTERM)
        await program.wait()
        summary = next(Path(place).glob("*.runs/*/summary.json"))
        results = json.loads(summary.read_text(encoding="utf-8"))["results"]
        return int(results.get("failed", 0) + results.get("unknown", 0))


def line(title: str, witness: Witness, limit: float, target: float, start: float, seconds: float, failed: int) -> str:
    """One line of the table: what happened from `start` on, while `target` was the limit."""
    accepted, refused = witness.between(start, seconds)
    learned = witness.learned(limit, seconds)
    return (
        f"| {title} | {limit:,.0f}/s | {100 * accepted / (target * (seconds - start)):.1f} %"
        f" | {100 * refused / max(accepted + refused, 1):.2f} %"
        f" | {'-' if learned is None else f'{learned:.1f} s'} | {failed} |"
    )


def write_sheet(path: Path, rows: int) -> Path:
    """A sheet of different orders, all to get the same status."""
    status = uuid.UUID(int=1)
    lines = (f"{uuid.UUID(int=n + 2**100)},{status}\n" for n in range(rows))
    path.write_text("order_id,status_id\n" + "".join(lines), encoding="ascii")
    return path


async def start_program(
    sheet: Path, url: str, workers: int, python: str = sys.executable
) -> asyncio.subprocess.Process:
    """Start `batch-updater run` on a sheet, quietly."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("EVREKA360", "ACCESS_TOKEN", "BATCH_UPDATER"))}
    options = ["--yes", "--quiet", "--concurrency", str(workers), "--retries", "50"]
    return await asyncio.create_subprocess_exec(
        python, "-P", "-m", "batch_updater", "run", str(sheet), *options,
        env={**keep, "EVREKA360_BASE_URL": url, "EVREKA360_ACCESS_TOKEN": "bench-token"},
    )  # fmt: skip


async def main() -> None:
    """Measure the cases that were asked for, some at once, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limits", default="100,500,2000")
    parser.add_argument("--seconds", type=float, default=70.0)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--only", default=",".join([*CASES, *SERVERS]))
    parser.add_argument("--python", default=sys.executable)
    asked = parser.parse_args()
    turns = asyncio.Semaphore(asked.at_once)

    async def in_turn(measuring: Coroutine[None, None, str]) -> str:
        async with turns:
            return await measuring

    print("| limiter | limit | accepted | refused | learned | rows failed |\n|---|---|---|---|---|---|")
    names = asked.only.split(",")
    wanted = [
        *(
            measure(CASES[name], float(limit), asked.seconds, asked.python)
            for limit in asked.limits.split(",")
            for name in names
            if name in CASES
        ),
        *(
            measure_server(SERVERS[name], asked.seconds, asked.python)
            for name in names
            if name in SERVERS and SERVERS[name].is_there
        ),
    ]
    for task in [asyncio.create_task(in_turn(one)) for one in wanted]:
        print(await task, flush=True)


if __name__ == "__main__":
    asyncio.run(main())

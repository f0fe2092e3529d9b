"""A long run against a service that is never well: does the program lie, lose anything, grow or tire?

    python tests/bench/soak.py --rows 1000000 --faults 0.05

The raw TCP fault server breaks a share of the updates, by every fault that a run survives: connections broken at any
point, silence, dripping, lying lengths, garbage, bombs, every kind of 4xx and 5xx. Left out are those that end a run
(401, redirects) or slow it down as they ask (429, Retry-After, endless 100s). A token is good for 60 s. At the end the
judge of the attack tests looks at the service's ledger, the journal and the result file.
"""

import argparse
import asyncio
import contextlib
import os
import random
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from endurance import Service, report, watch
from support.fault_list import CODES, CONNECTION, CONTENT, FRAMING, STATUS
from support.fault_server import CLIENT, CLIENT_SECRET, ISSUED, PASSWORD, PUT, USER, Fault, FaultServer
from support.judging import judge_folder, judge_rows
from support.program import read_result
from throughput import cores

from batch_updater.sandbox.server import order_id, status_id

TOKEN_LIFE = 60.0
TIMEOUT = 2.0  # seconds that silence lasts
CONCURRENCY = 64
BEFORE, WANTED = status_id("Planned"), status_id("Completed")
MIXED = {
    name: fault
    for name, fault in {
        **CONNECTION, **FRAMING, **CONTENT, **{str(code): STATUS[str(code)] for code in CODES if code != 429}
    }.items()
    if fault.end != "stops" and not (fault.refuses or fault.blind) and name != "100 for ever"
}  # fmt: skip


def schedule(rows: int, share: float, seed: int) -> dict[tuple[object, ...], Fault]:
    """A fault at this share of the updates, by their place among all that arrive."""
    chance, faults = random.Random(seed), list(MIXED.values())
    return {(PUT, place): chance.choice(faults) for place in range(rows * 2) if chance.random() < share}


async def _serve(server: FaultServer, ready: threading.Event, over: asyncio.Event) -> None:
    async with server:
        ready.set()
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), TOKEN_LIFE)
            server.tokens = (server.tokens or 0) + 1  # the one that was given last is good no more


@contextlib.contextmanager
def served(server: FaultServer) -> Iterator[Service]:
    """The server in a thread of its own."""
    ready, over, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(_serve(server, ready, over),))
    thread.start()
    ready.wait(10)
    environment = {
        "EVREKA360_BASE_URL": server.base_url,
        "EVREKA360_AUTH_CLIENT_ID": CLIENT, "EVREKA360_AUTH_CLIENT_SECRET": CLIENT_SECRET,
        "EVREKA360_API_USER": USER, "EVREKA360_API_PASS": PASSWORD,
    }  # fmt: skip
    try:
        yield Service(environment, lambda: len(server.seen))
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def judge(sheet: Path, server: FaultServer, rows: int) -> str:
    """All guarantees, by the one judge; gives the counts of the results. Raises AssertionError."""
    run = max(sheet.with_suffix(".runs").glob("2*"))
    results = read_result(run / "results.csv")
    ledger = server.ledger
    slow = sum(fault.slow for fault in server.fired)
    judge_rows(results, rows, ledger, server.orders, unseen=server.unseen + slow)
    judge_folder(run, results, ledger, secrets=(ISSUED, CLIENT_SECRET, PASSWORD))
    assert not server.wrongs, server.wrongs[:20]
    counts = Counter(row["result"] for row in results)
    return ", ".join(f"{number:,} {result}" for result, number in counts.items())


def main() -> None:
    """Run, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--faults", type=float, default=0.05, help="share of the updates")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    server_core, client_core = cores()
    orders = {order_id(n): BEFORE for n in range(1, asked.rows + 1)}
    faults = schedule(asked.rows, asked.faults, asked.seed)
    server = FaultServer(faults, orders, concurrency=CONCURRENCY, statuses=(BEFORE, WANTED), signs_in=True)
    with tempfile.TemporaryDirectory() as name:
        sheet = Path(name) / "orders.csv"
        sheet.write_text("order_id,status_id\n" + "".join(f"{order},{WANTED}\n" for order in orders), encoding="ascii")
        os.sched_setaffinity(0, server_core)
        with served(server) as service:
            code, looks = watch(sheet, service, client_core, "--timeout", TIMEOUT)
        if code not in {0, 3}:
            raise SystemExit(f"exit {code}: {sheet.with_suffix('.log').read_text(encoding='utf-8')[-2000:]}")
        found = judge(sheet, server, asked.rows)
    kinds = len({id(fault) for fault in server.fired})
    print(f"{asked.rows:,} rows in {looks[-1].when:,.0f} s, exit {code}: {found}")
    print(f"{len(server.puts):,} updates arrived, {len(server.fired):,} were broken in {kinds} ways, seed {asked.seed}")
    print(f"{server.tokens} tokens were given or ran out")
    print("\n".join(report(looks)))


if __name__ == "__main__":
    main()

"""What doubt costs: updates and readings per row when answers are lost on the way.

    python tests/bench/doubt.py --rows 10000

The raw TCP fault server applies 2 % of the updates and breaks the connection, applies 2 % and answers 504 as a gateway
does, and answers 1 % with 503. "No order can be read": it answers every reading with 403. The judge of the attack tests
looks at both runs; "needless" are the updates of orders that had been updated.
"""

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from endurance import watch
from soak import BEFORE, CONCURRENCY, WANTED, judge, served
from support.fault_list import FAULTS
from support.fault_server import GET, PUT, Fault, FaultServer
from throughput import cores

from batch_updater.sandbox.server import order_id

SHARES = {"reset after applying": 0.02, "504 after applying": 0.02, "503": 0.01}


def schedule(rows: int, seed: int) -> dict[tuple[object, ...], Fault]:
    """The faults by the place of an update among all that arrive."""
    chance = random.Random(seed)
    names, weights = [*SHARES, ""], [*SHARES.values(), 1 - sum(SHARES.values())]
    drawn = enumerate(chance.choices(names, weights, k=rows * 2))
    return {(PUT, place): FAULTS[name] for place, name in drawn if name}


def run(rows: int, seed: int, *, readable: bool) -> str:
    """One run against a server of its own; the line of the table."""
    orders = {order_id(number): BEFORE for number in range(1, rows + 1)}
    faults = schedule(rows, seed)
    if not readable:
        faults |= {(GET, order): FAULTS["403"] for order in orders}
    server = FaultServer(faults, orders, concurrency=CONCURRENCY, statuses=(BEFORE, WANTED), signs_in=True)
    server_core, client_core = cores()
    os.sched_setaffinity(0, server_core)
    with tempfile.TemporaryDirectory() as name:
        sheet = Path(name) / "orders.csv"
        sheet.write_text("order_id,status_id\n" + "".join(f"{order},{WANTED}\n" for order in orders), encoding="ascii")
        with served(server) as service:
            code, looks = watch(sheet, service, client_core)
        if code not in {0, 3}:
            raise SystemExit(f"exit {code}: {sheet.with_suffix('.log').read_text(encoding='utf-8')[-2000:]}")
        found = judge(sheet, server, rows)
    puts, gets = len(server.puts), sum(seen.kind == GET for seen in server.seen)
    applied = [seen.about for seen in server.puts if seen.applied]
    needless = len(applied) - len(set(applied))
    title = "can be read" if readable else "no order can be read"
    return (
        f"| {title} | {puts / rows:.4f} | {gets / rows:.4f} | {needless:,} | {len(server.fired):,} | {found} "
        f"| {looks[-1].when:,.0f} |"
    )


def main() -> None:
    """Measure both kinds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print("| orders | PUTs per row | GETs per row | needless | faults | results | s |\n|---|---|---|---|---|---|---|")
    for readable in (True, False):
        print(run(asked.rows, asked.seed, readable=readable), flush=True)


if __name__ == "__main__":
    main()

"""What 64 workers make of limits that a service may have, simulated: no network, and a clock of its own.

    python tests/bench/load.py [--seeds 3] [--only WORDS]

Each figure is the mean over the seeds: percent of the limit that was used after the first 10 s, percent of the requests
that were refused after that, and rows that ended `failed` though only the load was to blame. "Before" is the controller
of the version that only knew rates, in the same simulation.
"""

import argparse
import sys
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.simulation import CASES, Figures, measure

BEFORE = {
    "leaky bucket, burst 20, Retry-After 1: 100/s": (95, 0.1, 0),
    "leaky bucket, burst 20, Retry-After 1: 500/s": (94, 0.0, 0),
    "leaky bucket, burst 20, Retry-After 1: 2000/s": (95, 0.0, 0),
    "leaky bucket, no burst, bare 503: 100/s": (97, 0.1, 2),
    "leaky bucket, no burst, bare 503: 500/s": (94, 0.5, 0),
    "leaky bucket, no burst, bare 503: 2000/s": (44, 0.1, 0),
    "leaky bucket, burst 20, bare 503: 100/s": (98, 0.7, 0),
    "leaky bucket, burst 20, bare 503: 500/s": (99, 0.2, 0),
    "leaky bucket, burst 20, bare 503: 2000/s": (100, 1.0, 157),
    "leaky bucket, burst 20, bare 429: 100/s": (100, 0.1, 0),
    "leaky bucket, burst 20, bare 429: 500/s": (99, 0.0, 0),
    "leaky bucket, burst 20, bare 429: 2000/s": (98, 0.0, 0),
    "leaky bucket, burst 500, Retry-After 1: 100/s": (101, 0.2, 0),
    "leaky bucket, burst 500, Retry-After 1: 500/s": (101, 0.0, 0),
    "leaky bucket, burst 500, Retry-After 1: 2000/s": (94, 0.0, 0),
    "window of 1 s, Retry-After 1: 100/s": (98, 0.0, 0),
    "window of 1 s, Retry-After 1: 500/s": (97, 0.0, 0),
    "window of 1 s, Retry-After 1: 2000/s": (96, 0.0, 0),
    "window of 10 s, bare 429: 100/s": (83, 0.6, 0),
    "window of 10 s, bare 429: 500/s": (86, 0.1, 0),
    "window of 10 s, bare 429: 2000/s": (92, 0.1, 0),
    "window of 10 s, Retry-After 10: 60/s": (86, 0.1, 0),
    "the same, refused requests count: 60/s": (60, 0.2, 0),
    "window of 1 s, rate-limit headers: 500/s": (98, 0.0, 0),
    "window of 10 s, rate-limit headers: 6/s": (97, 5.2, 0),
    "window of 10 s, rate-limit headers: 100/s": (83, 0.6, 0),
    "window of 10 s, rate-limit headers: 500/s": (86, 0.1, 0),
    "window of 10 s, rate-limit headers: 2000/s": (92, 0.1, 0),
    "5 in flight, bare 503": (99, 0.1, 0),
    "8 in flight, bare 429": (98, 0.0, 0),
    "8 in flight, then 4, bare 429": (99, 0.1, 0),
    "4 in flight, then 16, bare 429": (77, 0.0, 0),
    "the limit halves, Retry-After 1": (84, 0.1, 0),
    "the limit halves, bare 503": (97, 1.9, 0),
    "no limit": (100, 0.0, 0),
    "no limit, 1 % take a second": (68, 0.0, 0),
    "no limit, 5 % are 503": (57, 0.0, 0),
    "leaky bucket, bare 503: 500/s, and 5 % are 503": (92, 3.8, 0),
    "one after the other, 2 s each": (3, 0.0, 192),
    "leaky bucket, burst 20, Retry-After 1: 500/s, 2 ms late": (95, 0.0, 0),
    "leaky bucket, burst 20, Retry-After 1: 500/s, 5 ms late": (97, 0.0, 0),
    "leaky bucket, burst 20, Retry-After 1: 500/s, 20 ms late": (84, 0.0, 0),
    "leaky bucket, burst 20, Retry-After 1: 2000/s, 2 ms late": (94, 0.0, 0),
    "leaky bucket, burst 20, Retry-After 1: 2000/s, 5 ms late": (85, 0.0, 0),
    "leaky bucket, no burst, bare 503: 500/s, 2 ms late": (35, 1.0, 0),
    "leaky bucket, no burst, bare 503: 500/s, 5 ms late": (18, 1.3, 0),
    "leaky bucket, no burst, bare 503: 500/s, 20 ms late": (6, 1.6, 0),
    "no limit, all take 8 s": (99, 0.0, 0),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="the cases whose names hold these words")
    asked = parser.parse_args()
    print("| service | before: used % | refused % | failed | now: used % | refused % | failed |")
    print("|---|---|---|---|---|---|---|")
    for name in filter(lambda name: asked.only in name, CASES):
        found = [measure(CASES[name], seed=seed + 1) for seed in range(asked.seeds)]
        now = Figures(
            mean(one.used for one in found), mean(one.refused for one in found), max(one.failed for one in found)
        )
        used, refused, failed = BEFORE[name]
        before = f"{used} | {refused:.1f} | {failed}"
        print(f"| {name} | {before} | {now.used:.1f} | {now.refused:.2f} | {now.failed} |", flush=True)


if __name__ == "__main__":
    main()

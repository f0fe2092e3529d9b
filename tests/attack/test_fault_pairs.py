import random

import pytest
from support.fault_list import FAULTS
from support.fault_runs import WANTED, Attack, all_of, some_orders
from support.fault_server import PUT, Fault

pytestmark = pytest.mark.usefixtures("quick")
APART = 3  # updates from one pair to the next
FAR_APART = 10  # the same where every pair has a 503: more of them would be a storm, in which nobody looks at updates


def possible(connection: str) -> list[str]:
    """Faults that can happen to any update of a run, again and again."""
    fresh = connection == "fresh"
    return [
        name
        for name, fault in FAULTS.items()
        if not fault.lasting and (fresh or not (fault.blind or fault.refuses or fault.signs_in))
    ]


def attack_by(pairs: list[tuple[str, str]], connection: str) -> Attack:
    """Pairs of faults, one after the other: the second meets the next attempt, or the next row."""
    faults: dict[tuple[object, ...], Fault] = {}
    apart = FAR_APART if all(first.startswith("503") for first, _second in pairs) else APART
    for number, (first, second) in enumerate(pairs):
        faults[PUT, number * apart] = FAULTS[first]
        faults[PUT, number * apart + 1] = FAULTS[second]
    rows = [(order, WANTED) for order in some_orders(len(pairs) * apart)]
    return Attack(faults, rows, keep_alive=connection == "warm", signs_in=connection == "fresh")


@pytest.mark.parametrize("connection", ["fresh", "warm"])
async def test_two_faults_in_a_row_break_no_guarantee(
    connection: str, attack_full: bool, chance: random.Random
) -> None:
    """Whatever two faults follow each other, on the same row or the next, the guarantees hold after every start."""
    names = possible(connection)
    if attack_full:
        pairs = {first: [(first, second) for second in names] for first in names}
    else:
        pairs = {"some": [(chance.choice(names), chance.choice(names)) for _ in range(40)]}
    attacks = {first: attack_by(pairs[first], connection) for first in pairs}
    outcomes = await all_of(attacks.items(), starts=250)
    for first, outcome in outcomes.items():
        happened = len(outcome.server.fired) / len(attacks[first].faults)
        assert happened > 0.98, f"{first}: some faults did not happen"  # one may wait for a connection of its own
        assert {row["result"] for row in outcome.rows} <= {"updated", "failed"}

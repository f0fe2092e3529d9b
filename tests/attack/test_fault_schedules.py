import random
from itertools import groupby
from typing import Any

import pytest
from support.fault_list import FAULTS
from support.fault_runs import OTHER, WANTED, Attack, all_of, some_orders
from support.fault_server import GET, PUT, STATUSES, TOKEN, Fault, Seen

pytestmark = pytest.mark.usefixtures("quick")
STARTS = 60
ANYTIME = {
    name: fault
    for name, fault in FAULTS.items()
    if not (fault.blind or fault.refuses or fault.lasting or fault.signs_in)
}


def make_schedule(chance: random.Random) -> Attack:
    """Rows with repeats and contradictions, any settings, and faults at a quarter of all first to fourth attempts."""
    orders = some_orders(chance.randrange(8, 40))
    rows = [(chance.choice(orders), chance.choice([WANTED, WANTED, OTHER])) for _ in range(chance.randrange(10, 50))]
    settings: dict[str, Any] = {
        "concurrency": chance.choice([1, 2, 4, 8]), "retries": chance.randrange(5), "canary": chance.choice([0, 0, 3]),
        chance.choice(["compare", "compare_list"]): chance.random() < 0.5, "adapt": chance.random() < 0.7,
        "on_conflict": chance.choice(["hold", "first", "last", "sequence", "sequence"]),
    }  # fmt: skip
    names = [n for n, fault in ANYTIME.items() if not (fault.late and settings["on_conflict"] == "sequence")]
    faults: dict[tuple[object, ...], Fault] = {}
    for order in orders:
        for attempt in range(4):
            if chance.random() < 0.25:
                faults[PUT, order, attempt] = FAULTS[chance.choice(names)]
            if chance.random() < 0.1:
                faults[GET, order, attempt] = FAULTS[chance.choice(names)]
    for place in range(6):
        if chance.random() < 0.2:
            faults[chance.choice([TOKEN, STATUSES]), place] = FAULTS[chance.choice(names)]
    return Attack(faults, rows, settings, keep_alive=chance.random() < 0.6, signs_in=chance.random() < 0.5)


def steps(pairs: list[tuple[str, str | None]]) -> dict[str, list[str | None]]:
    """The statuses of each order, one after the other, without the same one twice in a row."""
    return {order: [status for status, _ in groupby(s for o, s in pairs if o == order)] for order, _status in pairs}


def judge_order(attack: Attack, puts: list[Seen]) -> None:
    """Only statuses that `--on-conflict` chooses are sent, and for each order in the order of the sheet."""
    how = attack.settings["on_conflict"]
    sent = steps([(seen.about, seen.status) for seen in puts if seen.status])
    for order, planned in steps([*attack.rows]).items():
        several = len(set(planned)) > 1
        allowed = planned
        if several and how != "sequence":
            allowed = {"hold": [], "first": planned[:1], "last": planned[-1:]}[how]
        left = iter(allowed)
        assert all(status in left for status in sent.get(order, [])), f"{order}: {sent[order]} was sent of {planned}"


async def test_a_random_schedule_of_faults_breaks_no_guarantee(schedule_seed: int) -> None:
    """With any rows, any settings and faults all over, the guarantees hold after every start until the end."""
    attack = make_schedule(random.Random(schedule_seed))
    outcome = (await all_of([(f"schedule {schedule_seed}", attack)], STARTS))[f"schedule {schedule_seed}"]
    judge_order(attack, outcome.server.puts)

import random
from collections import Counter

import pytest
from support.fault_list import ALL_CODES, FAULTS
from support.fault_runs import WANTED, Attack, Outcome, all_of, some_orders
from support.fault_server import GET, PUT, Fault

ROWS = 6
PLACES = {"first": 0, "middle": 3, "last": 5}
CHUNKS = 12
CONNECTIONS = ("fresh", "warm")
pytestmark = pytest.mark.usefixtures("quick")


def needs(fault: Fault, connection: str) -> bool:
    """Whether a fault can happen on this kind of connection."""
    return connection == "fresh" or not (fault.blind or fault.refuses)


def attack_on(fault: Fault, place: int, connection: str) -> Attack:
    """One fault at one place. A first update finds a warm connection when its order was read just before."""
    rows = [(order, WANTED) for order in some_orders(ROWS)]
    settings = {"compare": True} if connection == "warm" and place == 0 else {}
    return Attack({(PUT, place): fault}, rows, settings, keep_alive=connection == "warm")


def check_end(fault: Fault, place: int, outcome: Outcome) -> None:
    """The row ends as it must, and all others are updated."""
    assert outcome.server.fired, "the fault did not happen"
    ends = [row["result"] for row in outcome.rows]
    if fault.end == "stops" and place == ROWS - 1 and outcome.codes == [3]:
        assert outcome.rows[place]["result_code"] == "unauthorized"  # no other order was left to refuse the token
        assert ends == ["updated"] * (ROWS - 1) + ["failed"]
        return
    if fault.end == "stops":
        assert outcome.codes[0] in {5, 6}
        assert len(outcome.codes) > 1, "what stops a run can be taken up again"
    else:
        assert len(outcome.codes) == 1
    refused = fault.end == "failed"
    assert ends[:place] + ends[place + 1 :] == ["updated"] * (ROWS - 1)
    assert fault.end == "either" or ends[place] == ("failed" if refused else "updated")


def check_cost(attack: Attack, outcome: Outcome) -> None:
    """What was applied is not sent again unless it was applied late; only what is in doubt is read, once each time."""
    applied = Counter(update.order for update in outcome.server.ledger if update.applied)
    assert attack.any("late") or set(applied.values()) == {1}
    sent = Counter(seen.about for seen in outcome.server.puts)
    read = Counter(seen.about for seen in outcome.server.seen if seen.kind == GET)
    compared = len(attack.rows) if attack.settings else 0
    once = sum(read[order] for order, number in sent.items() if number == 1)
    assert once <= compared + len(attack.faults) + outcome.server.unseen
    assert all(read[order] <= number + bool(compared) for order, number in sent.items())


async def test_one_fault_costs_nothing_and_lies_about_nothing(
    fault_name: str, attack_full: bool, chance: random.Random
) -> None:
    """After any one fault the guarantees hold, the row ends as it must, and a run that stopped goes on to its end."""
    fault = {**FAULTS, **ALL_CODES}[fault_name]
    cases = [(place, connection) for place in PLACES for connection in CONNECTIONS if needs(fault, connection)]
    if not attack_full:
        cases = chance.sample(cases, 1)
    attacks = {f"{place} row, {connection}": attack_on(fault, PLACES[place], connection) for place, connection in cases}
    outcomes = await all_of(attacks.items())
    for (place, _connection), name in zip(cases, attacks, strict=True):
        check_end(fault, PLACES[place], outcomes[name])
        check_cost(attacks[name], outcomes[name])


async def test_a_row_that_never_gets_its_answer_is_settled_by_reading() -> None:
    """Rows whose every attempt has a fault are read back: `updated` is said of those that were applied, only."""
    names = [name for name, fault in FAULTS.items() if fault.end != "stops" and not needs_more_than_a_row(fault)]
    for slow in (False, True):  # apart, for only those are worth short times
        kind = [name for name in names if (FAULTS[name].slow or FAULTS[name].late) is slow]
        chunks = [kind[first::CHUNKS] for first in range(CHUNKS)]  # so that no run has many answers of one kind
        outcomes = await all_of((" ".join(chunk), attack_by_order(chunk, slow=slow)) for chunk in chunks)
        for chunk in chunks:
            found = outcomes[" ".join(chunk)]
            for place, name in enumerate(chunk):
                check_settled(name, *found.rows[2 * place : 2 * place + 2], found)


def attack_by_order(names: list[str], *, slow: bool) -> Attack:
    """Each fault at every attempt of one order, with a good order after it."""
    rows = [(order, WANTED) for order in some_orders(2 * len(names))]
    faults = {(PUT, rows[2 * number][0]): FAULTS[name] for number, name in enumerate(names)}
    return Attack(faults, rows, {"retries": 1, "concurrency": 4, "timeout": 0.5 if slow else 2.0})


def check_settled(name: str, row: dict[str, str], good: dict[str, str], outcome: Outcome) -> None:
    """A row whose every attempt had a fault has ended as its order is; the one after it is updated."""
    order = row["result_order_id"]
    assert good["result"] == "updated", name
    assert row["result"] == ("updated" if outcome.server.orders[order] == WANTED else "failed"), name
    last = [update for update in outcome.server.ledger if update.order == order and not update.is_reading][-1]
    if row["result"] == "failed":
        assert (row["result_code"] == "not_applied") != last.is_refused, name


def needs_more_than_a_row(fault: Fault) -> bool:
    """Whether a fault can't be bound to one order."""
    return fault.blind or fault.refuses or fault.signs_in

import random

import pytest
from support.fault_list import ALL_CODES, FAULTS
from support.fault_runs import WANTED, Attack, Outcome, all_of, some_orders
from support.fault_server import PUT, Fault

ROWS = 6
PLACES = {"first": 0, "middle": 3, "last": 5}
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
    if fault.end == "stops":
        assert outcome.codes[0] in {5, 6}
        assert len(outcome.codes) > 1, "what stops a run can be taken up again"
    else:
        assert len(outcome.codes) == 1
    refused = fault.end == "failed"
    assert ends[:place] + ends[place + 1 :] == ["updated"] * (ROWS - 1)
    assert fault.end == "either" or ends[place] == ("failed" if refused else "updated")


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


async def test_a_row_that_never_gets_its_answer_is_settled_by_reading() -> None:
    """Rows whose every attempt has a fault are read back: `updated` is said of those that were applied, only."""
    names = [name for name, fault in FAULTS.items() if fault.end != "stops" and not needs_more_than_a_row(fault)]
    rows = [(order, WANTED) for order in some_orders(2 * len(names))]
    faults = {(PUT, rows[2 * number][0]): FAULTS[name] for number, name in enumerate(names)}
    attack = Attack(faults, rows, {"retries": 1, "concurrency": 4})
    outcome = (await all_of([("all", attack)]))["all"]
    for number, name in enumerate(names):
        row, good = outcome.rows[2 * number], outcome.rows[2 * number + 1]
        is_applied = outcome.server.orders[row["result_order_id"]] == WANTED
        answered = row["result_http_status"].startswith("5")  # with an error, whatever was done
        assert good["result"] == "updated", name
        assert row["result"] == ("updated" if is_applied and not answered else "failed"), name


def needs_more_than_a_row(fault: Fault) -> bool:
    """Whether a fault can't be bound to one order, or is applied when nobody looks any more."""
    return fault.blind or fault.refuses or fault.signs_in or fault.late

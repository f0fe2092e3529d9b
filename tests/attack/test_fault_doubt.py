"""Updates that may have been applied, and services that show no order: what is read, sent again, and said."""

import random

import pytest
from support.fault_list import FAULTS, says
from support.fault_runs import WANTED, Attack, Outcome, all_of, some_orders, staged
from support.fault_server import GET, PUT, TOKEN, Fault, answer

pytestmark = pytest.mark.usefixtures("quick")
DOUBTFUL = ("reset after applying", "reset after the body", "504 after applying", "503", "204", "html, not applied")
NOT_SHOWN = ("400", "404", "410", "422")


def updates(count: int) -> list[tuple[str, str]]:
    return [(order, WANTED) for order in some_orders(count)]


def first_attempts(rows: list[tuple[str, str]]) -> dict[tuple[object, ...], Fault]:
    """Every third row is in doubt after its first attempt."""
    return {(PUT, order, 0): FAULTS[name] for (order, _status), name in zip(rows[1::3], DOUBTFUL, strict=True)}


async def brought_to_its_end(attack: Attack) -> Outcome:
    return (await all_of([("all", attack)]))["all"]


def of_kind(outcome: Outcome, kind: str, order: str | None = None) -> int:
    """How many requests of a kind arrived, about this order or about any."""
    return sum(seen.kind == kind and order in {None, seen.about} for seen in outcome.server.seen)


@pytest.mark.parametrize("name", ["403", "405"])
async def test_where_reading_is_forbidden_it_is_tried_once(name: str) -> None:
    """Rows in doubt are sent again, as there is nothing else to do, and no second order is read."""
    rows = updates(3 * len(DOUBTFUL))
    attack = Attack({**first_attempts(rows), **{(GET, order): FAULTS[name] for order, _status in rows}}, rows)
    outcome = await brought_to_its_end(attack)
    assert {row["result"] for row in outcome.rows} == {"updated"}
    assert of_kind(outcome, GET) == 1
    assert of_kind(outcome, PUT) == len(rows) + len(DOUBTFUL)


@pytest.mark.parametrize("name", NOT_SHOWN)
async def test_where_no_order_is_shown_reading_is_given_up(name: str) -> None:
    """An order that was updated is asked for too: it is not shown either, so that says nothing about any order."""
    rows = updates(3 * len(DOUBTFUL))
    attack = Attack({**first_attempts(rows), **{(GET, order): FAULTS[name] for order, _status in rows}}, rows)
    outcome = await brought_to_its_end(attack)
    assert {row["result"] for row in outcome.rows} == {"updated"}
    assert of_kind(outcome, GET) == 2
    assert of_kind(outcome, PUT) == len(rows) + len(DOUBTFUL)


@pytest.mark.parametrize("name", [*NOT_SHOWN, "404 in the API's words", "500", "503", "html", "reset after the body"])
@pytest.mark.parametrize("doubtful", ["504 after applying", "reset after the body"])
async def test_one_order_that_is_not_shown_stays_unknown_and_is_not_sent_again(name: str, doubtful: str) -> None:
    """Others are shown, so that this one could be: its update may have been applied, and the run ends all the same."""
    rows = updates(3 * len(DOUBTFUL))
    hidden = rows[5][0]
    words = Fault(says(answer(404, f'{{"detail": "Order ({hidden}) not found"}}'.encode())), "failed")
    faults = {**first_attempts(rows), (PUT, hidden, 0): FAULTS[doubtful], (GET, hidden): FAULTS.get(name, words)}
    outcome = await brought_to_its_end(Attack(faults, rows, {"retries": 2}))
    row = outcome.rows.pop(5)
    expected = ("unknown",) if name in FAULTS else ("failed", "order_not_found")
    assert (row["result"], row["result_code"])[: len(expected)] == expected
    assert row["result_attempts"] == str(of_kind(outcome, PUT, hidden)) == "1"
    assert {row["result"] for row in outcome.rows} == {"updated"}
    if name not in NOT_SHOWN and name in FAULTS:
        # One more for each failure at a moment when nobody else was served, which is not charged to it.
        assert 3 <= of_kind(outcome, GET, hidden) <= 6, "a reading has its retries"


@pytest.mark.parametrize("compare", [True, False])
async def test_every_attempt_in_doubt_is_read_before_the_next(compare: bool) -> None:
    """Readings and updates take turns; the last reading says how the row ends."""
    rows = updates(3)
    order = rows[1][0]
    faults = {(PUT, order): FAULTS["500"]}
    outcome = await brought_to_its_end(Attack(faults, rows, {"retries": 2, "compare": compare}))
    kinds = [seen.kind for seen in outcome.server.seen if seen.about == order]
    assert kinds == [GET] * compare + [PUT, GET] * 3
    assert (outcome.rows[1]["result"], outcome.rows[1]["result_code"]) == ("failed", "not_applied")


@pytest.mark.parametrize("name", ["200 in other words", "201 in other words", "202 in other words", "204", "206"])
async def test_a_service_with_other_words_costs_one_reading_for_each_update(name: str) -> None:
    """A yes that is not the API's own is no yes, but the order has the status."""
    rows = updates(20)
    outcome = await brought_to_its_end(Attack({(PUT, order): FAULTS[name] for order, _status in rows}, rows))
    assert {(row["result"], row["result_code"]) for row in outcome.rows} == {("updated", "confirmed_by_reading")}
    assert (of_kind(outcome, PUT), of_kind(outcome, GET)) == (20, 20)


async def test_a_busy_service_is_not_read_after_each_refusal(chance: random.Random) -> None:
    """Where 503 is the usual answer it means that nothing was done: only the first ones are in doubt."""
    rows = updates(200)
    faults = {(PUT, place): FAULTS["503"] for place in range(200) if chance.random() < 0.5}
    outcome = await brought_to_its_end(Attack(faults, rows, {"retries": 20}))
    assert {row["result"] for row in outcome.rows} == {"updated"}
    assert of_kind(outcome, GET) < 20 < len(faults)


@pytest.mark.parametrize("then", ["400 already in this status", "404", "409", "422"])
async def test_a_refusal_of_what_may_be_done_already_is_read_too(then: str) -> None:
    """The gateway gave up, the first reading came too early, and the next update is refused: the order has it."""
    rows = updates(3)
    order = rows[1][0]
    faults = {(PUT, order, 0): FAULTS["504, applied a little later"], (PUT, order, 1): FAULTS[then]}
    outcome = await brought_to_its_end(Attack(faults, rows, {"timeout": 0.25}))
    assert outcome.server.orders[order] == WANTED
    assert {row["result"] for row in outcome.rows} == {"updated"}


async def test_what_a_gateway_gave_up_on_is_read_when_the_service_has_had_its_time() -> None:
    """Each attempt is applied a little after the answer: the last reading comes late enough to see it."""
    rows = updates(3)
    order = rows[1][0]
    attack = Attack({(PUT, order): FAULTS["504, applied a little later"]}, rows, {"retries": 0, "timeout": 1.0})
    outcome = await brought_to_its_end(attack)
    assert {row["result"] for row in outcome.rows} == {"updated"}
    assert of_kind(outcome, PUT, order) == 1


@pytest.mark.parametrize("compare", [True, False])
async def test_a_row_that_was_refused_stays_failed_when_a_later_start_sends_nothing(compare: bool) -> None:
    """It left once: a start that stops before it is sent again does not call it `not_sent`."""
    faults = {(PUT, 0): FAULTS["401"], **{(TOKEN, n): FAULTS["401"] for n in (1, 2, 3)}}
    rows = updates(2)
    async with staged(Attack(faults, rows, {"compare": compare}, signs_in=True)) as scene:
        for _ in range(2):
            summary, found = await scene.start()
            assert summary.exit_code == 5
            assert [(row["result"], row["result_attempts"]) for row in found] == [("failed", "1"), ("not_sent", "0")]
        outcome = await scene.bring_to_its_end(1)
    assert {row["result"] for row in outcome.rows} == {"updated"}

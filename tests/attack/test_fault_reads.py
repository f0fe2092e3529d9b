"""Faults of everything that is not an update: readings, the lists, the sign-in."""

import random
from collections import Counter
from pathlib import Path

import pytest
from support.fault_list import FAULTS, says
from support.fault_runs import BEFORE, OTHER, WANTED, Attack, Outcome, all_of, some_orders, staged, start
from support.fault_server import GET, PAGE, PUT, STATUSES, TOKEN, Fault, answer
from support.program import read_result

from batch_updater.app.verify import verify
from batch_updater.common.errors import BatchUpdaterError
from batch_updater.planning.preflight import Tenant, with_credentials

pytestmark = pytest.mark.usefixtures("quick")
APART = 2
STARTS = 60
FORBIDS = {"403", "405"}  # answers to one reading that end all readings


@pytest.fixture(params=["fresh", "warm"])
def keep_alive(request: pytest.FixtureRequest) -> bool:
    """Whether connections are kept."""
    return bool(request.param == "warm")


@pytest.fixture
def names(attack_full: bool, chance: random.Random) -> list[str]:
    """Faults that can happen to a reading; some of them without `--attack-full`."""
    found = [name for name, fault in FAULTS.items() if not (fault.blind or fault.refuses or fault.lasting)]
    return found if attack_full else chance.sample(found, 10)


@pytest.fixture
def few(names: list[str], attack_full: bool) -> list[str]:
    """Faults that cost a run each; three of them without `--attack-full`."""
    return names if attack_full else names[:3]


def at_places(kind: str, names: list[str], first: int = 0) -> dict[tuple[object, ...], Fault]:
    """These faults, one after the other, with good answers between."""
    return {(kind, first + APART * number): FAULTS[name] for number, name in enumerate(names)}


def updates(count: int) -> list[tuple[str, str]]:
    return [(order, WANTED) for order in some_orders(count)]


async def test_faults_of_comparing_change_nothing_unread(names: list[str], keep_alive: bool) -> None:
    """No order is sent unread, skipped untruly or given a wrong previous status, whatever the readings answer."""
    rows = updates(APART * len(names) + 5)
    async with staged(Attack(at_places(GET, names), rows, {"compare": True}, keep_alive)) as scene:
        so_already = {order for order, _status in rows[::3]}
        scene.server.orders.update(dict.fromkeys(so_already, WANTED))
        outcome = await scene.bring_to_its_end(STARTS)
    for row in outcome.rows:
        order = row["result_order_id"]
        assert row["result"] in {"unchanged" if order in so_already else "updated", "failed"}
        assert row["result"] != "updated" or row["result_previous_status_id"] == BEFORE
    assert_read_first(outcome)
    assert not so_already & {seen.about for seen in outcome.server.puts}, "an order was sent that was so already"


async def test_faults_of_reading_the_list_change_nothing_unread(names: list[str], keep_alive: bool) -> None:
    """A faulty page of the order list settles no row that is not so."""
    rows = updates(50 * APART * len(names))
    different = 10
    async with staged(Attack(at_places(PAGE, names, 20), rows, {"compare_list": True}, keep_alive)) as scene:
        so_already = {order for order, _status in rows[:-different]}
        scene.server.orders.update(dict.fromkeys(so_already, WANTED))
        outcome = await scene.bring_to_its_end(STARTS)
    ends = Counter((row["result_order_id"] in so_already, row["result"]) for row in outcome.rows)
    assert ends == {(True, "unchanged"): len(so_already), (False, "updated"): different}


async def test_faults_of_settling_send_nothing_unread(names: list[str], keep_alive: bool) -> None:
    """Rows in doubt after a crash are read back first, and end unknown only where the service refuses to show them."""
    names = [name for name in names if name not in FORBIDS]
    rows = updates(APART * len(names) + 5)
    async with staged(Attack(at_places(GET, names), rows, {}, keep_alive)) as scene:
        await scene.crash({order for order, _status in rows[::3]})
        before = len(scene.server.seen)
        outcome = await scene.bring_to_its_end(STARTS)
    others = [row for row in outcome.rows if row["result"] != "updated"]
    assert {row["result"] for row in others} <= {"unknown", "failed"}
    assert len(others) <= sum(FAULTS[name].end in {"failed", "either"} for name in names)
    assert_read_first(outcome, before)


async def test_faults_of_reading_back_make_no_row_updated(names: list[str], keep_alive: bool) -> None:
    """Rows whose update was never answered become `updated` or `failed` by what is read, and stay `unknown` without."""
    rows = updates(2 * APART * len(names))
    lost = {(PUT, order): FAULTS["reset after applying"] for order, _status in rows[::4]}
    never = {(PUT, order): FAULTS["reset after the body"] for order, _status in rows[2::4]}
    attack = Attack({**at_places(GET, names), **lost, **never}, rows, {"retries": 0}, keep_alive)
    outcome = (await all_of([("all", attack)], STARTS))["all"]
    assert {row["result"] for row in outcome.rows[::4]} <= {"updated", "unknown"}
    assert {row["result"] for row in outcome.rows[2::4]} <= {"failed", "unknown"}
    others = [row["result"] for row in outcome.rows[1::2] if row["result"] != "updated"]
    assert set(others) <= {"unknown"}
    assert len(others) <= sum("after an answer" in name for name in names), "lost on a connection that a fault closed"


async def test_faults_of_the_canary_let_nothing_else_leave(few: list[str], keep_alive: bool) -> None:
    """Nothing but the canary leaves before it has been read back rightly, in whatever start that is."""
    for name in few:
        rows = updates(5)
        async with staged(Attack({(GET, 0): FAULTS[name]}, rows, {"canary": 2}, keep_alive)) as scene:
            outcome = await scene.bring_to_its_end(4)
        kinds = [(seen.kind, seen.about) for seen in outcome.server.seen]
        sent = list(dict.fromkeys(about for kind, about in kinds if kind == PUT))
        before = kinds[: kinds.index((PUT, sent[2]))]
        assert {(GET, sent[0]), (GET, sent[1])} <= set(before), name
        assert {row["result"] for row in outcome.rows} == {"updated"}, name


async def test_a_yes_that_was_no_yes_stops_at_the_canary() -> None:
    """A service that confirms and does nothing is found out by the canary, and no other row is sent."""
    lie = Fault(says(answer(), applied=False))
    async with staged(Attack({(PUT, 0): lie}, updates(5), {"canary": 1})) as scene:
        summary, rows = await scene.start()
    assert summary.exit_code == 6
    assert [row["result_code"] for row in rows] == ["not_applied", *["stopped"] * 4]
    assert len(scene.server.puts) == 1


async def test_faults_of_verifying_change_and_invent_nothing(names: list[str], keep_alive: bool) -> None:
    """`verify` sends no update, lists each order once, and says of none what the service did not say."""
    rows = updates(APART * len(names) + 5)
    async with staged(Attack(at_places(GET, names), rows, {}, keep_alive)) as scene:
        server = scene.server
        outcome = await scene.bring_to_its_end(1)
        moved = {order for order, _status in rows[::3]}
        server.orders.update(dict.fromkeys(moved, OTHER))
        for _ in range(STARTS):
            tenant = with_credentials(Tenant(server.base_url), scene.credentials)
            summary = await verify(outcome.folder, scene.settings, tenant)
            found = read_result(Path(summary.verify_file))
            if summary.exit_code in {0, 3}:
                break
            judge_readings(found, moved)
    judge_readings(found, moved)
    assert [row["order_id"] for row in found] == [order for order, _status in rows]
    assert len(server.puts) == len(rows)
    assert summary.exit_code == 3


def judge_readings(found: list[dict[str, str]], moved: set[str]) -> None:
    """What was read is true."""
    for row in found:
        right = "*" if row["order_id"] in moved else "="
        assert row["symbol"] in {right, "-", "!"}, row
        assert row["symbol"] in {"-", "!"} or row["found_id"] == (OTHER if right == "*" else WANTED)


async def test_faults_of_signing_in_send_no_row_twice(names: list[str], keep_alive: bool) -> None:
    """Whatever the token endpoint answers, a run that stopped for it goes on to its end with the next start."""
    rows = updates(3 * len(names))
    refusals = {(PUT, 3 * number): FAULTS["401, another token to be had"] for number in range(len(names))}
    attack = Attack({**refusals, **at_places(TOKEN, names, 1)}, rows, {}, keep_alive, signs_in=True)
    outcome = (await all_of([("all", attack)], len(names)))["all"]
    assert {row["result"] for row in outcome.rows} == {"updated"}
    assert set(outcome.codes) <= {0, 5, 6}


async def test_faults_of_the_list_of_statuses_only_leave_them_unchecked(few: list[str], keep_alive: bool) -> None:
    """A sheet of ids is sent whatever the list answers, unless it refuses the token or redirects."""
    attacks = {name: Attack({(STATUSES, 0): FAULTS[name]}, updates(2), {}, keep_alive) for name in few}
    for name, outcome in (await all_of(attacks.items(), 2)).items():
        assert {row["result"] for row in outcome.rows} == {"updated"}, name


async def test_a_sheet_of_names_is_sent_rightly_or_not_at_all(few: list[str], keep_alive: bool) -> None:
    """With a list of statuses that is never answered rightly, no name is guessed and nothing is sent."""
    for name in few:
        rows = [(order, "Status 1") for order, _status in updates(2)]
        async with staged(Attack({(STATUSES, "status"): FAULTS[name]}, rows, {}, keep_alive)) as scene:
            try:
                await start(scene.sheet, scene.settings, scene.credentials)
            except BatchUpdaterError:
                assert not scene.server.puts, name
            assert {seen.status for seen in scene.server.puts} <= {WANTED}, name


def assert_read_first(outcome: Outcome, since: int = 0) -> None:
    """Every order was read before it was sent."""
    kinds = [(seen.kind, seen.about) for seen in outcome.server.seen[since:]]
    sent = {about for kind, about in kinds if kind == PUT}
    assert all((GET, order) in kinds[: kinds.index((PUT, order))] for order in sent), "an order was sent unread"

"""Orders by name: each name is asked for exactly, and only the one order that has it is updated."""

import csv
import unicodedata
from pathlib import Path

import pytest
from support.program import DONE, environment, newest_run, puts, read_result, served
from support.watched import Watched, grant_environment, noted_pacers

from batch_updater.sandbox.server import Sandbox, order_id

NAMES = ("A&B=1", "A+B", "A B", "50% off/2", "50%25 off/2", "#7?x=1", "Çöp Şişli ığdır İ", "a\"b'c,d;e", "..", "%2e%2e")


def sheet_of(path: Path, names: list[str]) -> Path:
    """A sheet that completes the orders with these names."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("Order", "Status"), *((name, "Completed") for name in names)])
    return path


def run(watched: Watched, sheet: Path, sandbox: Sandbox) -> list[dict[str, str]]:
    """The result rows of a run by order names."""
    ended = watched.call("run", sheet, "--yes", "--order-by", "name", env=environment(sandbox.base_url))
    assert ended.returncode in {0, 3}, ended.stderr
    return read_result(newest_run(sheet) / "results.csv")


def test_a_name_finds_its_order_whatever_it_is_made_of(watched: Watched) -> None:
    """Names with marks that mean something in a URL, blanks and Turkish letters; blanks around them do not matter."""
    sheet = sheet_of(watched.folder / "o.csv", [f" {name}\u00a0" for name in NAMES])
    with served(orders=50) as sandbox:
        for number, name in enumerate(NAMES, 20):
            sandbox.set_name(order_id(number), name)
        found = run(watched, sheet, sandbox)
        assert [row["result"] for row in found] == ["updated"] * len(NAMES)
        assert [row["result_order_id"] for row in found] == [order_id(20 + n) for n in range(len(NAMES))]
        changed = {order["id"] for order in sandbox.orders.values() if order["status"]["id"] == DONE}
        assert changed == {order_id(20 + n) for n in range(len(NAMES))}


def test_none_and_several_are_invalid_with_the_reason(watched: Watched) -> None:
    """An unknown name, a part of a name, another spelling, two orders of one name, an empty cell: nothing is sent."""
    with served(orders=80) as sandbox:
        for number in (3, 4):
            sandbox.set_name(order_id(number), "Twin")
        for number in range(10, 70):
            sandbox.set_name(order_id(number), "Many")
        names = ["Nobody", "WO-0000", "wo-00001", "Twin", "Many", "", "WO-00001", "WO-00001"]
        found = run(watched, sheet_of(watched.folder / "o.csv", names), sandbox)
        assert len(puts(sandbox)) == 1
        asked = [entry for entry in sandbox.ledger if entry["path"] == "/engagement/orders"]
        assert len(asked) == 6, "each name is asked for once, an empty one not at all"
    codes = [row["result_code"] for row in found]
    assert codes == ["order_not_found"] * 3 + ["ambiguous_order"] * 2 + ["missing_value", "ok", "duplicate_row"]
    assert order_id(3) in found[3]["result_detail"]
    assert order_id(4) in found[3]["result_detail"]
    assert "50 or more orders are called 'Many'" in found[4]["result_detail"]
    assert found[6]["result_order_id"] == order_id(1)


def test_a_name_with_its_accents_apart_is_also_asked_for_composed(watched: Watched) -> None:
    """As macOS writes it; where an order is called exactly so, that one is meant, and no other is asked for."""
    apart = [unicodedata.normalize("NFD", name) for name in ("Depo Çankaya", "Büro Köln")]
    with served(orders=20) as sandbox:
        for number, name in ((5, "Depo Çankaya"), (6, "Büro Köln"), (7, apart[1])):
            sandbox.set_name(order_id(number), name)
        found = run(watched, sheet_of(watched.folder / "o.csv", [*apart, apart[0] + "!"]), sandbox)
        assert [row["result_order_id"] for row in found] == [order_id(5), order_id(7), ""]
        assert len(puts(sandbox)) == 2


@pytest.mark.parametrize("name", ["WO-00001", "WO-00070", "Nobody"])
def test_a_service_that_ignores_the_exact_name_never_gets_an_update(watched: Watched, name: str) -> None:
    """It lists whatever it likes, the right order among it or not: exit 4, said plainly, nothing sent."""
    sheet = sheet_of(watched.folder / "o.csv", [name])
    with served(orders=80, ignore_exact=True) as sandbox:
        ended = watched.call("run", sheet, "--yes", "--order-by", "name", env=environment(sandbox.base_url))
        assert ended.returncode == 4
        assert "lists other orders" in ended.stderr
        assert puts(sandbox) == []


def test_a_service_that_passes_over_case_is_taken_at_its_exact_word(watched: Watched) -> None:
    """Of orders whose names differ by case only the one spelt as in the sheet is meant; the other is hinted at."""
    with served(orders=20, loose_exact=True) as sandbox:
        sandbox.set_name(order_id(5), "wo-00001")
        found = run(watched, sheet_of(watched.folder / "o.csv", ["wo-00001", "WO-00001", "wo-00002"]), sandbox)
        assert [row["result_order_id"] for row in found] == [order_id(5), order_id(1), ""]
        assert found[2]["result_detail"] == "no order is called 'wo-00002'; there is 'WO-00002'"
        assert len(puts(sandbox)) == 2


def test_a_name_that_may_stand_on_another_page_too_is_never_sent(watched: Watched) -> None:
    """A page full of other spellings hides the second order of the very name."""
    with served(orders=60, loose_exact=True) as sandbox:
        for number in range(1, 61):
            sandbox.set_name(order_id(number), "wo-x" if number in {1, 60} else "WO-X")
        (row,) = run(watched, sheet_of(watched.folder / "o.csv", ["wo-x"]), sandbox)
        assert (row["result"], row["result_code"]) == ("invalid", "ambiguous_order")
        assert puts(sandbox) == []


@pytest.mark.parametrize(
    ("answer", "code"), [(403, 4), (404, 4), (405, 4), (422, 4), (400, 6), (409, 6), (500, 6), (503, 6), (302, 6)]
)
def test_a_list_that_is_not_served_ends_before_anything_is_sent(watched: Watched, answer: int, code: int) -> None:
    """Not served at all is exit 4; in trouble is exit 6; no run folder stays."""
    sheet = sheet_of(watched.folder / "o.csv", ["WO-00001"])
    with served(refuse_list=answer) as sandbox:
        words = ("run", sheet, "--yes", "--order-by", "name", "--retries", "0")
        ended = watched.call(*words, env=environment(sandbox.base_url))
        assert ended.returncode == code, ended.stderr
        assert puts(sandbox) == []
    words = ("can't be looked up by name", str(answer)) if code == 4 else ("Order 'WO-00001' can't", "nothing was sent")
    assert all(part in ended.stderr for part in words), ended.stderr
    assert list(watched.folder.glob("o.runs/2*")) == []


def test_names_are_looked_up_with_tokens_that_expire(watched: Watched) -> None:
    """Hundreds of lookups outlive several tokens whose life nobody told; none fails for it."""
    sheet = sheet_of(watched.folder / "o.csv", [f"WO-{n:05}" for n in range(1, 201)])
    with served(token_ttl=0.4, tell_ttl=False, latency=0.08) as sandbox:
        env = grant_environment(sandbox.base_url)
        ended = watched.call("run", sheet, "--yes", "--order-by", "name", env=env)
        assert ended.returncode == 0, ended.stderr
        assert sum(entry["path"] == "/auth/oauth/token" for entry in sandbox.ledger) > 2
        assert len([entry for entry in puts(sandbox) if entry["applied"]]) == 200


def test_a_plan_without_a_token_says_that_names_are_not_looked_up(watched: Watched) -> None:
    """The sheet is checked as far as that goes; only what sends needs the token."""
    sheet = sheet_of(watched.folder / "o.csv", ["WO-00001"])
    env = environment("http://127.0.0.1:9", EVREKA360_ACCESS_TOKEN="")
    ended = watched.call("plan", sheet, "--order-by", "name", env=env)
    assert (ended.returncode, "orders are not checked: there is no token" in ended.stdout) == (0, True)
    ended = watched.call("run", sheet, "--order-by", "name", "--yes", env=env)
    assert (ended.returncode, "EVREKA360_ACCESS_TOKEN" in ended.stderr) == (2, True)


@pytest.mark.parametrize(("words", "adapts"), [([], True), (["--no-adapt"], False)])
def test_names_are_looked_up_at_the_pace_that_was_asked_for(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, words: list[str], adapts: bool
) -> None:
    """--no-adapt holds for the lookups too."""
    sheet = sheet_of(watched.folder / "o.csv", ["WO-00001"])
    asked = noted_pacers(monkeypatch)
    with served() as sandbox:
        ended = watched.call("plan", sheet, "--order-by", "name", *words, env=environment(sandbox.base_url))
    assert ended.returncode == 0, ended.stderr
    assert [options["adapt"] for options in asked] == [adapts]

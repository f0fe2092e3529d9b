"""Orders are read before they are sent: what is so already is left alone, and what was there is kept."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.program import (
    DONE,
    PLANNED,
    environment,
    good_rows,
    newest_run,
    puts,
    read_result,
    served,
    summary_of,
    write_sheet,
)
from support.watched import Ended, Watched

from batch_updater.sandbox.server import STATUSES, Sandbox, order_id, status_id

MISSING = order_id(99_999_999)


def run(watched: Watched, sandbox: Sandbox, sheet: Path, *words: object, code: int = 0) -> Ended:
    """A run that ends with this code."""
    ended = watched.call("run", sheet, "--yes", *words, env=environment(sandbox.base_url))
    assert ended.returncode == code, ended.stderr
    return ended


def results(sheet: Path) -> list[dict[str, str]]:
    """The result rows of the newest run."""
    return read_result(newest_run(sheet) / "results.csv")


def reads(sandbox: Sandbox) -> list[str]:
    """The orders that were read one by one, in order."""
    return [
        e["order_id"] for e in sandbox.ledger if e["method"] == "GET" and e["order_id"] and e["order_id"] != "status"
    ]


def test_a_sheet_that_is_true_already_sends_nothing(watched: Watched) -> None:
    """Every row `unchanged`, exit 0, in one pass of one read per order: fit for a scheduler."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(150, status=PLANNED))
    with served() as sandbox:
        run(watched, sandbox, sheet, "--compare")
        assert puts(sandbox) == []
        assert sorted(reads(sandbox)) == sorted(order for order, _ in good_rows(150))
    assert summary_of(sheet)["results"] == {"unchanged": 150}
    assert {(row["result_code"], row["result_previous_status_id"]) for row in results(sheet)} == {
        ("already_set", PLANNED)
    }


def test_the_status_before_is_in_the_journal_when_the_update_arrives(watched: Watched) -> None:
    """The service looks into the journal at each PUT: the row is claimed and its previous status committed."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(120))
    seen: dict[str, tuple[str, str]] = {}
    with served(lose_answers=0.05) as sandbox:
        for number in range(1, 121):
            sandbox.set_status(order_id(number), status_id(STATUSES[number % 3]))
        before = {order: sandbox.orders[order]["status"]["id"] for order, _ in good_rows(120)}

        def look(order: str) -> None:
            journal = next(watched.folder.glob("o.runs/2*/journal.sqlite"))
            with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as db:
                query = "SELECT state, previous_status_id FROM rows WHERE order_id = ?"
                seen[order] = db.execute(query, (order,)).fetchone()

        sandbox.on_update = look
        run(watched, sandbox, sheet, "--compare")
    assert seen == {order: ("claimed", before[order]) for order, _ in good_rows(120)}
    assert all(row["result_previous_status_id"] == before[row["result_order_id"]] for row in results(sheet))


def test_a_missing_order_and_an_unreadable_one_get_no_update(watched: Watched) -> None:
    """404 on reading is `order_not_found`; an order that can't be read is not sent either, and says so."""
    rows = [(MISSING, DONE), (order_id(1), DONE), (order_id(2), DONE), (order_id(3), DONE)]
    sheet = write_sheet(watched.folder / "o.csv", rows)
    with served() as sandbox:
        sandbox.unreadable = {order_id(1): 500, order_id(2): 403}
        run(watched, sandbox, sheet, "--compare", "--retries", "1", code=3)
        assert [entry["order_id"] for entry in puts(sandbox)] == [order_id(3)]
    found = results(sheet)
    assert [row["result"] for row in found] == ["failed", "failed", "failed", "updated"]
    assert [row["result_code"] for row in found] == ["order_not_found", "server_error", "forbidden", "ok"]
    assert [row["result_attempts"] for row in found] == ["0", "0", "0", "1"]
    assert all(row["result_detail"].endswith("nothing was sent") for row in found[:3])


@pytest.mark.parametrize("header", ["expected status", "Current_Status", "FROM", "was"])
def test_an_order_that_has_moved_is_a_conflict(watched: Watched, header: str) -> None:
    """Only orders with the expected status are sent; a moved one names both statuses; blank expects nothing."""
    now = ["Planned", "Assigned", "Completed", "Assigned", "Planned"]
    cells = ["planned", "Planned", "Planned", "", "Plannd"]
    sheet = watched.folder / "o.csv"
    lines = [f"{order_id(n)},Completed,{cell}" for n, cell in enumerate(cells, 1)]
    sheet.write_text(f"order_id,status,{header}\n" + "\n".join(lines) + "\n")
    with served() as sandbox:
        for number, name in enumerate(now, 1):
            sandbox.set_status(order_id(number), status_id(name))
        words = ["--expect-column", "was"] if header == "was" else ["--compare"]
        run(watched, sandbox, sheet, *words, code=3)
        assert {entry["order_id"] for entry in puts(sandbox)} == {order_id(1), order_id(4)}
    found = results(sheet)
    assert [row["result"] for row in found] == ["updated", "conflict", "unchanged", "updated", "invalid"]
    assert found[1]["result_code"] == "status_moved"
    assert found[1]["result_detail"] == "not sent, for the order is 'Assigned', and 'Planned' was expected"
    assert found[1]["result_previous_status_id"] == status_id("Assigned")
    assert found[4]["result_code"] == "unknown_status"


def test_without_compare_a_column_that_happens_to_be_called_so_does_nothing(watched: Watched) -> None:
    """A sheet with a `current status` column is sent as before when nobody asked to compare."""
    sheet = watched.folder / "o.csv"
    sheet.write_text(f"order_id,status,current status\n{order_id(1)},Completed,Cancelled\n")
    with served() as sandbox:
        run(watched, sandbox, sheet)
        assert (len(puts(sandbox)), reads(sandbox)) == (1, [])


def test_the_list_is_read_where_it_is_shorter(watched: Watched) -> None:
    """400 rows, 20 pages: few requests, every row right, and a note that says which way and why."""
    rows = good_rows(380, status=PLANNED) + good_rows(20, first=381)
    sheet = write_sheet(watched.folder / "o.csv", rows)
    with served(orders=1000) as sandbox:
        ended = run(watched, sandbox, sheet, "--compare-list")
        assert len(puts(sandbox)) == 20
        assert sorted(reads(sandbox)) == sorted(order for order, _ in rows[380:])
        assert sum(entry["path"] == "/engagement/orders" for entry in sandbox.ledger) <= 20 + 10
    assert "by the order list: 20 pages instead of 400 orders; 380 rows already had this status" in ended.stderr
    assert summary_of(sheet)["results"] == {"unchanged": 380, "updated": 20}


@pytest.mark.parametrize(
    ("orders", "count", "status", "words", "most"),
    [
        (10_000, 150, PLANNED, "one by one, not by the list: it has 150 pages or more", 1),
        (100, 10, PLANNED, "one by one, not by the list: they are few", 0),
        (9_000, 250, DONE, "Gave the order list up after", 8 + 250 // 20 + 20 + 1 + 20),
    ],
)
def test_the_list_is_left_where_it_does_not_pay(
    watched: Watched, orders: int, count: int, status: str, words: str, most: int
) -> None:
    """Too many pages, too few rows, or pages that settle nothing: orders are read one by one, and it says why."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(count, status=status))
    with served(orders=orders) as sandbox:
        ended = run(watched, sandbox, sheet, "--compare-list")
        assert sum(entry["path"] == "/engagement/orders" for entry in sandbox.ledger) <= most
        assert len(reads(sandbox)) == count
        assert len(puts(sandbox)) == (0 if status == PLANNED else count)
    assert words in ended.stderr


@pytest.mark.parametrize(
    ("options", "words"), [({"refuse_list": 403}, "it can't be read"), ({"moving": 37}, "pages instead")]
)
def test_rows_are_exact_however_the_list_behaves(watched: Watched, options: dict[str, int], words: str) -> None:
    """Orders that move between pages are missed or seen twice; each row still ends as the service has it."""
    rows = [(order_id(n), status_id(STATUSES[n % 6])) for n in range(1, 301)]
    sheet = write_sheet(watched.folder / "o.csv", rows)
    with served(orders=2000, **options) as sandbox:
        for number in range(1, 2001):
            sandbox.set_status(order_id(number), status_id(STATUSES[number % 6 if number % 10 else (number + 1) % 6]))
        ended = run(watched, sandbox, sheet, "--compare-list")
        assert words in ended.stderr
        assert {order: sandbox.orders[order]["status"]["id"] for order, _ in rows} == dict(rows)
        assert sorted(entry["order_id"] for entry in puts(sandbox)) == sorted(order_id(n) for n in range(10, 301, 10))
    assert summary_of(sheet)["results"] == {"unchanged": 270, "updated": 30}


def test_a_list_that_alone_refuses_the_token_is_not_used(watched: Watched) -> None:
    """The list of statuses accepts it: the orders are read one by one, and the summary says why."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(40, status=PLANNED))
    with served(refuse_list=401) as sandbox:
        ended = watched.call("run", sheet, "--yes", "--compare-list", env=environment(sandbox.base_url))
    assert ended.returncode == 0, ended.stderr
    assert "not by the list: it can't be read" in summary_of(sheet)["notes"][0]
    assert summary_of(sheet)["results"] == {"unchanged": 40}


def test_a_read_that_is_answered_late_is_tried_again(watched: Watched) -> None:
    """A few 503 while reading cost further reads, no row and no double update."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(200))
    with served(read_errors=0.1) as sandbox:
        run(watched, sandbox, sheet, "--compare", "--retries", "8")
        assert len(puts(sandbox)) == 200
        assert len(reads(sandbox)) > 205

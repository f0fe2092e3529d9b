"""What a user types about a sheet, through the program: options, wrong values, result files of several sheets."""

import json
from pathlib import Path

import pytest
import xlsxwriter
from openpyxl import load_workbook
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
from support.sheets import Maker, excel, old_excel, open_document, raw_excel, xml_row
from support.watched import Watched

from batch_updater.sandbox.server import order_id

HEAD = ["order_id", "status_id"]
NOWHERE = "http://127.0.0.1:9"


def test_the_header_row_is_the_one_that_is_named(watched: Watched) -> None:
    """--header-row N takes the headers from row N, and the rows keep the numbers that the sheet shows."""
    sheet = watched.folder / "orders.csv"
    lines = ["made by,the office", "of,Monday", *map(",".join, [tuple(HEAD), *good_rows(2)])]
    sheet.write_text("\n".join(lines), encoding="utf-8")
    with served() as sandbox:
        env = environment(sandbox.base_url)
        without = watched.call("run", sheet, "--yes", env=env)
        ended = watched.call("run", sheet, "--yes", "--header-row", "3", env=env)
    assert without.returncode == 4
    assert "--header-row" in without.stderr
    assert ended.returncode == 0, ended.stderr
    assert [row["result_row"] for row in read_result(newest_run(sheet) / "results.csv")] == ["4", "5"]


@pytest.mark.parametrize("row", ["7", "1"])
def test_a_header_row_without_headers_is_refused_by_its_name(watched: Watched, row: str) -> None:
    """A row that is empty, or that has no such columns, ends with exit 4 and names the option."""
    sheet = watched.folder / "orders.csv"
    sheet.write_text("a,b\n" + "\n".join(map(",".join, [tuple(HEAD), *good_rows(2)])), encoding="utf-8")
    ended = watched.call("plan", sheet, "--header-row", row, env=environment(NOWHERE))
    assert (ended.returncode, "--header-row" in ended.stderr) == (4, True), ended.stderr


@pytest.mark.parametrize("maker", [excel, old_excel, open_document])
def test_a_larger_sheet_than_allowed_is_refused_by_the_option_that_raises_it(watched: Watched, maker: Maker) -> None:
    """--max-cells N refuses a sheet of more cells, in every office format, and lets one of so many through."""
    sheet = maker(watched.folder, [HEAD, *map(list, good_rows(9))])
    with served() as sandbox:
        env = environment(sandbox.base_url)
        less = watched.call("plan", sheet, "--max-cells", "19", env=env)
        enough = watched.call("plan", sheet, "--max-cells", "20", "--json", env=env)
    assert less.returncode == 4
    assert "over 20 cells; at most 19 are read" in less.stderr
    assert "--max-cells" in less.stderr
    assert enough.returncode == 0, enough.stderr
    assert json.loads(enough.stdout)["rows"] == 9


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--header-row", "0"), ("--header-row", "-1"), ("--header-row", "two"), ("--header-row", "1048577"),
        ("--max-cells", "0"), ("--max-cells", "many"), ("--max-cells", "1e6"), ("--max-cells", "99999999999"),
    ],
)  # fmt: skip
def test_a_wrong_number_is_wrong_use_and_names_its_option(watched: Watched, option: str, value: str) -> None:
    """Exit 2 before the sheet is looked at."""
    sheet = write_sheet(watched.folder / "orders.csv", good_rows(1))
    ended = watched.call("plan", sheet, option, value, env=environment(NOWHERE))
    assert (ended.returncode, option in ended.stderr) == (2, True), ended.stderr
    assert len(list(watched.folder.iterdir())) == 1


def test_the_same_words_stand_in_the_environment(watched: Watched) -> None:
    """BATCH_UPDATER_HEADER_ROW and _MAX_CELLS do what the options do; a wrong value is named as it was written."""
    sheet = excel(watched.folder, [["Orders of Monday", "x"], HEAD, *map(list, good_rows(2))])
    with served() as sandbox:
        env = environment(sandbox.base_url, BATCH_UPDATER_HEADER_ROW="2", BATCH_UPDATER_MAX_CELLS="8")
        ended = watched.call("plan", sheet, "--json", env=env)
        small = watched.call("plan", sheet, env={**env, "BATCH_UPDATER_MAX_CELLS": "7"})
        wrong = watched.call("plan", sheet, env={**env, "BATCH_UPDATER_MAX_CELLS": "lots"})
    assert json.loads(ended.stdout)["rows"] == 2
    assert (small.returncode, "at most 7" in small.stderr) == (4, True)
    assert (wrong.returncode, "max" in wrong.stderr.lower()) == (2, True), wrong.stderr


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the library that encrypts the sample
@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"open-sesame-7\n", ""),
        (b"wrong\n", "does not open"),
        (b"", "does not open"),
        (b"\xff\xfe", "can't be read"),
        (None, "can't be read"),
    ],
)
def test_a_password_file_opens_the_workbook_or_is_named(watched: Watched, content: bytes | None, word: str) -> None:
    """--password-file FILE: the right one runs; a wrong, odd or missing one ends with exit 4 and its name."""
    from msoffcrypto.format.ooxml import OOXMLFile

    plain = excel(watched.folder, [HEAD, *map(list, good_rows(2))])
    sheet = watched.folder / "locked.xlsx"
    with plain.open("rb") as source, sheet.open("wb") as target:
        OOXMLFile(source).encrypt("open-sesame-7", target)
    password = watched.folder / "password.txt"
    if content is not None:
        password.write_bytes(content)
    with served() as sandbox:
        env = environment(sandbox.base_url)
        ended = watched.call("run", sheet, "--yes", "--password-file", password, env=env)
        without = watched.call("plan", sheet, env=env)
        sent = len(puts(sandbox))
    if word:
        assert (ended.returncode, word in ended.stderr, "password.txt" in ended.stderr) == (4, True, True), ended.stderr
    else:
        assert ended.returncode == 0, ended.stderr
        password.unlink()  # nothing below keeps it
    assert sent == (0 if word else 2)
    assert (without.returncode, "--password-file" in without.stderr) == (4, True)


def failing(watched: Watched, monkeypatch: pytest.MonkeyPatch, rows: int) -> Path:
    """An Excel result file whose sheets have three rows each, and in which every fourth order is not found."""
    monkeypatch.setattr("batch_updater.reports.workbook.plain.EXCEL_ROWS", 3)
    sheet = watched.folder / "orders.csv"
    write_sheet(sheet, [(order_id(n) if n % 4 else order_id(90_000 + n), DONE) for n in range(1, rows + 1)])
    result = watched.folder / "results.xlsx"
    with served(orders=1000) as sandbox:
        ended = watched.call("run", sheet, "--yes", "--output", result, env=environment(sandbox.base_url))
    assert ended.returncode == 3, ended.stderr
    return result


def test_a_result_file_of_several_sheets_is_an_input(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """--only takes the failed rows of all its sheets, in order, under the numbers that they had in the first run."""
    result = failing(watched, monkeypatch, rows=13)
    assert load_workbook(result).sheetnames[:5] == ["results", *(f"results {n}" for n in range(2, 6))]
    again = watched.folder / "again.xlsx"
    with served(orders=1000) as sandbox:
        env, here = environment(sandbox.base_url), ("--base-url", sandbox.base_url)
        ended = watched.call("run", result, "--only", "failed", "--yes", "-o", again, *here, env=env)
        sent = [entry["order_id"] for entry in puts(sandbox)]
        every = watched.call("plan", result, "--json", *here, env=env)
    assert ended.returncode == 3, ended.stderr
    assert "Excel sheets 'results' to 'results 5'" in ended.stderr
    assert set(sent) == {order_id(90_000 + n) for n in (4, 8, 12)}
    notes = summary_of(watched.folder / "orders.csv")["notes"]  # it lies beside the run that it follows
    assert notes == ["only these rows: result=failed; 10 others are left out"]
    rows = list(load_workbook(again)["results"].iter_rows(values_only=True))
    place = rows[0].index("result_row")
    assert [row[place] for row in rows[1:]] == [5, 9, 13]
    assert rows[0].count("result") == 1
    assert json.loads(every.stdout)["rows"] == 13


def test_one_of_several_result_sheets_can_be_named(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """--sheet takes that sheet alone, with its own row numbers."""
    result = failing(watched, monkeypatch, rows=7)
    with served(orders=1000) as sandbox:
        words = ("--sheet", "results 2", "--base-url", sandbox.base_url)
        ended = watched.call("plan", result, *words, "--json", env=environment(sandbox.base_url))
    assert json.loads(ended.stdout)["rows"] == 3


def test_result_sheets_that_differ_are_refused(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column put into one sheet only would move statuses to other orders: exit 4 says which sheets differ."""
    result = failing(watched, monkeypatch, rows=7)
    book = load_workbook(result)
    book["results 2"].insert_cols(1)
    book["results 2"]["A1"] = "note"
    book.save(result)
    ended = watched.call("plan", result, env=environment(NOWHERE))
    assert ended.returncode == 4
    assert "the sheets 'results' and 'results 2' have different headers" in ended.stderr


def test_sheets_that_are_only_called_so_are_a_choice(watched: Watched) -> None:
    """Two sheets of a person's own that are called like ours are not put together: exit 4 asks for --sheet."""
    book = xlsxwriter.Workbook(str(watched.folder / "own.xlsx"))
    for name in ("results", "results 2"):
        for number, row in enumerate([HEAD, *good_rows(2)]):
            book.add_worksheet(name) if not number else None
            book.get_worksheet_by_name(name).write_row(number, 0, row)
    book.close()
    ended = watched.call("plan", watched.folder / "own.xlsx", env=environment(NOWHERE))
    assert ended.returncode == 4
    assert "has 2 visible sheets: 'results', 'results 2'" in ended.stderr
    assert "--sheet" in ended.stderr


def test_a_far_cell_is_refused_as_typed(watched: Watched) -> None:
    """The default limit stops one stray cell in the last row and column, and says what to do."""
    sheet = raw_excel(watched.folder, xml_row(1, *HEAD) + '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')
    ended = watched.call("plan", sheet, env=environment(NOWHERE))
    assert (ended.returncode, "at most 25,000,000 are read" in ended.stderr) == (4, True)


def test_a_failed_row_does_not_undo_a_later_row_that_is_done(watched: Watched) -> None:
    """After a sequence, --only failed holds back rows that their order has left behind; all others are sent."""
    orders = [order_id(n) for n in range(1, 4)]
    steps = [(orders[0], PLANNED, "failed"), (orders[1], PLANNED, "updated"), (orders[2], DONE, "failed"),
             (orders[0], DONE, "updated"), (orders[1], DONE, "failed")]  # fmt: skip
    result = watched.folder / "results.csv"
    lines = [f"{order},{status},{result},{order}" for order, status, result in steps]
    result.write_text("\n".join(["order_id,status_id,result,result_order_id", *lines]), encoding="utf-8")
    with served() as sandbox:
        ended = watched.call("run", result, "--only", "failed", "--yes", env=environment(sandbox.base_url))
        sent = [(entry["order_id"], entry["status_id"]) for entry in puts(sandbox)]
    assert ended.returncode == 3, ended.stderr
    assert sorted(sent) == sorted([(orders[2], DONE), (orders[1], DONE)])
    assert "row 2: conflict: row 5 of this order comes later and is done" in ended.stderr
    rows = read_result(newest_run(result) / "results.csv")
    assert [(row["result_row"], row["result"]) for row in rows] == [
        ("2", "conflict"),
        ("4", "updated"),
        ("6", "updated"),
    ]

"""Sheets of many kinds through the program: what is chosen, what is hidden, how the result looks."""

import gzip
import json
import os
import threading
from pathlib import Path

import pytest
import xlsxwriter
from openpyxl import load_workbook
from support.program import (
    DONE,
    environment,
    good_rows,
    newest_run,
    program,
    read_result,
    served,
    summary_of,
    write_sheet,
)

from batch_updater.sandbox.server import order_id


def hidden_sheet(path: Path) -> Path:
    """Five orders, the second hidden, with widths and a number format."""
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet("Orders")
    for place, title in enumerate(("order_id", "status_id", "code", "secret")):
        sheet.write_string(0, place, title)
    for number in range(1, 6):
        sheet.write_string(number, 0, order_id(number))
        sheet.write_string(number, 1, DONE)
        sheet.write_number(number, 2, number, book.add_format({"num_format": "000"}))
        sheet.write_string(number, 3, "=1+1")
    sheet.set_row(2, None, None, {"hidden": True})
    sheet.set_column("A:A", 50)
    sheet.set_column("D:D", None, None, {"hidden": 1})
    book.close()
    return path


def test_hidden_rows_are_not_sent_and_the_result_is_the_persons_own_workbook(tmp_path: Path) -> None:
    """A hidden row is counted and stays; numbers, formats, widths and hidden columns are as they were."""
    sheet = hidden_sheet(tmp_path / "orders.xlsx")
    with served() as sandbox:
        env = environment(sandbox.base_url)
        plan = program("plan", sheet, env=env)
        run = program("run", sheet, "--yes", "--json", env=env)
    assert "1 hidden or filtered row is left out" in plan.stdout
    assert "hidden columns: 'secret'" in plan.stdout
    assert run.returncode == 0, run.stderr
    summary = json.loads(run.stdout)
    assert (summary["rows"], summary["results"]) == (4, {"updated": 4})
    assert "hidden" in summary["notes"][0]
    assert order_id(2) not in {entry["order_id"] for entry in sandbox.ledger if entry["method"] == "PUT"}
    book = load_workbook(newest_run(sheet) / "results.xlsx")
    assert book.sheetnames == ["Orders"]
    found = book["Orders"]
    assert (found["C2"].value, found["C2"].number_format, found["D2"].data_type) == (1, "000", "s")
    assert (found["A3"].value, found["E3"].value, found.row_dimensions[3].hidden) == (order_id(2), None, True)
    assert found.column_dimensions["A"].width == pytest.approx(50, abs=1)
    assert found.column_dimensions["D"].hidden
    assert found["E2"].fill.fgColor.rgb == "FFC6EFCE"


def test_hidden_rows_are_sent_when_asked_for(tmp_path: Path) -> None:
    """--include-hidden sends every row, and the plan says so."""
    sheet = hidden_sheet(tmp_path / "orders.xlsx")
    with served() as sandbox:
        run = program("run", sheet, "--yes", "--include-hidden", env=environment(sandbox.base_url))
    assert run.returncode == 0, run.stderr
    assert "1 hidden or filtered row is sent as well" in run.stderr
    assert summary_of(sheet)["rows"] == 5


def test_an_excel_result_is_an_input_again(tmp_path: Path) -> None:
    """--only takes rows of a results.xlsx, whose summary sheet is no second choice."""
    sheet = hidden_sheet(tmp_path / "orders.xlsx")
    with served() as sandbox:
        env = environment(sandbox.base_url)
        program("run", sheet, "--yes", "--output", tmp_path / "r.xlsx", env=env)
        again = program("plan", tmp_path / "r.xlsx", "--only", "updated", "--json", env=env)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["rows"] == 4


def test_chosen_rows_only_are_sent_and_the_summary_says_so(tmp_path: Path) -> None:
    """--where, --rows and --limit by option, environment and config file; the result holds those rows only."""
    sheet = tmp_path / "orders.csv"
    lines = [f"{a},{b},{'x' if n % 2 else 'y'}" for n, (a, b) in enumerate(good_rows(20))]
    sheet.write_text("\n".join(["order_id,status_id,kind", *lines]), encoding="utf-8")
    (tmp_path / "batch-updater.toml").write_text('where = ["kind=x"]\n', encoding="utf-8")
    with served() as sandbox:
        env = environment(sandbox.base_url, BATCH_UPDATER_ROWS="2-11")
        run = program("run", sheet, "--yes", "--limit", "3", env=env, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert [row["result_row"] for row in read_result(newest_run(sheet) / "results.csv")] == ["3", "5", "7"]
    assert summary_of(sheet)["notes"] == ["only these rows: kind=x; rows 2-11; at most 3; 17 others are left out"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--rows", "5-2"], "--rows"),
        (["--rows", "0"], "--rows"),
        (["--where", "kind"], "Column=value"),
        (["--limit", "0"], "--limit"),
        (["--header-row", "0"], "--header-row"),
    ],
)
def test_a_wrong_choice_is_wrong_use(tmp_path: Path, options: list[str], word: str) -> None:
    """Exit 2 names the option, and nothing is sent."""
    sheet = write_sheet(tmp_path / "orders.csv", good_rows(2))
    found = program("plan", sheet, *options, env=environment("http://127.0.0.1:9"))
    assert (found.returncode, word in found.stderr) == (2, True), found.stderr


def test_swapped_columns_are_refused(tmp_path: Path) -> None:
    """A column of known status ids in the orders' place ends with exit 4 before anything is sent."""
    sheet = tmp_path / "orders.csv"
    lines = [f"{b},{a}" for a, b in good_rows(5)]
    sheet.write_text("\n".join(["order_id,status_id", *lines]), encoding="utf-8")
    with served() as sandbox:
        found = program("run", sheet, "--yes", env=environment(sandbox.base_url))
    assert found.returncode == 4
    assert "orders.csv: the columns look swapped" in found.stderr
    assert not any(entry["method"] == "PUT" for entry in sandbox.ledger)


def test_a_named_pipe_and_a_packed_stdin_are_read(tmp_path: Path) -> None:
    """`plan <(command)` plans what the command writes."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = write_sheet(tmp_path / "orders.csv", good_rows(3)).read_text()
    writer = threading.Thread(target=pipe.write_text, args=(content,))
    writer.start()
    with served() as sandbox:
        env = environment(sandbox.base_url)
        found = program("plan", pipe, "--json", env=env)
        (tmp_path / "o.csv.gz").write_bytes(gzip.compress(content.encode()))
        packed = program("plan", tmp_path / "o.csv.gz", "--json", env=env)
    writer.join()
    assert json.loads(found.stdout)["rows"] == json.loads(packed.stdout)["rows"] == 3

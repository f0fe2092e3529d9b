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
    PLANNED,
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


def test_the_target_is_sent_and_a_doubtful_column_is_refused(tmp_path: Path) -> None:
    """An export with a new column sends that; ids beside their names are taken while they agree; own headers count."""
    order = order_id(1)
    sheets = {
        "new": (f"id,name,status_id,new_status\n{order},n,{PLANNED},Completed\n", 0, "not used  'status_id'"),
        "export": (f"order_id,status_id,status_name\n{order},{DONE},Completed\n", 0, "not used  'status_name'"),
        "edited": (f"order_id,status_id,status_name\n{order},{DONE},Planned\n", 4, "in row 2 they are not"),
        "current": (f"order_id,current_status\n{order},Completed\n", 4, "--status-column current_status"),
        "own": (f"Ticket,Sol,status\n{order},Completed,Planned\n", 0, "order = 'Ticket', status = 'Sol'"),
    }
    (tmp_path / "batch-updater.toml").write_text('[columns]\norder = ["Ticket"]\nstatus = "Sol"\n')
    with served() as sandbox:
        for name, (content, code, words) in sheets.items():
            (tmp_path / f"{name}.csv").write_text(content)
            run = program("run", f"{name}.csv", "--yes", env=environment(sandbox.base_url), cwd=tmp_path)
            assert (run.returncode, words in run.stderr) == (code, True), run.stderr
    assert {entry["order_id"] for entry in sandbox.ledger if entry["method"] == "PUT"} == {order}


def test_own_headers_that_can_not_be_used_are_refused_clearly(tmp_path: Path) -> None:
    """The message names the table and its words."""
    (tmp_path / "batch-updater.toml").write_text("[columns]\norders = 3\n")
    (tmp_path / "o.csv").write_text("a,b\n")
    run = program("plan", "o.csv", env=environment("http://127.0.0.1:9"), cwd=tmp_path)
    assert run.returncode == 2
    assert "[columns] in the config file can't be used: it has headers of your own for order, status" in run.stderr


def test_a_sheet_without_rows_is_nothing_to_do(tmp_path: Path) -> None:
    """It ends well, with a line that names sheet and header row, and a result file of headers alone."""
    sheet = tmp_path / "empty.csv"
    sheet.write_text("order_id;status_id\n")
    with served() as sandbox:
        env = environment(sandbox.base_url)
        run = program("run", sheet, "--yes", "-q", "-o", tmp_path / "out.csv", env=env)
        plan = program("plan", sheet, env=env)
    assert (run.returncode, plan.returncode) == (0, 0)
    assert run.stderr.strip() == f"{sheet}: there is nothing under the header in row 1, so there is nothing to do"
    assert "there is nothing under the header in row 1" in plan.stderr
    assert (tmp_path / "out.csv").read_text("utf-8-sig").startswith("order_id;status_id;result;")
    assert summary_of(sheet)["rows"] == 0


def test_the_results_of_a_csv_keep_its_delimiter_over_rounds(tmp_path: Path) -> None:
    """What opens in columns on this computer opens so again, the corrected result file too."""
    sheet = tmp_path / "o.csv"
    sheet.write_text(f"order_id;status_id;note\nx;{DONE};a,b\n")
    with served() as sandbox:
        env = environment(sandbox.base_url)
        assert program("run", sheet, "--yes", env=env).returncode == 3
        first = newest_run(sheet) / "results.csv"
        first.write_text(first.read_text("utf-8-sig").replace("\nx;", f"\n{order_id(1)};"))
        assert program("run", first, "--yes", "--only", "invalid", env=env).returncode == 0
    second = newest_run(sheet) / "results.csv"  # it lies beside the run that it follows
    assert second.read_text("utf-8-sig").splitlines()[1].startswith(f"{order_id(1)};{DONE};a,b;")


def one_sheet_of_orders(path: Path) -> Path:
    """A workbook of orders without statuses and of notes."""
    book = xlsxwriter.Workbook(str(path))
    book.add_worksheet("Notes").write_row(0, 0, ["note", "text"])
    sheet = book.add_worksheet("Orders")
    for row, cells in enumerate([("Order ID", "remark"), (order_id(1), "Planned"), (order_id(2), "Planned")]):
        sheet.write_row(row, 0, cells)
    book.close()
    return path


def test_one_status_for_all_rows_needs_only_a_column_of_orders(tmp_path: Path) -> None:
    """It chooses the sheet, and the header below a title; a column of statuses is named as not used."""
    book, titled = one_sheet_of_orders(tmp_path / "o.xlsx"), tmp_path / "titled.csv"
    titled.write_text(f"Order,,\n\nNo,Order ID,Status\n1,{order_id(3)},Planned\n")
    with served() as sandbox:
        env = environment(sandbox.base_url)
        run = program("run", book, "--yes", "--set-status", "Completed", env=env)
        below = program("run", titled, "--yes", "--set-status", "Completed", env=env)
    assert (run.returncode, below.returncode) == (0, 0), run.stderr + below.stderr
    said = " ".join(run.stderr.split())
    assert "columns order = 'Order ID', every row gets 'Completed' rows 2 " in said
    assert "sheet 'Orders' is the only one of 2 with a column of orders" in said
    assert "header in row 3" in below.stderr
    assert "not used  'Status'" in below.stderr
    assert [summary_of(sheet)["results"] for sheet in (book, titled)] == [{"updated": 2}, {"updated": 1}]


def test_a_list_of_no_orders_is_nothing_to_do(tmp_path: Path) -> None:
    """With one status for all rows too, in any format."""
    (tmp_path / "empty.csv").write_text("Order ID\n")
    book = xlsxwriter.Workbook(str(tmp_path / "empty.xlsx"))
    book.add_worksheet("Orders").write_row(0, 0, ["Order ID"])
    book.close()
    with served() as sandbox:
        for name in ("empty.csv", "empty.xlsx"):
            words = ("run", tmp_path / name, "--yes", "--set-status", "Completed")
            run = program(*words, env=environment(sandbox.base_url))
            assert run.returncode == 0, run.stderr
            assert "so there is nothing to do" in " ".join(run.stderr.split())
    assert summary_of(tmp_path / "empty.csv")["rows"] == 0


@pytest.mark.parametrize(
    ("header", "options", "words"),
    [
        ("Order ID,note", [], ["no status column", "should get the same status: --set-status STATUS"]),
        ("Order ID,current status", [], ["have now or had before", "--set-status STATUS"]),
        ("a,b,c,d", ["--set-status", "Completed"], ["no order column", "--order-column HEADER"]),
    ],
)
def test_a_missing_column_is_named_with_the_way_to_do_without(
    tmp_path: Path, header: str, options: list[str], words: list[str]
) -> None:
    """No column of statuses may mean one status for all; a column of orders is needed always."""
    sheet = tmp_path / "o.csv"
    sheet.write_text(f"{header}\n{order_id(1)},x{',' * (header.count(',') - 1)}\n")
    run = program("run", sheet, "--yes", *options, env=environment("http://127.0.0.1:9"))
    assert run.returncode == 4
    assert all(word in run.stderr for word in words), run.stderr

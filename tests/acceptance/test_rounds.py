"""Rounds of corrections: rows keep the numbers of the first sheet, and follow-ups lie beside it and are told apart."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
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
from support.watched import Ended, Watched

from batch_updater.sandbox.server import Sandbox, order_id

MISSING = order_id(99_999_999)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with served() as found:
        yield found


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """Five rows: one is right, one order has a typing error, two statuses have one, one order is missing."""
    rows = [(order_id(1), "Completed"), ("not-an-id", "Completed"), (order_id(3), "Complted"), (order_id(4), "Don")]
    return write_sheet(tmp_path / "o.csv", [*rows, (MISSING, "Completed")])


def lines_of(result: Path) -> list[list[str]]:
    with result.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.reader(stream))


def correct(result: Path, **cells: str) -> None:
    """Write into the result file as a person would: by the number of the row, `row_4="…"` its status or order."""
    header, *rows = lines_of(result)
    for row in rows:
        if (text := cells.get(f"row_{row[header.index('result_row')]}")) is not None:
            row[0 if "-" in text else 1] = text
    with result.open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def numbers(result: Path) -> list[tuple[str, str]]:
    return [(row["result_row"], row["result"]) for row in read_result(result)]


def listed(watched: Watched, sheet: Path) -> list[dict[str, object]]:
    """What `runs` says, the oldest run first."""
    said = watched.call("runs", sheet, "--json", env=environment()).stdout
    return [json.loads(line) for line in said.splitlines()][::-1]


def test_three_rounds_keep_the_row_numbers_and_lie_side_by_side(
    watched: Watched, sandbox: Sandbox, sheet: Path
) -> None:
    """Each round is run with --only from the result file of the round before; the last one from a copy elsewhere."""
    env, place = environment(sandbox.base_url), sheet.parent / "o.runs"

    def again(file: Path, words: str) -> Ended:
        return watched.call("run", file, "--yes", "--only", words, env=env)

    assert watched.call("run", sheet, "--yes", env=env).returncode == 3
    first = newest_run(sheet)
    correct(first / "results.csv", row_3=order_id(2))
    assert again(first / "results.csv", "invalid").returncode == 3
    second = newest_run(sheet)
    assert numbers(second / "results.csv") == [("3", "updated"), ("4", "invalid"), ("5", "invalid")]
    correct(second / "results.csv", row_4="Completed")
    said = again(second / "results.csv", "invalid")
    assert said.returncode == 3
    assert "row 5 of o.csv (row 4 here): invalid" in said.stderr, "the plan"
    assert "row 5 of o.csv (row 4 here): 'Don'" in " ".join(said.stdout.split()), "the summary"
    third = newest_run(sheet)
    assert "row 5 of o.csv (row 4 here)" in (third / "report.html").read_text()
    assert summary_of(sheet)["reasons"][0]["example_row"] == 5
    correct(third / "results.csv", row_5="Completed")
    elsewhere = Path(shutil.copy(third / "results.csv", sheet.parent / "corrected by me.csv"))
    assert again(elsewhere, "invalid").returncode == 0
    assert numbers(newest_run(sheet) / "results.csv") == [("5", "updated")]
    assert sorted(put["order_id"] for put in puts(sandbox)) == sorted([MISSING, *map(order_id, (1, 2, 3, 4))])
    assert list(sheet.parent.rglob("*.runs")) == [place]
    found = listed(watched, sheet)
    assert [info["root"] for info in found] == ["", *[first.name] * 3]
    assert (found[0]["rows"], found[0]["done"], found[0]["not_done"], found[0]["rounds"]) == (5, 4, 1, 4)


def test_the_follow_ups_of_two_runs_are_told_apart(watched: Watched, sandbox: Sandbox, sheet: Path) -> None:
    """Both files are called results.csv: the unfinished one of the first run is not in the way of the second's."""
    env = environment(sandbox.base_url)
    write_sheet(sheet, [(order_id(n), DONE) for n in (1, 99_999_998, 99_999_999)])
    stopping = ("--yes", "--only", "failed", "--concurrency", "1", "--max-failures", "0")
    runs = []
    for _ in range(2):
        assert watched.call("run", sheet, "--yes", env=env).returncode == 3
        runs.append(newest_run(sheet))
    assert watched.call("run", runs[0] / "results.csv", *stopping, env=env).returncode == 6
    unfinished = newest_run(sheet)
    assert watched.call("run", runs[1] / "results.csv", *stopping, env=env).returncode == 6
    assert newest_run(sheet) != unfinished
    went_on = watched.call("run", runs[0] / "results.csv", *stopping, "--max-failures", "2", env=env)
    assert f"Picking up the unfinished run {unfinished.name}" in " ".join(went_on.stderr.split()), went_on.stderr
    other = watched.call("run", runs[0] / "results.csv", "--yes", "--only", "failed,updated", env=env)
    assert other.returncode == 3, "that one is finished now"


def test_a_follow_up_locks_the_run_that_it_follows(watched: Watched, sandbox: Sandbox, sheet: Path) -> None:
    """They have the same orders: while the sheet's own run is under way, a follow-up of an earlier one waits."""
    from batch_updater.journal.lock import lock_input

    env = environment(sandbox.base_url)
    assert watched.call("run", sheet, "--yes", env=env).returncode == 3
    first = newest_run(sheet)
    with lock_input(first.parent, sheet):
        locked = watched.call("run", first / "results.csv", "--yes", "--only", "failed", env=env)
    assert locked.returncode == 7, locked.stderr


def test_row_numbers_that_tell_nothing_give_way_to_the_rows_own(
    watched: Watched, sandbox: Sandbox, sheet: Path
) -> None:
    """An empty one, one that is no number, and one that two rows have."""
    env = environment(sandbox.base_url)
    assert watched.call("run", sheet, "--yes", env=env).returncode == 3
    result = newest_run(sheet) / "results.csv"
    header, *rows = lines_of(result)
    place = header.index("result_row")
    rows = [*rows[1:], list(rows[-1])]
    for row, number in zip(rows, ("", "x7", "5", "5", "0"), strict=False):
        row[place] = number
    with result.open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    assert watched.call("run", result, "--yes", env=env).returncode == 3
    assert [number for number, _ in numbers(newest_run(sheet) / "results.csv")] == ["2", "3", "4", "5", "6"]


def test_an_excel_result_that_was_corrected_keeps_its_numbers(watched: Watched, sandbox: Sandbox, sheet: Path) -> None:
    """Excel writes numbers into the cells that held text: they are read as the same rows."""
    env, result = environment(sandbox.base_url), sheet.parent / "r.xlsx"
    assert watched.call("run", sheet, "--yes", "-o", result, env=env).returncode == 3
    book = load_workbook(result)
    rows = book["results"]
    place = [cell.value for cell in rows[1]].index("result_row") + 1
    for row in range(2, 7):
        rows.cell(row, place).value = int(rows.cell(row, place).value)
    rows.delete_rows(2)
    book.save(result)
    assert watched.call("run", result, "--yes", "--only", "invalid,failed", env=env).returncode == 3
    found = load_workbook(newest_run(sheet) / "results.xlsx")["results"]  # it lies beside the run that it follows
    assert [str(found.cell(row, place).value) for row in range(2, 6)] == ["3", "4", "5", "6"]


@pytest.mark.parametrize("how", ["verify", "undo", "plan"])
def test_other_commands_know_a_follow_up(watched: Watched, sandbox: Sandbox, sheet: Path, how: str) -> None:
    """It is read back under the first sheet's numbers, undone in its own folder, and planned without being made."""
    env = environment(sandbox.base_url)
    assert watched.call("run", sheet, "--yes", "--compare", env=env).returncode == 3
    result = newest_run(sheet) / "results.csv"
    correct(result, row_4="Completed")
    more = ("--only", "invalid", "--compare")
    if how == "plan":
        planned = watched.call("plan", result, *more, env=env)
        assert (planned.returncode, len(listed(watched, sheet))) == (0, 1)
        return
    assert watched.call("run", result, "--yes", *more, env=env).returncode == 3
    follow_up = newest_run(sheet)
    if how == "verify":
        assert watched.call("verify", follow_up, env=env).returncode == 0
        assert "\n4,=," in (follow_up / "verify.csv").read_text(encoding="utf-8-sig")
    else:
        assert watched.call("undo", follow_up, "--yes", env=env).returncode == 0
        assert (follow_up / "undo.runs").is_dir()
        assert sandbox.orders[order_id(3)]["status"]["id"] == PLANNED


def test_a_list_of_orders_and_one_status_are_enough(watched: Watched, sandbox: Sandbox) -> None:
    """Run, resumed only with the same status, and corrected by the command that is proposed."""
    env, sheet = environment(sandbox.base_url), watched.folder / "list.csv"
    sheet.write_text("Order\n" + "\n".join([order_id(1), order_id(2), "x", order_id(1)]) + "\n")
    stopped = watched.call("run", sheet, "--yes", "--set-status", "completed", env=env)
    assert (stopped.returncode, summary_of(sheet)["results"]) == (3, {"updated": 2, "invalid": 1, "duplicate": 1})
    assert "--only invalid" in stopped.stdout
    assert "--set-status completed" in stopped.stdout
    first = newest_run(sheet)
    lines = (first / "results.csv").read_text(encoding="utf-8-sig").replace("\nx,", f"\n{order_id(3)},")
    (first / "results.csv").write_text(lines, encoding="utf-8-sig")
    words = ("--only", "invalid", "--set-status", "completed")
    assert watched.call("run", first / "results.csv", "--yes", *words, env=env).returncode == 0
    assert [sandbox.orders[order_id(n)]["status"]["id"] for n in (1, 2, 3)] == [DONE] * 3


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--set-status", "Complted"], 2, "did you mean 'Completed'"),
        (["--set-status", "301f0507-37dd-5cd6-97fd-000000000000"], 2, "No order can get this status"),
        (["--set-status", "Completed", "--status-column", "status"], 2, "leave out --status-column"),
        ([], 4, "no status column"),
    ],
)
def test_a_status_for_all_rows_must_be_one(
    watched: Watched, sandbox: Sandbox, words: list[str], code: int, said: str
) -> None:
    """A wrong one is refused for the whole sheet, before a row is called invalid for it."""
    sheet = watched.folder / "list.csv"
    sheet.write_text(f"Order\n{order_id(1)}\n")
    ended = watched.call("run", sheet, "--yes", *words, env=environment(sandbox.base_url))
    assert (ended.returncode, said in ended.stderr, puts(sandbox)) == (code, True, []), ended.stderr


def test_the_status_that_is_typed_wins_over_the_column_of_the_config_file(watched: Watched, sandbox: Sandbox) -> None:
    """And the column over the status: what is typed is meant for this sheet."""
    env, config = environment(sandbox.base_url), watched.folder / "c.toml"
    sheet = write_sheet(watched.folder / "o.csv", good_rows(2, status="Cancelled"))
    for setting, words, name in (
        ('status_column = "x"', ["--set-status", "Completed"], "Completed"),
        ('set_status = "Completed"', ["--status-column", "status_id"], "Cancelled"),
    ):
        config.write_text(setting)
        planned = watched.call("plan", sheet, "--config", config, *words, "--json", env=env)
        assert (planned.returncode, name in planned.stderr) == (0, True), planned.stderr


def test_a_compared_plan_shows_what_the_orders_have_now(watched: Watched, sandbox: Sandbox) -> None:
    """Now and new with counts, unknown orders with their rows, those that are so already; nothing is sent."""
    env = environment(sandbox.base_url)
    sandbox.set_status(order_id(1), DONE)
    sheet = write_sheet(watched.folder / "o.csv", [*good_rows(4), (MISSING, DONE), ("x", DONE)])
    planned = watched.call("plan", sheet, "--compare", env=env)
    assert planned.returncode == 0, planned.stderr
    said = " ".join(planned.stdout.split())
    assert "3 Planned → Completed 1 Completed → Completed already so" in said
    assert f"1 unknown to the service row 6: {MISSING}" in said
    assert max(map(len, planned.stdout.splitlines()[1:])) <= 80
    as_json = json.loads(watched.call("plan", sheet, "--compare-list", "--json", env=env).stdout)
    assert as_json["preview"] == {
        "orders": [{"now": PLANNED, "new": DONE, "orders": 3}, {"now": DONE, "new": DONE, "orders": 1}],
        "already": 1, "unknown_orders": 1, "unknown": [{"row": 6, "order_id": MISSING}], "unreadable": 0,
    }  # fmt: skip
    assert puts(sandbox) == []
    without = watched.call("plan", sheet, "--compare", env={**env, "EVREKA360_ACCESS_TOKEN": ""})
    assert (without.returncode, "No access token" in without.stderr) == (2, True)

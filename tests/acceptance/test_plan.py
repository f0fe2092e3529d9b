"""`plan` on its own: it blames what is to blame, as `run` does, and needs nobody to check a sheet."""

import json
from pathlib import Path

import pytest
from support.program import DONE, TOKEN, environment, good_rows, served, write_sheet
from support.watched import Watched

from batch_updater.sandbox.server import order_id

NAMES = [(order, "Completed") for order, _ in good_rows(3)]


def without_plan(said: str) -> list[str]:
    """The lines of an error."""
    return [line for line in said.splitlines() if line.startswith(("error:", "  hint:", "        "))]


@pytest.mark.parametrize("rows", [NAMES, good_rows(3)], ids=["names", "ids"])
@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ({"EVREKA360_ACCESS_TOKEN": f"{TOKEN}-of-yesterday"}, 5, "did not accept the token"),
        ({"EVREKA360_ACCESS_TOKEN": "", "EVREKA360_ACCESS_TOKEN_FILE": "/nowhere"}, 2, "EVREKA360_ACCESS_TOKEN_FILE"),
        ({"EVREKA360_ACCESS_TOKEN": "", "EVREKA360_API_USER": "somebody of ours"}, 2, "EVREKA360_API_PASS is missing"),
        ({"path": "/v9"}, 6, "check EVREKA360_BASE_URL"),
    ],
    ids=["token", "file", "sign-in", "address"],
)
def test_what_is_to_blame_is_blamed_by_plan_as_by_run(
    watched: Watched, rows: list[tuple[str, str]], wrong: dict[str, str], code: int, words: str
) -> None:
    """Credentials and a wrong address end both with the same status and sentence; the sheet is not blamed.

    Where all statuses are ids, an address without a list of statuses may be the service's all the same: a note says so.
    """
    sheet = write_sheet(watched.folder / "o.csv", rows)
    with served() as sandbox:
        env = environment(sandbox.base_url + wrong.get("path", ""), **{k: v for k, v in wrong.items() if k != "path"})
        planned = watched.call("plan", sheet, env=env)
        ran = watched.call("run", sheet, "--yes", env=env)
    if "path" in wrong and rows is not NAMES:
        assert (planned.returncode, ran.returncode) == (0, 3)
        assert words in " ".join(planned.stdout.split())
        return
    assert (planned.returncode, ran.returncode) == (code, code)
    assert words in planned.stderr
    assert words in ran.stderr
    assert "o.csv, row" not in planned.stderr
    if code != 5:
        assert without_plan(planned.stderr) == without_plan(ran.stderr)


@pytest.mark.parametrize("has", ["nothing", "address", "token"])
def test_a_sheet_is_checked_without_a_service(watched: Watched, has: str) -> None:
    """Ids, columns and conflicts are checked, names of statuses taken as they are; the plan says what is not."""
    rows = [
        *NAMES,
        ("typing error", "Completed"),
        (order_id(9), "completed "),
        (order_id(9), "Cancelled"),
        (order_id(8), DONE),
    ]
    sheet = write_sheet(watched.folder / "o.csv", rows)
    token = {"EVREKA360_ACCESS_TOKEN": TOKEN}
    names = {"address": {"EVREKA360_BASE_URL": "https://x.test"}, "token": token}.get(has, {})
    planned = watched.call("plan", sheet, env=environment(**names))
    assert planned.returncode == 0, planned.stderr
    said = " ".join(planned.stdout.split())
    for words in ("rows 7", "to send 4", "invalid 1", "conflict 2", "3 Completed", f"1 {DONE}",
                  "statuses and orders are not checked: there is no", "row 5: invalid"):  # fmt: skip
        assert words in said
    assert ("there is no token" in said) is (has == "address")
    as_json = json.loads(watched.call("plan", sheet, "--json", env=environment(**names)).stdout)
    assert as_json["results"] == {"not_sent": 4, "invalid": 1, "conflict": 2}


def test_orders_by_name_and_two_columns_of_statuses_are_no_obstacle(watched: Watched) -> None:
    """What only the service could tell apart is left for later."""
    sheet = watched.folder / "o.csv"
    sheet.write_text(f"Order name,New status,New status id\nWO-1,Completed,{DONE}\nWO-2,Completed,{DONE}\n")
    planned = watched.call("plan", sheet, "--order-by", "name", env=environment())
    assert planned.returncode == 0, planned.stderr
    assert "to send   2" in planned.stdout


def test_reading_orders_needs_a_service(watched: Watched) -> None:
    """`plan --compare` asks it, so it says what is missing."""
    sheet = write_sheet(watched.folder / "o.csv", NAMES)
    refused = watched.call("plan", sheet, "--compare", env=environment())
    assert (refused.returncode, "No service address" in refused.stderr) == (2, True)
    assert list(Path(watched.folder).glob("*.runs")) == []

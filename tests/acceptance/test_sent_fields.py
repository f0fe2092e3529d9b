"""Every field of what is sent to an order, through duplicate, crash, compare, verify and undo.

A field that is added to SENT fails here until it has a case, and then until each of these knows it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.program import DONE, PLANNED, environment, puts, read_result, served
from support.watched import Watched

from batch_updater.common.models import SENT
from batch_updater.journal.facts import Phase
from batch_updater.journal.journal import Journal
from batch_updater.sandbox.server import Sandbox, order_id, status_id


@dataclass(frozen=True)
class Field:
    """A field that is sent: two values of it in its column, a third that an order may have, and how to look and set."""

    column: str
    values: tuple[str, str, str]
    has: Callable[[Sandbox, str], str]
    give: Callable[[Sandbox, str, str], None]


FIELDS = {
    "status_id": Field(
        "status_id",
        (DONE, PLANNED, status_id("Assigned")),
        lambda sandbox, order: str(sandbox.orders[order]["status"]["id"]),
        lambda sandbox, order, value: sandbox.set_status(order, value),
    )
}
ORDERS = [order_id(n) for n in range(1, 6)]


def sheet_of(folder: Path, field: Field, rows: list[tuple[str, str]]) -> Path:
    path = folder / "o.csv"
    text = "".join(f"{order},{value}\n" for order, value in rows)
    path.write_text(f"order_id,{field.column}\n{text}", encoding="utf-8")
    return path


def test_every_field_that_is_sent_has_a_case() -> None:
    """And nothing else has one."""
    assert set(FIELDS) == set(SENT)


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_rows_of_one_order_are_duplicates_only_when_the_field_is_the_same(watched: Watched, field: Field) -> None:
    """The same value is sent once; two values are held back, and `last` sends the last."""
    a, b, _ = field.values
    rows = [(ORDERS[0], a), (ORDERS[0], a), (ORDERS[1], a), (ORDERS[1], b)]
    with served() as sandbox:
        sheet = sheet_of(watched.folder, field, rows)
        for choice, results in {
            "hold": ["updated", "duplicate", "conflict", "conflict"],
            "last": ["updated", "duplicate", "conflict", "updated"],
        }.items():
            words = ("--yes", "--json", "--on-conflict", choice)
            ended = watched.call("run", sheet, *words, env=environment(sandbox.base_url))
            found = read_result(Path(json.loads(ended.stdout)["results_file"]))
            assert [row["result"] for row in found] == results
        assert field.has(sandbox, ORDERS[1]) == b


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_the_field_goes_through_crash_compare_verify_and_undo(watched: Watched, field: Field) -> None:
    """In doubt it is read back, the same it is left alone, changed it is seen, and it is put back as it was."""
    wanted, other, before = field.values
    with served() as sandbox:
        for order in ORDERS:
            field.give(sandbox, order, before)
        field.give(sandbox, ORDERS[0], wanted)  # so already
        sheet, env = (
            sheet_of(watched.folder, field, [(order, wanted) for order in ORDERS]),
            environment(sandbox.base_url),
        )
        ended = watched.call("run", sheet, "--yes", "--json", "--compare", env=env)
        run = Path(json.loads(ended.stdout)["run_dir"])
        assert [row["result"] for row in read_result(run / "results.csv")] == ["unchanged"] + ["updated"] * 4
        assert sorted(put["order_id"] for put in puts(sandbox)) == sorted(ORDERS[1:])

        crash(run)  # two rows are in doubt: one was applied, the other was not
        field.give(sandbox, ORDERS[4], before)
        ended = watched.call("run", sheet, "--yes", "--json", "--compare", env=env)
        assert [row["result_code"] for row in read_result(run / "results.csv")[3:]] == [
            "confirmed_after_interruption", "ok",
        ]  # fmt: skip
        assert [put["order_id"] for put in puts(sandbox)[4:]] == [ORDERS[4]]

        field.give(sandbox, ORDERS[1], other)
        watched.call("verify", run, env=env)
        assert [row["symbol"] for row in read_result(run / "verify.csv")] == ["=", "*", "=", "=", "="]

        watched.call("undo", run, "--yes", env=env)
        assert [field.has(sandbox, order) for order in ORDERS] == [wanted, other, before, before, before]


def crash(run: Path) -> None:
    """Have the journal say that the last start was killed while the last two rows were under way."""
    with Journal.open(run / "journal.sqlite") as journal:
        journal._change(("UPDATE rows SET changes = changes + 1, state = 'claimed', result = NULL WHERE row > 4", [()]))
        journal.update_facts(phase=Phase.SENDING, end=None)

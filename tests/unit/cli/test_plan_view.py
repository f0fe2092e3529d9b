from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from support.journals import some_facts

from batch_updater.cli.plan_view import describe
from batch_updater.common.settings import Settings
from batch_updater.inputs.columns import Columns
from batch_updater.planning.plan import Plan
from batch_updater.planning.preflight import Tenant

PLAN = Plan(12, 9, 0, 0, 0, 0, 3, 0, 0, {"a" * 36: 9}, [("row 7", "invalid", "a word and another " * 9)])
TENANT = Tenant("https://api.example.com", unchecked="statuses are not checked: there is no token to ask it with")
RUN: Any = SimpleNamespace(
    plan=PLAN, columns=Columns(0, 1, "order_id", "status_id"), tenant=TENANT, settings=Settings(compare=True),
    facts=some_facts(), open_rows=9, notes=(), resumed=False,
    source=SimpleNamespace(description="CSV", notes=["2 hidden or filtered rows are left out"]),
)  # fmt: skip


@pytest.mark.parametrize("width", [45, 60, 80])
def test_the_sentences_of_a_plan_fit_the_terminal(width: int) -> None:
    """Notes, problems and choices are folded; their words stay whole."""
    text = describe(RUN, width)
    sentences = [line for line in text.splitlines() if not line.startswith(("  columns", "  SERVICE", "  statuses"))]
    assert max(map(len, sentences)) <= width
    assert " ".join(text.split()).count("a word and another") == 9


@pytest.mark.parametrize(("passed", "rows", "said"), [(False, 9, "2 rows are"), (False, 1, "1 row is"), (True, 9, "")])
def test_a_plan_says_that_a_canary_goes_first(passed: bool, rows: int, said: str) -> None:
    """How many rows are tried, as long as none has passed."""
    run = SimpleNamespace(
        **{**vars(RUN), "settings": Settings(canary=2), "facts": some_facts(canary_passed=passed), "open_rows": rows}
    )
    text = " ".join(describe(run).split())  # type: ignore[arg-type]
    assert (f"canary {said} sent first and read back" in text) if said else ("canary" not in text)


@pytest.mark.parametrize(
    ("compare", "to_send", "resumed", "said"),
    [
        (True, 9, False, "possible: what each order has now is recorded first"),
        (False, 2000, False, "not possible: nothing records what the orders have now; add --compare, which reads each"),
        (False, 2001, False, "not possible: nothing records what the orders have now; with --compare it is, which"),
        (False, 9, True, "not possible: nothing records what the orders had before"),
        (False, 0, False, ""),
    ],
)
def test_a_plan_says_whether_it_can_be_undone(compare: bool, to_send: int, resumed: bool, said: str) -> None:
    """And how, while that can still be chosen: it is advised where few orders have to be read for it."""
    facts, plan = some_facts(compare=compare), replace(PLAN, to_send=to_send)
    text = describe(SimpleNamespace(**{**vars(RUN), "facts": facts, "plan": plan, "resumed": resumed}), 200)
    assert f"  undo      {said}" in text if said else "undo" not in text


def test_a_plan_without_a_service_says_so() -> None:
    """A sheet can be looked at before there is an address."""
    nobody = SimpleNamespace(**{**vars(RUN), "tenant": replace(TENANT, base_url="")})
    assert "SERVICE   none yet" in describe(nobody)

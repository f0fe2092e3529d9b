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
    facts=some_facts(), open_rows=9, notes=(),
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

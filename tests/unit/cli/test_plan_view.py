import pytest

from batch_updater.cli.plan_view import describe
from batch_updater.common.settings import Settings
from batch_updater.inputs.columns import Columns
from batch_updater.planning.plan import Plan
from batch_updater.planning.preflight import Tenant

PLAN = Plan(12, 9, 0, 0, 0, 3, 0, 0, {"a" * 36: 9}, [(7, "invalid", "a word and another " * 9)])
TENANT = Tenant("https://api.example.com", unchecked="statuses are not checked: there is no token to ask it with")


@pytest.mark.parametrize("width", [45, 60, 80])
def test_the_sentences_of_a_plan_fit_the_terminal(width: int) -> None:
    """Notes, problems and choices are folded; their words stay whole."""
    text = describe(
        PLAN, source="o.csv", columns=Columns(0, 1, "order_id", "status_id"), tenant=TENANT,
        settings=Settings(compare=True), notes=["2 hidden or filtered rows are left out"], width=width,
    )  # fmt: skip
    sentences = [line for line in text.splitlines() if not line.startswith(("  columns", "  SERVICE", "  statuses"))]
    assert max(map(len, sentences)) <= width
    assert " ".join(text.split()).count("a word and another") == 9

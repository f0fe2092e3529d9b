import pytest

from batch_updater.common.errors import InputError
from batch_updater.inputs.columns import ColumnNames, find_columns


@pytest.mark.parametrize(
    ("header", "order", "status"),
    [
        (["order_id", "status_id"], 0, 1),
        (["Status", "Note", "ORDER-ID"], 2, 0),
        (["id", "Order Id", "status", "New Status ID"], 1, 3),
        (["Order", "Target Status"], 0, 1),
    ],
)
def test_columns_are_found_by_alias(header: list[str], order: int, status: int) -> None:
    """Case, blanks, _ and - do not matter, and the more telling name wins."""
    columns = find_columns(header, ColumnNames())
    assert (columns.order, columns.status) == (order, status)


def test_a_named_column_is_taken() -> None:
    """The options choose columns that no alias would find."""
    columns = find_columns(["Ref", "x", "Yeni Durum"], ColumnNames("ref", "yeni_durum"))
    assert (columns.order, columns.status) == (0, 2)


@pytest.mark.parametrize(
    ("header", "order", "status", "words"),
    [
        (["a", "status"], None, None, "--order-column"),
        (["order_id", "b"], None, None, "--status-column"),
        (["order_id", "status"], "nope", None, "'nope'"),
        (["order_id", "Order ID", "status"], None, None, "two columns"),
        (["order_id", "order_id", "status"], None, None, "its own header"),
        (["order_id", "b"], "b", "b", "both"),
    ],
)
def test_a_missing_or_doubtful_column_is_refused(
    header: list[str], order: str | None, status: str | None, words: str
) -> None:
    """The message names the headers or the option to use."""
    with pytest.raises(InputError) as caught:
        find_columns(header, ColumnNames(order, status))
    assert words in str(caught.value)

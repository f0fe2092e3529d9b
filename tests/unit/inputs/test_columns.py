import time

import pytest

from batch_updater.common.errors import InputError
from batch_updater.inputs.columns import ColumnNames, find_columns
from batch_updater.inputs.header_row import find_header


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


def test_without_a_column_of_statuses_only_the_orders_are_sought() -> None:
    """When every row gets one status; what looks like a status is named as not used, however many there are."""
    columns = find_columns(["Order ID", "status", "Status", "note"], ColumnNames(needs_status=False))
    assert (columns.order, columns.status, columns.status_header, columns.alike) == (0, None, "", ())
    assert columns.unused == ("status", "Status")
    with pytest.raises(InputError, match="both that and the expected status"):
        find_columns(["Order ID"], ColumnNames(expect="order id", needs_status=False))


def test_the_header_of_a_list_of_orders_stands_right_above_them() -> None:
    """A title may name the orders as well; among order names nothing tells a title from a header."""
    grid = [["Order", ""], ["No", "Order ID"], ["1", "6a1e6a0e-4a52-4a4e-9f5c-7d1f0f3c9a11", "Order"]]
    names = ColumnNames(needs_status=False)
    assert find_header(grid, names) == 1
    assert find_header([["Order"], ["x"], ["Order"]], names) == 0
    assert find_header(grid, ColumnNames(needs_status=False, by_name=True)) == 0
    assert find_header(grid[2:], names) is None
    assert find_header(grid, ColumnNames()) is None


@pytest.mark.parametrize("title", ["order id", "order note", "x"])
def test_many_columns_take_no_long_message_and_no_long_time(title: str) -> None:
    """However many there are with the same right, some are named; the work grows with their number, not its square."""
    header = [f"{title} {number}" for number in range(16_384)]
    began = time.process_time()
    with pytest.raises(InputError) as caught:
        find_columns(header, ColumnNames())
    assert time.process_time() - began < 5
    assert len(str(caught.value)) < 3000

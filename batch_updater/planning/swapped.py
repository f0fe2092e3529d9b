"""Recognise a sheet whose columns of orders and statuses are swapped. Pure."""

from collections.abc import Sequence

from batch_updater.common.models import RejectedRow, StatusUpdate

ORDER_IS_STATUS = "order_is_status"
ENOUGH_ROWS = 20


def swapped(validated: Sequence[StatusUpdate | RejectedRow]) -> str:
    """Return the evidence in the first rows that the columns of orders and statuses are swapped; empty for none.

    With the service's statuses known, most orders are statuses. Without them, many rows name few orders, and
    each row a different status: no tenant has so many.
    """
    wrong = [found for found in validated if isinstance(found, RejectedRow) and found.code == ORDER_IS_STATUS]
    if len(wrong) * 2 > len(validated):
        return f"row {wrong[0].row} and {len(wrong) - 1:,} more have a status as their order"
    updates = [found for found in validated if isinstance(found, StatusUpdate)]
    orders, statuses = {update.order_id for update in updates}, {update.status_id for update in updates}
    if len(updates) >= ENOUGH_ROWS and len(statuses) == len(updates) and len(orders) * 5 <= len(updates):
        return f"{len(updates):,} rows name {len(orders)} different orders and {len(statuses):,} different statuses"
    return ""

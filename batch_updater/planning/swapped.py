"""Tell a sheet whose columns of orders and statuses are swapped. Pure."""

from collections.abc import Sequence

from batch_updater.common.models import RejectedRow, StatusUpdate

ORDER_IS_STATUS = "order_is_status"
ROWS_THAT_TELL = 20


def swapped(validated: Sequence[StatusUpdate | RejectedRow]) -> str:
    """How the first rows of a sheet show that orders and statuses stand in each other's columns; empty if not.

    With the service's statuses known, most orders are statuses. Without them, many rows name few orders, and each
    row a status of its own: no tenant has so many.
    """
    wrong = [found for found in validated if isinstance(found, RejectedRow) and found.code == ORDER_IS_STATUS]
    if len(wrong) * 2 > len(validated):
        return f"row {wrong[0].row} and {len(wrong) - 1:,} more have a status as their order"
    updates = [found for found in validated if isinstance(found, StatusUpdate)]
    orders, statuses = {update.order_id for update in updates}, {update.status_id for update in updates}
    if len(updates) >= ROWS_THAT_TELL and len(statuses) == len(updates) and len(orders) * 5 <= len(updates):
        return f"{len(updates):,} rows name {len(orders)} different orders and {len(statuses):,} different statuses"
    return ""

"""One row's requests: sent, tried again, counted, and made durable in between."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from batch_updater.common.log import event
from batch_updater.common.models import Answer, ListedOrder, StatusUpdate

RENEWALS = 2


class Sender(Protocol):
    """What a delivery needs of a client."""

    async def update_status(self, update: StatusUpdate) -> Answer:
        """Send once and classify."""

    async def read_order(self, order_id: str) -> Answer:
        """Read one order; the answer's `status_id` is its present status."""

    async def list_orders(self, page: int) -> tuple[Answer, list[ListedOrder]]:
        """Read one page (from 1) of the orders."""

    async def renew(self, refused: int) -> bool:
        """Get a newer token than generation `refused`; False when there is no way to."""

    @property
    def token_requests(self) -> int:
        """Requests to the token endpoint so far."""


@dataclass(slots=True)
class RowAttempts:
    """A row's attempts so far."""

    update: StatusUpdate
    sent: int = 0  # attempts that left this machine
    tried: int = 0  # attempts that count against the retries
    checkpointed: int = 0  # attempts the journal knows of already
    previous: str | None = None  # the order's status before, when it was read
    doubtful: bool = False  # an attempt may have been applied although nobody said so
    sent_at: float | None = None
    last: Answer | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds since the row's turn began; None when nothing was sent."""
        return None if self.sent_at is None else round((time.monotonic() - self.began) * 1000)


def _log_retry(way: RowAttempts) -> None:
    if way.last is not None:
        event(
            "retry", row=way.update.row, order_id=way.update.order_id, attempt=way.tried + 1, reason=way.last.code,
            http_status=way.last.http_status, detail=way.last.detail,
        )  # fmt: skip


Request = Callable[[RowAttempts], Awaitable[Answer]]

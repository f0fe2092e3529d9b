"""Read orders whose updates may have been applied, and learn whether the service lets them be read at all."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto

from batch_updater.common.models import Answer, StatusUpdate, Verdict

REFUSED_FOR_ALL = frozenset({403, 405})


class Seen(Enum):
    """What the reading of an order says about its update."""

    RIGHT = auto()  # the order has the wanted status
    OTHER = auto()  # it has another one
    MISSING = auto()  # there is no such order
    NOT_READABLE = auto()  # this run can't read orders
    UNSETTLED = auto()  # this order could not be read
    STOPPED = auto()  # the run stops


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reading found: the order's status when there is one, else why there is none."""

    seen: Seen
    status_id: str = ""
    code: str = ""
    detail: str = ""


class Readings:
    """The readings of one run. `read` asks for an order's status, and tries again as often as an update is tried.

    `find_updated` returns an order that this run has updated, "" when there is none yet: one that can't be read either
    shows that the service refuses every reading. Once that is known nothing more is asked.
    """

    def __init__(
        self, read: Callable[[str], Awaitable[Answer[str]]], find_updated: Callable[[], Awaitable[str]],
        stopping: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._read, self._find_updated, self._stopping = read, find_updated, stopping
        self._comparing = asyncio.Lock()
        self._can_read_others = False
        self.refused: Answer[str] | None = None  # the answer by which all readings were given up

    async def read(self, update: StatusUpdate) -> Reading:
        """Read the order of an update that may have been applied."""
        answer = self.refused
        if answer is None:
            answer = await self._read(update.order_id)
            if answer.payload is not None:
                seen = Seen.RIGHT if answer.payload == update.status_id else Seen.OTHER
                return Reading(seen, answer.payload)
            if self._stopping() or answer.verdict in {Verdict.STOP, Verdict.UNAUTHORIZED}:
                return Reading(Seen.STOPPED)
            if not await self._is_refused_for_all(answer):
                missing = answer.code == "order_not_found"
                return Reading(Seen.MISSING if missing else Seen.UNSETTLED, "", answer.code, answer.detail)
        return Reading(Seen.NOT_READABLE, "", answer.code, self.why_refused)

    async def _is_refused_for_all(self, answer: Answer[str]) -> bool:
        if answer.verdict is not Verdict.REFUSED:
            return False
        async with self._comparing:
            if self.refused is None and (answer.http_status in REFUSED_FOR_ALL or await self._refuses_others()):
                self.refused = answer
        return self.refused is not None

    async def _refuses_others(self) -> bool:
        """Ask once for an order that this run has updated, so that it must exist."""
        if self._can_read_others or not (order := await self._find_updated()):
            return False
        other = await self._read(order)
        self._can_read_others = other.payload is not None
        return other.verdict is Verdict.REFUSED

    @property
    def why_refused(self) -> str:
        """Why no order is read any more; empty when orders can be read."""
        return f"{self.refused.detail} ({self.refused.http_status})" if self.refused else ""

    def describe(self) -> str:
        """Return one sentence for the end of the run; empty when orders can be read."""
        if self.refused is None:
            return ""
        return (
            f"Orders can't be read here: {self.why_refused}. Updates that no answer confirmed were sent again unread,"
            " or are unknown."
        )

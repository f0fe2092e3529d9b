"""A service in the place of a client: it gives scripted answers and keeps what it was asked."""

import asyncio
from collections.abc import Callable
from typing import Any

from batch_updater.api.pacing.pacer import Pacer
from batch_updater.common.errors import BatchUpdaterError
from batch_updater.common.models import Answer, Checkpoint, Counters, ListedOrder, StatusUpdate, Verdict
from batch_updater.common.settings import SendOptions
from batch_updater.sending.control import Control
from batch_updater.sending.exchange import Exchange


def working_pacer() -> Pacer:
    """A pacer of a service that has just been shown to work: failures are those of single rows."""
    pacer = Pacer(None)
    pacer.probed(Answer(Verdict.DONE, "ok", "", 200))
    return pacer


class ScriptedService:
    """Answers updates and readings in turn, or raises what stands in an answer's place; `events` has what happened."""

    token_requests = 0

    def __init__(self, *answers: Answer[Any] | BaseException, newer: bool | BatchUpdaterError = True) -> None:
        self._answers, self._newer = iter(answers), newer
        self.events: list[object] = []
        self.updated = ""  # what the journal would find as an order that was updated

    def _next(self, what: str) -> Answer[Any]:
        answer = next(self._answers)
        self.events.append(what)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def obey(self, stopping: asyncio.Event, saw_sign_in: Callable[[Answer[Any]], None]) -> None:
        """Nobody signs in."""

    async def list_statuses(self) -> Answer[Any]:
        return self._next("statuses")

    async def sign_in(self) -> None:
        """There is a token."""

    async def update_status(self, _update: StatusUpdate) -> Answer[Any]:
        return self._next("put")

    async def read_order(self, _order_id: str) -> Answer[str]:
        return self._next("get")

    async def list_orders(self, _page: int) -> Answer[list[ListedOrder]]:
        return self._next("page")

    async def renew(self, refused: int) -> bool:
        self.events.append(refused)
        if isinstance(self._newer, BatchUpdaterError):
            raise self._newer
        return self._newer

    async def checkpoint(self, checkpoint: Checkpoint) -> bool:
        self.events.append(checkpoint)
        return True

    async def find_updated(self) -> str:
        return self.updated

    def exchange(self, retries: int = 5, pacer: Pacer | None = None, control: Control | None = None, *,
                 compare: bool = False) -> Exchange:  # fmt: skip
        """An exchange with this service."""
        control, options = control or Control(1.0), SendOptions(retries=retries, compares=compare)
        return Exchange(
            self, pacer or working_pacer(), control, Counters(), self.checkpoint, options,
            self.find_updated, control.sleep,
        )  # type: ignore[arg-type]  # fmt: skip

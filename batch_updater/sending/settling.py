"""Settle what a run has left in doubt, when another run is to go on in its place."""

import time
from collections.abc import AsyncIterator, Callable, Sequence

from batch_updater.common.models import StatusUpdate
from batch_updater.sending.stages import Runner, Stage

MOST_ASKED = 10_000


class Settler(Runner):
    """A runner that only reads orders."""

    async def settle(
        self, not_before: float, is_urgent: Callable[[Sequence[StatusUpdate]], bool], on_wait: Callable[[float], None]
    ) -> None:
        """Read back what is in doubt or unknown, and send nothing. Raises as `run` does.

        An update that was not applied yet may be applied late. Where `is_urgent` says that this would matter, these
        orders are read again, not before a time in seconds since the epoch; `on_wait` is told how long that takes.
        """
        journal, delivery = self._journal, self._delivery

        async def stages() -> AsyncIterator[Stage]:
            yield Stage("settling", self._pages(journal.in_doubt), delivery.read_doubt)
            await self._recorder.flush()
            left = await self._recorder.call(lambda: journal.in_doubt(0, MOST_ASKED))
            if left and not self.exchange.readings.refused:
                wait = not_before - time.time()
                if wait > 0 and (len(left) == MOST_ASKED or is_urgent(left)):
                    on_wait(wait)
                    await self._control.sleep(wait)
                yield Stage("settling", self._pages(journal.in_doubt), delivery.plan_doubt)
            yield Stage("settling", self._pages(journal.unknown), delivery.read_later)

        await self._run(stages())

    @property
    def why_unreadable(self) -> str:
        """Why the service lets no order be read; empty when it does."""
        return self.exchange.readings.why_refused

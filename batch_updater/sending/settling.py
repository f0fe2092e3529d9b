"""Settle what a run has left in doubt, when another run is to go on in its place."""

import time
from collections.abc import AsyncIterator

from batch_updater.sending.stages import Runner, Stage


class Settler(Runner):
    """A runner that only reads orders."""

    async def settle(self, not_before: float) -> None:
        """Read back what is in doubt or unknown, and send nothing. Raises as `run` does.

        What was not applied yet is read again, not before a time in seconds since the epoch: it may be applied late.
        """
        journal, delivery = self._journal, self._delivery

        async def stages() -> AsyncIterator[Stage]:
            yield Stage("settling", self._pages(journal.in_doubt), delivery.read_doubt)
            if not self._exchange.readings.refused and await self._recorder.call(lambda: bool(journal.in_doubt(0, 1))):
                await self._control.sleep(max(not_before - time.time(), 0.0))
                yield Stage("settling", self._pages(journal.in_doubt), delivery.plan_doubt)
            yield Stage("settling", self._pages(journal.unknown), delivery.read_later)

        await self._run(stages())

    @property
    def why_unreadable(self) -> str:
        """Why the service lets no order be read; empty when it does."""
        return self._exchange.readings.why_refused

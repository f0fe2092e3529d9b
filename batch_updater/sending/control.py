"""Whether a run goes on, and the first reason why it does not."""

import asyncio
import logging
import time

from batch_updater.common.errors import BatchUpdaterError
from batch_updater.common.log import event
from batch_updater.common.secret import masked


class Control:
    """Whether the run goes on; the first reason to stop is the one that is told."""

    def __init__(self, drain_seconds: float) -> None:
        self._drain_seconds = drain_seconds
        self.stopping = asyncio.Event()
        self.failure: BatchUpdaterError | None = None
        self.drain_until: float | None = None
        self.cut = False  # what is under way has had its time

    def stop(self) -> None:
        """Send nothing that is not under way yet; what is under way has the drain time."""
        if not self.stopping.is_set():
            event("stop", logging.WARNING, seconds=self._drain_seconds)
            self.drain_until = time.monotonic() + self._drain_seconds
            self.stopping.set()

    def fail(self, error: BatchUpdaterError) -> None:
        """Stop for this reason."""
        if self.failure is None:
            event("failure", logging.ERROR, reason=error.message)
        self.failure = self.failure or error
        self.stop()

    def crash(self, error: Exception) -> None:
        """Stop for an error that nobody foresaw; what is under way is let finish."""
        reason = BatchUpdaterError(
            f"Unexpected error: {masked(repr(error))}. The journal is intact.", "report it, and run again to go on"
        )
        reason.__cause__ = error
        self.fail(reason)

    async def sleep(self, seconds: float) -> None:
        """Sleep, but not beyond the stop."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return

"""Stop a run, and remember the first reason."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from batch_updater.common.errors import BatchUpdaterError
from batch_updater.common.log import event
from batch_updater.common.progress import Stop
from batch_updater.common.secret import masked


class Control:
    """Whether the run is to stop; only the first reason is reported."""

    def __init__(self, drain_seconds: float) -> None:
        self.drain_seconds = drain_seconds
        self.stopping = asyncio.Event()
        self.failure: BatchUpdaterError | None = None

    @contextlib.contextmanager
    def obeying(self, stop: Stop) -> Iterator[None]:
        """Stop when that is requested during the block, from any thread, or was before; for use in a running loop."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self.stop)

        if stop.requested:
            self.stop()
        with stop.calling(wake):
            yield

    def stop(self) -> None:
        """Send nothing more; what is in flight has the drain time to finish."""
        if not self.stopping.is_set():
            event("stop", logging.WARNING, seconds=self.drain_seconds)
            self.stopping.set()

    def fail(self, error: BaseException) -> None:
        """Stop for this reason; an unexpected one is reported as a bug. What is in flight is allowed to finish."""
        if not isinstance(error, BatchUpdaterError):
            bug = f"Unexpected error: {masked(repr(error))}. The journal is intact."
            reason = BatchUpdaterError(bug, "report it, and run again to go on")
            reason.__cause__ = error
            error = reason
        if self.failure is None:
            event("failure", logging.ERROR, reason=error.message)
            self.failure = error
        self.stop()

    async def sleep(self, seconds: float) -> None:
        """Sleep, but not beyond a stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

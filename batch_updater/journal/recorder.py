"""Writes what happens to the journal: one thread, group commits, at most 100 ms late."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from batch_updater.common.errors import JournalError
from batch_updater.common.models import Checkpoint, ReadBack, RowOutcome
from batch_updater.common.secret import masked
from batch_updater.journal.journal import Journal

FLUSH_SECONDS = 0.1
T = TypeVar("T")


class Recorder:
    """Writes to the journal for the running pool; an async context manager.

    `on_failure` is called when the journal can't be written: nothing may be sent after that. `on_tick` is called
    after every group commit.
    """

    def __init__(
        self, journal: Journal, on_failure: Callable[[JournalError], None], on_tick: Callable[[], None]
    ) -> None:
        self._journal, self._on_failure, self._on_tick = journal, on_failure, on_tick
        self._records: list[RowOutcome | ReadBack] = []
        self._checkpoints: list[tuple[Checkpoint, asyncio.Future[bool]]] = []  # and whoever waits for each
        self._wake = asyncio.Event()
        self._committing = asyncio.Lock()
        self._ended = False
        self._thread = ThreadPoolExecutor(1, "journal")
        self.flushed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._flush_regularly())
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._ended = True
        self._wake.set()
        await self._task
        self._thread.shutdown()

    def add(self, record: RowOutcome | ReadBack) -> None:
        """Write it with the next group."""
        self._records.append(record)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is waiting to be written or being written."""
        return not self._records and not self._checkpoints and not self._committing.locked()

    async def checkpoint(self, checkpoint: Checkpoint) -> bool:
        """Make a checkpoint durable; False when the journal can't be written."""
        durable: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._checkpoints.append((checkpoint, durable))
        self._wake.set()
        return await durable

    async def call(self, work: Callable[[], T]) -> T:
        """Use the journal from its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def flush(self) -> None:
        """Write all records so far, to the end even when the caller is cancelled. Raises JournalError."""
        await asyncio.shield(asyncio.ensure_future(self._commit()))

    async def _flush_regularly(self) -> None:
        while True:
            last = self._ended
            try:
                await self.flush()
            except JournalError as error:
                self._on_failure(error)
            finally:
                self.flushed.set()
            self._on_tick()
            if last:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), FLUSH_SECONDS)
            self._wake.clear()

    async def _commit(self) -> None:
        async with self._committing:
            records, self._records = self._records, []
            checkpoints, self._checkpoints = self._checkpoints, []
            if not records and not checkpoints:
                return
            durable = False
            try:
                await self.call(lambda: _write(self._journal, records, [checkpoint for checkpoint, _ in checkpoints]))
                durable = True
            except JournalError:
                raise
            except Exception as error:  # a bug; whoever waits must get an answer all the same
                raise JournalError(
                    f"The journal {self._journal.path} can't be written: {masked(repr(error))}"
                ) from error
            finally:
                if not durable:
                    self._records = [*records, *self._records]
                for _checkpoint, waiting in checkpoints:
                    if not waiting.done():
                        waiting.set_result(durable)


def _write(journal: Journal, records: list[RowOutcome | ReadBack], checkpoints: list[Checkpoint]) -> None:
    if checkpoints:
        journal.checkpoint(checkpoints)
    if outcomes := [record for record in records if isinstance(record, RowOutcome)]:
        journal.record(outcomes)
    if readings := [record for record in records if isinstance(record, ReadBack)]:
        journal.record_readings(readings)

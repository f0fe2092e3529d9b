"""A pool of workers: at most so many items are handled at once, fed from a source, drained on a stop.

What a run of the pool asks for:

- `source()` returns the next block of items; an empty block is the end. It is asked whenever few items wait in line.
- `handler(item)` returns the item's outcome, which the pool passes to `on_outcome` unless it is None.
- `control` says when to stop. Then no more items are taken, and those in hand have `control.drain_seconds`; after that
  their tasks are cancelled, once. A handler may still return an outcome when that happens.

An exception from the source, a handler or `on_outcome` goes to `control.fail`, which stops the run: the other items
in hand are still finished.

What a handler may do besides:

- **Give its item back.** It returns `GivenBack(item)`: that item goes to the end of the line and is handled again, or
  is among those left when the run stops. It may be another item than the one it got, such as one with more data.
- **Park.** Within `async with pool.parked():` an item that only waits holds no place: another worker takes the next
  item. At the end of the block it waits for a place, before all items in line. Beyond `most_parked` items it keeps its
  place instead.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from batch_updater.sending.control import Control

T = TypeVar("T")
NextBlock = Callable[[], Awaitable[Sequence[T]]]
Handler = Callable[[T], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What a handler returns instead of an outcome: this item is to be handled again, after all others."""

    item: Any


class Pool:
    """Handles the items of one run after the other, `places` at once. While fewer than `ahead` wait, it asks for more.

    `unfinished` is the number of items that have neither ended nor been left: in line, in hand or parked. `parkings`
    counts how often one was parked, over all runs.
    """

    def __init__(
        self, places: int, on_outcome: Callable[[Any], None], *, ahead: int = 1000, most_parked: int = 1000
    ) -> None:
        self._places, self._on_outcome, self._ahead, self._most_parked = places, on_outcome, ahead, most_parked
        self._line: deque[Any] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self.unfinished = 0
        self.parkings = 0

    @property
    def left(self) -> list[Any]:
        """The items of the last run that were not taken; `run` returns them too, unless it was cancelled."""
        return list(self._line)

    async def run(self, source: NextBlock[T], handler: Handler[T], control: Control) -> list[T]:
        """Handle every item of the source, or stop early; return the items that were not taken.

        When it is cancelled, what is in hand is cancelled at once.
        """
        self._begin(handler, control)
        if control.stopping.is_set():
            return []
        self._start(self._feed(source))
        for _ in range(self._places):
            self._workers.add(self._start(self._work()))
        stopped = asyncio.create_task(control.stopping.wait())
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                self._wake_all()
                await asyncio.wait({ended}, timeout=control.drain_seconds)
        except asyncio.CancelledError:
            control.stop()
            raise
        finally:
            self._is_cut = True
            for task in (stopped, ended, *self._tasks):
                task.cancel()
            await asyncio.gather(stopped, ended, *self._tasks, return_exceptions=True)
        return self.left

    @property
    def is_handling(self) -> bool:
        """Whether the present task is one of a worker, so that it may park its item."""
        return asyncio.current_task() in self._workers

    @contextlib.asynccontextmanager
    async def parked(self) -> AsyncIterator[None]:
        """Release the place of the item in hand while the block waits; for handlers."""
        if self._parked >= self._most_parked:
            yield
            return
        self._parked += 1
        self.parkings += 1
        self._workers.add(self._start(self._work()))
        try:
            yield
        finally:
            self._parked -= 1
            await self._take_place()

    def _begin(self, handler: Handler[T], control: Control) -> None:
        self._handler, self._control = handler, control
        self._line.clear()
        self.unfinished = 0
        self._is_fed = self._is_cut = False
        self._working, self._parked = self._places, 0  # workers that hold a place, items that hold none
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: deque[asyncio.Future[None]] = deque()  # workers that wait for something to do
        self._returning: deque[asyncio.Future[None]] = deque()  # items that have been parked and wait for a place
        self._room = asyncio.Event()  # the line has become short
        self._ended: asyncio.Event = asyncio.Event()  # no task is left

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._count_out)
        return task

    def _count_out(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._workers.discard(task)
        if not self._tasks:
            self._ended.set()

    async def _feed(self, source: NextBlock[T]) -> None:
        stopping = self._control.stopping.is_set
        try:
            while not stopping() and (block := await source()):
                self._line.extend(block)
                self.unfinished += len(block)
                self._wake(len(block))
                while len(self._line) >= self._ahead and not stopping():
                    self._room.clear()
                    await self._room.wait()
        except (Exception, asyncio.CancelledError) as error:
            self._fail(error)
        self._is_fed = True
        self._wake_all()

    async def _work(self) -> None:
        line, stopping, handler = self._line, self._control.stopping.is_set, self._handler
        while (line and not self._returning and not stopping()) or await self._wait_for_item():
            item, outcome = line.popleft(), None
            if len(line) == self._ahead - 1:
                self._room.set()
            try:
                outcome = await handler(item)
                if outcome is not None and type(outcome) is not GivenBack:
                    self._on_outcome(outcome)
            except (Exception, asyncio.CancelledError) as error:
                self._fail(error)
            if type(outcome) is GivenBack:
                line.append(outcome.item)
                await asyncio.sleep(0)  # a handler that only gives back must not block the loop
            else:
                self.unfinished -= 1

    def _fail(self, error: BaseException) -> None:
        """Stop for this error; the other items in hand are still finished."""
        if self._is_cut and isinstance(error, asyncio.CancelledError):
            raise error
        self._control.fail(error)

    async def _wait_for_item(self) -> bool:
        """Wait until an item is in line; False when the worker must end, or has passed its place on."""
        while not self._pass_place_on():
            if self._control.stopping.is_set() or (self._is_fed and not self._line):
                self._working -= 1  # a worker that gives an item back takes the next one itself
                return False
            if self._line:
                return True
            waiting = asyncio.get_running_loop().create_future()
            self._idle.append(waiting)
            await waiting
        return False

    def _wake(self, number: int) -> None:
        while number and self._idle:
            waiting = self._idle.popleft()
            if not waiting.done():
                waiting.set_result(None)
                number -= 1

    def _wake_all(self) -> None:
        self._room.set()
        self._wake(len(self._idle))

    def _pass_place_on(self) -> bool:
        """Give a worker's place to the item that has waited for one the longest; False when none waits."""
        if not self._returning:
            return False
        waiting = self._returning.popleft()
        if not waiting.done():  # else it was cancelled and went on without a place: this worker's end makes up for it
            waiting.set_result(None)
        return True

    async def _take_place(self) -> None:
        if self._is_cut:
            return
        if self._working < self._places:
            self._working += 1
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._returning.append(waiting)
        self._wake(1)
        await waiting

"""Time limits of requests."""

import asyncio
import time
from typing import Any


class Deadlines:
    """Ends requests that last too long: one watchdog for all, a few times a second, instead of a timer for each.

    `with deadlines:` around a request raises TimeoutError when it has lasted `timeout` seconds or a little more, from
    the CancelledError that ended it.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._until: dict[asyncio.Task[Any], float] = {}
        self._overdue: set[asyncio.Task[Any]] = set()
        self._watchdog: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the watchdog in the running loop."""
        self._watchdog = asyncio.create_task(self._watch())

    def stop(self) -> None:
        """Stop the watchdog."""
        if self._watchdog:
            self._watchdog.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._until[task] = time.monotonic() + self._timeout

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._until.pop(task, None)
        if task in self._overdue:
            self._overdue.discard(task)
            if task.uncancel() == 0 and isinstance(error, asyncio.CancelledError):
                raise TimeoutError from error

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(min(self._timeout / 4, 0.25))
            now = time.monotonic()
            for task, until in self._until.items():
                if now >= until and task not in self._overdue:
                    self._overdue.add(task)
                    task.cancel()

"""Wait for work that may be interrupted, so that nothing of it goes on after the wait has ended."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, ExitStack
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from batch_updater.common.errors import StoppedError
from batch_updater.common.models import Result
from batch_updater.common.progress import OnProgress, Progress, Stop
from batch_updater.common.summary import RunSummary

T = TypeVar("T")
TICK = 0.1  # seconds: Windows lets nobody interrupt a longer wait


async def drained(work: Coroutine[Any, Any, T], stop: Stop) -> T:
    """Return the result of `work`. A cancellation requests the stop and lets it end; a second one cancels it.

    The CancelledError that is raised then has the result of what was stopped as its `summary`.
    """
    task = asyncio.ensure_future(work)
    ways = iter([stop.request])

    def end() -> None:
        next(ways, task.cancel)()

    try:
        return await _until_done(task, end)
    except asyncio.CancelledError as cancelled:
        if not task.cancelled() and task.exception() is None:
            keep_summary(cancelled, task.result())
        raise


async def entered(stack: ExitStack, make: Callable[[Callable[[int], None]], AbstractContextManager[T]]) -> T:
    """Enter what plans a sheet in a thread; a cancellation breaks it off after the rows that it has in hand.

    `make` gets what is to be told how many rows have been planned.
    """
    given_up = threading.Event()

    def on_rows(_number: int) -> None:
        if given_up.is_set():
            raise StoppedError("Interrupted while the rows were being checked; nothing was sent.")

    task = asyncio.ensure_future(asyncio.to_thread(stack.enter_context, make(on_rows)))
    return await _until_done(task, given_up.set)


async def _until_done(task: "asyncio.Future[T]", on_cancel: Callable[[], object]) -> T:
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = cancelled or error
            on_cancel()
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # it is known, and of no interest any more
    raise cancelled


def keep_summary(raised: BaseException, summary: object) -> None:
    """Put the summary of what was interrupted on the exception that tells of it, and what can be done now."""
    raised.summary = summary  # type: ignore[attr-defined]
    if isinstance(summary, RunSummary) and summary.resumable:
        open_rows = summary.result_counts.get(Result.NOT_SENT, 0)
        raised.add_note(
            f"{open_rows:,} of {summary.rows:,} rows were not sent; the same call goes on, or"
            f" batch_updater.resume_sync({summary.run_dir!r}). What was done is the exception's `summary`."
        )


class OwnThread(Generic[T]):
    """Runs a use case in a loop and a thread of its own, for a caller that waits and may be interrupted meanwhile.

    `make` gets what is to be told of progress, which `on_progress` hears in the thread of the caller.
    """

    def __init__(
        self,
        make: Callable[[OnProgress], Coroutine[Any, Any, T]],
        run_loop: Callable[[Coroutine[Any, Any, None]], None],
        on_progress: OnProgress | None,
    ) -> None:
        self._make, self._run_loop, self._on_progress = make, run_loop, on_progress
        self._ended = threading.Event()
        self._interrupts = 0
        self._cancel: Callable[[], object] | None = None
        self._news: list[Progress] = []
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._summary: object = None

    def result(self) -> T:
        """Return the result, or raise what the use case raised.

        KeyboardInterrupt, or whatever else is raised in the caller, ends the use case as a cancellation does; it is
        raised again when that has ended, with the `summary` of what was stopped, None when nothing was begun.
        """
        thread = threading.Thread(target=copy_context().run, args=(self._run,), name="batch_updater", daemon=True)
        raised: BaseException | None = None
        try:
            thread.start()
            self._wait()
        except BaseException as error:
            raised = error
            self._interrupt()
        finally:
            while thread.ident is not None and not self._ended.is_set():
                try:
                    self._ended.wait(TICK)
                except BaseException:  # Ctrl-C once more
                    self._interrupt()
        if raised:
            with contextlib.suppress(BaseException):  # whatever it is, the first one is raised
                self._tell_news()
            keep_summary(raised, self._results[0] if self._results else self._summary)
            raise raised
        if self._error:
            raise self._error
        return self._results[0]

    def _wait(self) -> None:
        while not self._ended.wait(TICK):
            self._tell_news()
        self._tell_news()

    def _tell_news(self) -> None:
        if self._news and self._on_progress:
            self._on_progress(self._news.pop())

    def _interrupt(self) -> None:
        self._interrupts += 1
        if self._cancel:
            self._cancel()

    def _run(self) -> None:
        try:
            self._run_loop(self._use_case())
        except BaseException as error:
            self._error = self._error or error
        finally:
            self._ended.set()

    async def _use_case(self) -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None  # noqa: S101 - for the type checker
        cancel = task.cancel

        def cancel_from_outside() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(cancel)

        self._cancel = cancel_from_outside
        if self._interrupts:  # before there was anything to cancel
            return
        try:
            self._results.append(await self._make(self._note))
        except asyncio.CancelledError as error:
            self._summary = getattr(error, "summary", None)
        except BaseException as error:
            self._error = error

    def _note(self, progress: Progress) -> None:
        self._news[:] = [progress]

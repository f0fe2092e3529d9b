"""The library's face: each call does a whole job, for a program that has no terminal to ask on.

Each has a plain twin, `…_sync`. All take these:

`settings` are Settings; those of the environment and of `batch-updater.toml` when None. `token` is an access token;
that of the environment or the keyring when None. `stop` is a Stop, whose `request()` ends the call early, from any
thread. `on_progress` is called about ten times a second with a Progress, in the loop's thread; `"bar"` shows a bar in
the notebook's cell or on a terminal. No signal is handled. What goes wrong raises a BatchUpdaterError.

A cancelled call sends nothing more, lets what is in flight finish, for 25 s at most, and is cancelled then; cancelled
once more it does not wait.
"""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from batch_updater.app import service
from batch_updater.app.calls import Call, Place, Token, Watcher, begun, hide_token, path_of, watcher, with_hidden_token
from batch_updater.app.dataframe import FrameSource
from batch_updater.app.execute import send
from batch_updater.app.planner import OnRows
from batch_updater.app.planning import plan
from batch_updater.app.resume import resume
from batch_updater.app.retry import Edit, retry
from batch_updater.app.run import Run
from batch_updater.app.undo import undo
from batch_updater.app.verify import VerifySummary, verify
from batch_updater.app.waiting import OwnThread, drained, entered
from batch_updater.common.models import OrderStatus
from batch_updater.common.progress import OnProgress, Stop
from batch_updater.common.settings import Settings
from batch_updater.common.summary import RunSummary

if TYPE_CHECKING:
    import pandas as pd

P = ParamSpec("P")
T = TypeVar("T")
BLOCKING = """This is the plain function for scripts, and for notebooks, where a loop is running already;
    `on_progress` is called in the thread of the caller. The first Ctrl-C lets requests in flight finish;
    KeyboardInterrupt is raised when nothing is under way any more, with what has been done as its `summary`. The same
    call goes on. A second Ctrl-C does not wait for answers; what had been sent is read back by the next start."""


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a use case in a loop of its own, with uvloop where it exists (a fifth less time for each request)."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def blocking(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Return a call of the library as a plain function, for scripts, and for notebooks, where a loop runs already.

    It has a loop in a thread of its own; `on_progress` is called in the thread of the caller.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        hide_token(kwargs)
        with contextlib.ExitStack() as stack:
            told = watcher(kwargs.get("on_progress"), stack)  # type: ignore[arg-type]

            def make(note: OnProgress) -> Coroutine[Any, Any, T]:
                if told:
                    kwargs["on_progress"] = note
                return function(*args, **kwargs)

            return OwnThread(make, run_loop, told).result()

    call.__name__ = call.__qualname__ = f"{function.__name__}_sync"
    call.__doc__ = f"{function.__doc__}\n    {BLOCKING}\n    "
    return call


@with_hidden_token
async def run_batch(
    source: "Path | str | pd.DataFrame", settings: Settings | None = None, *,
    token: Token = None, stop: Stop | None = None, on_progress: Watcher = None,
) -> RunSummary:  # fmt: skip
    """Set the statuses of a sheet, by its path, or of a DataFrame; write its run folder; return the summary.

    Nobody is asked. A run that ended early is told by `exit_code` and `reason` of the summary; the same call goes on
    with it. `summary.results()` is a DataFrame, that of a DataFrame under its own index. The runs of DataFrames are in
    `dataframe.runs`, or `settings.runs_dir`. Raises InputError, SettingsError, LockedError; then nothing was sent.
    """
    frame = None if isinstance(source, Path | str) else FrameSource.of(source)
    with begun(settings, token, stop, on_progress) as call, contextlib.ExitStack() as stack:

        def planned(on_rows: OnRows) -> AbstractContextManager[Run]:
            if frame:
                return frame.plan(call.settings, call.tenant, on_rows)
            return plan(Path(str(source)), call.settings, call.tenant, on_rows=on_rows)

        run = await entered(stack, planned)
        return await _send(call, run, frame)


@with_hidden_token
async def resume_batch(
    place: Place, settings: Settings | None = None, *,
    token: Token = None, stop: Stop | None = None, on_progress: Watcher = None,
) -> RunSummary:  # fmt: skip
    """Go on with an unfinished run, from the copy of its sheet: the sheet or DataFrame need not be there any more.

    `place` is its folder, any file in it, or its summary. It is sent by the choices that it was planned by. Raises
    ResumeError when it is finished or another service's, SettingsError when there is no run, LockedError.
    """
    with begun(settings, token, stop, on_progress, place=place) as call, contextlib.ExitStack() as stack:
        run = await entered(stack, lambda _on_rows: resume(path_of(place), call.settings, call.tenant))
        return await _send(call, run)


@with_hidden_token
async def undo_batch(
    place: Place, settings: Settings | None = None, *,
    token: Token = None, stop: Stop | None = None, on_progress: Watcher = None,
) -> RunSummary:  # fmt: skip
    """Put back the status that each order had before a run, where it still has the one that the run set.

    Needs a run with `compare`. It is a run of its own, with a summary and results. Raises SettingsError when there is
    nothing to undo, ResumeError when the run is another service's, LockedError.
    """
    with begun(settings, token, stop, on_progress, place=place) as call, contextlib.ExitStack() as stack:
        run = await entered(stack, lambda on_rows: undo(path_of(place), call.settings, call.tenant, on_rows=on_rows))
        return await _send(call, run)


@with_hidden_token
async def retry_batch(
    place: Place, words: Collection[str] = ("failed", "unknown"), edits: Mapping[int, Edit] | None = None,
    settings: Settings | None = None, *, token: Token = None, stop: Stop | None = None, on_progress: Watcher = None,
) -> RunSummary:  # fmt: skip
    """Send the rows of a run that have one of these results again, with `edits` by their `result_row`.

    It is a follow-up run with the same row numbers. Raises SettingsError for an edited row that is not among them, or
    when the run is not finished, LockedError.
    """
    changed, chosen = edits or {}, [words] if isinstance(words, str) else words
    with begun(settings, token, stop, on_progress, place=place) as call, contextlib.ExitStack() as stack:

        def planned(on_rows: OnRows) -> AbstractContextManager[Run]:
            return retry(path_of(place), chosen, changed, call.settings, call.tenant, on_rows=on_rows)

        return await _send(call, await entered(stack, planned))


@with_hidden_token
async def verify_batch(
    place: Place, settings: Settings | None = None, *,
    token: Token = None, stop: Stop | None = None, on_progress: Watcher = None,
) -> VerifySummary:  # fmt: skip
    """Read every order of a run back and compare; nothing is changed. `results()` of the summary has them one by one.

    `exit_code` is 0 when all are as planned, 3 when some are not. Raises SettingsError when there is no run,
    ResumeError when it is another service's, LockedError.
    """
    with begun(settings, token, stop, on_progress, place=place) as call:
        work = verify(path_of(place), call.settings, call.tenant, call.stop, call.on_progress)
        return await drained(work, call.stop)


@with_hidden_token
async def list_statuses(settings: Settings | None = None, *, token: Token = None) -> tuple[OrderStatus, ...]:
    """Return the tenant's order statuses: id, name, colour. Raises CredentialsError, StoppedError, InputError."""
    with begun(settings, token) as call:
        return await asyncio.to_thread(service.statuses, call.settings, call.tenant)


async def _send(call: Call, run: Run, frame: FrameSource | None = None) -> RunSummary:
    source = run.source

    async def sent() -> RunSummary:
        summary = await send(run, call.stop, call.on_progress)
        return frame.with_results(summary, source) if frame else summary

    return await drained(sent(), call.stop)


run_batch_sync = blocking(run_batch)
resume_batch_sync = blocking(resume_batch)
undo_batch_sync = blocking(undo_batch)
retry_batch_sync = blocking(retry_batch)
verify_batch_sync = blocking(verify_batch)
list_statuses_sync = blocking(list_statuses)

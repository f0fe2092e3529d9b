"""What the calls of the library have in common: who is asked, how they are stopped, and who is told."""

import contextlib
import functools
import os
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

from batch_updater.app.service import find_service
from batch_updater.common.errors import BatchUpdaterError, NoCredentialsError, SettingsError
from batch_updater.common.progress import OnProgress, Stop
from batch_updater.common.remedies import as_argument
from batch_updater.common.secret import Secret
from batch_updater.common.settings import BASE_URL_NAME, Settings, load_settings, overlaid
from batch_updater.common.summary import RunSummary
from batch_updater.planning.preflight import Tenant

P = ParamSpec("P")
T = TypeVar("T")
Watcher = OnProgress | Literal["bar"] | None
Place = Path | str | RunSummary
Token = Secret | str | None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the library: its settings, the service that they name, how it is stopped and who is told."""

    settings: Settings
    tenant: Tenant
    stop: Stop
    on_progress: OnProgress | None


@contextlib.contextmanager
def begun(
    settings: Settings | None, token: Token, stop: Stop | None = None, on_progress: Watcher = None, *,
    place: Place = "", is_trial: bool = False,
) -> Iterator[Call]:  # fmt: skip
    """Yield a call; what is not given comes from the environment and the config file, or from the run of a summary.

    A trial needs a token only to read orders. Errors that pass by speak of arguments, not of options. Raises
    SettingsError.
    """
    hidden = Secret(token) if isinstance(token, str) else token
    try:
        found = load_settings({}) if settings is None else settings
        if not found.base_url:
            address = os.environ.get(BASE_URL_NAME) or (place.base_url if isinstance(place, RunSummary) else None)
            found = overlaid(found, {"base_url": address})
        needed = not is_trial or found.compare or found.compare_list or found.carry_over
        tenant = find_service(found, os.environ, token=hidden, is_needed=needed)
        with contextlib.ExitStack() as stack:
            own = Stop()  # the caller's must not stay requested when an interruption has ended the call
            if stop:
                stack.enter_context(stop.calling(own.request))
            yield Call(found, tenant, own, watcher(on_progress, stack))
    except NoCredentialsError as error:
        raise SettingsError(error.said, ["give token=…", *error.remedies]).reworded(as_argument) from None
    except BatchUpdaterError as error:
        error.reworded(as_argument)
        raise


def watcher(on_progress: Watcher, stack: contextlib.ExitStack) -> OnProgress | None:
    """Return what is told of progress; `stack` takes a bar away at its end. Raises SettingsError for another word."""
    if not isinstance(on_progress, str):
        return on_progress
    if on_progress != "bar":
        raise SettingsError(f"on_progress can't be {on_progress!r}.", 'give a function, or "bar"')
    from batch_updater.app.live_bar import LiveBar  # noqa: PLC0415 - loads rich

    return stack.enter_context(LiveBar()).update


def hide_token(arguments: dict[str, Any]) -> None:
    """Turn a token that is given as text into one that no traceback shows."""
    if isinstance(arguments.get("token"), str):
        arguments["token"] = Secret(arguments["token"])


def with_hidden_token(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let a call of the library have its token hidden from the beginning."""

    @functools.wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        hide_token(kwargs)
        return await function(*args, **kwargs)

    return call


def path_of(place: Place) -> Path:
    """Return the run folder, or a file in it, that a caller names, if only by the summary of the run."""
    return Path(place.run_dir if isinstance(place, RunSummary) else place)

"""Bulk status updates for Evreka360 orders from a sheet or a DataFrame.

    from batch_updater import Settings, run_batch_sync
    summary = run_batch_sync("orders.xlsx", Settings(base_url="https://api.example.com/v1"), token="...")
    print(summary.result_counts, summary.results().query("result != 'updated'"))

`run_batch`, `plan`, `resume`, `retry`, `verify`, `undo` and `statuses` are coroutines; each has a plain twin, such as
`run_batch_sync`. `results` and `runs` ask nobody, and are plain. What all of them take is said in `run_batch`.

The names below are loaded when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batch_updater.app.batch import list_statuses as statuses
    from batch_updater.app.batch import list_statuses_sync as statuses_sync
    from batch_updater.app.batch import resume_batch as resume
    from batch_updater.app.batch import resume_batch_sync as resume_sync
    from batch_updater.app.batch import retry_batch as retry
    from batch_updater.app.batch import retry_batch_sync as retry_sync
    from batch_updater.app.batch import run_batch, run_batch_sync
    from batch_updater.app.batch import undo_batch as undo
    from batch_updater.app.batch import undo_batch_sync as undo_sync
    from batch_updater.app.batch import verify_batch as verify
    from batch_updater.app.batch import verify_batch_sync as verify_sync
    from batch_updater.app.history import RunInfo, runs
    from batch_updater.app.outputs import results
    from batch_updater.app.retry import Edit
    from batch_updater.app.trial import PlanSummary
    from batch_updater.app.trial import plan_batch as plan
    from batch_updater.app.trial import plan_batch_sync as plan_sync
    from batch_updater.app.verify import VerifySummary
    from batch_updater.common.errors import (
        BatchUpdaterError,
        CredentialsError,
        InputError,
        JournalError,
        LockedError,
        ResumeError,
        SettingsError,
        StoppedError,
    )
    from batch_updater.common.models import OrderStatus
    from batch_updater.common.progress import Progress, Stop
    from batch_updater.common.secret import Secret
    from batch_updater.common.settings import Settings
    from batch_updater.common.summary import RunSummary

    __version__: str

_ERRORS = ("BatchUpdaterError", "CredentialsError", "InputError", "JournalError", "LockedError", "ResumeError",
           "SettingsError", "StoppedError")  # fmt: skip
_CALLS = ("resume", "retry", "undo", "verify")
_HOMES = {
    **{name: ("common.errors", name) for name in _ERRORS},
    **{name: ("app.batch", f"{name}_batch") for name in _CALLS},
    **{f"{name}_sync": ("app.batch", f"{name}_batch_sync") for name in _CALLS},
    "Edit": ("app.retry", "Edit"),
    "OrderStatus": ("common.models", "OrderStatus"),
    "PlanSummary": ("app.trial", "PlanSummary"),
    "Progress": ("common.progress", "Progress"),
    "RunInfo": ("app.history", "RunInfo"),
    "RunSummary": ("common.summary", "RunSummary"),
    "Secret": ("common.secret", "Secret"),
    "Settings": ("common.settings", "Settings"),
    "Stop": ("common.progress", "Stop"),
    "VerifySummary": ("app.verify", "VerifySummary"),
    "plan": ("app.trial", "plan_batch"),
    "plan_sync": ("app.trial", "plan_batch_sync"),
    "results": ("app.outputs", "results"),
    "run_batch": ("app.batch", "run_batch"),
    "run_batch_sync": ("app.batch", "run_batch_sync"),
    "runs": ("app.history", "runs"),
    "statuses": ("app.batch", "list_statuses"),
    "statuses_sync": ("app.batch", "list_statuses_sync"),
}
__all__ = [
    "BatchUpdaterError", "CredentialsError", "Edit", "InputError", "JournalError", "LockedError", "OrderStatus",
    "PlanSummary", "Progress", "ResumeError", "RunInfo", "RunSummary", "Secret", "Settings", "SettingsError", "Stop",
    "StoppedError", "VerifySummary", "__version__", "plan", "plan_sync", "results", "resume", "resume_sync", "retry",
    "retry_sync", "run_batch", "run_batch_sync", "runs", "statuses", "statuses_sync", "undo", "undo_sync", "verify",
    "verify_sync",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("batch-updater")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return __all__

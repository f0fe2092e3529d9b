"""Bulk status updates for Evreka360 orders from a sheet or a DataFrame.

    from batch_updater import Settings, run_batch_sync
    summary = run_batch_sync("orders.xlsx", Settings(base_url="https://api.example.com/v1"))
    print(summary.result_counts, summary.results().query("result != 'updated'"))

The names below are loaded when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batch_updater.app.batch import run_batch, run_batch_sync
    from batch_updater.common.errors import BatchUpdaterError
    from batch_updater.common.progress import Progress, Stop
    from batch_updater.common.secret import Secret
    from batch_updater.common.settings import Settings
    from batch_updater.common.summary import RunSummary

__all__ = ["BatchUpdaterError", "Progress", "RunSummary", "Secret", "Settings", "Stop", "run_batch", "run_batch_sync"]

_HOMES = {
    "BatchUpdaterError": "common.errors",
    "Progress": "common.progress",
    "RunSummary": "common.summary",
    "Secret": "common.secret",
    "Settings": "common.settings",
    "Stop": "common.progress",
    "run_batch": "app.batch",
    "run_batch_sync": "app.batch",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

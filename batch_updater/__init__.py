"""Bulk status updates for Evreka360 orders from a sheet or a DataFrame.

    from batch_updater import Settings, run_batch_sync
    summary = run_batch_sync("orders.xlsx", Settings(base_url="https://api.example.com/v1"))
    print(summary.result_counts, summary.results().query("result != 'updated'"))

The names below are loaded when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batch_updater.app import run_batch, run_batch_sync
    from batch_updater.errors import BatchUpdaterError
    from batch_updater.models import RunSummary
    from batch_updater.secret import Secret
    from batch_updater.settings import Settings

__all__ = ["BatchUpdaterError", "RunSummary", "Secret", "Settings", "run_batch", "run_batch_sync"]

_HOMES = {
    "BatchUpdaterError": "errors",
    "RunSummary": "models",
    "Secret": "secret",
    "Settings": "settings",
    "run_batch": "app",
    "run_batch_sync": "app",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

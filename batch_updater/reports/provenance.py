"""Who ran what, where from and with which settings: noted in the journal at every start."""

import getpass
import socket
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from batch_updater.settings import Settings


def note_start(facts: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Facts for the journal about this start, added to those of the starts before.

    Settings hold no secret: the config file is refused when it does, and secrets are no options.
    """
    start = {"at": time.time(), "by": who(), "version": program_version()}
    chosen = settings.model_dump(mode="json", exclude_defaults=True)
    return {
        "starts": [*facts.get("starts", []), start],
        "settings": settings.model_dump(mode="json", exclude={"status_map"}) | {"status_map": len(settings.status_map)},
        "chosen": sorted(chosen),
    }


def who() -> str:
    """The user and the machine, as far as the system tells."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may run a user id without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def program_version() -> str:
    """The version of the installed package."""
    try:
        return version("batch-updater")
    except PackageNotFoundError:
        return "unknown"

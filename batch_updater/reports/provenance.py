"""Who ran what, where from and with which settings: noted in the journal at every start."""

import getpass
import socket
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from batch_updater.common.settings import Settings

KEPT_RATES = 20  # starts whose rates are kept


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


def note_rate(
    facts: Mapping[str, Any], began: float, ended: float, final: float | None, history: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    """Facts for the journal about the rate of this start, after those of the starts before.

    `began` and `ended` are seconds since the epoch; `final` the limit at the end in requests per second, None when
    there was none; `history` the limits that refusals led to, each with the seconds from `began`.
    """
    changes = [[round(seconds, 2), _three_digits(rate)] for seconds, rate in history]
    rate = {"at": began, "ended": ended, "final": None if final is None else _three_digits(final), "history": changes}
    return {"rates": [*facts.get("rates", []), rate][-KEPT_RATES:]}


def last_rate(facts: Mapping[str, Any], started: float) -> dict[str, Any]:
    """`rate` of the summary: that of the start that began at `started`, if it sent anything."""
    last = next(iter(facts.get("rates", [])[-1:]), None)
    if last is None or last["at"] < started:
        return {"final": None, "history": []}
    return {"final": last["final"], "history": last["history"]}


def rate_lines(facts: Mapping[str, Any]) -> list[list[tuple[float, float]]]:
    """For each start that met a limit its changes, seconds since the epoch and limit, and last where it ended."""
    return [
        [*((rate["at"] + seconds, limit) for seconds, limit in rate["history"]), (rate["ended"], rate["final"])]
        for rate in facts.get("rates", [])
        if rate["history"]
    ]


def _three_digits(rate: float) -> float:
    return round(rate, 1) if rate >= 10 else round(rate, 2)


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

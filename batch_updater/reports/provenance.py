"""Who started a run, on which machine and with which settings, and its rates; recorded in the journal."""

import time
from collections.abc import Sequence
from typing import Any, Protocol

from batch_updater.common.settings import Settings, as_facts
from batch_updater.journal.facts import Rates, RunFacts, Start, program_version, who

KEPT_RATES = 20  # the newest starts


class Found(Protocol):
    """What the pace of a start ended with: see `Pacer`."""

    @property
    def rate(self) -> float | None: ...
    @property
    def window(self) -> int: ...
    @property
    def is_narrowed(self) -> bool: ...
    @property
    def history(self) -> Sequence[tuple[float, float]]: ...


def start_facts(facts: RunFacts, settings: Settings) -> dict[str, Any]:
    """Return the facts that this start adds to those of the starts before.

    Settings hold no secret: a config file that does is refused, and no option takes one.
    """
    return {
        "starts": (*facts.starts, Start(at=time.time(), by=who(), version=program_version())),
        **settings_facts(settings),
    }


def settings_facts(settings: Settings) -> dict[str, Any]:
    """Return the facts of what a start was told: all settings, and which of them are typed or not the default."""
    chosen = settings.model_fields_set | settings.model_dump(exclude_defaults=True).keys()
    return {
        "settings": as_facts(settings) | {"status_map": len(settings.status_map)},
        "chosen": tuple(sorted(chosen)),
    }


def add_rates(rates: Sequence[Rates], began: float, ended: float, found: Found, parked: int = 0) -> tuple[Rates, ...]:
    """Return the rates of a run with what a start has found; `began` and `ended` are seconds since the epoch.

    `parked` is how often a row waited for its next attempt.
    """
    changes = tuple((round(seconds, 2), _three_digits(rate)) for seconds, rate in found.history)
    final = None if found.rate is None else _three_digits(found.rate)
    window = found.window if found.is_narrowed else None
    last = Rates(at=began, ended=ended, final=final, history=changes, window=window, parked=parked)
    return (*rates, last)[-KEPT_RATES:]


def last_rate(facts: RunFacts, started: float) -> dict[str, Any]:
    """Return `rate` of the summary: that of the start that began at `started`, if it sent anything."""
    last = facts.rates[-1] if facts.rates and facts.rates[-1].at >= started else None
    last = last or Rates(at=started, ended=started, final=None)
    changes = [list(change) for change in last.history]
    return {"final": last.final, "history": changes, "window": last.window, "parked": last.parked}


def rate_lines(facts: RunFacts) -> list[list[tuple[float, float]]]:
    """Return for each start with a limit its changes, seconds since the epoch and limit, and its end."""
    return [
        [*((rate.at + seconds, limit) for seconds, limit in rate.history), (rate.ended, rate.final or 0.0)]
        for rate in facts.rates
        if rate.history
    ]


def _three_digits(rate: float) -> float:
    return round(rate, 1) if rate >= 10 else round(rate, 2)

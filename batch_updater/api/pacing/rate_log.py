"""Logs changes in the pace of a run: pauses, the rate, outages."""

import logging
import time
from collections.abc import Callable

from batch_updater.api.pacing.pacer import Pacer
from batch_updater.common.log import event

CLIMB = 1.25  # the rate climbs a little with every request; only so much of a change is worth a line
LONGER = 0.05  # seconds by which a pause must grow to be a new one


class PaceLog:
    """Compares the pace with what was logged last; to be called after each answer and now and then.

    `pause_reason` is the result code of the answer that caused the last pause.
    """

    def __init__(self, pacer: Pacer, clock: Callable[[], float] = time.monotonic) -> None:
        self._pacer, self._clock = pacer, clock
        self._paused_until = clock()
        self._rate = pacer.rate
        self._down_since: float | None = None
        self.pause_reason = ""

    def log_changes(self, reason: str = "", row: int | None = None) -> None:
        """Log what has changed since the last call; `reason` and `row` say which answer made it change."""
        self._log_pause(reason, row)
        self._log_rate(reason, row)
        self._log_outage(reason, row)

    def _log_pause(self, reason: str, row: int | None) -> None:
        seconds = self._pacer.paused_for
        if seconds and self._clock() + seconds > self._paused_until + LONGER:
            self._paused_until = self._clock() + seconds
            self.pause_reason = reason
            event("pause", seconds=seconds, reason=reason, row=row)

    def _log_rate(self, reason: str, row: int | None) -> None:
        rate, before = self._pacer.rate, self._rate
        if rate == before or (rate and before and before < rate < before * CLIMB):
            return
        fell = rate is not None and (before is None or rate < before)
        self._rate = rate
        event("rate", rate=rate, reason=(reason or "throttled") if fell else "recovering", row=row if fell else None)

    def _log_outage(self, reason: str, row: int | None) -> None:
        seconds = self._pacer.outage_for
        if seconds and self._down_since is None:
            self._down_since = self._clock() - seconds
            event("service_down", logging.WARNING, reason=reason, row=row, detail=self._pacer.outage.last_seen)
        elif not seconds and self._down_since is not None:
            event("service_back", seconds=self._clock() - self._down_since)
            self._down_since = None

"""Counts the rows that end in this start, and reports them as one `Progress`."""

import time
from collections import deque
from collections.abc import Callable

from batch_updater.api.pacing.pacer import Pacer
from batch_updater.api.pacing.rate_log import PaceLog
from batch_updater.common.models import Counters, ReadBack, Result, RowOutcome, State
from batch_updater.common.progress import Progress

WINDOW = 15.0  # seconds over which the present speed is measured: long enough to be calm, short enough to be true


class Tally:
    """What has happened in this start: `counters` and the state of the pace, out of `rows` rows."""

    def __init__(
        self, rows: int, counters: Counters, pacer: Pacer, log: PaceLog, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rows, self._counters, self._pacer, self._log, self._clock = rows, counters, pacer, log, clock
        self._seen: deque[tuple[float, int]] = deque([(clock(), 0)])

    def add(self, record: RowOutcome | ReadBack) -> None:
        """Count a row that has ended or is left in doubt, or an order that was verified."""
        if isinstance(record, ReadBack):
            self._counters.results[record.symbol] += 1
        elif record.state is not State.PLANNED:
            self._counters.results[record.result] += 1

    def restate(self, before: Result, now: Result) -> None:
        """Change the result of a row that was counted before; one of an earlier start was not."""
        if self._counters.results[before]:
            self._counters.results[before] -= 1
            self._counters.results[now] += 1

    def progress(self, stage: str) -> Progress:
        """Return how far this start has come; call it at least every few seconds, to measure the speed."""
        counters, now = self._counters, time.time()
        paused, down = self._pacer.paused_for, self._pacer.unanswered_for
        until = now - down + self._pacer.longest_pause if down else None
        return Progress(
            stage=stage, rows=self._rows, in_flight=counters.in_flight,
            results={str(word): number for word, number in counters.results.items() if number},
            rows_per_second=self._speed(counters.ended), limit=self._pacer.rate,
            window=self._pacer.window if self._pacer.is_narrowed else None,
            paused_until=now + paused if paused else None, pause_reason=self._log.pause_reason if paused else "",
            outage_since=now - down if down else None, outage_until=until,
            last_seen=self._pacer.outage.last_seen if down else "",
            requests={
                "put": counters.put, "get": counters.get, "token": counters.token, "retried": counters.retried,
                "throttled": counters.throttled,
            },
        )  # fmt: skip

    def _speed(self, ended: int) -> float:
        """Return rows per second over the last 15 s."""
        now = self._clock()
        self._seen.append((now, ended))
        while len(self._seen) > 2 and now - self._seen[1][0] >= WINDOW:
            self._seen.popleft()
        began, before = self._seen[0]
        return (ended - before) / max(now - began, 0.001)

"""Metrics of a run for Prometheus: a text file for node_exporter, or a port; the only user of prometheus-client.

That is an extra (`batch-updater[metrics]`), loaded only when metrics are wanted.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_updater.common.errors import SettingsError
from batch_updater.common.models import RowOutcome, State
from batch_updater.common.progress import Progress
from batch_updater.common.remedies import Remedy
from batch_updater.common.summary import RunSummary

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

EVERY = 10.0  # seconds between two writes of the file
BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)  # seconds


class Meter:
    """Keeps the numbers of a run. Writes them to `path` every 10 s and at the end, completely or not at all."""

    def __init__(
        self, registry: "CollectorRegistry", path: Path | None, clock: Callable[[], float] = time.time
    ) -> None:
        from prometheus_client import Histogram  # noqa: PLC0415 - an extra

        self.registry, self._path, self._clock = registry, path, clock
        self._rows: Counter[tuple[str, str]] = Counter()
        self._progress = Progress("", 0)
        self._last_success = 0.0
        self._exit_code: int | None = None
        self._written = 0.0
        title, text = "batch_updater_row_seconds", "From a row's first send to its last answer"
        self._seconds = Histogram(title, text, registry=registry, buckets=BUCKETS)
        registry.register(self)

    def record(self, outcome: RowOutcome) -> None:
        """Count a row that has ended."""
        if outcome.state is not State.ENDED:
            return
        self._rows[outcome.result.value, outcome.code] += 1
        if outcome.duration_ms is not None:
            self._seconds.observe(outcome.duration_ms / 1000)
        if outcome.result.value == "updated":
            self._last_success = self._clock()

    def update(self, progress: Progress) -> None:
        """Take over the present numbers, and write the file when it is time."""
        self._progress = progress
        if self._clock() - self._written >= EVERY:
            self._written = self._clock()
            self._write()

    def end(self, summary: RunSummary) -> None:
        """Take over the end of the run, and write the file for the last time."""
        self._exit_code = summary.exit_code
        self._progress = replace(self._progress, paused_until=None, outage_since=None)
        self._write()

    def _write(self) -> None:
        from prometheus_client import write_to_textfile  # noqa: PLC0415 - an extra

        if self._path:
            try:
                write_to_textfile(str(self._path), self.registry)
            except OSError:
                return  # a full disk stops the run by the journal, not by its metrics

    def collect(self) -> Iterator[Any]:
        """Yield the metrics for the registry."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - an extra

        now, requests = self._progress, self._progress.requests
        rows = CounterMetricFamily("batch_updater_rows", "Rows that have ended", labels=["result", "code"])
        for labels, number in self._rows.items():
            rows.add_metric(list(labels), number)
        yield rows
        sent = CounterMetricFamily("batch_updater_requests", "Requests by kind", labels=["kind"])
        for kind in ("put", "get", "token"):
            sent.add_metric([kind], requests.get(kind, 0))
        yield sent
        for name, key, text in (
            ("retries", "retried", "Attempts after the first"),
            ("throttled", "throttled", "Answers that asked for less"),
        ):
            yield CounterMetricFamily(f"batch_updater_{name}", text, value=requests.get(key, 0))
        paused = max(now.paused_until - self._clock(), 0.0) if now.paused_until else 0.0
        outage = self._clock() - now.outage_since if now.outage_since else 0.0
        gauges = {
            "in_flight": ("Requests under way", float(now.in_flight)),
            "rate_limit": ("Most requests per second at present, 0 for no limit", now.limit or 0.0),
            "window": ("Most requests in flight that the service takes at present, 0 for no limit", now.window or 0.0),
            "paused_seconds": ("Seconds until sending goes on, spent on load", paused),
            "outage_seconds": ("Seconds since the service stopped working, spent of the outage budget", outage),
            "last_success_timestamp_seconds": ("When a row was last confirmed", self._last_success),
        }
        if self._exit_code is not None:
            gauges["exit_code"] = ("How the run ended", float(self._exit_code))
        for name, (help_text, value) in gauges.items():
            yield GaugeMetricFamily(f"batch_updater_{name}", help_text, value=value)


@contextmanager
def metered(file: Path | None, server: str | None) -> Iterator[Meter | None]:
    """Yield a meter while the block runs: for a file, or served at `[HOST:]PORT`; None without either.

    Raises SettingsError when the extra is missing, the port can't be had or the file has no folder.
    """
    if file is None and server is None:
        yield None
        return
    try:
        from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 - an extra
    except ImportError:
        raise SettingsError("Metrics need prometheus-client.", "pip install 'batch-updater[metrics]'") from None
    if file and not file.parent.is_dir():
        raise SettingsError(
            Remedy(
                "{metrics_file} {file}: there is no folder {folder}.", {"file": str(file), "folder": str(file.parent)}
            ),
            "make it, or choose another",
        )
    meter = Meter(CollectorRegistry(), file)
    with ExitStack() as stack:
        if server is not None:
            host, port = address(server)
            try:
                httpd, thread = start_http_server(port, host, meter.registry)
            except OSError as error:
                said = Remedy("{metrics_port} {server}: {why}.", {"server": server, "why": str(error.strerror)})
                raise SettingsError(said, "choose another") from None
            stack.callback(thread.join)
            stack.callback(httpd.server_close)
            stack.callback(httpd.shutdown)
        yield meter


def address(text: str) -> tuple[str, int]:
    """Return host and port of `9123` (this machine only) or `0.0.0.0:9123`. Raises SettingsError."""
    found = re.fullmatch(r"(?:([\w.-]+|\[[0-9a-fA-F:]+\]):)?([0-9]{1,5})", text)
    if not found or not 0 < int(found[2]) < 65_536:
        raise SettingsError(
            Remedy("{metrics_port} can't be {given}.", {"given": repr(text)}), "use a port, or HOST:PORT"
        )
    return (found[1] or "127.0.0.1").strip("[]"), int(found[2])

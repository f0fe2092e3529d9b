import re
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from batch_updater.common.errors import SettingsError
from batch_updater.common.models import Result, RowOutcome, State
from batch_updater.common.progress import Progress
from batch_updater.reports.metrics import EVERY, Meter, address, metered


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def outcome(row: int, result: Result = Result.UPDATED, code: str = "ok", state: State = State.ENDED) -> RowOutcome:
    return RowOutcome(row, state, result, code, "", 200, 1, 1.0, 120)


def samples(path: Path) -> dict[str, float]:
    """Every sample of a metrics file by its name and labels."""
    found = [sample for family in text_string_to_metric_families(path.read_text()) for sample in family.samples]
    return {
        " ".join([sample.name, *(sample.labels[name] for name in sorted(sample.labels))]): sample.value
        for sample in found
    }


def test_the_file_holds_rows_requests_latency_and_state(tmp_path: Path) -> None:
    """Rows by result and code, requests by kind, a histogram of seconds, and the present state."""
    clock = Clock()
    meter = Meter(CollectorRegistry(), tmp_path / "m.prom", clock)
    for row in (2, 3):
        meter.record(outcome(row))
    meter.record(outcome(4, Result.FAILED, "order_not_found"))
    meter.record(outcome(5, Result.NOT_SENT, "stopped", State.PLANNED))
    requests = {"put": 9, "get": 1, "token": 2, "retried": 4, "throttled": 5}
    waits = {"limit": 140.0, "window": 8, "paused_until": 1003.0, "outage_since": 990.0}
    meter.update(Progress("sending", 9, in_flight=7, requests=requests, **waits))
    found = samples(tmp_path / "m.prom")
    assert found["batch_updater_rows_total ok updated"] == 2
    assert found["batch_updater_rows_total order_not_found failed"] == 1
    assert not [name for name in found if "not_sent" in name]
    assert [found[f"batch_updater_requests_total {kind}"] for kind in ("put", "get", "token")] == [9, 1, 2]
    assert (found["batch_updater_retries_total"], found["batch_updater_throttled_total"]) == (4, 5)
    assert (found["batch_updater_in_flight"], found["batch_updater_rate_limit"]) == (7, 140)
    assert (found["batch_updater_paused_seconds"], found["batch_updater_last_success_timestamp_seconds"]) == (3, 1000)
    assert (found["batch_updater_window"], found["batch_updater_outage_seconds"]) == (8, 10)
    assert found["batch_updater_row_seconds_count"] == 3
    assert found["batch_updater_row_seconds_bucket 0.1"] == 0
    assert found["batch_updater_row_seconds_bucket 0.25"] == 3


def test_the_file_is_written_now_and_then(tmp_path: Path) -> None:
    """An update within ten seconds of the last write leaves the file alone; nothing else is left beside it."""
    clock = Clock()
    meter = Meter(CollectorRegistry(), tmp_path / "m.prom", clock)
    for put, seconds, expected in ((1, 0.0, 1.0), (2, EVERY - 0.1, 1.0), (3, 0.2, 3.0)):
        clock.now += seconds
        meter.update(Progress("sending", 9, requests={"put": put}))
        assert samples(tmp_path / "m.prom")["batch_updater_requests_total put"] == expected
    assert [path.name for path in tmp_path.iterdir()] == ["m.prom"]


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    """A folder that goes away in mid-run, or a full disk, costs the metrics, not the run."""
    Meter(CollectorRegistry(), tmp_path / "gone" / "m.prom").update(Progress("sending", 9))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("9123", "127.0.0.1", 9123), ("0.0.0.0:80", "0.0.0.0", 80), ("[::1]:9123", "::1", 9123)],
)
def test_a_port_alone_is_served_to_this_machine_only(text: str, host: str, port: int) -> None:
    """Whoever wants to be asked from elsewhere has to say so."""
    assert address(text) == (host, port)


@pytest.mark.parametrize("text", ["", "x", "0", "70000", "host:", "-1", "http://x:80"])
def test_a_bad_port_is_a_settings_error(text: str) -> None:
    """What is no port is refused with the way to write one."""
    with pytest.raises(SettingsError, match=re.escape(repr(text))):
        address(text)


def test_a_file_without_a_folder_is_a_settings_error(tmp_path: Path) -> None:
    """It would never be written, and nobody would know."""
    with pytest.raises(SettingsError, match="no folder"), metered(tmp_path / "gone" / "m.prom", None):
        pass


def test_without_the_extra_the_option_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing prometheus-client is a message with the command to install it."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with (
        pytest.raises(SettingsError, match=r"batch-updater\[metrics\]"),
        metered(tmp_path / "m.prom", None),
    ):
        pass


def test_without_the_options_nothing_is_loaded() -> None:
    """A run that wants no metrics has none, and does not need the extra."""
    with metered(None, None) as meter:
        assert meter is None

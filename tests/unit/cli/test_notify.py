import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from batch_updater.cli.notify import Notices, of_error, of_summary
from batch_updater.common.errors import ExitCode, LockedError, SettingsError
from batch_updater.common.secret import Secret
from batch_updater.common.summary import RunSummary

SUMMARY = RunSummary(
    run_id="r", input="orders.csv", base_url="https://api.example.com/v1", started_at="", ended_at="", exit_code=3,
    resumable=False, rows=5, result_counts={"updated": 4, "failed": 1}, code_counts={}, requests={}, seconds=83.0,
    rows_per_second=1.0, run_dir="d", results_file="r.csv",
)  # fmt: skip


class Heard(BaseHTTPRequestHandler):
    bodies: list[Any]
    status = 200

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture
def listener() -> Iterator[tuple[str, type[Heard]]]:
    handler = type("Handler", (Heard,), {"bodies": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"json://127.0.0.1:{server.server_port}/token-hunter2", handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_notice_arrives(listener: tuple[str, type[Heard]]) -> None:
    """Title, sentence and kind reach the address."""
    url, handler = listener
    title, body, good = of_summary(SUMMARY)
    assert Notices(Secret(url)).send(title, body, good=good) is True
    (heard,) = handler.bodies
    assert (heard["title"], heard["message"], heard["type"]) == (title, body, "failure")


def test_a_notice_that_is_refused_is_told(
    listener: tuple[str, type[Heard]], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Delivery that fails is False, without a word of the address anywhere."""
    url, handler = listener
    handler.status = 500
    assert Notices(Secret(url)).send("t", "b", good=True) is False
    assert "".join(capfd.readouterr()) + caplog.text == ""


def test_a_bad_address_is_refused_before_anything_is_sent(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """An address that no service takes is a settings error that does not repeat it."""
    with pytest.raises(SettingsError) as error:
        Notices(Secret("nonsense://hunter2"))
    assert "hunter2" not in str(error.value)
    assert "".join(capfd.readouterr()) + caplog.text == ""


def test_without_the_extra_the_option_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing apprise is a message with the command to install it."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(SettingsError, match=r"batch-updater\[notify\]"):
        Notices(Secret("json://127.0.0.1"))


def test_the_sentence_says_how_it_ended_with_counts() -> None:
    """Finished, partly, stopped, or not begun: one sentence each, with sheet, tenant and numbers."""
    title, body, good = of_summary(SUMMARY)
    assert "some rows are not done" in title
    assert body == (
        "orders.csv on https://api.example.com/v1: finished, some rows are not done after 1 min 23 s;"
        " 4 updated, 1 failed."
    )
    assert good is False
    assert of_summary(replace(SUMMARY, exit_code=0))[2] is True
    stopped = of_summary(replace(SUMMARY, exit_code=ExitCode.STOPPED, reason="The service is down.\n  hint: wait"))
    assert "stopped early" in stopped[0]
    assert stopped[1].endswith("The service is down.")
    assert of_error("o.csv", LockedError("Another run is under way.", "wait"))[1] == "o.csv: Another run is under way."

"""Metrics and notices of the program itself."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from support.program import environment, good_rows, newest_run, program, served, summary_of, write_sheet


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def scrape(port: int, until: threading.Event) -> list[str]:
    """What the port serves, again and again until it has served rows or the event is set."""
    found: list[str] = []
    while not until.is_set():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                found.append(answer.read().decode())
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.02)
    return found


def test_metrics_are_served_during_the_run_and_written_at_its_end(tmp_path: Path) -> None:
    """The port shows rows while they are sent; the file has the numbers of the summary."""
    sheet, port, ended = write_sheet(tmp_path / "o.csv", good_rows(300)), free_port(), threading.Event()
    pages: list[str] = []
    reader = threading.Thread(target=lambda: pages.extend(scrape(port, ended)))
    with served(latency=0.02, error_rate=0.05) as sandbox:
        reader.start()
        options = ("--yes", "--rate", 200, "--metrics-port", port, "--metrics-file", tmp_path / "m.prom")
        run = program("run", sheet, *options, env=environment(sandbox.base_url))
        ended.set()
        reader.join()
    assert run.returncode == 0, run.stderr
    assert any('batch_updater_rows_total{code="ok",result="updated"}' in page for page in pages)
    text = (tmp_path / "m.prom").read_text()
    assert 'batch_updater_rows_total{code="ok",result="updated"} 300.0' in text
    assert f"batch_updater_retries_total {summary_of(sheet)['requests']['retried']:.1f}" in text
    assert "batch_updater_exit_code 0.0" in text


def test_a_taken_port_ends_before_anything_is_sent(tmp_path: Path) -> None:
    """Exit 2, one message, no update."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(3))
    with served() as sandbox, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = program("run", sheet, "--yes", "--metrics-port", port, env=environment(sandbox.base_url))
        assert not [entry for entry in sandbox.ledger if entry["method"] == "PUT"]
    assert ended.returncode == 2, ended.stderr
    assert str(port) in ended.stderr


def test_a_notice_is_sent_and_its_address_is_nowhere(tmp_path: Path) -> None:
    """The run tries to tell; an address that does not answer costs a sentence, and is in no output or file."""
    sheet = write_sheet(tmp_path / "o.csv", [*good_rows(3), ("x", "y")])
    address = f"json://127.0.0.1:{free_port()}/hunter2"
    with served() as sandbox:
        ended = program("run", sheet, "--yes", "-vv", "--notify", address, env=environment(sandbox.base_url))
    assert ended.returncode == 3
    assert "could not be delivered" in ended.stderr
    assert "hunter2" not in ended.stdout + ended.stderr
    for path in newest_run(sheet).iterdir():
        assert b"hunter2" not in path.read_bytes()
    assert json.loads((newest_run(sheet) / "summary.json").read_text())["exit_code"] == 3

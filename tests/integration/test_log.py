"""What the log of a run against a troubled service says."""

import json
from pathlib import Path

from support.program import environment, good_rows, newest_run, program, served, write_sheet


def test_the_log_names_every_retry_pause_and_rate(tmp_path: Path) -> None:
    """Retries are as many as the summary counts, each with row and reason; throttling shows as pause and rate."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(400))
    with served(error_rate=0.05, rate_limit=150) as sandbox:
        ended = program(
            "run", sheet, "--yes", "--json", "--log-format", "json", "-v", env=environment(sandbox.base_url)
        )
    summary = json.loads(ended.stdout)
    lines = [json.loads(line) for line in (newest_run(sheet) / "run.log").read_text().splitlines()]
    retries = [line for line in lines if line["event"] == "retry"]
    assert len(retries) == summary["requests"]["retried"] > 0
    assert {"row", "order_id", "reason", "attempt"} <= set(retries[0])
    assert {line["reason"] for line in retries} <= {"server_error", "rate_limited"}
    assert {"start", "pause", "rate", "end"} <= {line["event"] for line in lines}
    shown = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    assert [line["event"] for line in shown].count("retry") == len(retries)
    assert "sandbox-token" not in (newest_run(sheet) / "run.log").read_text()

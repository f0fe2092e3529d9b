"""The page and the reasons that a run of the program leaves behind."""

import json
from pathlib import Path

from support.program import TOKEN, environment, good_rows, newest_run, program, served, write_sheet

from batch_updater.sandbox.server import order_id, status_id

EVIL = '<script>alert("x")</script>\u202e'


def test_a_run_leaves_a_page_and_reasons(tmp_path: Path) -> None:
    """Page, summary and terminal name the same reasons; a hostile cell is harmless; the token is in none of them."""
    done = status_id("Completed")
    rows = [*good_rows(30), (EVIL, done), (order_id(99_999_999), done), (order_id(99_999_998), done)]
    sheet = write_sheet(tmp_path / "o.csv", rows)
    with served() as sandbox:
        ended = program("run", sheet, "--yes", "--rate", 20, env=environment(sandbox.base_url))
    run = newest_run(sheet)
    summary = json.loads((run / "summary.json").read_text())
    text = (run / "report.html").read_text(encoding="utf-8")
    assert summary["report_file"] == str(run / "report.html")
    assert [(r["code"], r["rows"], r["example_row"]) for r in summary["reasons"]] == [
        ("order_not_found", 2, 33), ("bad_order_id", 1, 32),
    ]  # fmt: skip
    for reason in summary["reasons"]:
        assert reason["code"] in text
        assert reason["code"] in ended.stdout
        assert reason["what_to_do"].split("`")[0] in text
    assert '<script>alert("x")' not in text
    assert "\u202e" not in text + ended.stdout
    assert "Rows that ended per second" in text
    assert TOKEN not in text + ended.stdout + ended.stderr
    command = f"batch-updater run {run / 'results.csv'} --only invalid --base-url {sandbox.base_url}"
    assert ended.stdout.rstrip().endswith(command)


def test_a_limit_is_in_summary_page_and_terminal(tmp_path: Path) -> None:
    """What was refused led to a rate, which summary, page and terminal show, and `results` still knows."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(120))
    with served(rate_limit=40) as sandbox:
        ended = program("run", sheet, "--yes", "--json", env=environment(sandbox.base_url))
    run = newest_run(sheet)
    rate = json.loads(ended.stdout)["rate"]
    assert rate["history"]
    assert rate["final"] == rate["history"][-1][1]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Limit of requests per second" in page
    again = program("results", run, env=environment())
    assert "requests/s, found by what was refused" in again.stdout
    assert json.loads((run / "summary.json").read_text())["rate"] == rate


def test_results_writes_the_page_again(tmp_path: Path) -> None:
    """The page comes from the journal: what was lost can be made again, with the settings of the run."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(30))
    with served() as sandbox:
        assert program("run", sheet, "--yes", "--rate", 77, env=environment(sandbox.base_url)).returncode == 0
    page = newest_run(sheet) / "report.html"
    page.unlink()
    assert program("results", newest_run(sheet), env=environment()).returncode == 0
    text = page.read_text(encoding="utf-8")
    assert "All 30 rows are done" in text
    assert ">77<" in text

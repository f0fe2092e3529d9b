"""A result file, a run or an undo that is asked for in the wrong place is refused with what is right."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import proposed_after
from support.program import DONE, environment, good_rows, newest_run, puts, read_result, served, write_sheet
from support.watched import Watched

from batch_updater.sandbox.server import Sandbox, order_id

MISSING = (order_id(99_999_999), DONE)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with served() as found:
        yield found


@pytest.fixture
def run(watched: Watched, sandbox: Sandbox) -> Path:
    """A finished run without --compare, of which one row has failed."""
    sheet = write_sheet(watched.folder / "o.csv", [*good_rows(2), MISSING])
    assert watched.call("run", sheet, "--yes", env=environment(sandbox.base_url)).returncode == 3
    return newest_run(sheet)


def test_results_of_another_service_are_refused_unless_its_address_is_typed(
    watched: Watched, sandbox: Sandbox, run: Path
) -> None:
    """In the run folder or moved beside it, with --only or without; the other address may come from anywhere."""
    moved = watched.folder / "mine.csv"
    moved.write_bytes((run / "results.csv").read_bytes())
    sent = len(puts(sandbox))
    with served() as elsewhere:
        other = elsewhere.base_url
        env, typed = environment(other), ("--base-url", other)
        for file in (run / "results.csv", moved):
            for more in ((), ("--only", "failed")):
                refused = watched.call("run", file, "--yes", *more, env=env)
                assert (refused.returncode, elsewhere.ledger) == (2, []), refused.stderr
                assert f"results of a run on {sandbox.base_url}, and the settings name {other}" in refused.stderr
                assert watched.call("plan", file, *more, env=env).returncode == 2
        assert watched.call("run", moved, "--yes", "--only", "failed", *typed, env=env).returncode == 3
        assert len(puts(elsewhere)) == 1
    assert len(puts(sandbox)) == sent


def test_a_result_file_is_read_as_it_was_written(
    watched: Watched, sandbox: Sandbox, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What config file and environment say of sheets is not meant for it; what is typed is."""
    monkeypatch.chdir(watched.folder)
    Path("batch-updater.toml").write_text('encoding = "cp1254"\ndelimiter = ";"\nheader-row = 3\nsheet = "x"\n')
    env = environment(sandbox.base_url, BATCH_UPDATER_ROWS="7-", BATCH_UPDATER_WHERE="Depot=x")
    assert watched.call("run", run / "results.csv", "--yes", "--only", "not-done", env=env).returncode == 3
    assert [row["result_row"] for row in read_result(newest_run(watched.folder / "o.csv") / "results.csv")] == ["4"]
    refused = watched.call("plan", run / "results.csv", "--only", "failed", "--header-row", "2", env=env)
    assert refused.returncode == 4


@pytest.mark.parametrize("name", ["", "journal.sqlite", "summary.json", "report.html", "input.csv"])
def test_a_run_is_no_sheet(watched: Watched, sandbox: Sandbox, run: Path, name: str) -> None:
    """Its folder, and what is in it but for the results, sends nothing: exit 4 names the command for the rest."""
    sent = len(puts(sandbox))
    for command in ("run", "plan"):
        refused = watched.call(command, run / name, "--only", "failed", env=environment(sandbox.base_url))
        assert refused.returncode == (2 if command == "run" else 4), "without a terminal nothing is planned"
    refused = watched.call("run", run / name, "--yes", env=environment(sandbox.base_url))
    assert (refused.returncode, len(puts(sandbox))) == (4, sent)
    words = proposed_after(refused.stderr, "to send what is not done")
    assert words[:4] == ["run", str(run / "results.csv"), "--only", "not-done"]


def test_an_undo_without_previous_statuses_is_one_sentence(watched: Watched, sandbox: Sandbox, run: Path) -> None:
    """It ends before anything is planned, and leaves no run of rows that can't be put back."""
    sent = len(puts(sandbox))
    for more in (("--yes",), ("--dry-run",)):
        refused = watched.call("undo", run, *more, env=environment(sandbox.base_url))
        assert (refused.returncode, refused.stderr.count("error:")) == (2, 1)
        assert "can't be undone: it has not recorded which status the orders had before" in refused.stderr
    assert len(puts(sandbox)) == sent
    assert not list(run.glob("undo*"))

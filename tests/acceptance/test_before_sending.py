"""What can be done before anything is sent: a file of the rows to correct, credentials beside the config file."""

from pathlib import Path

import pytest
from support.program import DONE, TOKEN, environment, program, puts, read_result, served, write_sheet

from batch_updater.sandbox.server import order_id, status_id

ROWS = [
    (order_id(1), DONE), ("x", DONE), (order_id(2), DONE), (order_id(2), status_id("Planned")), (order_id(1), DONE),
]  # fmt: skip


def test_the_rows_that_will_not_be_sent_are_written_to_be_corrected(tmp_path: Path) -> None:
    """`plan -o` has the invalid and the conflicting rows, by the numbers of the sheet; corrected, the file is run."""
    sheet, problems = write_sheet(tmp_path / "o.csv", ROWS), tmp_path / "problems.csv"
    with served() as sandbox:
        env = environment(sandbox.base_url)
        planned = program("plan", sheet, "-o", problems, env=env)
        assert planned.returncode == 0, planned.stderr
        assert f"3 rows to correct in {problems}" in planned.stderr
        found = read_result(problems)
        assert [(row["result_row"], row["result"]) for row in found] == [
            ("3", "invalid"), ("4", "conflict"), ("5", "conflict")
        ]  # fmt: skip
        assert {row["result_run_id"] for row in found} == {""}
        again = program("plan", sheet, "-o", problems, env=env)
        assert (again.returncode, "exists already" in again.stderr) == (2, True)
        text = problems.read_text(encoding="utf-8-sig").replace("\nx,", f"\n{order_id(3)},")
        problems.write_text("".join(line for line in text.splitlines(True) if status_id("Planned") not in line))
        ran = program("run", problems, "--yes", env=env)
        assert ran.returncode == 0, ran.stderr
        assert {entry["order_id"] for entry in puts(sandbox)} == {order_id(2), order_id(3)}


def test_an_output_of_the_config_file_is_not_that_of_a_plan(tmp_path: Path) -> None:
    """Only `-o` that is typed: a plan must not take the place of the results that a run will write."""
    sheet = write_sheet(tmp_path / "o.csv", ROWS)
    (tmp_path / "batch-updater.toml").write_text('output = "results.csv"\n')
    ended = program("plan", sheet, env=environment("http://127.0.0.1:9", EVREKA360_ACCESS_TOKEN=""), cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "results.csv").exists()


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_credentials_beside_the_config_file_are_used_when_they_are_private(tmp_path: Path, mode: int) -> None:
    """A `.env` that others may read is named instead, and the token in it stays unused."""
    sheet = write_sheet(tmp_path / "o.csv", ROWS[:1])
    with served() as sandbox:
        (tmp_path / ".env").write_text(f"EVREKA360_BASE_URL={sandbox.base_url}\nEVREKA360_ACCESS_TOKEN={TOKEN}\n")
        (tmp_path / ".env").chmod(mode)
        ended = program("run", sheet, "--yes", "--base-url", sandbox.base_url, env=environment(), cwd=tmp_path)
        listed = program("statuses", env=environment(), cwd=tmp_path)
        assert (ended.returncode, listed.returncode) == ((0, 0) if mode == 0o600 else (2, 2)), ended.stderr
        assert (".env is not read, for others may read it too: chmod 600 .env" in ended.stderr) is (mode != 0o600)
        assert len(puts(sandbox)) == (mode == 0o600)
        (tmp_path / ".env").unlink()

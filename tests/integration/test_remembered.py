"""What one run has learned of a service's limit, and what the next one makes of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.program import environment, good_rows, newest_run, program, served, write_sheet
from support.watched import Watched, noted_pacers

from batch_updater.api.pacing.learned_rate import remember
from batch_updater.sandbox.server import Sandbox


def rate_of(sheet: Path) -> dict[str, Any]:
    """`rate` in the summary of the newest run of a sheet."""
    found: dict[str, Any] = json.loads((newest_run(sheet) / "summary.json").read_text())["rate"]
    return found


def remembered(state_folder: Path) -> dict[str, Any] | None:
    """What is in the file, None when there is none; there is never more than one."""
    files = list(state_folder.rglob("rates/*"))
    assert len(files) <= 1
    return json.loads(files[0].read_text()) if files else None


def plant(state_folder: Path, sandbox: Sandbox, rate: float) -> None:
    """Let there be a rate that an earlier run on this sandbox has learned."""
    remember(sandbox.base_url, None, rate)
    assert remembered(state_folder)


def test_the_second_run_starts_at_what_the_first_has_learned(tmp_path: Path, state_folder: Path) -> None:
    """As processes: the first keeps its rate, `plan` announces it, the second begins with it and says so."""
    second = write_sheet(tmp_path / "second.csv", good_rows(300, first=5000))
    with served(rate_limit=100) as sandbox:
        env = environment(sandbox.base_url)
        for n in range(3):  # a search that is not over when the rows end hands nothing on
            first = write_sheet(tmp_path / f"first{n}.csv", good_rows(1200))
            assert program("run", first, "--yes", "--rate", 110, env=env).returncode == 0
            if kept := remembered(state_folder):
                break
        assert kept is not None
        assert rate_of(first)["history"][0][0] > 0.0
        assert kept["base_url"] == sandbox.base_url
        assert 80 < kept["rate"] <= 110
        planned = program("plan", second, env=env).stdout
        assert f"starts at {kept['rate']:,.0f} requests/s, learned on" in " ".join(planned.split())
        assert all(len(line) <= 80 for line in planned.splitlines() if "orders" not in line and "Plan" not in line)
        ended = program("run", second, "--yes", env=env)
    assert ended.returncode == 0
    seconds, rate = rate_of(second)["history"][0]
    assert (seconds, rate) == (0.0, pytest.approx(kept["rate"], rel=0.01))
    assert f"started at {rate:,.3g}/s, learned earlier" in ended.stdout


def test_a_run_that_is_not_refused_anything_keeps_the_rate_it_reached(
    tmp_path: Path, state_folder: Path, watched: Watched
) -> None:
    """From a low rate it goes up, and the next run begins where this one was."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(200))
    with served() as sandbox:
        plant(state_folder, sandbox, 60.0)
        assert watched.call("run", sheet, "--yes", env=environment(sandbox.base_url)).returncode == 0
    kept = remembered(state_folder)
    assert kept is not None
    assert 60.0 <= kept["rate"] <= rate_of(sheet)["final"]
    assert rate_of(sheet)["final"] > 60.0


@pytest.mark.parametrize("option", ["--no-adapt", "--forget-rate", "--rate=30"])
def test_options_that_start_without_it(tmp_path: Path, state_folder: Path, watched: Watched, option: str) -> None:
    """Neither plan nor run says or uses it; --forget-rate removes it when sending begins, and `plan` never."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(5))
    with served() as sandbox:
        plant(state_folder, sandbox, 50.0)
        before = remembered(state_folder)
        env = environment(sandbox.base_url)
        planned = watched.call("plan", sheet, option, env=env)
        assert remembered(state_folder) == before
        ran = watched.call("run", sheet, "--yes", option, env=env)
    assert ran.returncode == 0
    assert "learned on" not in planned.stdout + ran.stderr
    assert rate_of(sheet)["history"] == []
    assert remembered(state_folder) == (None if option == "--forget-rate" else before)


def test_a_run_without_a_refusal_remembers_nothing(tmp_path: Path, state_folder: Path, watched: Watched) -> None:
    """Where there is no limit there is nothing to keep, and no folder is made."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(50))
    with served() as sandbox:
        assert watched.call("run", sheet, "--yes", env=environment(sandbox.base_url)).returncode == 0
    assert not state_folder.exists()


@pytest.mark.parametrize("damage", ["a file", "no JSON", "nonsense"])
def test_a_damaged_memory_changes_nothing(tmp_path: Path, state_folder: Path, watched: Watched, damage: str) -> None:
    """A file in the place of the folder, or anything in the file: the run goes as if nothing was remembered."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(5))
    with served() as sandbox:
        if damage == "a file":
            state_folder.write_text("mine")
        else:
            plant(state_folder, sandbox, 50.0)
            (path,) = state_folder.rglob("*.json")
            path.write_text("{" if damage == "no JSON" else path.read_text().replace("50.0", "-5e9"))
        ended = watched.call("run", sheet, "--yes", env=environment(sandbox.base_url))
        again = watched.call("run", sheet, "--yes", "--forget-rate", env=environment(sandbox.base_url))
    assert (ended.returncode, again.returncode) == (0, 0)
    assert "learned on" not in ended.stderr
    assert rate_of(sheet)["history"] == []


def test_what_is_planned_to_take_long_is_said_by_the_learned_rate(
    tmp_path: Path, state_folder: Path, watched: Watched
) -> None:
    """The plan's duration is that of the rate it begins with."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(400))
    with served() as sandbox:
        plant(state_folder, sandbox, 10.0)
        planned = watched.call("plan", sheet, env=environment(sandbox.base_url)).stdout
    assert "400, about 40 s" in planned


@pytest.mark.parametrize(("words", "adapts"), [([], True), (["--no-adapt"], False)])
def test_verify_paces_as_it_is_told(
    tmp_path: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch, words: list[str], adapts: bool
) -> None:
    """--no-adapt holds for reading back too, and what the run has learned is no start for reading."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(3))
    with served() as sandbox:
        env = environment(sandbox.base_url)
        remember(sandbox.base_url, None, 480.0)
        assert watched.call("run", sheet, "--yes", env=env).returncode == 0
        asked = noted_pacers(monkeypatch, "batch_updater.app.verify")
        assert watched.call("verify", newest_run(sheet), *words, env=env).returncode == 0
    assert asked == [{"adapt": adapts}]

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from support.program import (
    TOKEN,
    environment,
    good_rows,
    judge,
    newest_run,
    puts,
    read_result,
    served,
    summary_of,
    write_sheet,
)
from support.watched import Watched

from batch_updater.api.protocol import retry_after
from batch_updater.journal import run_folder as folder

ROWS, DAY = 60, 86_400.0


class WallClock:
    """The machine's wall clock, which a test can put forward or back."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._real = time.time

    def time(self) -> float:
        return self._real() + self.ahead


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Iterator[WallClock]:
    clock = WallClock()

    class Moved(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "datetime":  # type: ignore[override]
            return datetime.fromtimestamp(clock.time(), tz)

    monkeypatch.setattr(time, "time", clock.time)
    for module in ("journal.run_folder", "journal.lock", "api.protocol"):
        monkeypatch.setattr(f"batch_updater.{module}.datetime", Moved)
    yield clock


def jump_at(number: int, wall: WallClock, by: float) -> Callable[[str], None]:
    seen: list[str] = []

    def on_update(order: str) -> None:
        seen.append(order)
        if len(seen) == number:
            wall.ahead = by

    return on_update


@pytest.mark.parametrize("by", [DAY, -DAY])
def test_a_jump_of_the_wall_clock_in_mid_run_changes_nothing(
    tmp_path: Path, watched: Watched, wall: WallClock, by: float
) -> None:
    """Delays, tokens and the summary's seconds go by the steady clock; each row is applied once."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(ROWS))
    with served(rate_limit=200) as sandbox:
        sandbox.on_update = jump_at(ROWS // 2, wall, by)
        began = time.monotonic()
        ended = watched.call("run", sheet, "--yes", "--concurrency", "1", env=environment(sandbox.base_url))
        took = time.monotonic() - began
        assert ended.returncode == 0, ended.stderr
        rows = read_result(newest_run(sheet) / "results.csv")
        judge(rows, ROWS, sandbox)
        sent = [entry["order_id"] for entry in puts(sandbox) if entry["applied"]]
        assert sorted(sent) == sorted(row["result_order_id"] for row in rows)
    summary = summary_of(sheet)
    assert 0.001 < summary["seconds"] <= took
    assert all(int(row["result_duration_ms"]) <= took * 1000 for row in rows)


@pytest.mark.parametrize("by", [DAY, -DAY])
def test_an_interrupted_run_is_picked_up_although_the_clock_has_jumped(
    tmp_path: Path, watched: Watched, wall: WallClock, by: float
) -> None:
    """The newest run is the one made last, whatever the clock said: no row is sent twice."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(ROWS))
    with served() as sandbox:
        env = environment(sandbox.base_url)
        assert watched.call("run", sheet, "--yes", "--rows", "57-61", env=env).returncode == 0
        wall.ahead = by
        sandbox.options = type(sandbox.options)(token=TOKEN, deaf=1.0)
        assert watched.call("run", sheet, "--yes", "--restart", "--canary", "1", env=env).returncode == 6
        sandbox.options = type(sandbox.options)(token=TOKEN)
        sandbox.ledger.clear()
        ended = watched.call("run", sheet, "--yes", env=env)
        assert ended.returncode == 3, "the canary has failed"
        assert "Picking up the unfinished run" in ended.stderr
        assert len(puts(sandbox)) == ROWS - 1


def test_ids_of_runs_keep_their_order_when_the_clock_is_put_back(tmp_path: Path, wall: WallClock) -> None:
    """A later run sorts after an earlier one, and does not wait for the clock to catch up."""
    made = [folder.new_run(tmp_path).run_id]
    wall.ahead = -DAY
    made += [folder.new_run(tmp_path).run_id for _ in range(20)]
    assert made == sorted(made)


@pytest.mark.parametrize("by", [DAY, -DAY])
def test_a_date_to_wait_for_is_taken_against_the_answers_own_date(wall: WallClock, by: float) -> None:
    """A wrong clock here neither shortens nor lengthens the pause."""
    now = datetime.now(UTC)
    wall.ahead = by
    form = "%a, %d %b %Y %H:%M:%S GMT"
    headers = {"Date": f"{now:{form}}", "Retry-After": f"{now + timedelta(seconds=7):{form}}"}
    assert retry_after(headers) == 7.0

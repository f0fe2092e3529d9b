import os
import time
from pathlib import Path
from typing import Any

import pytest
from support.journals import A, S, some_facts

from batch_updater.app.prune import DAY, prune
from batch_updater.common.errors import SettingsError
from batch_updater.common.models import StatusUpdate
from batch_updater.journal.draft import Draft
from batch_updater.journal.facts import Ended, Phase
from batch_updater.journal.lock import lock_input

OLD, NEW = 40, 3  # days


def run(place: Path, number: int, days: float, phase: Phase = Phase.FINISHED, **facts: Any) -> str:
    """A run of `o.csv` that ended so many days ago; its id."""
    ended = time.time() - days * DAY
    end = Ended(started=ended, ended=ended, seconds=1, exit_code=0, reason="", rows_per_second=1)
    run_id = f"20260101T00000{number}Z-0000"
    folder = place / run_id
    folder.mkdir(parents=True)
    draft = Draft.create(folder / "journal.sqlite")
    draft.add([StatusUpdate(2, A, S)])
    name = {"name": "o.csv", "input": str(place.parent / "o.csv"), "path": "../o.csv"}
    draft.settle("hold").seal(some_facts(run_id=run_id, phase=phase, end=end, **{**name, **facts})).close()
    return run_id


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "o.csv").write_text("order_id,status_id\n")
    return tmp_path / "o.runs"


def removed(place: Path, days: int = 30) -> list[str]:
    """The runs that are gone, each with all its files; the others are still there."""
    before = {path.name for path in place.iterdir() if path.is_dir()}
    found = [folder.run_id for folder in prune(place.parent / "o.csv", days)]
    left = {path.name for path in place.iterdir() if path.is_dir()}
    assert left == before - set(found)
    return found


def test_only_runs_that_finished_longer_ago_are_removed(place: Path) -> None:
    """A younger run stays, and so does an old one that can still be resumed or that can't be read."""
    gone = run(place, 1, OLD)
    run(place, 2, NEW)
    run(place, 3, OLD, Phase.STOPPED, name="other.csv", path="../other.csv")
    damaged = run(place, 4, OLD)
    (place / damaged / "journal.sqlite").write_bytes(b"no database")
    assert removed(place) == [gone]
    assert removed(place) == []
    assert removed(place, days=2) == ["20260101T000002Z-0000"]


def test_a_run_that_hides_an_unfinished_one_stays(place: Path) -> None:
    """Without the newest run of the sheet the same command would go on with one that was left long ago."""
    run(place, 1, OLD, Phase.STOPPED)
    gone = run(place, 2, OLD)
    run(place, 3, OLD)
    other = run(place, 4, OLD, name="other.csv", path="../other.csv")
    assert removed(place) == [gone, other]


def test_a_run_that_a_later_one_needs_stays(place: Path) -> None:
    """A follow-up that stays keeps the run it follows and the first one; when it is old too, all go."""
    first = run(place, 1, OLD)
    second = run(place, 2, OLD, parent=first, root=first)
    third = run(place, 3, NEW, parent=second, root=first)
    other = run(place, 4, OLD)
    assert removed(place) == [other]
    assert removed(place, days=1) == [first, second, third]


def test_a_run_with_an_unfinished_undo_stays(place: Path) -> None:
    """Its undo lies in its folder, and would be lost half done."""
    undone = run(place, 1, OLD)
    undo = run(place / undone / "undo.runs", 2, OLD, Phase.SENDING, name="undo.csv")
    assert removed(place) == []
    (place / undone / "undo.runs" / undo / "journal.sqlite").unlink()
    for path in (place / undone / "undo.runs" / undo).iterdir():
        path.unlink()
    assert removed(place) == [undone]


def test_a_run_that_somebody_works_with_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sheet is locked while it is verified, undone or followed up."""
    monkeypatch.setattr("batch_updater.journal.lock.PATIENCE", 0.01)
    gone = run(place, 1, OLD)
    with lock_input(place, place.parent / "o.csv"):
        assert removed(place) == []
    assert removed(place) == [gone]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove everything")
def test_a_run_that_cannot_be_removed_is_named(place: Path) -> None:
    """Somebody else's folder: said, with what to do."""
    gone = run(place, 1, OLD)
    place.chmod(0o500)
    try:
        with pytest.raises(SettingsError, match=f"{gone} can't be removed"):
            prune(place, 30)
    finally:
        place.chmod(0o700)

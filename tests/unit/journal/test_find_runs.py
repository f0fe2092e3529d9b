from pathlib import Path
from typing import Any

import pytest
from support.journals import some_facts

from batch_updater.common.errors import ResumeError
from batch_updater.journal.draft import Draft
from batch_updater.journal.facts import Phase, RunFacts
from batch_updater.journal.find_runs import newest_runs
from batch_updater.journal.run_folder import JOURNAL

SHEET = some_facts(name="o.csv", path="../o.csv", sha256="a")


def run(place: Path, number: int, **facts: Any) -> None:
    """A run folder with a journal; a higher number is newer."""
    run_id = f"20261123T101500Z-{number:04x}"
    (place / run_id).mkdir()
    settled = Draft.create(place / run_id / JOURNAL).settle("hold")
    settled.seal(some_facts(**{"run_id": run_id, "path": "../o.csv", "sha256": "a", **facts})).close()


def found(place: Path, wanted: RunFacts = SHEET) -> list[int | None]:
    """The number of the newest run of this input, and that of the newest of the same bytes."""
    return [run and int(run.folder.run_id[-4:], 16) for run in newest_runs(place, wanted)]  # type: ignore[misc]


def test_a_place_without_runs_has_no_newest_run(tmp_path: Path) -> None:
    """Neither of the input nor of its bytes."""
    assert found(tmp_path) == [None, None]


def test_the_newest_run_of_an_input_is_found_whatever_its_bytes(tmp_path: Path) -> None:
    """And beside it the newest one of the same bytes, which may be older."""
    run(tmp_path, 1)
    run(tmp_path, 2, phase=Phase.FINISHED)
    run(tmp_path, 3, sha256="b", phase=Phase.FINISHED)
    assert found(tmp_path) == [3, 2]


def test_a_sheet_of_the_same_name_elsewhere_is_another_input(tmp_path: Path) -> None:
    """Its runs count only by their bytes."""
    run(tmp_path, 1, phase=Phase.FINISHED)
    run(tmp_path, 2, path="../other/o.csv")
    assert found(tmp_path) == [1, 2]


def test_what_has_no_name_is_one_input_of_its_place(tmp_path: Path) -> None:
    """The newest run of stdin or a DataFrame counts, whatever its bytes; a sheet's runs beside them do not."""
    run(tmp_path, 1, name="-", path="", phase=Phase.FINISHED)
    run(tmp_path, 2, name="the DataFrame", path="", sha256="b", phase=Phase.FINISHED)
    run(tmp_path, 3, sha256="c")
    assert found(tmp_path, some_facts(name="-", sha256="a")) == [2, 1]


def test_a_damaged_run_is_in_the_way_unless_the_input_has_a_newer_one(tmp_path: Path) -> None:
    """It may be this input's newest run, and its rows may be in doubt; an older one was left behind."""
    run(tmp_path, 1)
    (tmp_path / "20261123T101500Z-0001" / JOURNAL).write_bytes(b"")
    with pytest.raises(ResumeError, match="20261123T101500Z-0001, can't be picked up"):
        found(tmp_path)
    run(tmp_path, 2, sha256="b", phase=Phase.FINISHED)
    assert found(tmp_path) == [2, None]

"""Run folders: who may read them, and what they are called when the sheet has a long name."""

import os
import stat
from pathlib import Path

import pytest
from support.journals import A, S, plan

from batch_updater.common.errors import LockedError
from batch_updater.journal.frozen_input import freeze
from batch_updater.journal.lock import lock_input
from batch_updater.journal.run_folder import JOURNAL, STDIN, UNDO_SHEET, new_run, run_of, runs_place, short_name


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("sheet", "folder", "file"),
    [(0o600, 0o700, 0o600), (0o644, 0o750, 0o640), (0o660, 0o770, 0o660), (0o640, 0o750, 0o640), (0o604, 0o700, 0o600)],
)
def test_a_run_is_for_its_owner_and_for_the_group_that_the_sheet_is_for(
    tmp_path: Path, sheet: int, folder: int, file: int
) -> None:
    """Whatever others may do with the sheet; journal, copy and claims too, whatever the umask is."""
    source = tmp_path / "o.csv"
    source.write_text("x")
    source.chmod(sheet)
    before = os.umask(0)
    try:
        run = new_run(tmp_path, source)
        freeze(source, run)
        plan(run.path, [(2, A, S)]).close()
        run.write_summary({})
    finally:
        os.umask(before)
    assert mode(run.path) == folder
    assert {path.name: oct(mode(path)) for path in run.path.iterdir()} == dict.fromkeys(
        ("input.csv", "j.sqlite", "j.claims", "summary.json"), oct(file)
    )


def test_a_run_of_stdin_is_for_its_owner_alone(tmp_path: Path) -> None:
    """There is no sheet whose group could be meant."""
    assert mode(new_run(tmp_path, STDIN).path) == 0o700


def test_a_group_that_can_not_be_given_gets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the group that this account makes files for could read them, and not that of the sheet."""
    source = tmp_path / "o.csv"
    source.write_text("x")
    source.chmod(0o660)

    def refuse(*_values: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    run = new_run(tmp_path, source)
    freeze(source, run)
    assert [mode(run.path), mode(run.input_path)] == [0o700, 0o600]


def test_a_file_system_without_permissions_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as that of a memory stick."""
    source = tmp_path / "o.csv"
    source.write_text("x")

    def refuse(*_values: object, **_more: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "chmod", refuse)
    run = new_run(tmp_path, source)
    assert freeze(source, run)
    run.write_summary({})
    assert (run.path / "summary.json").read_text() == "{}\n"


@pytest.mark.parametrize("stem", ["x" * 251, "ü" * 125, "€" * 83, "😀" * 62, "x" * 241])
def test_a_long_name_leaves_room_for_what_is_added(tmp_path: Path, stem: str) -> None:
    """The folder of runs and the locks can be made, and the same sheet finds them again."""
    sheet = tmp_path / f"{stem}.csv"
    sheet.write_text("x")
    place = runs_place(sheet, None)
    assert place == runs_place(sheet, None)
    with lock_input(place, sheet):
        run = new_run(place, sheet)
        assert freeze(sheet, run)
        with pytest.raises(LockedError), lock_input(place, sheet):
            pass


def test_long_names_that_begin_alike_are_told_apart() -> None:
    """And a name that fits is left as it is."""
    assert short_name("x" * 240) == "x" * 240
    assert short_name("x" * 250 + "a") != short_name("x" * 250 + "b")
    assert len(os.fsencode(short_name("ü" * 200))) <= 240


@pytest.mark.parametrize("ending", [".a sentence that goes on for long", "."])
def test_what_is_no_ending_does_not_name_the_copy(tmp_path: Path, ending: str) -> None:
    """A dot in the middle of a name is not the beginning of an ending."""
    sheet = tmp_path / f"o{ending}"
    sheet.write_text("x")
    run = new_run(tmp_path, sheet)
    freeze(sheet, run)
    assert run.input_path.name == "input.csv"


def test_a_file_of_a_run_belongs_to_it_but_for_the_sheet_of_its_undo(tmp_path: Path) -> None:
    """A follow-up lies beside the run whose file it is made from, an undo inside the run that it undoes."""
    run = new_run(tmp_path / "o.runs")
    (run.path / JOURNAL).touch()
    assert run_of(run.path / "results.csv") == run
    assert runs_place(run.path / "results.csv", None) == tmp_path / "o.runs"
    assert runs_place(run.path / UNDO_SHEET, None) == run.path / "undo.runs"
    assert run_of(tmp_path / "results.csv") is None

import contextlib
import errno
import os
from pathlib import Path

import pytest
from support.windows import WindowsOs

from batch_updater.common.files import overwrite, replaced, sync


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    """Until the end the old bytes are there; then the new ones, and nothing else."""
    path = tmp_path / "report.html"
    path.write_text("old")
    with replaced(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert part.suffix == ".html"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    """Whatever ends the writing, the file is as it was."""
    path = tmp_path / "x.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replaced(path) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_written_is_flushed_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut after the move must find the bytes."""
    flushed: list[tuple[str, bool]] = []
    path = tmp_path / "x.csv"
    monkeypatch.setattr("batch_updater.common.files.sync", lambda part: flushed.append((part.suffix, path.exists())))
    with replaced(path) as part:
        part.write_text("new")
    assert flushed == [(".csv", False)]


@pytest.mark.parametrize(("text", "stays"), [("same", True), ("other", False)])
def test_a_file_of_the_same_bytes_stays_when_that_is_asked_for(tmp_path: Path, text: str, stays: bool) -> None:
    """Its reader keeps the very file that it has open."""
    path = tmp_path / "undo.csv"
    path.write_text("same")
    before = path.stat().st_ino
    with replaced(path, unless_same=True) as part:
        part.write_text(text)
    assert (path.stat().st_ino == before) is stays
    assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_windows_flushes_what_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder can't be opened there, and a file is flushed by a handle that may write; both are no error."""
    monkeypatch.setattr("batch_updater.common.files.os", WindowsOs())
    path = tmp_path / "x.csv"
    path.write_bytes(b"00000000\n")
    sync(tmp_path)
    sync(path)
    overwrite(path, b"17")
    assert path.read_bytes() == b"17000000\n"


@pytest.mark.parametrize(("code", "is_error"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_folder_that_cannot_be_flushed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, is_error: bool
) -> None:
    """Some network file systems know no such thing; a disk that fails is told, and so is any file."""

    def refuse(_handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("batch_updater.common.files.os.fsync", refuse)
    with pytest.raises(OSError, match=os.strerror(code)) if is_error else contextlib.nullcontext():
        sync(tmp_path)
    (tmp_path / "x").touch()
    with pytest.raises(OSError, match=os.strerror(code)):
        sync(tmp_path / "x")

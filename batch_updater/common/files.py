"""Write files completely or not at all, and keep those of a run from other people's eyes."""

import errno
import filecmp
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}")


def whole_path(path: Path) -> Path:
    """Return a path as it holds in any working folder; as it is when somebody has removed the present one."""
    try:
        return path.absolute()
    except FileNotFoundError:
        return path


def sync(path: Path) -> None:
    """Flush a file or folder to the disk. Raises OSError.

    Windows can't flush a folder, nor a file that is only open to be read; some network file systems flush no folder.
    """
    is_folder, is_windows = path.is_dir(), os.name == "nt"
    if is_folder and is_windows:
        return
    handle = os.open(path, os.O_RDWR if is_windows else os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if not is_folder or error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(handle)


def overwrite(path: Path, data: bytes) -> None:
    """Put bytes in the place of the first ones of a file, in one write that needs no disk space. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | getattr(os, "O_BINARY", 0))
    try:
        if hasattr(os, "pwrite"):
            os.pwrite(handle, data, 0)
        else:  # Windows
            os.write(handle, data)
    finally:
        os.close(handle)


def make_private_folder(path: Path, sheet: Path) -> None:
    """Make a folder for its owner alone, and for the group of the sheet as far as that may read and write the sheet.

    A file system that knows no such permissions is no error. Raises OSError when no folder can be made.
    """
    path.mkdir(0o700)
    with suppress(OSError, AttributeError):  # Windows has no groups
        found = sheet.stat()
        bits = (0o050 if found.st_mode & stat.S_IRGRP else 0) | (0o020 if found.st_mode & stat.S_IWGRP else 0)
        if bits:
            os.chown(path, -1, found.st_gid)  # not the group that this account makes files for
            path.chmod(0o700 | bits)


def make_private(path: Path) -> None:
    """Give a file of a run the permissions of the run's folder."""
    with suppress(OSError, AttributeError):
        folder = path.parent.stat()
        path.chmod(0o600)
        os.chown(path, -1, folder.st_gid)
        path.chmod(0o600 | folder.st_mode & 0o060)


@contextmanager
def replaced(path: Path, *, unless_same: bool = False) -> Iterator[Path]:
    """Yield a path in the same folder to write to; at the end that file is flushed and replaces `path`.

    On an error nothing is left behind and `path` is unchanged; with `unless_same` also when it has the same bytes
    already. A file in the folder of a run gets its permissions. Raises OSError.
    """
    part = path.with_name(f".{path.stem}.part{path.suffix}")  # one name: what a killed run left is overwritten
    try:
        yield part
        if unless_same and path.exists() and filecmp.cmp(part, path, shallow=False):
            return
        if RUN_ID.fullmatch(path.parent.name):
            make_private(part)
        sync(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

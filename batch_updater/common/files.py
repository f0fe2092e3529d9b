"""Files that are whole or not there."""

import filecmp
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync(path: Path) -> None:
    """Flush a file or folder to the disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replaced(path: Path, *, unless_same: bool = False) -> Iterator[Path]:
    """Yield a place in the same folder to write to; at the end what is there is flushed and takes the place of `path`.

    On an error nothing is left behind, and `path` stays as it was; with `unless_same` also when it has these bytes
    already. Raises OSError.
    """
    part = path.with_name(f".{path.stem}.part{path.suffix}")  # one name: what a kill has left is written over
    try:
        yield part
        if unless_same and path.exists() and filecmp.cmp(part, path, shallow=False):
            return
        sync(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

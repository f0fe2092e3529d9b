"""Write files completely or not at all."""

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
    """Yield a path in the same folder to write to; at the end that file is flushed and replaces `path`.

    On an error nothing is left behind and `path` is unchanged; with `unless_same` also when it has the same bytes
    already. Raises OSError.
    """
    part = path.with_name(f".{path.stem}.part{path.suffix}")  # one name: what a killed run left is overwritten
    try:
        yield part
        if unless_same and path.exists() and filecmp.cmp(part, path, shallow=False):
            return
        sync(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

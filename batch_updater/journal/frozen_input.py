"""The exact bytes that a run was planned from, copied into its folder."""

import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from batch_updater.common.errors import InputError, StoppedError
from batch_updater.common.files import make_private, sync
from batch_updater.common.remedies import Remedy
from batch_updater.journal.run_folder import STDIN, RunFolder

PIECE = 1 << 20
LONGEST_SUFFIX = 16  # what comes after a dot in the middle of a sentence is no ending


def freeze(file: Path, folder: RunFolder) -> str:
    """Copy the sheet's bytes into the run folder and return their SHA-256.

    Raises InputError when the file can't be read or changes meanwhile, StoppedError when the copy can't be written.
    """
    if file == STDIN:
        return _copy(_pieces(sys.stdin.buffer, file), folder.path / "input.csv")
    try:
        with file.open("rb") as stream:
            before = os.fstat(stream.fileno())
            digest = _copy(_pieces(stream, file), folder.path / _name_for(file))
        after = file.stat()
        if not stat.S_ISREG(after.st_mode):
            return digest  # a named pipe changes by being read
    except OSError as error:
        raise _unreadable(file, error) from None
    if (before.st_size, before.st_mtime_ns, before.st_ino) != (after.st_size, after.st_mtime_ns, after.st_ino):
        raise InputError(f"{file} changed while it was being read.", "wait until it has been saved, then run again")
    return digest


def _name_for(file: Path) -> str:
    suffix = file.suffix.lower()
    return f"input{suffix if 1 < len(suffix) <= LONGEST_SUFFIX else '.csv'}"


def _unreadable(file: Path, error: OSError) -> InputError:
    return InputError(f"{file} can't be read: {error.strerror}.", "check the name and its permissions")


def _pieces(stream: BinaryIO, file: Path) -> Iterator[bytes]:
    try:
        while piece := stream.read(PIECE):
            yield piece
    except OSError as error:
        raise _unreadable(file, error) from None


def _copy(pieces: Iterator[bytes], target: Path) -> str:
    digest = hashlib.sha256()
    try:
        with target.open("xb") as copy:
            for piece in pieces:
                digest.update(piece)
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
        make_private(target)
        sync(target.parent)
    except OSError as error:
        raise StoppedError(
            f"The sheet can't be copied to {target.parent}: {error.strerror}; nothing was sent.",
            Remedy("free some disk space, or choose another place with {runs_dir}"),
        ) from None
    return digest.hexdigest()

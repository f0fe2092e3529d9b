"""The result file as a workbook: the person's own with result columns, or a plain new one.

`layout` finds the columns' places, `sheet` adds them to the worksheet's XML through `splice`, `cells` makes the cells,
`parts` changes styles, tables and names, `package` copies all other parts as they are, `plain` is the new workbook.
"""

import contextlib
import logging
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from batch_updater.common.log import event
from batch_updater.common.models import ResultRow
from batch_updater.common.secret import Secret, masked
from batch_updater.inputs.archive import find_part
from batch_updater.inputs.excel.password import encrypt
from batch_updater.inputs.excel.worksheet import SheetError, UserSheet
from batch_updater.reports.workbook.layout import UnsuitableError, lay_out
from batch_updater.reports.workbook.package import rewrite
from batch_updater.reports.workbook.parts import TYPES, change_parts, with_macro_type
from batch_updater.reports.workbook.plain import write_plain
from batch_updater.reports.workbook.sheet import SheetCopy

_BYTES_PER_ROW = 2_000  # of result cells, at most, where no text is very long
_DAMAGE = (
    SheetError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    LookupError,
    ValueError,
    EOFError,
    NotImplementedError,
)


@dataclass(frozen=True, slots=True)
class Written:
    """A workbook that was written: whether it is the person's own, and what a person should know about it."""

    is_own: bool
    notes: list[str]


def write_workbook(
    path: Path, header: Sequence[str], rows: Iterable[ResultRow], own: UserSheet | None, password: Secret | None
) -> Written:
    """Write the person's own workbook with results in it, else a plain new one and a note that says why.

    `rows` is read a second time then. A file that was opened with a password gets the same one. Raises OSError.
    """
    macros = path.suffix.lower() == ".xlsm"
    with _with_password(path, password) as place:
        notes = []
        if own is not None:
            try:
                return Written(is_own=True, notes=_add_results(place, rows, own, macros=macros))
            except (UnsuitableError, *_DAMAGE) as error:
                notes.append(_why_new(error))
        return Written(is_own=False, notes=[*notes, *_write_new(place, header, rows, macros=macros)])


@contextlib.contextmanager
def _with_password(path: Path, password: Secret | None) -> Iterator[Path]:
    """Yield where to write a workbook; with a password, a private place from which it is encrypted to `path`."""
    if password is None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="batch-updater-") as folder:
        plain = Path(folder) / path.name
        yield plain
        encrypt(plain, path, password)


def _why_new(error: Exception) -> str:
    reason = str(error)
    if not isinstance(error, UnsuitableError):
        event("no_own_workbook", logging.WARNING, error=masked(f"{type(error).__name__}: {error}"))
        reason = "a part of it can't be read"
    return f"the result file is a plain new workbook, because results can't be added to your own: {reason}"


def _write_new(place: Path, header: Sequence[str], rows: Iterable[ResultRow], *, macros: bool) -> list[str]:
    if not macros:
        return write_plain(place, header, rows)
    with tempfile.TemporaryDirectory(prefix="batch-updater-") as folder:
        plain = Path(folder) / "plain.xlsx"
        notes = write_plain(plain, header, rows)
        with zipfile.ZipFile(plain) as archive:
            rewrite(archive, place, {TYPES: with_macro_type(archive.read(TYPES))}, ())
    return notes


def _add_results(place: Path, rows: Iterable[ResultRow], own: UserSheet, *, macros: bool) -> list[str]:
    layout = lay_out(own)
    with zipfile.ZipFile(own.path) as archive:
        changes = change_parts(archive, own, layout, macros=macros)
        copy = SheetCopy(own, layout, rows, changes.styles)

        def write(target: Callable[[bytes], object]) -> None:
            with archive.open(find_part(archive, own.part)) as stream:
                copy.run(stream, target)

        growth = _BYTES_PER_ROW * (own.facts.last_row + 1)
        rewrite(archive, place, {**changes.parts, own.part: write}, changes.dropped, growth)
    return [*changes.notes, *copy.cuts.notes()]

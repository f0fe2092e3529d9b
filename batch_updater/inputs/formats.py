"""The registry of formats and packings: how each kind of file is opened."""

import gzip
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from batch_updater.common.errors import InputError
from batch_updater.inputs.archive import only_member
from batch_updater.inputs.delimited_text import TextTable
from batch_updater.inputs.encoding import Opener
from batch_updater.inputs.excel.ods import FlatDocumentTable, OpenDocumentTable
from batch_updater.inputs.excel.ole import SIGNATURE, OleError
from batch_updater.inputs.excel.password import open_encrypted
from batch_updater.inputs.excel.result_sheets import open_excel
from batch_updater.inputs.excel.xls import open_old_excel
from batch_updater.inputs.json_lines import JsonLinesTable, is_json_object
from batch_updater.inputs.parquet import ParquetTable
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.table import Kind, Table

# From a file, what messages call it, and how to read it. Raises InputError, or the damage of its packing.
OpenTable = Callable[[Path, Path, ReadOptions], Table]


@dataclass(frozen=True, slots=True)
class Packing:
    """A container or compression that a sheet can be in.

    `suffix` is the ending that asks for unpacking, empty when the name is that of the sheet inside; `magic` is how the
    file begins; `damage` is what opening it raises when it is cut off or changed.
    """

    kind: Kind
    suffix: str
    magic: bytes
    open: OpenTable
    damage: tuple[type[Exception], ...]


def open_table(kind: Kind, path: Path, name: Path, options: ReadOptions) -> Table:
    """Open a file of this kind. Raises InputError, naming it as `name`, when it can't be read with certainty."""
    packing = next((packing for packing in PACKINGS if packing.kind is kind), None)
    if packing is None:
        return FORMATS[kind](path, name, options)
    if packing.suffix and name.suffix.lower() != packing.suffix:
        raise InputError(f"{name} is packed ({kind}), but not named so.", f"unpack it, or name it *{packing.suffix}")
    try:
        return packing.open(path, name, options)
    except packing.damage:
        raise InputError(f"{name} ({kind}) is cut off or damaged.", "copy or download it again") from None


def _open_text(open_file: Opener, name: Path, options: ReadOptions) -> Table:
    with open_file() as stream:
        is_json = is_json_object(stream.read(4096))
    return JsonLinesTable(open_file, name, options) if is_json else TextTable(open_file, name, options)


def _open_plain(path: Path, name: Path, options: ReadOptions) -> Table:
    return _open_text(lambda: path.open("rb"), name, options)


def _open_gzip(path: Path, name: Path, options: ReadOptions) -> Table:
    return _open_text(lambda: cast("BinaryIO", gzip.open(path)), name, options)


def _open_zip(path: Path, name: Path, options: ReadOptions) -> Table:
    member = only_member(path, name)

    def open_member() -> BinaryIO:
        with zipfile.ZipFile(path) as archive:  # the file stays open as long as its member is
            return cast("BinaryIO", archive.open(member))

    try:
        return _open_text(open_member, name, options)
    except NotImplementedError as error:
        raise InputError(
            f"{name} is packed by a method that can't be read ({error}).", "unpack it, then name the sheet in it"
        ) from None


_UNPACKING = (EOFError, zlib.error)
PACKINGS = (
    Packing(Kind.GZIP, ".gz", b"\x1f\x8b", _open_gzip, (*_UNPACKING, gzip.BadGzipFile)),
    Packing(Kind.ZIP, ".zip", b"PK", _open_zip, (*_UNPACKING, zipfile.BadZipFile)),
    Packing(Kind.ENCRYPTED, "", SIGNATURE, open_encrypted, (OleError,)),
)
FORMATS: dict[Kind, OpenTable] = {
    Kind.TEXT: _open_plain,
    Kind.JSON_LINES: _open_plain,
    Kind.XLSX: open_excel,
    Kind.XLS: open_old_excel,
    Kind.ODS: OpenDocumentTable,
    Kind.FODS: FlatDocumentTable,
    Kind.PARQUET: ParquetTable,
    **{packing.kind: packing.open for packing in PACKINGS},
}

"""Zip containers: what they hold, and whether that is safe to unpack.

Memory must not grow before these limits are checked: a file of 285 KB can unpack to 96 MB.
"""

import os
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from batch_updater.common.errors import InputError
from batch_updater.inputs.table import EXCEL, TEXT

MEGABYTE = 1 << 20
MOST_UNPACKED = 2048 * MEGABYTE
MOST_RATIO = 150  # real sheets reach 20, very uniform ones 60
RATIO_FROM = 32 * MEGABYTE  # below that no ratio is dangerous
MOST_MEMBERS = 10_000
_OFFICE = {"[content_types].xml", "content.xml"}
MOST_STREAMED = 1 << 40  # a packed CSV is streamed, so that only its ratio and a far limit matter
MOST_STREAMED_RATIO = 1000


def check_zip(path: Path, name: Path) -> list[zipfile.ZipInfo]:
    """Return the members of a zip container that unpacks to no more than the limits. Raises InputError."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        what = "not a readable Excel file: it is " if name.suffix.lower() in EXCEL else ""
        raise InputError(f"{name} is {what}cut off or damaged.", "copy or download it again") from None
    if any(info.flag_bits & 1 for info in members):
        raise InputError(f"{name} is a zip file with a password.", "unpack it, then name the sheet in it")
    if not all(info.filename for info in members):
        raise InputError(f"{name} is damaged: it holds a part without a name.", "copy or download it again")
    names = {part_name(info.filename) for info in members}
    if len({info.filename for info in members}) != len(members) or (_OFFICE & names and len(names) != len(members)):
        raise InputError(f"{name} is damaged: it holds two parts of the same name.", "save it again in Excel")
    office = bool(_OFFICE & names)
    _check_sizes(members, name, *((MOST_UNPACKED, MOST_RATIO) if office else (MOST_STREAMED, MOST_STREAMED_RATIO)))
    if office and (false := _false_size(path, members)):
        raise InputError(f"{name} is damaged: {false!r} is larger than it says.", "save it again in Excel")
    return members


def part_name(stored: str) -> str:
    """Return the name of a part of an office document as it is compared: some programs write `XL\\Workbook.xml`."""
    return stored.replace("\\", "/").casefold()


def find_part(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Return the part of this name, whatever the letter case and slashes. Raises KeyError."""
    for info in archive.infolist():
        if part_name(info.filename) == part_name(name):
            return info
    raise KeyError(f"it has no part {name!r}")


def _check_sizes(members: list[zipfile.ZipInfo], name: Path, most: int, ratio: int) -> None:
    unpacked, packed = sum(info.file_size for info in members), sum(info.compress_size for info in members)
    if len(members) > MOST_MEMBERS or unpacked > most:
        raise InputError(
            f"{name} would unpack to {unpacked // MEGABYTE:,} MB; at most {most // MEGABYTE:,} MB are read.",
            "delete what is not needed, or save the sheet as CSV UTF-8",
        )
    if unpacked > max(RATIO_FROM, ratio * packed):
        raise InputError(
            f"{name} unpacks to {unpacked // max(packed, 1):,} times its size, as only a damaged or hostile file does.",
            "copy the rows into a new sheet, or save it as CSV UTF-8",
        )


def _false_size(path: Path, members: list[zipfile.ZipInfo]) -> str:
    """Return the first member that unpacks to more than the container says; empty when there is none.

    It is unpacked piece by piece and discarded, for libraries read to the end of the packed data, whatever its header
    says.
    """
    with path.open("rb") as stream:
        for info in members:
            stream.seek(info.header_offset + 26)
            lengths = stream.read(4)
            stream.seek(int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little"), os.SEEK_CUR)
            if info.compress_type == zipfile.ZIP_STORED:
                size = info.compress_size
            elif info.compress_type == zipfile.ZIP_DEFLATED:
                size = _unpacked_size(stream, info)
            else:
                return info.filename  # no office program packs otherwise
            if size > info.file_size:
                return info.filename
    return ""


def _unpacked_size(stream: BinaryIO, info: zipfile.ZipInfo) -> int:
    unpacker, size, left = zlib.decompressobj(-zlib.MAX_WBITS), 0, info.compress_size
    while left > 0 and size <= info.file_size and not unpacker.eof:
        piece = stream.read(min(left, 1 << 16))
        left -= len(piece)
        if not piece:
            break
        while piece and size <= info.file_size:
            try:
                size += len(unpacker.decompress(piece, MEGABYTE))
            except zlib.error:
                return size  # damaged; its reader will say so
            piece = unpacker.unconsumed_tail
    return size


def only_member(path: Path, name: Path) -> str:
    """Return the name of the one sheet in a zip file. Raises InputError when there is none, or several."""
    names = [
        info.filename
        for info in check_zip(path, name)
        if not info.is_dir()
        and not info.filename.startswith("__MACOSX/")
        and not Path(info.filename).name.startswith(".")
    ]
    if len(names) != 1:
        raise InputError(f"{name} holds {len(names)} files; it must be one CSV.", "unpack it, then name the sheet")
    if Path(names[0]).suffix.lower() not in TEXT | {".jsonl", ".ndjson"}:
        raise InputError(f"{name} holds {names[0]!r}, which is not a CSV.", "unpack it, then name the sheet in it")
    return names[0]

"""Rewrite a zip file: a few members anew, the others copied as they are packed."""

import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import IO, cast

from batch_updater.inputs.archive import part_name

_LOCAL_HEADER = 30  # bytes, before the name
_PIECE = 1 << 16
_LARGE = 1 << 31  # bytes from which a member may need the larger fields of zip64
Content = bytes | Callable[[Callable[[bytes], object]], None]  # of a member; a function writes it in pieces


def rewrite(
    source: zipfile.ZipFile, target: Path, contents: Mapping[str, Content], dropped: Collection[str], growth: int = 0
) -> None:  # fmt: skip
    """Write a copy of `source` without the `dropped` members, and with these `contents` in place of their own.

    Order, dates and packing stay. A member that is written in pieces may grow by `growth` bytes. Names are compared by
    `part_name`. Raises OSError.
    """
    changed, gone = {part_name(name): content for name, content in contents.items()}, set(map(part_name, dropped))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for info in source.infolist():
            content = changed.get(part_name(info.filename))
            if part_name(info.filename) in gone:
                continue
            if content is None:
                _copy(source, info, archive)
                continue
            new = zipfile.ZipInfo(info.filename, info.date_time)
            new.compress_type, new.external_attr = zipfile.ZIP_DEFLATED, info.external_attr
            if isinstance(content, bytes):
                archive.writestr(new, content)
                continue
            with archive.open(new, "w", force_zip64=info.file_size + growth >= _LARGE) as stream:
                content(stream.write)


def _copy(source: zipfile.ZipFile, info: zipfile.ZipInfo, archive: zipfile.ZipFile) -> None:
    """Copy a member without unpacking it, which the standard library has no call for."""
    stream, target = cast("IO[bytes]", source.fp), cast("IO[bytes]", archive.fp)
    stream.seek(info.header_offset)
    header = stream.read(_LOCAL_HEADER)
    if len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"{info.filename} is not where it should be")
    stream.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1)
    new = zipfile.ZipInfo(info.filename, info.date_time)
    new.compress_type, new.external_attr, new.create_system = info.compress_type, info.external_attr, info.create_system
    new.CRC, new.compress_size, new.file_size = info.CRC, info.compress_size, info.file_size
    new.header_offset = target.tell()
    target.write(new.FileHeader())
    left = info.compress_size
    while left and (piece := stream.read(min(left, _PIECE))):
        target.write(piece)
        left -= len(piece)
    if left:
        raise zipfile.BadZipFile(f"{info.filename} is cut off")
    archive.filelist.append(new)
    archive.NameToInfo[new.filename] = new
    archive.start_dir = target.tell()

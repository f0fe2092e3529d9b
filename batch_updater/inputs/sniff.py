"""What a file is by its content, and whether it is safe to open. Nothing is unpacked here.

Memory must not grow before these limits have been looked at: a file of 285 KB can unpack to 96 MB.
"""

import gzip
import os
import re
import zipfile
import zlib
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from batch_updater.common.errors import InputError
from batch_updater.inputs.excel.ole import SIGNATURE, OleContainer, OleError
from batch_updater.inputs.table import BINARY, EXCEL, OTHER, TEXT

MEGABYTE = 1 << 20
MOST_UNPACKED = 2048 * MEGABYTE
MOST_RATIO = 150  # real sheets reach 20, very uniform ones 60
RATIO_FROM = 32 * MEGABYTE  # below that no ratio is dangerous
MOST_MEMBERS = 10_000
MOST_STREAMED = 1 << 40  # a packed CSV is streamed, so that only its ratio and a far limit matter
MOST_STREAMED_RATIO = 1000


class Kind(StrEnum):
    """What the content of a file is."""

    TEXT = "text"
    JSON_LINES = "JSON lines"
    XLSX = "xlsx"
    XLS = "xls"
    ODS = "ods"
    PARQUET = "parquet"
    GZIP = "gzip"
    ZIP = "zip"
    ENCRYPTED = "workbook with a password"


_MAGIC = ((b"PAR1", Kind.PARQUET), (b"\x1f\x8b", Kind.GZIP))
_FOREIGN = ((b"%PDF", "a PDF document"), (b"\x89PNG", "a picture"), (b"\xff\xd8\xff", "a picture"),
            (b"GIF8", "a picture"), (b"SQLite format 3", "a database"), (b"7z\xbc\xaf", "a 7-Zip archive"),
            (b"Rar!", "a RAR archive"), (b"{\\rtf", "an RTF document"))  # fmt: skip
_OLE_STREAMS = (("EncryptedPackage", Kind.ENCRYPTED), ("Workbook", Kind.XLS), ("Book", Kind.XLS))
_PAGE = re.compile(rb"\s*<(!doctype html|html|head|table|meta|style)", re.IGNORECASE)
_ARRAY = re.compile(rb"\[\s*[{\[\]]")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def check_file(path: Path) -> None:
    """Raise InputError when this can't be a sheet, before anything is done with it."""
    if _ADDRESS.match(str(path)):
        raise InputError(f"{path} is an address, not a file.", "download it first, then name the file")
    if path.is_dir():
        raise InputError(f"{path} is a folder.", f"name one sheet in it{_first_sheet(path)}")
    if not path.exists():
        raise InputError(f"{path} does not exist.", "check the name")
    if not path.is_file():
        return  # a named pipe: its content tells
    known = EXCEL | TEXT | OTHER
    if path.suffix.lower() not in known | BINARY:
        raise InputError(f"{path} has no ending that says what it is.", f"use {', '.join(sorted(known))}")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty.", "save the sheet again")


def _first_sheet(folder: Path) -> str:
    found = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in EXCEL | TEXT | OTHER)
    return f", e.g. {folder / found[0]}" if found else ""


def kind_of(path: Path, name: Path) -> Kind:
    """What a file is by its first bytes. Raises InputError, naming the file as `name`, when it is no sheet."""
    with path.open("rb") as stream:
        start = stream.read(4096)
    if not start:
        raise InputError(f"{name} is empty.", "save the sheet again")
    for magic, what in _FOREIGN:
        if start.startswith(magic):
            raise InputError(f"{name} is {what}, not a sheet.", "name a CSV or Excel file")
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    if start.startswith(b"PK"):
        return _kind_of_zip(path, name)
    if start.startswith(SIGNATURE):
        return _kind_of_ole(path, name)
    return _kind_of_text(start, name)


def _kind_of_text(start: bytes, name: Path) -> Kind:
    bare = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _PAGE.match(bare):
        raise InputError(
            f"{name} is a web page (HTML) with the name of a sheet.",
            "open it in Excel and save it as .xlsx or CSV UTF-8",
        )
    if bare.startswith(b"<?xml"):
        raise InputError(f"{name} is an XML document.", "open it in Excel and save it as .xlsx or CSV UTF-8")
    if name.suffix.lower() in (EXCEL | BINARY) - {".xls"}:
        raise InputError(f"{name} is text, not Excel.", "give it the ending .csv if that is what it is")
    if _ARRAY.match(bare):
        raise InputError(f"{name} is one JSON array.", "write one object per line, e.g. with `jq -c '.[]'`")
    return Kind.JSON_LINES if bare.startswith(b"{") else Kind.TEXT


def _kind_of_ole(path: Path, name: Path) -> Kind:
    try:
        with path.open("rb") as stream:
            container = OleContainer(stream)
            found = [kind for stream_name, kind in _OLE_STREAMS if stream_name in container]
    except OleError as error:
        raise InputError(f"{name} is no readable Excel file: it {error}.", "open it in Excel, save as .xlsx") from None
    if not found:
        raise InputError(f"{name} is no readable Excel file.", "open it in Excel and save it as .xlsx")
    return found[0]


def _kind_of_zip(path: Path, name: Path) -> Kind:
    members = {info.filename for info in check_zip(path, name)}
    if any(member.startswith("xl/") for member in members):
        return Kind.XLSX
    if "content.xml" in members:
        return Kind.ODS
    if any(member.startswith(("word/", "ppt/")) for member in members):
        raise InputError(f"{name} is a Word or PowerPoint document, not a sheet.", "name a CSV or Excel file")
    return Kind.ZIP


def check_zip(path: Path, name: Path) -> list[zipfile.ZipInfo]:
    """The members of a zip container that unpacks to no more than the limits. Raises InputError."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        what = "no readable Excel file: it is " if name.suffix.lower() in EXCEL else ""
        raise InputError(f"{name} is {what}cut off or damaged.", "copy or download it again") from None
    if any(info.flag_bits & 1 for info in members):
        raise InputError(f"{name} is a zip file with a password.", "unpack it, then name the sheet in it")
    if not all(info.filename for info in members):
        raise InputError(f"{name} is damaged: it holds a part without a name.", "copy or download it again")
    if len({info.filename for info in members}) != len(members):
        raise InputError(f"{name} is damaged: it holds two parts of one name.", "save it again in Excel")
    office = any(info.filename in {"[Content_Types].xml", "content.xml"} for info in members)
    _check_sizes(members, name, *((MOST_UNPACKED, MOST_RATIO) if office else (MOST_STREAMED, MOST_STREAMED_RATIO)))
    if office and (false := _false_size(path, members)):
        raise InputError(f"{name} is damaged: {false!r} is larger than it says.", "save it again in Excel")
    return members


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
    """The first member that unpacks to more than the container says; unpacked piece by piece and thrown away.

    The libraries behind read to the end of the packed data, whatever size is written beside it.
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
    """The one sheet in a zip file. Raises InputError."""
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
        raise InputError(f"{name} holds {names[0]!r}, which is no CSV.", "unpack it, then name the sheet in it")
    return names[0]


def check_name(kind: Kind, path: Path, name: Path) -> None:
    """Raise InputError for a packed file whose name does not ask for unpacking."""
    suffix = {Kind.GZIP: ".gz", Kind.ZIP: ".zip"}.get(kind)
    if suffix and name.suffix.lower() != suffix:
        raise InputError(f"{name} is packed ({kind}), but not named so.", f"unpack it, or rename it to *{suffix}")
    if kind is Kind.GZIP:
        try:
            with gzip.open(path) as stream:
                stream.read(1)
        except (OSError, EOFError):
            raise InputError(f"{name} is a damaged gzip file.", "copy or download it again") from None

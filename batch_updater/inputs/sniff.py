"""Recognise what a file is by its content, without unpacking it."""

import re
from pathlib import Path

from batch_updater.common.errors import InputError
from batch_updater.inputs.archive import check_zip, part_name
from batch_updater.inputs.excel.ole import OleContainer, OleError
from batch_updater.inputs.formats import PACKINGS
from batch_updater.inputs.json_lines import is_json_object
from batch_updater.inputs.table import EXCEL, OTHER, TEXT, Kind

_ENDINGS = EXCEL | TEXT | OTHER | {packing.suffix for packing in PACKINGS if packing.suffix}
_BINARY = {".xlsb"}  # refused by its content, with advice
_FOREIGN = ((b"%PDF", "a PDF document"), (b"\x89PNG", "a picture"), (b"\xff\xd8\xff", "a picture"),
            (b"GIF8", "a picture"), (b"SQLite format 3", "a database"), (b"7z\xbc\xaf", "a 7-Zip archive"),
            (b"Rar!", "a RAR archive"), (b"{\\rtf", "an RTF document"))  # fmt: skip
_OLE_STREAMS = (("EncryptedPackage", Kind.ENCRYPTED), ("Workbook", Kind.XLS), ("Book", Kind.XLS))
_SAVE = "open it in Excel and save it as .xlsx"
_OLD_EXCEL = (b"\x09\x00\x04\x00", b"\x09\x00\x06\x00", b"\x09\x02\x06\x00", b"\x09\x04\x06\x00")  # its first record
_PAGE = re.compile(rb"\s*<(!doctype html|html|head|table|meta|style)", re.IGNORECASE)
_FLAT = re.compile(rb"(<\?xml[^>]*\?>)?(\s|<!--.*?-->)*<office:document\s", re.DOTALL)
_ARRAY = re.compile(rb"\[\s*[{\[\]]")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def check_file(path: Path) -> None:
    """Raise InputError when this can't be a sheet, before anything else is done."""
    if _ADDRESS.match(str(path)):
        raise InputError(f"{path} is an address, not a file.", "download it first, then name the file")
    if path.is_dir():
        raise InputError(f"{path} is a folder.", f"name one sheet in it{_first_sheet(path)}")
    if not path.exists():
        raise InputError(f"{path} does not exist.", "check the name")
    if not path.is_file():
        return  # a named pipe is recognised by its content
    if path.suffix.lower() not in _ENDINGS | _BINARY:
        raise InputError(f"{path} has no ending that says what it is.", f"use {', '.join(sorted(_ENDINGS))}")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty.", "save the sheet again")


def _first_sheet(folder: Path) -> str:
    found = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in _ENDINGS)
    return f", e.g. {folder / found[0]}" if found else ""


def kind_of(path: Path, name: Path) -> Kind:
    """Return what a file is by its content. Raises InputError, naming the file as `name`, when it is no sheet."""
    with path.open("rb") as stream:
        start = stream.read(4096)
    if not start:
        raise InputError(f"{name} is empty.", "save the sheet again")
    for magic, what in _FOREIGN:
        if start.startswith(magic):
            raise InputError(f"{name} is {what}, not a sheet.", "name a CSV or Excel file")
    if start.startswith(_OLD_EXCEL):
        raise InputError(f"{name} is a workbook of Excel 2 to 4.", _SAVE)
    if start.startswith(b"PAR1"):
        return Kind.PARQUET
    for packing in PACKINGS:
        if start.startswith(packing.magic):
            kind_inside = _CONTAINERS.get(packing.kind)
            return kind_inside(path, name) if kind_inside else packing.kind
    return _kind_of_text(start, name)


def _kind_of_text(start: bytes, name: Path) -> Kind:
    bare = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _PAGE.match(bare):
        raise InputError(f"{name} is a web page (HTML) with the name of a sheet.", f"{_SAVE} or CSV UTF-8")
    if _FLAT.match(bare):
        return Kind.FODS
    if bare.startswith(b"<?xml"):
        raise InputError(f"{name} is an XML document.", f"{_SAVE} or CSV UTF-8")
    if name.suffix.lower() in (EXCEL | _BINARY) - {".xls"}:
        raise InputError(f"{name} is text, not Excel.", "give it the ending .csv if that is what it is")
    if _ARRAY.match(bare):
        raise InputError(f"{name} is one JSON array.", "write one object per line, e.g. with `jq -c '.[]'`")
    return Kind.JSON_LINES if is_json_object(start) else Kind.TEXT


def _kind_of_ole(path: Path, name: Path) -> Kind:
    try:
        with path.open("rb") as stream:
            container = OleContainer(stream)
            found = [kind for stream_name, kind in _OLE_STREAMS if stream_name in container]
    except OleError as error:
        raise InputError(f"{name} is not a readable Excel file: it {error}.", _SAVE) from None
    if not found:
        raise InputError(f"{name} is not a readable Excel file.", _SAVE)
    return found[0]


def _kind_of_zip(path: Path, name: Path) -> Kind:
    members = {part_name(info.filename) for info in check_zip(path, name)}
    if any(member.startswith("xl/") for member in members):
        return Kind.XLSX
    if "content.xml" in members:
        return Kind.ODS
    if any(member.startswith(("word/", "ppt/")) for member in members):
        raise InputError(f"{name} is a Word or PowerPoint document, not a sheet.", "name a CSV or Excel file")
    return Kind.ZIP


_CONTAINERS = {Kind.ZIP: _kind_of_zip, Kind.ENCRYPTED: _kind_of_ole}  # which workbooks are too

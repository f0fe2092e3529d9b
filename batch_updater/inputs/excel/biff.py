"""Check the records of an Excel 97 workbook (.xls) before a library reads them.

A record is a number, a length and that many bytes: [MS-XLS] 2.1.4.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

BOF, EOF, BOUNDSHEET, CONTINUE = 0x809, 0x0A, 0x85, 0x3C
_SKIPPED = 0xE1  # a record that readers skip
_MOST_OF_A_KIND = 65_536  # fonts, formats, styles, sheets
_FORMULAS = {0x06, 0x206, 0x406}
_CELLS = {0x203, 0x27E, 0xBD, 0xBE, 0x201, 0xFD, 0x204, 0xD6, 0x205, *_FORMULAS}
_SEVERAL = {0xBD, 0xBE}  # cells of a row side by side; the last column stands at the end
# The library makes objects of all others, very many of names and links: a few bytes can become gigabytes.
_KEPT_GLOBALS = {BOF, EOF, BOUNDSHEET, CONTINUE, 0xFC, 0x31, 0x231, 0x41E, 0x1E, 0xE0, 0x22, 0x42, 0x8C, 0x2F, 0x56}
_KEPT_SHEET = {BOF, EOF, CONTINUE, *_CELLS, 0x200, 0x208, 0x207, 0x221, 0x4BC, 0x236, 0x37, 0x7D, 0x55, 0x99, 0xE5}
_VERSIONS = {0x500, 0x600}  # Excel 5 and 95, Excel 97 to 2003
_WORKSHEET = 0
_HEAD, _PLACE = struct.Struct("<HH"), struct.Struct("<HH")


class RecordError(ValueError):
    """The records are damaged or hostile; the message is the end of a sentence about them."""


class OldSheet(NamedTuple):
    """A worksheet of Excel 97: whether it is visible, and how far its cells reach."""

    visible: bool
    rows: int
    columns: int


def blank_unneeded(content: bytes) -> tuple[bytes, list[OldSheet]]:
    """Return the workbook's stream with all records blanked out that reading cells does not need, and its sheets.

    Raises RecordError when the records are damaged.
    """
    if len(content) < 8 or _HEAD.unpack_from(content)[0] != BOF or _PLACE.unpack_from(content, 4)[0] not in _VERSIONS:
        raise RecordError("is no workbook of Excel 5 to 2003")
    found = bytearray(content)
    listed = _globals(content, found)
    sheets: list[OldSheet] = []
    left = len(content)
    for start, visible in listed:
        (rows, columns), end = _sheet(content, found, start)
        sheets.append(OldSheet(visible, rows, columns))
        left -= end - start
        if left < 0:
            raise RecordError("has sheets that overlap")
    return bytes(found), sheets


def _globals(content: bytes, found: bytearray) -> list[tuple[int, bool]]:
    """Return where each worksheet starts, and whether it is visible."""
    sheets: list[tuple[int, bool]] = []
    counts: dict[int, int] = {}
    for place, kind, length in records(content, 0):
        counts[kind] = counts.get(kind, 0) + 1
        if kind not in _KEPT_GLOBALS:
            _HEAD.pack_into(found, place, _SKIPPED, length)
        elif kind == BOUNDSHEET and length >= 6:
            start, visibility, sort = struct.unpack_from("<IBB", content, place + 4)
            if sort == _WORKSHEET:
                sheets.append((start, visibility == 0))
    if any(number > _MOST_OF_A_KIND for kind, number in counts.items() if kind in _KEPT_GLOBALS - {CONTINUE}):
        raise RecordError("has more fonts, formats or sheets than Excel can have")
    return sheets


def worksheets(content: bytes) -> list[tuple[int, bool]]:
    """Return where each worksheet starts, and whether it is visible. Raises RecordError."""
    return _globals(content, bytearray(content))


def records(content: bytes, place: int) -> Iterator[tuple[int, int, int]]:
    """Yield place, kind and length of the records up to the end of their sheet."""
    while True:
        if place + 4 > len(content):
            raise RecordError("is cut off")
        kind, length = _HEAD.unpack_from(content, place)
        if place + 4 + length > len(content):
            raise RecordError("is cut off")
        yield place, kind, length
        if kind == EOF:
            return
        place += 4 + length


def sheet_records(content: bytes, start: int) -> Iterator[tuple[int, int, int]]:
    """Yield place, kind and length of a worksheet's records, without those of the charts within it."""
    inner = False  # a chart is a list of records that ends on its own
    found, place = records(content, start), start
    while True:
        for place, kind, length in found:
            if kind == BOF and place != start:
                inner = True
            elif not inner:
                yield place, kind, length
        if not inner:
            return
        inner = False
        found = records(content, place + 4)


def _sheet(content: bytes, found: bytearray, start: int) -> tuple[tuple[int, int], int]:
    """Return how far a worksheet reaches, and where its records end."""
    rows = columns = 0
    place = start
    for place, kind, length in sheet_records(content, start):
        if kind not in _KEPT_SHEET:
            _HEAD.pack_into(found, place, _SKIPPED, length)
        elif kind in _CELLS and length >= 6:
            row, column = _PLACE.unpack_from(content, place + 4)
            last = struct.unpack_from("<H", content, place + 2 + length)[0] if kind in _SEVERAL else column
            rows, columns = max(rows, row + 1), max(columns, last + 1)
    return (rows, columns), place + 4

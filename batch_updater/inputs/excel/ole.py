"""The container of Excel 97 files and of workbooks with a password: [MS-CFB], read in bounded memory and time.

By hand, because the libraries at hand follow a chain of sectors in circles, or a tree of names twice at each fork.
"""

import array
import mmap
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LAST = 0xFFFFFFFA  # higher numbers are no sectors but marks: free, end of chain
_HEADER = struct.Struct("<30xHH14xI4xIIIII")  # from the sizes of sectors to the number of the further tables
_ENTRY = struct.Struct("<64sHBxIII36xIQ")
_STREAM, _ROOT = 2, 5


class OleError(ValueError):
    """The container is damaged or hostile."""


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    kind: int
    left: int
    right: int
    child: int
    start: int
    size: int


class OleFile:
    """The streams at the root of a container. Raises OleError."""

    def __init__(self, content: "bytes | mmap.mmap") -> None:
        if len(content) < 512 or content[:8] != SIGNATURE:
            raise OleError("is cut off")
        self._content = content
        shift, mini_shift, directory, self._cutoff, self._minis, _count, more, _mores = _HEADER.unpack_from(content)
        if shift not in {9, 12} or mini_shift != 6:
            raise OleError("has sectors of an odd size")
        self._size = 1 << shift
        self._count = -(-len(content) // self._size) - 1
        self._table = self._read_table(more)
        self._entries = self._read_entries(directory)
        self._streams = {entry.name.casefold(): entry for entry in self._children() if entry.kind == _STREAM}

    def __contains__(self, name: str) -> bool:
        """Whether there is a stream of this name, in any case of letters."""
        return name.casefold() in self._streams

    def read(self, name: str) -> bytes:
        """The whole stream of this name, in any case of letters. Raises KeyError when there is none."""
        entry = self._streams[name.casefold()]
        found = self._joined(entry.start) if entry.size >= self._cutoff else self._small(entry.start)
        if len(found) < entry.size:
            raise OleError("is cut off")
        return found[: entry.size]

    def _small(self, first: int) -> bytes:
        """A stream of less than a sector's size, of which many share the stream of the root."""
        shared = self._joined(self._entries[0].start)
        table = _numbers(self._joined(self._minis))
        return b"".join(shared[number << 6 : (number + 1) << 6] for number in _chain(first, table))

    def _sector(self, number: int) -> bytes:
        if number >= self._count:
            raise OleError("is cut off")
        start = (number + 1) * self._size
        return self._content[start : start + self._size]

    def _joined(self, first: int) -> bytes:
        return b"".join(map(self._sector, _chain(first, self._table)))

    def _read_table(self, more: int) -> "array.array[int]":
        """Which sector follows on each: its own sectors are listed in the header and in a chain of further lists."""
        listed = list(_numbers(self._content[76:512]))
        seen: set[int] = set()
        while more < _LAST:
            if more in seen:
                raise OleError("has a list of sectors that runs in circles")
            seen.add(more)
            *further, more = _numbers(self._sector(more)) or [_LAST]
            listed += further
        used = [number for number in listed if number < _LAST]
        if len(set(used)) != len(used):
            raise OleError("has a sector twice in its table")
        return _numbers(b"".join(map(self._sector, used)))

    def _read_entries(self, first: int) -> list[_Entry]:
        directory = self._joined(first)
        found = []
        for place in range(0, len(directory) - _ENTRY.size + 1, _ENTRY.size):
            name, length, kind, left, right, child, start, size = _ENTRY.unpack_from(directory, place)
            text = name[: max(min(length, 64) - 2, 0)].decode("utf-16-le", "replace")
            found.append(_Entry(text, kind, left, right, child, start, size & 0xFFFFFFFF))
        if not found or found[0].kind != _ROOT:
            raise OleError("has no list of what it holds")
        return found

    def _children(self) -> Iterator[_Entry]:
        waiting, seen = [self._entries[0].child], set[int]()
        while waiting:
            number = waiting.pop()
            if number < len(self._entries) and number not in seen:
                seen.add(number)
                entry = self._entries[number]
                yield entry
                waiting += [entry.left, entry.right]


def _numbers(content: bytes) -> "array.array[int]":
    found = array.array("I", content[: len(content) // 4 * 4])
    if sys.byteorder == "big":
        found.byteswap()
    return found


def _chain(first: int, table: "array.array[int]") -> Iterator[int]:
    """Numbers of the sectors from the first one on."""
    number, left = first, len(table)
    while number < _LAST:
        if number >= len(table) or not left:
            raise OleError("has a chain of sectors that is broken or runs in circles")
        yield number
        number, left = table[number], left - 1

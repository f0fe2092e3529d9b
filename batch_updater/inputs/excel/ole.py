"""The container of Excel 97 workbooks and of workbooks with a password ([MS-CFB]) by olefile, in bounded memory.

olefile trusts the container: counts of any size, chains of sectors that run in circles.
"""

import struct
from collections.abc import Sequence
from typing import BinaryIO

import olefile

SIGNATURE: bytes = olefile.MAGIC
MOST_SECTORS = 1 << 22  # 2 GB in sectors of 512 bytes, the most that the format allows
MOST_ENTRIES = 8192  # streams and folders: olefile compares each with all others
_ENTRY_SIZE = 128  # bytes
_WITH_SECTORS = {olefile.STGTY_ROOT, olefile.STGTY_STREAM}
_DAMAGE = (OSError, ValueError, LookupError, struct.error, RecursionError)  # what olefile raises


class OleError(ValueError):
    """The container is damaged or hostile; the message is the end of a sentence about it."""


class OleContainer(olefile.OleFileIO):  # type: ignore[misc]  # olefile has no types
    """The streams at the root of a container. Raises OleError unless no sector belongs to a chain twice, or to two."""

    def __init__(self, stream: BinaryIO) -> None:
        try:
            super().__init__(stream)
        except OleError:
            raise
        except _DAMAGE as error:
            raise OleError(f"is damaged ({error})") from None

    def __contains__(self, name: str) -> bool:
        """Whether there is a stream of this name, in upper or lower case."""
        entry = self.root.kids_dict.get(name.lower())
        return entry is not None and entry.entry_type == olefile.STGTY_STREAM

    def read(self, name: str) -> bytes:
        """Return the whole stream of this name, in upper or lower case. Raises KeyError when there is none."""
        entry = self.root.kids_dict[name.lower()]
        try:
            if entry.is_minifat:
                self.loadminifat()
                _follow(entry.isectStart, self.minifat, bytearray(len(self.minifat)))
            found: bytes = self.openstream([entry.name]).read()
        except OleError:
            raise
        except _DAMAGE as error:
            raise OleError(f"is damaged ({error})") from None
        if len(found) < entry.size:
            raise OleError("is cut off")
        return found

    def loadfat(self, header: bytes) -> None:
        """Check the sizes in the header before olefile reads its tables by them."""
        if self.sector_size not in {512, 4096} or self.mini_sector_size != 64:
            raise OleError("has sectors of an odd size")
        numbers = self.sector_size // 4  # in a sector of a table
        if self.nb_sect > MOST_SECTORS or self.num_difat_sectors > self.nb_sect // (numbers * (numbers - 1)) + 1:
            raise OleError("has a list of sectors that is too long or runs in circles")
        super().loadfat(header)

    def loaddirectory(self, sect: int) -> None:
        """Check the directory's length before olefile reads it, and the chains that it names before they are read."""
        taken = bytearray(len(self.fat))
        if _follow(sect, self.fat, taken) * self.sector_size > MOST_ENTRIES * _ENTRY_SIZE:
            raise OleError(f"has more than {MOST_ENTRIES:,} parts")
        super().loaddirectory(sect)
        if self.num_mini_fat_sectors:
            _follow(self.first_mini_fat_sector, self.fat, taken)
        for entry in (self.root, *self.root.kids):
            if entry.size and not entry.is_minifat and entry.entry_type in _WITH_SECTORS:
                _follow(entry.isectStart, self.fat, taken)


def _follow(sector: int, table: Sequence[int], taken: bytearray) -> int:
    """Mark the sectors of a chain as taken, and return its length. Raises OleError when one was taken before."""
    length = 0
    while sector < len(table):
        if taken[sector]:
            raise OleError("has a chain of sectors that runs in circles or into another one")
        taken[sector] = 1
        sector, length = table[sector], length + 1
    return length

"""Containers of Excel 97: whole streams, or a refusal before a hostile one takes memory or time."""

import io
import struct
import time
import tracemalloc
from collections.abc import Callable, Mapping
from importlib import import_module

import pytest

from batch_updater.inputs.excel.ole import MOST_ENTRIES, SIGNATURE, OleContainer, OleError

FREE, END, TABLE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
SMALL, LARGE = bytes(range(256)) * 2, bytes(range(256)) * 40  # in sectors of 64 and of 512 bytes
DIFAT, SHIFTS, DIRECTORY = 68, 30, 48  # places in the header


def entry(name: str, kind: int, right: int = FREE, child: int = FREE, start: int = END, size: int = 0) -> bytes:
    """An entry of the directory: kind 2 is a stream, 5 the root."""
    raw = name.encode("utf-16-le")
    return struct.pack("<64sHBBIII36xIQ", raw, len(raw) + 2, kind, 1, FREE, right, child, start, size)


def container(streams: Mapping[str, bytes]) -> bytearray:
    """A container of these streams, each the right neighbour of the one before it; its table is at the end."""
    sectors, table = b"", list[int]()
    mini, mini_table, entries = b"", list[int](), b""

    def put(content: bytes) -> int:
        nonlocal sectors
        first, many = len(table), -(-len(content) // 512)
        table.extend([*range(first + 1, first + many), END] if many else [])
        sectors += content.ljust(many * 512, b"\0")
        return first if many else END

    for place, (name, content) in enumerate(streams.items(), 1):
        if len(content) >= 4096:
            start = put(content)
        else:
            start, many = len(mini_table), -(-len(content) // 64)
            mini_table += [*range(start + 1, start + many), END] if many else []
            mini += content.ljust(many * 64, b"\0")
        entries += entry(name, 2, place + 1 if place < len(streams) else FREE, FREE, start, len(content))
    minis = put(struct.pack(f"<{len(mini_table)}I", *mini_table))
    directory = put(entry("Root Entry", 5, child=1, start=put(mini), size=len(mini)) + entries)
    many = -(-len(table) // 127)
    places = range(len(table), len(table) + many)
    table += [TABLE] * many
    table += [FREE] * (many * 128 - len(table))
    header = struct.pack("<8s16x5H6x", SIGNATURE, 0x3E, 3, 0xFFFE, 9, 6)
    header += struct.pack("<9I", 0, many, directory, 0, 4096, minis, len(mini_table) and 1, END, 0)
    header += struct.pack("<109I", *places, *[FREE] * (109 - many))
    return bytearray(header + sectors + struct.pack(f"<{len(table)}I", *table))


def table_place(content: bytes, sector: int) -> int:
    """Where the table says which sector follows on this one."""
    return 512 * (struct.unpack_from("<I", content, 76)[0] + 1) + 4 * sector


@pytest.mark.parametrize("name", ["Workbook", "WORKBOOK"])
@pytest.mark.parametrize("stream", [SMALL, LARGE, SMALL[:1], LARGE[:4096], b""])
def test_a_stream_is_read_whole(name: str, stream: bytes) -> None:
    """Streams in small and in large sectors come back byte by byte, whatever the case of their name."""
    found = OleContainer(io.BytesIO(container({"Other": LARGE, "Workbook": stream, "More": SMALL})))
    assert name in found
    assert found.read(name) == stream


def test_only_streams_at_the_root_are_there() -> None:
    """The root is no stream, and a name that is not there is not read."""
    found = OleContainer(io.BytesIO(container({"Workbook": SMALL})))
    assert "Book" not in found
    with pytest.raises(KeyError):
        found.read("Book")


def odd_sectors(content: bytearray) -> None:
    """Sectors of a megabyte."""
    struct.pack_into("<H", content, SHIFTS, 20)


def huge_sectors(content: bytearray) -> None:
    """Sectors of two to the power of 65,535 bytes."""
    struct.pack_into("<H", content, SHIFTS, 65_535)


def many_lists(content: bytearray) -> None:
    """Two billion further lists of sectors, the first of which is the first sector."""
    struct.pack_into("<2I", content, DIFAT, 0, 0x7FFFFFFF)


def circle(content: bytearray) -> None:
    """A stream whose third sector is followed by its first."""
    struct.pack_into("<I", content, table_place(content, 2), 0)


def directory_circle(content: bytearray) -> None:
    """A directory whose only sector is followed by itself."""
    first = struct.unpack_from("<I", content, DIRECTORY)[0]
    struct.pack_into("<I", content, table_place(content, first), first)


def shared(content: bytearray) -> None:
    """A stream that goes on with the sectors of another."""
    struct.pack_into("<I", content, table_place(content, 19), 20)


def cut(content: bytearray) -> None:
    """A stream that ends too early."""
    struct.pack_into("<I", content, table_place(content, 2), END)


def small_circle(content: bytearray) -> None:
    """A stream whose second small sector is followed by its first."""
    place = content.index(struct.pack("<8I", *range(1, 8), END))
    struct.pack_into("<I", content, place + 4, 0)


def endless(content: bytearray) -> None:
    """A stream that is said to have four gigabytes."""
    place = content.index("Workbook".encode("utf-16-le"))
    struct.pack_into("<I", content, place + 120, 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (odd_sectors, "sectors of an odd size"),
        (huge_sectors, "is damaged"),
        (many_lists, "too long or runs in circles"),
        (circle, "runs in circles or into another"),
        (directory_circle, "runs in circles or into another"),
        (shared, "runs in circles or into another"),
        (cut, "is cut off"),
        (small_circle, "runs in circles or into another"),
        (endless, "is cut off"),
    ],
)
def test_a_damaged_container_is_refused(damage: Callable[[bytearray], None], words: str) -> None:
    """A chain that loops or meets another, and a size that is not true, are no stream."""
    content = container({"Workbook": LARGE, "Other": LARGE, "Small": SMALL})
    damage(content)
    with pytest.raises(OleError, match=words):
        [OleContainer(io.BytesIO(content)).read(name) for name in ("Workbook", "Small")]


@pytest.mark.parametrize(("count", "words"), [(3000, "recursion"), (MOST_ENTRIES, "more than 8,192 parts")])
def test_a_directory_of_many_names_takes_no_memory(count: int, words: str) -> None:
    """Neither a deep tree of names nor a very long one is walked to its end."""
    content = bytes(container({f"S{number}": b"" for number in range(count)}))
    import_module("olefile")
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(OleError, match=words):
            OleContainer(io.BytesIO(content))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 16 << 20, most
    assert time.process_time() - began < 10

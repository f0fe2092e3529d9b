"""Files made to exhaust memory, or time."""

import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from support.sheets import (
    DONE,
    HEAD,
    MAIN,
    RELATIONS,
    XML,
    cell,
    good,
    ods_file,
    order,
    outcome,
    raw_excel,
    xml_row,
)

from batch_updater.inputs.excel.biff import BOUNDSHEET, EOF

A, B = order(1), order(2)
TOP = xml_row(1, *HEAD)
Make = Callable[[Path], Path]


def bomb(folder: Path) -> Path:
    """100 MB of blanks in a shared text, packed into 100 KB."""
    blanks = f'{XML}<sst xmlns="{MAIN}"><si><t>{" " * 100_000_000}</t></si></sst>'
    return raw_excel(folder, TOP, extra={"xl/sharedStrings.xml": blanks})


def entities(folder: Path) -> Path:
    """A billion laughs in the workbook's list of sheets."""
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    book = (
        f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{levels}]><workbook xmlns="{MAIN}"'
        f' xmlns:r="{RELATIONS}"><sheets><sheet name="&l9;" sheetId="1" r:id="r1"/></sheets></workbook>'
    )
    return raw_excel(folder, TOP, extra={"xl/workbook.xml": book})


def shared_entities(folder: Path) -> Path:
    """A billion laughs in the shared texts."""
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    texts = (
        f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{levels}]><sst xmlns="{MAIN}"><si><t>&l9;</t></si></sst>'
    )
    return raw_excel(folder, TOP, extra={"xl/sharedStrings.xml": texts})


def liar(folder: Path) -> Path:
    """The bomb, whose container says that the texts are small."""
    content = bytearray(bomb(folder).read_bytes())
    with zipfile.ZipFile(folder / "sheet.xlsx") as archive:
        true = archive.getinfo("xl/sharedStrings.xml").file_size.to_bytes(4, "little")
    while true in content:
        place = content.index(true)
        content[place : place + 4] = (1_000_000).to_bytes(4, "little")
    (folder / "sheet.xlsx").write_bytes(content)
    return folder / "sheet.xlsx"


def far_corner(folder: Path) -> Path:
    """One cell in the last row and column."""
    return raw_excel(folder, TOP + xml_row(2, A, DONE) + f'<row r="1048576">{cell("XFD1048576", "x")}</row>')


def old_stream() -> bytes:
    """The records of an Excel 97 workbook of two good rows."""
    import xlwt

    book = xlwt.Workbook()
    sheet = book.add_sheet("Orders")
    for number, row in enumerate(good()):
        for place, value in enumerate(row):
            sheet.write(number, place, value)
    return bytes(book.get_biff_data())


def old_book(folder: Path, stream: bytes) -> Path:
    """An Excel 97 workbook of these records."""
    from xlwt.CompoundDoc import XlsDoc

    XlsDoc().save(str(folder / "sheet.xls"), stream)
    return folder / "sheet.xls"


def old_corner(folder: Path) -> Path:
    """A number in the last row and column that Excel 97 has."""
    stream = old_stream()
    end = stream.rindex(struct.pack("<HH", EOF, 0))
    return old_book(folder, stream[:end] + struct.pack("<HHHHHd", 0x203, 14, 65_535, 255, 0, 1.0) + stream[end:])


def old_circle(folder: Path) -> Path:
    """A container whose list of sectors runs in circles within the workbook."""
    path = old_book(folder, old_stream())
    content = bytearray(path.read_bytes())
    table = 512 + 512 * struct.unpack_from("<I", content, 76)[0]
    struct.pack_into("<I", content, table + 4 * 3, 1)
    path.write_bytes(content)
    return path


def old_lists_circle(folder: Path) -> Path:
    """A container whose further lists of sectors are one sector that follows on itself."""
    path = old_book(folder, old_stream())
    content = bytearray(path.read_bytes())
    content += struct.pack("<128I", *[0xFFFFFFFF] * 127, len(content) // 512 - 1)
    struct.pack_into("<II", content, 68, len(content) // 512 - 2, 0x7FFFFFFF)
    path.write_bytes(content)
    return path


def old_false_size(folder: Path) -> Path:
    """A container that says that the workbook has two gigabytes."""
    path = old_book(folder, old_stream())
    content = bytearray(path.read_bytes())
    entry = content.index("Workbook".encode("utf-16-le"))
    struct.pack_into("<I", content, entry + 120, 0x7FFFFFFF)
    path.write_bytes(content)
    return path


def old_overlap(folder: Path) -> Path:
    """A workbook that lists its only sheet a thousand times."""
    stream = old_stream()
    start = stream.index(struct.pack("<H", BOUNDSHEET))
    length = 4 + struct.unpack_from("<H", stream, start + 2)[0]
    record = bytearray(stream[start : start + length])
    struct.pack_into("<I", record, 4, struct.unpack_from("<I", record, 4)[0] + 999 * length)
    return old_book(folder, stream[:start] + bytes(record) * 1000 + stream[start + length :])


def old_too_large(folder: Path) -> Path:
    """An Excel 97 workbook of 65 MB, most of it a hole."""
    path = old_book(folder, old_stream())
    with path.open("r+b") as stream:
        stream.truncate(65 << 20)
    return path


def ods_wide(folder: Path) -> Path:
    """A hundred thousand rows of 16,384 cells, each row written as one cell."""
    row = (
        '<table:table-row><table:table-cell table:number-columns-repeated="16384"><text:p>x</text:p></table:table-cell>'
    )
    return ods_file(folder, f'<table:table table:name="T">{(row + "</table:table-row>") * 3000}</table:table>')


def ods_blanks(folder: Path) -> Path:
    """A cell of a billion blanks, written as a million times a thousand."""
    blanks = '<text:s text:c="1000"/>' * 1_000_000
    return ods_file(
        folder,
        f'<table:table table:name="T"><table:table-row><table:table-cell><text:p>{blanks}</text:p></table:table-cell>'
        "</table:table-row></table:table>",
    )


def ods_tag(folder: Path) -> Path:
    """A tag of 30 MB."""
    return ods_file(folder, f'<table:table table:name="{"T" * 30_000_000}"/>')


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (bomb, "times its size"),
        (liar, "'xl/sharedStrings.xml' is larger than it says"),
        (entities, "document type"),
        (shared_entities, "not a readable Excel file"),
        (far_corner, "reaches over"),
        (old_corner, "reaches over 16,777,216 cells; at most 1,000,000 are read"),
        (old_circle, "not a readable Excel file"),
        (old_lists_circle, "runs in circles"),
        (old_false_size, "not a readable Excel file: it is cut off"),
        (old_overlap, "sheets that overlap"),
        (old_too_large, "an .xls of at most 64 MB is read"),
        (ods_wide, "reaches over 49,152,000 cells; at most 1,000,000 are read"),
        (ods_blanks, "a cell of over 131,072 characters"),
        (ods_tag, "a tag of over 4,194,304 characters"),
    ],
)
def test_a_hostile_file_is_stopped_before_memory_grows(tmp_path: Path, make: Make, word: str) -> None:
    """Bombs are refused by what the container says of itself, in a few megabytes."""
    file = make(tmp_path)
    import_module("pandas"), import_module("xlrd")  # what is loaded once does not count
    tracemalloc.start()
    try:
        found = str(outcome(file, max_cells=1_000_000, include_hidden=True))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert word in found
    assert most < 16 << 20, most


def record(kind: int, data: bytes) -> bytes:
    """A record of an Excel 97 workbook."""
    return struct.pack("<HH", kind, len(data)) + data


def doubling_names() -> bytes:
    """Thirty names, each of which is the one before it twice over: together a text of gigabytes."""
    made = b""
    for number in range(30):
        text = b"\x17\x08\x00" + b"x" * 8 if not number else struct.pack("<BHH", 0x23, number, 0) * 2 + b"\x08"
        made += record(0x18, struct.pack("<HBBHHHBBBB", 0, 0, 1, len(text), 0, 0, 0, 0, 0, 0) + b"\0N" + text)
    return made


LINK = bytes.fromhex("d0c9ea79f9bace118c8200aa004ba90b") + struct.pack("<II", 2, 0)
LINKS = record(0x1B8, struct.pack("<4H", 0, 65_535, 0, 255) + LINK)  # one for each cell of the sheet


@pytest.mark.parametrize(("before", "what"), [(BOUNDSHEET, doubling_names()), (0xFD, LINKS)])
def test_records_that_nobody_needs_are_never_looked_at(tmp_path: Path, before: int, what: bytes) -> None:
    """Names and links, from which a few bytes make gigabytes, are passed over; the rows are read."""
    stream = bytearray(old_stream())
    listed = stream.index(struct.pack("<H", BOUNDSHEET))
    place = listed if before == BOUNDSHEET else stream.index(struct.pack("<HH", before, 10))
    if place <= listed:
        struct.pack_into("<I", stream, listed + 4, struct.unpack_from("<I", stream, listed + 4)[0] + len(what))
    stream[place:place] = what
    file = old_book(tmp_path, bytes(stream))
    import_module("xlrd")
    tracemalloc.start()
    try:
        found = outcome(file)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == ["2 ok", "3 ok"]
    assert most < 16 << 20, most

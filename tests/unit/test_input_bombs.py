"""Files made to exhaust memory."""

import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sheets import (
    DONE,
    HEAD,
    MAIN,
    RELATIONS,
    XML,
    cell,
    order,
    outcome,
    raw_excel,
    xml_row,
)

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


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (bomb, "times its size"),
        (liar, "'xl/sharedStrings.xml' is larger than it says"),
        (entities, "document type"),
        (shared_entities, "no readable Excel file"),
        (far_corner, "reaches over"),
    ],
)
def test_a_hostile_file_is_stopped_before_memory_grows(tmp_path: Path, make: Make, word: str) -> None:
    """Bombs are refused by what the container says of itself, in a few megabytes."""
    file = make(tmp_path)
    tracemalloc.start()
    try:
        found = str(outcome(file))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert word in found
    assert most < 8 << 20, most

"""Sheets of every kind with bytes changed, read by a process of its own that may use only so much memory and time.

    cd tests
    python -m support.mutated --seed 7 --first 0 --count 1000     # says which case failed, and how
    python -m support.mutated --seed 7 --first 123 --count 1 --keep /tmp/case     # one case again, and its file

A case is made by its seed and number alone. Reading must end with rows or an InputError that names the file and has a
hint. An exception, an abort, or a case that takes too much ends the process; what it wrote last names the case.
"""

import argparse
import gzip
import io
import json
import random
import resource
import signal
import struct
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.sheets import BOOK, DONE, HEAD, MAKERS, OPEN, PASSWORD, good, order, with_password

from batch_updater.common.errors import InputError
from batch_updater.common.models import RejectedRow, StatusUpdate
from batch_updater.inputs.columns import ColumnNames, find_columns
from batch_updater.inputs.formats import FORMATS, PACKINGS
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.sniff import kind_of
from batch_updater.inputs.source import open_source
from batch_updater.inputs.table import Kind
from batch_updater.planning.validate import RowValidator

SECONDS = 20  # of processor time for one case; the usual one takes 5 ms
MEGABYTES = 256  # that one case may add to the process
ADDRESSES = 2 << 30  # bytes of memory that the process may ask for beyond what it has when it starts
Sheets = dict[str, tuple[Kind, bytes]]
TESTS = Path(__file__).parents[1]
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]
WORDS = ["0", "-1", "1048576", "1048577", "16384", "99999999999999999999", "1e999", "nan", "", "A0", "XFD1048576",
         "&lt;", "]]>", "<!DOCTYPE x>", "\0", "\ufffe", "hidden", "s", "str", "e", "b", "d", "inlineStr"]  # fmt: skip


def rich_excel(folder: Path) -> Path:
    """A workbook with most of what the reader looks at."""
    import xlsxwriter

    book = xlsxwriter.Workbook(str(folder / "rich.xlsx"))
    sheet = book.add_worksheet("Orders")
    book.add_worksheet("Old").hide()
    for place, title in enumerate((*HEAD, "code", "when", "sum", "note")):
        sheet.write_string(0, place, title)
    looks = ["000000", "0.00", "#,##0", "0%", '"ORD-"0000', "General"]
    for number in range(1, 20):
        sheet.write_string(number, 0, order(number))
        sheet.write_string(number, 1, DONE if number % 2 else "Planned")
        sheet.write_number(number, 2, number, book.add_format({"num_format": looks[number % len(looks)]}))
        sheet.write_number(number, 3, 46000 + number, book.add_format({"num_format": "dd.mm.yyyy hh:mm"}))
        sheet.write_formula(number, 4, f"=C{number}", None, number if number % 3 else "#N/A")
    sheet.merge_range("F3:F5", "both", book.add_format())
    sheet.set_row(7, None, None, {"hidden": True})
    sheet.set_column("D:D", 30, None, {"hidden": 1})
    book.close()
    return folder / "rich.xlsx"


def rich_old_excel(folder: Path) -> Path:
    """The same of Excel 97."""
    import xlwt

    book = xlwt.Workbook()
    sheet = book.add_sheet("Orders")
    book.add_sheet("Old").visibility = 1
    for place, title in enumerate((*HEAD, "code", "when", "sum", "note")):
        sheet.write(0, place, title)
    for number in range(1, 20):
        sheet.write(number, 0, order(number))
        sheet.write(number, 1, DONE if number % 2 else "Planned")
        sheet.write(number, 2, number, xlwt.easyxf(num_format_str="000000"))
        sheet.write(number, 3, 46000 + number, xlwt.easyxf(num_format_str="DD.MM.YYYY"))
        sheet.write(number, 4, xlwt.Formula(f"C{number}*2"))
    sheet.write_merge(2, 4, 5, 5, "both")
    sheet.row(7).hidden = True
    sheet.col(3).hidden = True
    book.save(str(folder / "rich.xls"))
    return folder / "rich.xls"


def rich_open_document(folder: Path) -> Path:
    """The same of OpenDocument."""
    from support.sheets import ods_file

    text = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    top = "<table:table-column/><table:table-column table:visibility='collapse'/>"
    top += "<table:table-row>" + "".join(map(text.format, (HEAD[0], "x", HEAD[1]))) + "</table:table-row>"
    rows = "".join(
        f'<table:table-row table:number-rows-repeated="{1 + number % 3}" table:visibility="'
        f'{"collapse" if number == 5 else "visible"}">{text.format(order(number))}<table:table-cell'
        f' table:number-columns-repeated="1" office:value-type="float" office:value="7"><text:p>00<text:s/>7</text:p>'
        f"</table:table-cell>{text.format(OPEN) if number % 4 else '<table:covered-table-cell/>'}</table:table-row>"
        for number in range(1, 12)
    )
    style = '<style:style style:name="h"><style:table-properties table:display="false"/></style:style>'
    old = '<table:table table:name="Old" table:style-name="h"/>'
    return ods_file(folder, f'<table:table table:name="T">{top}{rows}</table:table>{old}', style, name="rich.ods")


def originals(folder: Path) -> Sheets:
    """The sheets that are changed, by the name that each is read under: of every format that there is."""
    samples = sorted(path for path in (TESTS.parent / "samples").iterdir() if path.suffix in {".csv", ".xlsx"})
    rich = [rich_excel(folder), rich_old_excel(folder), rich_open_document(folder)]
    makers = [maker for kind in FORMATS for maker in MAKERS[kind]]
    made = [(path := maker(folder, good(20))).rename(folder / f"{maker.__name__}-{path.name}") for maker in makers]
    return {path.name: (kind_of(path, path), path.read_bytes()) for path in (*samples, *rich, *made)}


def changed(content: bytes, chance: random.Random) -> bytes:
    """Content with one to eight changes of the kinds that break readers."""
    found = bytearray(content)
    for _ in range(chance.choice([1, 1, 1, 2, 3, 8])):
        place = chance.randrange(len(found) + 1)
        until = min(place + chance.choice([1, 2, 4, 8, 64, 512]), len(found))
        number, size = struct.pack("<I", chance.choice(NUMBERS)), chance.choice([1, 2, 4])
        other = chance.randrange(len(found) + 1)
        start, end, put = chance.choice([
            (place, place + 1, bytes([(found[place] if place < len(found) else 0) ^ 1 << chance.randrange(8)])),
            (place, place + 1, bytes([chance.randrange(256)])),
            (place, until, b""),
            (place, place, bytes(found[place:until]) * chance.choice([1, 2, 50])),
            (place, until, bytes(until - place)),
            (place, place + size, number[:size]),
            (place, until, chance.choice(WORDS).encode()),
            (place, until, bytes(found[other : other + until - place])),
            (place if chance.random() < 0.3 else len(found), len(found), b""),
        ])  # fmt: skip
        found[start:end] = put
    return bytes(found)


def in_attribute(content: bytes, chance: random.Random) -> bytes:
    """XML with the value of one attribute, or one piece of text, replaced by another that is legal XML."""
    marks = [place for place, byte in enumerate(content) if byte in b"\"'>"]
    if not marks:
        return content
    start = chance.choice(marks) + 1
    end = next((place for place in range(start, len(content)) if content[place] in b"\"'<"), len(content))
    return content[:start] + chance.choice(WORDS).encode() + content[end:]


def case(kind: Kind, content: bytes, chance: random.Random) -> bytes:
    """One changed sheet: within its container for most of those that have one."""
    return WITHIN.get(kind, changed)(content, chance) if chance.random() > 0.3 else changed(content, chance)


def in_gzip(content: bytes, chance: random.Random) -> bytes:
    """A gzip file whose content is changed."""
    return gzip.compress(changed(gzip.decompress(content), chance), mtime=0)


def in_password(content: bytes, chance: random.Random) -> bytes:
    """A workbook with a password that is changed within."""
    from msoffcrypto.format.ooxml import OOXMLFile

    locked, plain = OOXMLFile(io.BytesIO(content)), io.BytesIO()
    locked.load_key(password=PASSWORD)
    locked.decrypt(plain)
    return with_password(in_zip(plain.getvalue(), chance))


def in_zip(content: bytes, chance: random.Random) -> bytes:
    """A zip file, or workbook, with one part changed."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        wanted = chance.choice([info.filename for info in source.infolist() for _ in range(_weight(info.filename))])
        for info in source.infolist():
            part = source.read(info)
            if info.filename == wanted:
                part = (in_attribute if chance.random() < 0.5 else changed)(part, chance)
            made.writestr(zipfile.ZipInfo(info.filename), part, zipfile.ZIP_DEFLATED)
    return target.getvalue()


CONTAINERS = {Kind.GZIP: in_gzip, Kind.ZIP: in_zip, Kind.ENCRYPTED: in_password}
WITHIN = {**{packing.kind: CONTAINERS[packing.kind] for packing in PACKINGS}, Kind.XLSX: in_zip, Kind.ODS: in_zip}


def _weight(part: str) -> int:
    return 10 if "sheet" in part or "content" in part or "workbook" in part or "styles" in part else 1


def read(path: Path, options: ReadOptions) -> str:
    """Read a sheet as the program does; a word for how it ended."""
    try:
        source = open_source(path, options)
        columns = find_columns(source.header, ColumnNames(), hidden=source.hidden_columns, name=source.name)
        validator = RowValidator(columns.order, columns.status, book=BOOK)
        for row in source.rows():
            found = validator.validate(row)
            if len(row.cells) != len(source.header):
                raise ValueError(f"row {row.number} has {len(row.cells)} cells, the header {len(source.header)}")
            if isinstance(found, RejectedRow) and not (found.code and found.detail.isprintable()):
                raise ValueError(f"row {row.number} says {found}")
            if not isinstance(found, RejectedRow | StatusUpdate):
                raise ValueError(f"row {row.number} is {found}")
    except InputError as error:
        if not error.hint or path.name not in error.message or len(error.message) > 2000:
            raise ValueError(f"a poor message: {error}") from error
        return "refused"
    return "rows"


def cases(seed: int, first: int, count: int, sheets: Sheets) -> Iterator[tuple[int, str, bytes]]:
    """Number, name and content of each case."""
    names = sorted(sheets)
    for number in range(first, first + count):
        chance = random.Random(f"{seed}:{number}")
        name = chance.choice(names)
        yield number, name, case(*sheets[name], chance)


def megabytes() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def tell(**words: Any) -> None:
    """Say one thing to whoever started this process."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Read the cases; 1 when one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--keep", type=Path, help="folder for the file of the last case")
    chosen = parser.parse_args()
    ended: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        sheets = originals(folder)
        options = ReadOptions(include_hidden=True, max_cells=1_000_000, password_file=folder / "password")
        for name, (_kind, content) in sheets.items():  # what is loaded once is loaded now
            (folder / name).write_bytes(content)
            if read(folder / name, options) != "rows":
                raise ValueError(f"{name} can't be read as it is")
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + ADDRESSES, held + ADDRESSES))
        for number, name, content in cases(chosen.seed, chosen.first, chosen.count, sheets):
            tell(case=number, name=name)
            path = (chosen.keep or folder) / name
            path.write_bytes(content)
            before = megabytes()
            signal.setitimer(signal.ITIMER_PROF, SECONDS)  # its signal ends the process, wherever it is
            try:
                ended[read(path, options)] += 1
            except BaseException:
                tell(failed=number, name=name, how=traceback.format_exc())
                return 1
            signal.setitimer(signal.ITIMER_PROF, 0)
            if (more := megabytes() - before) > MEGABYTES:
                tell(failed=number, name=name, how=f"took {more:.0f} MB")
                return 1
    tell(done=chosen.count, **ended)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Makers of sheets of every kind for the reader's tests, and one way to say what became of them."""

import gzip
import io
import json
import random
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import xlsxwriter

from batch_updater.common.errors import InputError
from batch_updater.common.models import OrderStatus, RejectedRow, StatusUpdate
from batch_updater.inputs.columns import ColumnNames, find_columns
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.source import Source, open_source
from batch_updater.inputs.table import Kind
from batch_updater.planning.statuses import StatusBook
from batch_updater.planning.validate import RowValidator

Grid = Sequence[Sequence[Any]]
Maker = Callable[[Path, Grid], Path]
PASSWORD = "open-sesame-7"
HEAD = ["order_id", "status_id"]
DONE = "0f9c1d6e-5b0a-4c6e-9d61-2a8d3f7b1c11"
OPEN = "7d1e2c3b-4a59-4887-8665-5443322110ff"
BOOK = StatusBook([OrderStatus(DONE, "Completed"), OrderStatus(OPEN, "Planned")])
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"


def order(number: int) -> str:
    """A well-formed order id."""
    return f"1b4e28ba-2fa1-41d2-883f-{number:012x}"


def good(count: int = 2) -> list[list[str]]:
    """A header and rows that are right."""
    return [HEAD, *([order(n), DONE] for n in range(count))]


def text(grid: Grid, mark: str = ",", end: str = "\n") -> str:
    """A grid as CSV without any quotes."""
    return "".join(mark.join(map(str, row)) + end for row in grid)


def csv_file(folder: Path, content: str | bytes, name: str = "sheet.csv") -> Path:
    """A file with this content."""
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def comma(folder: Path, grid: Grid) -> Path:
    """CSV."""
    return csv_file(folder, text(grid))


def semicolon(folder: Path, grid: Grid) -> Path:
    """CSV as a Turkish or German Excel saves it."""
    return csv_file(folder, "\ufeff" + text(grid, ";", "\r\n"))


def tabs(folder: Path, grid: Grid) -> Path:
    """Excel's `Unicode text`."""
    return csv_file(folder, text(grid, "\t", "\r\n").encode("utf-16"), "sheet.txt")


def packed(folder: Path, grid: Grid) -> Path:
    """Gzipped CSV."""
    return csv_file(folder, gzip.compress(text(grid).encode()), "sheet.csv.gz")


def zipped(folder: Path, grid: Grid) -> Path:
    """Zipped CSV."""
    with zipfile.ZipFile(folder / "sheet.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("orders.csv", text(grid))
    return folder / "sheet.zip"


def excel(folder: Path, grid: Grid) -> Path:
    """An Excel workbook of text cells."""
    book = xlsxwriter.Workbook(str(folder / "sheet.xlsx"), {"strings_to_formulas": False, "strings_to_urls": False})
    sheet = book.add_worksheet("Orders")
    for number, row in enumerate(grid):
        for place, cell in enumerate(row):
            if cell != "":
                sheet.write_string(number, place, cell)
    book.close()
    return folder / "sheet.xlsx"


def locked(folder: Path, grid: Grid) -> Path:
    """An Excel workbook with a password, which lies in the file `password` beside it."""
    (folder / "password").write_text(PASSWORD)
    plain = excel(folder, grid)
    return csv_file(folder, with_password(plain.read_bytes()), "locked.xlsx")


def with_password(plain: bytes) -> bytes:
    """The workbook encrypted: the same bytes each time, and opened with little work."""
    from msoffcrypto.method import ecma376_agile

    ecma376_agile._random_buffer = random.Random(7).randbytes
    return bytes(ecma376_agile.ECMA376Agile.encrypt(PASSWORD, io.BytesIO(plain), spin_count=10))


def old_excel(folder: Path, grid: Grid) -> Path:
    """An Excel 97 workbook of text cells."""
    import xlwt

    book = xlwt.Workbook()
    sheet = book.add_sheet("Orders")
    for number, row in enumerate(grid):
        for place, cell in enumerate(row):
            if cell != "":
                sheet.write(number, place, cell)
    book.save(str(folder / "sheet.xls"))
    return folder / "sheet.xls"


def json_lines(folder: Path, grid: Grid) -> Path:
    """One JSON object per line, with a blank line in the header's place, so that rows have the usual numbers."""
    header, *rows = grid
    lines = ["", *(json.dumps(dict(zip(header, row, strict=False)), ensure_ascii=False) for row in rows)]
    return csv_file(folder, "\n".join(lines), "sheet.jsonl")


def parquet(folder: Path, grid: Grid) -> Path:
    """A Parquet file of text columns."""
    import pyarrow
    from pyarrow.parquet import write_table

    header, *rows = grid
    columns = {name: [str(row[place]) for row in rows] for place, name in enumerate(header)}
    write_table(pyarrow.table(columns), folder / "sheet.parquet")
    return folder / "sheet.parquet"


def open_document(folder: Path, grid: Grid, name: str = "sheet.ods") -> Path:
    """An OpenDocument sheet of text cells."""
    rows = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{escape(cell)}</text:p></table:table-cell>'
            if cell != ""
            else "<table:table-cell/>"
            for cell in row
        )
        + "</table:table-row>"
        for row in grid
    )
    return ods_file(folder, f'<table:table table:name="Orders">{rows}</table:table>', name=name)


def flat_document(folder: Path, grid: Grid) -> Path:
    """The same in a single XML file."""
    with zipfile.ZipFile(open_document(folder, grid)) as archive:
        content = archive.read("content.xml").decode()
    content = content.replace("office:document-content", "office:document")
    return csv_file(folder, content, "sheet.fods")


def ods_file(folder: Path, tables: str, styles: str = "", name: str = "sheet.ods") -> Path:
    """An OpenDocument sheet with these tables."""
    spaces = " ".join(
        f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{long}:1.0"'
        for short, long in (("office", "office"), ("table", "table"), ("text", "text"), ("style", "style"))
    )
    content = (
        f"{XML}<office:document-content {spaces}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body></office:document-content>"
    )
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", content)
    return folder / name


def escape(cell: str) -> str:
    """A text as XML has it."""
    return cell.replace("&", "&amp;").replace("<", "&lt;")


def raw_excel(
    folder: Path, sheet_data: str, *, before: str = "", after: str = "", extra: dict[str, str] | None = None
) -> Path:
    """A workbook with exactly this XML within its only sheet."""
    parts = {
        "[Content_Types].xml": f'{XML}<Types xmlns="{TYPES}"><Override PartName="/xl/workbook.xml"'
        ' ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>',
        "_rels/.rels": f'{XML}<Relationships xmlns="{PACKAGE}"><Relationship Id="r1" Type="{RELATIONS}/officeDocument"'
        ' Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'{XML}<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>'
        '<sheet name="Orders" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'{XML}<Relationships xmlns="{PACKAGE}"><Relationship Id="r1"'
        f' Type="{RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'{XML}<worksheet xmlns="{MAIN}">{before}<sheetData>{sheet_data}</sheetData>'
        f"{after}</worksheet>",
        **(extra or {}),
    }
    with zipfile.ZipFile(folder / "sheet.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return folder / "sheet.xlsx"


def cell(place: str, value: str) -> str:
    """An inline text cell."""
    return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'


def xml_row(number: int, *cells: str, more: str = "") -> str:
    """A row of text cells, or of cells that are XML already."""
    made = [c if c.startswith("<c") else cell(f"{'ABCDEFG'[place]}{number}", c) for place, c in enumerate(cells)]
    return f'<row r="{number}" {more}>{"".join(made)}</row>'


MAKERS: dict[Kind, tuple[Maker, ...]] = {  # what makes a sample of each format
    Kind.TEXT: (comma, semicolon, tabs), Kind.JSON_LINES: (json_lines,), Kind.PARQUET: (parquet,),
    Kind.XLSX: (excel,), Kind.XLS: (old_excel,), Kind.ODS: (open_document,), Kind.FODS: (flat_document,),
    Kind.GZIP: (packed,), Kind.ZIP: (zipped,), Kind.ENCRYPTED: (locked,),
}  # fmt: skip


def read(path: Path, **options: Any) -> Source:
    """Open a sheet with these options."""
    return open_source(path, ReadOptions(**options))


def validated(path: Path, book: StatusBook | None = None, **options: Any) -> list[StatusUpdate | RejectedRow]:
    """What the planning makes of each row. Raises InputError."""
    source = read(path, **options)
    order_column, status_column = options.get("order_column"), options.get("status_column")
    columns = find_columns(
        source.header, ColumnNames(order_column, status_column), hidden=source.hidden_columns, name=source.name
    )
    validator = RowValidator(columns.order, columns.status, book=book)
    return [validator.validate(row) for row in source.rows()]


def outcome(path: Path, book: StatusBook | None = None, **options: Any) -> list[str] | str:
    """What would become of each row, as `2 ok` or `3 bad_order_id: <sentence>`; or the message of a refusal."""
    try:
        found = validated(path, book, **options)
    except InputError as error:
        assert str(path.name) in error.message, error
        assert error.hint, error
        return f"{error.message} | {error.hint}"
    return [f"{f.row} {f.code}: {f.detail}" if isinstance(f, RejectedRow) else f"{f.row} ok" for f in found]


def matches(found: list[str] | str, expected: list[str] | str) -> bool:
    """Whether each row, or the refusal, starts with or holds what is expected."""
    if isinstance(found, str) or isinstance(expected, str):
        return isinstance(found, str) and isinstance(expected, str) and expected in found
    return len(found) == len(expected) and all(
        all(piece in line for piece in wanted.split(" … ")) for line, wanted in zip(found, expected, strict=True)
    )


def gzip_bytes(content: bytes) -> bytes:
    """Gzipped content."""
    target = io.BytesIO()
    with gzip.GzipFile(fileobj=target, mode="wb") as stream:
        stream.write(content)
    return target.getvalue()

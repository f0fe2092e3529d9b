"""CSV as people have it: what becomes of its rows, or the sentence that refuses it."""

import gzip
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.sheets import (
    BOOK,
    DONE,
    HEAD,
    csv_file,
    good,
    gzip_bytes,
    matches,
    order,
    outcome,
    packed,
    read,
    text,
    zipped,
)

from batch_updater.common.errors import InputError

A, B, C = order(1), order(2), order(3)
H = "order_id,status_id"
ROW_A, ROW_B = f"{A},{DONE}", f"{B},{DONE}"
OK2 = ["2 ok", "3 ok"]

# Content of the file, options, what becomes of its rows or the refusal.
CASES: dict[str, tuple[str | bytes, dict[str, Any], list[str] | str]] = {
    # encodings
    "utf-8": (f"{H},şehir\n{ROW_A},İzmir\n", {}, ["2 ok"]),
    "utf-8 with BOM": (f"\ufeff{H}\n{ROW_A}\n", {}, ["2 ok"]),
    "utf-16-le with BOM": (f"\ufeff{H}\n{ROW_A}\n".encode("utf-16-le"), {}, ["2 ok"]),
    "utf-16-be with BOM": (f"\ufeff{H}\n{ROW_A}\n".encode("utf-16-be"), {}, ["2 ok"]),
    "utf-32 with BOM": (f"\ufeff{H}\n{ROW_A}\n".encode("utf-32-le"), {}, ["2 ok"]),
    "utf-16 without BOM": (f"{H}\n{ROW_A}\n".encode("utf-16-le"), {}, "--encoding utf-16-le"),
    "utf-16-be without BOM": (f"{H}\n{ROW_A}\n".encode("utf-16-be"), {}, "--encoding utf-16-be"),
    "utf-16 without BOM, chosen": (f"{H}\n{ROW_A}\n".encode("utf-16-le"), {"encoding": "utf-16-le"}, ["2 ok"]),
    "cp1254": (f"{H},x\n{ROW_A},İğdır\n".encode("cp1254"), {}, "line 2 is not UTF-8. As cp1254 it reads"),
    "cp1254 shown": (f"{H},x\n{ROW_A},İğdır\n".encode("cp1254"), {}, "İğdır', as cp1252 '"),
    "cp1254 and cp1252 shown": (f"{H},x\n{ROW_A},İğdır\n".encode("cp1254"), {}, "Ýðdýr'"),
    "cp1254 tells later": (f"{H},x\n{ROW_A},ö\n{ROW_B},ş\n".encode("cp1254"), {}, "line 3 is not UTF-8"),
    "cp1252 same in both": (f"{H},x\n{ROW_A},Köln\n".encode("cp1252"), {}, "Köln', as cp"),
    "cp1254 chosen": (f"{H},x\n{ROW_A},İğdır\n".encode("cp1254"), {"encoding": "cp1254"}, ["2 ok"]),
    "cut in a letter": (f"{H},x\n{ROW_A},".encode() + b"\xc3", {}, "is not UTF-8"),
    "wrong encoding chosen": (b"order_id,status_id\n\x81,x\n", {"encoding": "cp1252"}, "is not text in cp1252"),
    "no such encoding": (f"{H}\n{ROW_A}\n", {"encoding": "klingon"}, "as 'klingon': there is no such text encoding"),
    "no text encoding": (f"{H}\n{ROW_A}\n", {"encoding": "rot13"}, "as 'rot13': there is no such text encoding"),
    "BOM against option": (f"\ufeff{H}\n{ROW_A}\n", {"encoding": "cp1254"}, "starts with the byte order mark of utf-8"),
    "BOM and utf-8 chosen": (f"\ufeff{H}\n{ROW_A}\n", {"encoding": "UTF8"}, ["2 ok"]),
    # delimiters
    "semicolon": (f"{H}\n{ROW_A}\n".replace(",", ";"), {}, ["2 ok"]),
    "tab": (f"{H}\n{ROW_A}\n".replace(",", "\t"), {}, ["2 ok"]),
    "pipe": (f"{H}\n{ROW_A}\n".replace(",", "|"), {}, ["2 ok"]),
    "sep line": (f"sep=;\r\n{H}\r\n{ROW_A}\r\n".replace(",", ";"), {}, ["2 ok"]),
    "sep line, upper case": (f"SEP=|\n{H}\n{ROW_A}\n".replace(",", "|"), {}, ["2 ok"]),
    "sep line, quoted": (f'"sep=;"\n{H}\n{ROW_A}\n'.replace(",", ";"), {}, ["2 ok"]),
    "sep line with BOM": (f"\ufeffsep=,\n{H}\n{ROW_A}\n", {}, ["2 ok"]),
    "sep line, CR": (f"sep=,\r{H}\r{ROW_A}\r", {}, ["2 ok"]),
    "sep line, odd": (f"sep=:\n{H}\n", {}, "names ':' as delimiter"),
    "commas in a column": (f"order_id;status_id;note, long\n{A};{DONE};a,b\n", {}, ["2 ok"]),
    "chosen delimiter": (f"{H}\n{ROW_A}\n".replace(",", ";"), {"delimiter": ";"}, ["2 ok"]),
    "wrong delimiter": (f"{H}\n{ROW_A}\n", {"delimiter": ";"}, "no order column"),
    "two could be": ("a,b;c\n1,2;3\n", {}, "the delimiter could be ',' or ';'"),
    "no delimiter": (f"order_id\n{A}\n", {}, "no status column"),
    # lines
    "CRLF": (f"{H}\r\n{ROW_A}\r\n{ROW_B}\r\n", {}, OK2),
    "CR": (f"{H}\r{ROW_A}\r{ROW_B}\r", {}, OK2),
    "mixed ends": (f"{H}\r\n{ROW_A}\n{ROW_B}\r", {}, OK2),
    "no end": (f"{H}\n{ROW_A}\n{ROW_B}", {}, OK2),
    "blank lines": (f"{H}\n\n{ROW_A}\n   \n,\n{ROW_B}\n\n\n", {}, ["3 ok", "6 ok"]),
    "blank line first": (f"\n{H}\n{ROW_A}\n", {}, ["3 ok"]),
    "quoted line break": (f'{H},note\n{ROW_A},"one\ntwo"\n{ROW_B},x\n', {}, OK2),
    "quoted CRLF": (f'{H},note\r\n{ROW_A},"one\r\ntwo"\r\n{ROW_B},x\r\n', {}, OK2),
    "all quoted": (f'"order_id","status_id"\n"{A}","{DONE}"\n', {}, ["2 ok"]),
    "doubled quotes": (f'{H},note\n{ROW_A},"a ""b"" c"\n', {}, ["2 ok"]),
    "quote within": (f'{H},note\n{ROW_A},5" pipe\n', {}, ["2 ok"]),
    "line separator is text": (f"{H},note\n{ROW_A},a\u2028b\n{ROW_B},x\n", {}, OK2),
    "form feed is text": (f"{H},note\n{ROW_A},a\x0cb\n{ROW_B},x\n", {}, OK2),
    "Ctrl-Z at the end": (f"{H}\n{ROW_A}\n\x1a", {}, ["2 ok", "3 short_row"]),
    # rows of another length
    "short row": (f"{H},note\n{ROW_A}\n{ROW_B},x\n", {}, ["2 short_row … 2 of 3 cells", "3 ok"]),
    "one cell": (f"{H}\n{A}\n{ROW_B}\n", {}, ["2 short_row … 1 of 2", "3 ok"]),
    "long row": (f"{H}\n{ROW_A},x\n", {}, "row 2 has more cells (3) than the header (2)"),
    "long row later": (f"{H}\n{ROW_A}\n{ROW_B},,x\n", {}, "row 3 has more cells (4)"),
    "surplus cells that are empty": (f"{H}\n{ROW_A},, \n{ROW_B}\n", {}, ["2 ok", "3 ok"]),
    "shifted row": (f"{H}\n{ROW_A}\nBursa,{ROW_B}\n", {}, "row 3 has more cells (3)"),
    "decimal comma": (f"{H},km\n{ROW_A},1,5\n", {}, "row 2 has more cells"),
    "open quote": (f'{H}\n{ROW_A}\n"{ROW_B}\n{C},{DONE}\n', {}, "row 3 is never closed"),
    "open quote at the end": (f'{H},n\n{ROW_A},"x\n', {}, "row 2 is never closed"),
    "stray closing": (f'{H}\n"{A}" ,{DONE}\n', {}, "row 2 ends its cell too early"),
    "swallowed rows": (f'{H},n\n{ROW_A},"x\n{ROW_B},y"\n', {}, "row 2 makes one row of several"),
    "swallowed to the next quote": (f'{H},n\n{ROW_A},"x\n{ROW_B},"y"\n', {}, "quotation mark in row 2"),
    "huge cell": (f'{H},n\n{ROW_A},"{"x" * 140_000}"\n', {}, "over 131,072 characters"),
    "huge line": (f"{H}\n" + "x" * (3 << 20), {}, "a line of over"),
    # headers
    "no header": (f"{ROW_A}\n{ROW_B}\n", {}, "row 1 should be the header, but looks like data"),
    "no header, numbers": ("123456789012,x\n1,2\n", {}, "looks like data: '123456789012'"),
    "doubled header": (f"order_id,Order ID,status_id\n{A},{B},{DONE}\n", {}, "two columns may hold the order"),
    "doubled other header": (f"{H},n,n\n{ROW_A},x,y\n", {}, ["2 ok"]),
    "doubled chosen header": (f"a,a,status_id\n{A},{B},{DONE}\n", {"order_column": "a"}, "two columns are called 'a'"),
    "swapped by option": (f"{H}\n{ROW_A}\n", {"order_column": "status_id", "status_column": "order_id"},
                          ["2 order_is_status"]),
    "empty header": (f",status_id,order_id\nx,{DONE},{A}\n", {}, ["2 ok"]),
    "blank in header": (f" order id , status-id \n{ROW_A}\n", {}, ["2 ok"]),
    "header only": (f"{H}\n", {}, []),
    "header and blanks": (f"{H}\n\n,\n", {}, []),
    "blank only": ("\n\n\n", {}, "there is nothing in it"),
    "blank above": (f"{chr(10) * 40}{H}\n{ROW_A}\n", {}, "rows 1 to 30 are blank. | use --header-row 41"),
    "blank above, header named": (f"{chr(10) * 40}{H}\n{ROW_A}\n", {"header_row": 41}, ["42 ok"]),
    "title above": (f"Orders of 23.11.2026\n\n{H}\n{ROW_A}\n", {}, ["4 ok"]),
    "title with commas": (f"Orders,\n,\n{H}\n{ROW_A}\n", {}, ["4 ok"]),
    "title, semicolons": (f"Orders, all\n{H}\n{ROW_A}\n".replace(f"{H}\n{ROW_A}", f"{H}\n{ROW_A}".replace(",", ";")),
                          {}, ["3 ok"]),
    "title and header row": (f"a,b,c,d\n{H}\n{ROW_A}\n", {"header_row": 2}, ["3 ok"]),
    "wide title": (f"a,b,c,d\n{H}\n{ROW_A}\n", {}, "no order column"),
    "header row blank": (f"{H}\n\n{ROW_A}\n", {"header_row": 2}, "row 2 is empty"),
    "header row too far": (f"{H}\n{ROW_A}\n", {"header_row": 9}, "row 9 is empty"),
    "header row on data": (f"{H}\n{ROW_A}\n{ROW_B}\n", {"header_row": 2}, "looks like data"),
    "header below data": (f"{ROW_A}\n{H}\n{ROW_B}\n", {}, "row 1 should be the header, but looks like data"),
    # characters
    "NUL": (f"{H}\n{A[:5]}\x00{A[5:]},{DONE}\n", {}, ["2 bad_order_id … \\x00 … invisible"]),
    "BOM in a cell": (f"{H}\n\ufeff{ROW_A}\n", {}, ["2 bad_order_id … \\ufeff … invisible"]),
    "tab in an id": (f'{H}\n"{A[:5]}\t{A[5:]}",{DONE}\n', {}, ["2 bad_order_id … invisible"]),
    "line break in an id": (f'{H}\n"{A}\n{B}",{DONE}\n', {}, ["2 bad_order_id … \\n"]),
    "line break after an id": (f'{H}\n"{A}\n",{DONE}\n', {}, ["2 ok"]),
    "escape sequence": (f"{H}\n\x1b[31m{ROW_A}\n", {}, ["2 bad_order_id … \\x1b"]),
    # other contents under a name of text
    "HTML": ("<html><table><tr><td>x</td></tr></table></html>", {}, "web page (HTML)"),
    "XML": ("<?xml version='1.0'?><a/>", {}, "XML document"),
    "PDF": ("%PDF-1.7 x", {}, "a PDF document"),
    "picture": (b"\x89PNG\r\n", {}, "a picture"),
    "gzip in csv": (gzip_bytes(text(good()).encode()), {}, "packed (gzip), but not named so"),
    "JSON array": ("[{}]", {}, "one JSON array"),
    "header in brackets": (f"[order id],status_id\n{ROW_A}\n", {"order_column": "[order id]"}, ["2 ok"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_csv_becomes_the_rows_that_are_seen_or_is_refused(tmp_path: Path, case: str) -> None:
    """Each row is used or named with its reason; what can't be known for certain is refused with a next step."""
    content, options, expected = CASES[case]
    found = outcome(csv_file(tmp_path, content), BOOK, **options)
    assert matches(found, expected), found


@pytest.mark.parametrize("where", [1, 2, 500, 25_000])
def test_a_shifted_row_is_refused_wherever_it_stands(tmp_path: Path, where: int) -> None:
    """A surplus cell never moves a status to another order, however far down it is."""
    lines = [H, *[ROW_A] * 30_000]
    lines[where] = f"x,{ROW_A}"
    assert f"row {where + 1} has more cells" in str(outcome(csv_file(tmp_path, "\n".join(lines))))


NAMED: dict[str, tuple[str, bytes, list[str] | str]] = {
    "TSV named xls": ("s.xls", text(good(), "\t").encode("utf-16"), OK2),
    "CSV named xls": ("s.xls", text(good(), ";").encode(), OK2),
    "HTML named xls": ("s.xls", b"\xef\xbb\xbf\r\n<TABLE><tr><td>order_id</td></tr></TABLE>", "web page (HTML)"),
    "SpreadsheetML named xls": ("s.xls", b'<?xml version="1.0"?><Workbook/>', "XML document"),
    "text named xlsx": ("s.xlsx", text(good()).encode(), "is text, not Excel"),
    "text named ods": ("s.ods", text(good()).encode(), "is text, not Excel"),
    "text named xlsb": ("s.xlsb", text(good()).encode(), "is text, not Excel"),
    "unknown ending": ("s.docx", b"x", "no ending that says"),
    "no ending": ("sheet", text(good()).encode(), "no ending that says"),
    "broken gzip": ("s.csv.gz", gzip_bytes(text(good()).encode())[:25], "(gzip) is cut off"),
    "gzip of nothing": ("s.csv.gz", gzip_bytes(b""), "there is nothing in it"),
    "empty": ("s.csv", b"", "is empty"),
    "tsv": ("s.tsv", text(good(), "\t").encode(), OK2),
    "txt": ("s.txt", text(good(), "|").encode(), OK2),
    "upper-case ending": ("S.CSV", text(good()).encode(), OK2),
    "json lines": ("s.jsonl", f'{{"order_id":"{A}","status_id":"{DONE}"}}\n'.encode(), ["1 ok"]),
    "json lines, number": ("s.jsonl", f'{{"order_id":1234567890123456789,"status_id":"{DONE}"}}'.encode(),
                           ["1 bad_order_id: order id '1234567890123456789'"]),
    "json lines, null": ("s.jsonl", f'{{"order_id":null,"status_id":"{DONE}"}}'.encode(), ["1 missing_value"]),
    "json lines, key missing": ("s.jsonl", f'{{"order_id":"{A}","status_id":"{DONE}"}}\n{{"order_id":"{B}"}}'.encode(),
                                ["1 ok", "2 missing_value"]),
    "json lines, cut": ("s.jsonl", f'{{"order_id":"{A}","status_id":"{DONE}"}}\n{{"o'.encode(), "line 2 is not a JSON"),
    "json lines, other value": ("s.jsonl", f'{{"order_id":"{A}","status_id":"{DONE}"}}\n"x"'.encode(), "line 2 is not"),
    "json lines, doubled key": ("s.jsonl", f'{{"order_id":"{A}","order_id":"{B}","status_id":"{DONE}"}}'.encode(),
                                "has the key 'order_id' twice"),
    "json lines, deep": ("s.jsonl", b'{"a":' * 50_000, "line 1 is not a JSON object"),
    "json lines, Latin": ("s.jsonl", '{"a":"ö"}'.encode("cp1252"), "is not UTF-8"),
    "json lines, nested": ("s.jsonl", f'{{"order_id":["{A}"],"status_id":"{DONE}"}}'.encode(), ["1 bad_order_id"]),
    "broken parquet": ("s.parquet", b"PAR1xxxxPAR1", "not a readable Parquet"),
    "RTF": ("s.txt", b"{\\rtf1 x}", "an RTF document"),
    "7z": ("s.zip", b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMED)
def test_content_counts_more_than_the_name(tmp_path: Path, case: str) -> None:
    """A file is read as what it is, and refused when that is not what its name promises."""
    name, content, expected = NAMED[case]
    found = outcome(csv_file(tmp_path, content, name), BOOK)
    assert matches(found, expected), found


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"a.csv": text(good()), "__MACOSX/._a.csv": "x", ".DS_Store": "x"}, OK2),
        ({"a.csv": "x", "b.csv": "y"}, "holds 2 files"),
        ({"a.pdf": "x"}, "'a.pdf', which is not a CSV"),
        ({}, "holds 0 files"),
        ({"word/document.xml": "x"}, "Word or PowerPoint"),
        ({"a.jsonl": f'{{"order_id":"{A}","status_id":"{DONE}"}}'}, ["1 ok"]),
    ],
)
def test_a_zip_holds_one_csv(tmp_path: Path, members: dict[str, str], expected: list[str] | str) -> None:
    """Several files, or another kind of file, are refused by name."""
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    found = outcome(tmp_path / "s.zip")
    assert matches(found, expected), found


def test_a_zip_with_a_password_is_refused(tmp_path: Path) -> None:
    """The flag of an encrypted member is seen before anything is read."""
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr("a.csv", text(good()))
    content = bytearray((tmp_path / "s.zip").read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    assert "zip file with a password" in str(outcome(csv_file(tmp_path, bytes(content), "s.zip")))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", [packed, zipped])
def test_a_packed_csv_that_is_cut_off_is_refused(tmp_path: Path, kind: Callable[..., Path], share: float) -> None:
    """Rows before the cut are not taken for the whole file."""
    file = kind(tmp_path, good(3000))
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    assert "cut off or damaged" in str(outcome(file))


def test_a_packed_csv_of_any_size_is_one_stream(tmp_path: Path) -> None:
    """A gzip file that unpacks to one endless line is refused, and not held in memory."""
    with gzip.open(tmp_path / "s.csv.gz", "wb") as stream:
        for _ in range(64):
            stream.write(bytes(1 << 20))
    assert "a line of over" in str(outcome(tmp_path / "s.csv.gz"))


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("https://example.com/a.csv", "is an address"),
        ("s3://bucket/a.csv", "is an address"),
        ("file:///tmp/a.csv", "is an address"),
        ("gone.csv", "does not exist"),
    ],
)
def test_addresses_and_missing_files_are_refused(name: str, word: str) -> None:
    """Nothing is fetched."""
    assert word in str(outcome(Path(name)))


def test_a_folder_is_refused_and_its_sheets_are_named(tmp_path: Path) -> None:
    """The hint names a sheet in the folder."""
    csv_file(tmp_path, text(good()), "b.csv")
    assert "is a folder. | name one sheet in it" in str(outcome(tmp_path))
    assert "b.csv" in str(outcome(tmp_path))


def test_a_named_pipe_is_read_once_it_is_copied(tmp_path: Path) -> None:
    """`batch-updater plan <(command)` works: the pipe is copied, and the copy is the sheet."""
    from batch_updater.journal.frozen_input import freeze
    from batch_updater.journal.run_folder import RunFolder

    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(text(good()),))
    writer.start()
    (tmp_path / "run").mkdir()
    folder = RunFolder(tmp_path / "run")
    freeze(tmp_path / "pipe", folder)
    writer.join()
    assert outcome(folder.input_path) == OK2


CHOICES: dict[str, tuple[dict[str, Any], list[int]]] = {
    "all": ({}, [2, 3, 4, 5, 6]),
    "one value, in any letter case": ({"where": ("city=İZMİR",)}, [2, 4, 5]),
    "two values": ({"where": ("city=İzmir", "City = Bursa")}, [2, 3, 4, 5]),
    "without a value": ({"where": ("city!=izmir",)}, [3, 6]),
    "without two values": ({"where": ("city != izmir", "city!=")}, [3]),
    "with and without": ({"where": ("city=izmir", "kind!=Y")}, [2, 5]),
    "two columns": ({"where": ("city=İzmir", "kind=x")}, [2]),
    "empty value": ({"where": ("city=",)}, [6]),
    "rows": ({"rows": "3-5"}, [3, 4, 5]),
    "row list": ({"rows": "2,5-"}, [2, 5, 6]),
    "limit": ({"limit": 2}, [2, 3]),
    "limit after where": ({"limit": 1, "where": ("kind=y",)}, [3]),
    "all three": ({"limit": 1, "where": ("city=İzmir",), "rows": "3-"}, [4]),
}


@pytest.mark.parametrize("case", CHOICES)
def test_rows_can_be_chosen(tmp_path: Path, case: str) -> None:
    """--where, --rows and --limit take rows and keep their numbers; the others are counted as left out."""
    options, expected = CHOICES[case]
    rows = [("İzmir", "x"), ("Bursa", "y"), (" İzmir ", "y"), ("izmir", "z"), ("", "z")]
    grid = [[*HEAD, "City", "kind"], *([order(n), DONE, *row] for n, row in enumerate(rows))]
    source = read(csv_file(tmp_path, text(grid)), **options)
    assert [row.number for row in source.rows()] == expected
    assert source.left_out == 5 - len(expected)
    assert bool(source.selection) == bool(options)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"where": ("nope=1",)}, "no column 'nope'"),
        ({"where": ("n=1",)}, "several columns 'n'"),
        ({"where": ("order_id=1",)}, "no row is chosen by order_id=1"),
        ({"where": ("No Such=1",)}, "no column 'No Such'"),
        ({"rows": "900-"}, "no row is chosen by rows 900-"),
        ({"where": ("result=x",), "only": ("failed",)}, "no row is chosen by result=failed; result=x"),
    ],
)
def test_a_choice_that_can_not_be_is_refused(tmp_path: Path, options: dict[str, Any], word: str) -> None:
    """A misspelt column, and a choice without rows, are told instead of sending nothing in silence."""
    assert word in str(outcome(csv_file(tmp_path, f"{H},n,n,result\n{ROW_A},1,2,updated\n"), **options))


def test_a_condition_that_no_row_meets_shows_how_its_column_reads(tmp_path: Path) -> None:
    """The first different values of each column that is named, escaped and short; a column without any is blank."""
    days = ["3 Nov", "3 Nov", "", "4\u200bNov", "5 Nov", "6 Nov"]
    grid = [[*HEAD, "Day", "None", "n"], *([order(n), DONE, day, " ", "1"] for n, day in enumerate(days))]
    sheet = csv_file(tmp_path, text(grid))
    said = str(outcome(sheet, where=("day=3/11", "none=x", "n!=1")))
    assert "'Day' reads '3 Nov', '4\\u200bNov', '5 Nov' and others; 'None' reads blank; 'n' reads '1'." in said
    assert "reads" not in str(outcome(sheet, rows="900-"))


def test_a_result_file_without_the_results_asked_for_is_refused(tmp_path: Path) -> None:
    """`--only failed` where nothing failed is a mistake: it is said, before anything is done."""
    with pytest.raises(InputError, match="no row is chosen by result=failed"):
        read(csv_file(tmp_path, f"{H},result\n{ROW_A},updated\n"), only=("failed",))

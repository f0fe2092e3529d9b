"""What every format promises: the same sheet becomes the same rows, as often as wanted, and damage is never a row.

A format that is registered is tested here; without a sample in `support.sheets.MAKERS` this file fails.
"""

from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
from support.sheets import BOOK, DONE, HEAD, MAKERS, OPEN, Grid, Maker, good, matches, order, outcome, read, validated

from batch_updater.common.errors import InputError
from batch_updater.common.models import StatusUpdate
from batch_updater.inputs.formats import FORMATS, open_table
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.sniff import kind_of
from batch_updater.inputs.table import Kind

SAMPLES = [pytest.param(kind, maker, id=f"{kind}-{maker.__name__}") for kind in FORMATS for maker in MAKERS[kind]]
every_format = pytest.mark.parametrize(("kind", "maker"), SAMPLES)
UNCHECKED = {Kind.TEXT, Kind.JSON_LINES, Kind.PARQUET, Kind.FODS}  # in which a changed byte may be another id

A, B = order(1), order(2)

# What stands in the sheet -> what becomes of its rows.
CASES: dict[str, tuple[Grid, list[str]]] = {
    "plain": (good(), ["2 ok", "3 ok"]),
    "upper case": ([HEAD, [A.upper(), DONE.upper()]], ["2 ok"]),
    "blanks around": ([HEAD, [f"  {A}\u00a0", f"{DONE} "]], ["2 ok"]),
    "braces and urn": ([HEAD, [f"{{{A}}}", f"urn:uuid:{DONE}"]], ["2 ok"]),
    "status by name": ([HEAD, [A, "completed"], [B, " Planned "]], ["2 ok", "3 ok"]),
    "unknown name": ([HEAD, [A, "Compleeted"]], ["2 unknown_status … did you mean 'Completed'"]),
    "unknown status id": ([HEAD, [A, order(9)]], ["2 unknown_status … no status with the id"]),
    "swapped cells": ([HEAD, [DONE, A], [B, DONE]], ["2 order_is_status … 'Completed'", "3 ok"]),
    "missing order": ([HEAD, ["", DONE]], ["2 missing_value: the order id is empty"]),
    "missing status": ([HEAD, [A, ""]], ["2 missing_value: the status is empty"]),
    "NA": ([HEAD, ["NA", DONE]], ["2 bad_order_id … stands for an empty cell"]),
    "null": ([HEAD, ["null", DONE]], ["2 bad_order_id … 'null' stands for an empty cell"]),
    "None as status": ([HEAD, [A, "None"]], ["2 bad_status_id … stands for an empty cell"]),
    "1E5": ([HEAD, ["1E5", DONE]], ["2 bad_order_id … a number that a spreadsheet shortened"]),
    "1.5E+15": ([HEAD, ["1.5E+15", DONE]], ["2 bad_order_id … shortened"]),
    "00123": ([HEAD, ["00123", DONE]], ["2 bad_order_id … '00123' is a number"]),
    "123.0": ([HEAD, ["123.0", DONE]], ["2 bad_order_id … '123.0' … a spreadsheet made it a decimal number"]),
    "lost digits": ([HEAD, ["1234567890123450000", DONE]], ["2 bad_order_id … keep only 15 digits"]),
    "lost digits, decimal": ([HEAD, ["1234567890123456.0", DONE]], ["2 bad_order_id … keep only 15 digits"]),
    "date": ([HEAD, ["2026-11-23", DONE]], ["2 bad_order_id … is a date"]),
    "Turkish date": ([HEAD, ["23.11.2026", DONE]], ["2 bad_order_id … is a date"]),
    "spreadsheet error": ([HEAD, ["#REF!", DONE]], ["2 bad_order_id … spreadsheet error"]),
    "status error": ([HEAD, [A, "#N/A"]], ["2 bad_status_id"]),
    "formula text": ([HEAD, ["=A1", DONE]], ["2 bad_order_id"]),
    "zero width": ([HEAD, [A[:4] + "\u200b" + A[4:], DONE]], ["2 bad_order_id … \\u200b … invisible"]),
    "soft hyphen": ([HEAD, [A.replace("-", "\u00ad", 1), DONE]], ["2 bad_order_id … \\xad … invisible"]),
    "dash for hyphen": ([HEAD, [A.replace("-", "\u2013"), DONE]], ["2 bad_order_id … \\u2013 … only looks like"]),
    "Cyrillic a": ([HEAD, [A.replace("a", "\u0430", 1), DONE]], ["2 bad_order_id … \\u0430 … only looks like"]),
    "full-width digit": ([HEAD, [A.replace("1", "\uff11", 1), DONE]], ["2 bad_order_id … \\uff11 … only looks like"]),
    "Arabic digit": ([HEAD, [A[:-1] + "\u0661", DONE]], ["2 bad_order_id … \\u0661"]),
    "one digit less": ([HEAD, [A[:-1], DONE]], ["2 bad_order_id … 31 digits"]),
    "one digit more": ([HEAD, [A + "0", DONE]], ["2 bad_order_id … 33 digits"]),
    "no hyphens": ([HEAD, [A.replace("-", ""), DONE]], ["2 bad_order_id … without its hyphens; write"]),
    "path": ([HEAD, ["../../users", DONE]], ["2 bad_order_id"]),
    "two ids in a cell": ([HEAD, [f"{A} {B}", DONE]], ["2 bad_order_id"]),
    "one good, one bad": ([HEAD, [A, DONE], ["x", DONE]], ["2 ok", "3 bad_order_id"]),
    "header again": ([HEAD, [A, DONE], HEAD, [B, OPEN]], ["2 ok", "3 bad_order_id", "4 ok"]),
    "total row": ([HEAD, [A, DONE], ["Total: 1", ""]], ["2 ok", "3 missing_value"]),
    "other columns": ([["note", *HEAD], ["x", A, DONE]], ["2 ok"]),
    "aliases": ([["Order ID", "New Status"], [A, DONE]], ["2 ok"]),
    "bad note does not matter": ([[*HEAD, "note"], [A, DONE, "#N/A"]], ["2 ok"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@every_format
def test_the_same_sheet_gives_the_same_rows(tmp_path: Path, kind: Kind, maker: Maker, case: str) -> None:
    """Whatever a cell holds, every format makes the same row of it and says the same of it."""
    grid, expected = CASES[case]
    file = maker(tmp_path, grid)
    found = outcome(file, BOOK, password_file=tmp_path / "password")
    assert matches(found, expected), found
    assert kind_of(file, file) is kind


@every_format
def test_records_are_numbered_rows_of_text(tmp_path: Path, kind: Kind, maker: Maker) -> None:
    """Each has a number above the one before it, and a text for every column; the format says what it is."""
    grid = [[*HEAD, "city"], [order(1), DONE, "İğdır"], [order(2), DONE, ""], [order(3), OPEN, "東京 ✓ \U0001f600"]]
    file = maker(tmp_path, grid)
    table = open_table(kind, file, file, ReadOptions(password_file=tmp_path / "password"))
    assert table.description
    first = 1 if table.header is None else 2
    table.require_width(1, 3)
    records = list(table.records())
    assert [(number, list(cells)) for number, cells, _flaws in records] == list(enumerate(grid, 1))[first - 1 :]
    assert not any(flaws for _number, _cells, flaws in records)
    assert table.is_excel == (kind in {Kind.XLSX, Kind.XLS, Kind.ODS, Kind.FODS, Kind.ENCRYPTED})


@every_format
def test_rows_can_be_streamed_again_and_again(tmp_path: Path, kind: Kind, maker: Maker) -> None:
    """A stream that was left early, and two at once, change nothing."""
    source = read(maker(tmp_path, good(50)), password_file=tmp_path / "password")
    with closing(source.rows()) as rows:
        begun = list(islice(rows, 3))
        whole = list(source.rows())
        begun += rows
    assert begun == whole == list(source.rows())
    assert [row.number for row in whole] == list(range(2, 52)), kind


@every_format
def test_damage_is_refused_or_never_makes_another_id(tmp_path: Path, kind: Kind, maker: Maker) -> None:
    """Cut, zeroed or changed anywhere, no file breaks its reader, and few formats could yield another id."""
    whole = maker(tmp_path, good(20))
    content = whole.read_bytes()
    usual = {order(number) for number in range(20)}
    for place in range(0, len(content), max(len(content) // 150, 1)):
        for damaged in (
            content[:place],
            content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :],
            content[:place] + bytes(16) + content[place + 16 :],
        ):
            whole.write_bytes(damaged)
            try:
                found = validated(whole, BOOK, password_file=tmp_path / "password")
            except InputError as error:
                assert error.hint
                continue
            ids = {row.order_id for row in found if isinstance(row, StatusUpdate)}
            assert kind in UNCHECKED or ids <= usual, place

"""Every kind of cell in every kind of file: the same sheet must become the same rows."""

from pathlib import Path

import pytest
from support.sheets import BOOK, DONE, FORMATS, HEAD, OPEN, Grid, good, matches, order, outcome

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
    "no hyphens": ([HEAD, [A.replace("-", ""), DONE]], ["2 bad_order_id … 8-4-4-4-12"]),
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
@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_sheet_gives_the_same_rows(tmp_path: Path, kind: str, case: str) -> None:
    """Whatever a cell holds, every format judges it alike and says the same of it."""
    grid, expected = CASES[case]
    found = outcome(FORMATS[kind](tmp_path, grid), BOOK)
    assert matches(found, expected), found

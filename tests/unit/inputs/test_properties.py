"""What holds for any text, header and file: no crash, never another id than the one that stands there."""

import csv
import io
import re
import uuid
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.sheets import BOOK, DONE, HEAD, order, outcome, read, validated

from batch_updater.common.errors import InputError
from batch_updater.common.models import RejectedRow, SourceRow, StatusUpdate
from batch_updater.common.text import shown
from batch_updater.inputs.columns import ColumnNames, find_columns
from batch_updater.inputs.excel.cell_text import plain_text, stored_value
from batch_updater.inputs.header_row import find_header, looks_like_data
from batch_updater.planning.identifiers import normalise_id, why_not_an_id
from batch_updater.planning.validate import RowValidator

SHAPE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
ID = order(1)
FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
# Ids that something was done to: what people and spreadsheets do, and what parsers forgive.
pieces = st.sampled_from(
    ["{", "}", "urn:uuid:", "0x", "_", "+", " ", "\u00a0", "\u200b", "\n", "\uff11", "\u0430", "-"]
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
near_ids = st.tuples(st.uuids().map(str), pieces, st.integers(0, 36), st.booleans()).map(
    lambda made: made[0][: made[2]] + made[1] + made[0][made[2] + made[3] :]
)


@given(st.one_of(texts, near_ids))
@example("1b4e28ba-2fa1-41d2-883f-0016d3cca427\n")
@example("\u0661b4e28ba-2fa1-41d2-883f-0016d3cca427")
def test_an_accepted_id_has_the_strict_shape_and_stands_in_the_text(text: str) -> None:
    """Whatever the text, an id is accepted only in its strict shape, and only as it is seen."""
    found = normalise_id(text)
    assert found is None or (SHAPE.fullmatch(found) and found in text.lower())


@given(st.one_of(texts, near_ids), st.one_of(texts, near_ids, st.just(DONE)))
def test_every_row_is_an_update_or_has_a_code_and_a_printable_reason(first: str, second: str) -> None:
    """Validating never fails, and a reason can be shown on any terminal."""
    found = RowValidator(0, 1, book=BOOK).validate(SourceRow(2, (first, second)))
    if isinstance(found, StatusUpdate):
        assert found.order_id in first.lower()
        assert found.status_id in BOOK.names
    else:
        assert isinstance(found, RejectedRow)
        assert found.code
        assert found.detail.isprintable()
        assert why_not_an_id(first).isprintable()


@given(texts)
def test_what_is_shown_is_short_and_printable(text: str) -> None:
    """Nothing that a message shows can move a cursor or hide itself."""
    assert shown(text).isprintable()
    assert len(shown(text)) <= 60


headers = st.lists(st.one_of(texts, st.sampled_from([*HEAD, "Order ID", "status", "id", "result", ""])), max_size=8)


@given(headers, st.one_of(st.none(), texts), st.one_of(st.none(), texts))
def test_columns_are_found_for_certain_or_refused(header: list[str], first: str | None, second: str | None) -> None:
    """Two different columns, each the only one of its name, or a message with a hint."""
    try:
        columns = find_columns(header, ColumnNames(first, second))
    except InputError as error:
        assert error.hint
        return
    assert columns.order != columns.status
    assert (header[columns.order], header[columns.status]) == (columns.order_header, columns.status_header)


@given(st.lists(headers, max_size=6))
def test_a_header_is_never_looked_for_below_data(rows: list[list[str]]) -> None:
    """No row above the header that is found holds an id."""
    found = find_header(rows, ColumnNames())
    assert found is None or not any(looks_like_data(row) for row in rows[:found])


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["0000", "0.00", "#,##0", "General", "@"]))
def test_a_number_is_kept_as_it_is_stored_and_a_format_is_told(number: float, code: str) -> None:
    """Only zeros change the text, and keep every digit; any other format is a flaw beside the value itself."""
    value, flaw = stored_value(number, code)
    if isinstance(value, str):
        assert (code, int(value), flaw) == ("0000", int(number), None)
    else:
        assert (value, flaw is None) == (number, code in {"General", "@"})
    assert float(plain_text(number)) in {number, float(f"{number:.15g}")}


@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=20), st.sampled_from(",;\t|"))
@FOLDER
def test_csv_gives_back_what_was_written(tmp_path: Path, rows: list[tuple[str, str, str]], mark: str) -> None:
    """Quotes, delimiters and line breaks within cells come back as they were, each row under its number."""
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=mark).writerows([[*HEAD, "note"], *rows])
    (tmp_path / "s.csv").write_text(stream.getvalue(), encoding="utf-8", newline="")
    filled = [(number, row) for number, row in enumerate(rows, 2) if any(cell.strip() for cell in row)]
    try:
        found = [(row.number, row.cells) for row in read(tmp_path / "s.csv").rows()]
    except InputError as error:
        assert not filled or "quotation mark" in error.message or "looks like data" in error.message
        return
    assert found == filled


ids = st.lists(st.uuids(), min_size=1, max_size=5)


@given(ids, st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=4)), max_size=4), st.booleans())
@FOLDER
def test_a_damaged_csv_never_yields_an_id_that_is_not_in_it(
    tmp_path: Path, found: list[uuid.UUID], wounds: list[tuple[int, bytes]], wide: bool
) -> None:
    """Bytes put anywhere: the file is refused, or each accepted id stands in it letter by letter."""
    content = bytearray("\n".join([",".join(HEAD), *(f"{one},{DONE}" for one in found)]).encode(
        "utf-16" if wide else "utf-8"))  # fmt: skip
    for place, what in wounds:
        content[place : place + 1] = what
    (tmp_path / "s.csv").write_bytes(content)
    try:
        found_rows = validated(tmp_path / "s.csv")
    except InputError as error:
        assert error.hint
        return
    text = (
        bytes(content)
        .decode("utf-16" if bytes(content[:2]) in {b"\xff\xfe", b"\xfe\xff"} else "utf-8", "replace")
        .lower()
    )
    assert all(update.order_id in text for update in found_rows if isinstance(update, StatusUpdate))


@given(
    st.binary(max_size=300),
    st.sampled_from([".csv", ".xls", ".xlsx", ".ods", ".jsonl", ".parquet", ".gz", ".zip"]),
    st.sampled_from([b"", b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1Workbook", b"PAR1", b"\x1f\x8b", b"{"]),
)
@FOLDER
def test_any_bytes_under_any_name_are_refused_with_a_next_step(
    tmp_path: Path, content: bytes, ending: str, start: bytes
) -> None:
    """Noise is never a sheet, and never a traceback."""
    file = tmp_path / f"s{ending}"
    file.write_bytes(start + content)
    found = outcome(file)
    assert isinstance(found, str) or not found

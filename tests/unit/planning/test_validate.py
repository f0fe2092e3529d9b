import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_updater.common.models import WHOLE_ROW, Flaw, OrderStatus, RejectedRow, SourceRow, StatusUpdate
from batch_updater.common.text import shown
from batch_updater.planning.identifiers import is_name, normalise_id
from batch_updater.planning.statuses import StatusBook
from batch_updater.planning.swapped import swapped
from batch_updater.planning.validate import RejectedOrder, RowValidator

VALIDATOR = RowValidator(0, 1)
ID = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
DONE = "301f0507-37dd-5cd6-97fd-4d8876454e44"
BOOK = StatusBook([OrderStatus(DONE, "Completed")])


def result(
    validator: RowValidator, *cells: str, flaws: dict[int, Flaw] | None = None
) -> StatusUpdate | tuple[str, str]:
    """The update, or the code and the sentence of a rejection that names the right row."""
    found = validator.validate(SourceRow(7, cells, flaws))
    assert found[0] == 7 if isinstance(found, StatusUpdate) else found.row == 7
    return found if isinstance(found, StatusUpdate) else (found.code, found.detail)


@pytest.mark.parametrize("text", [ID, ID.upper(), f" {ID}\u00a0", f"{{{ID}}}", f"urn:uuid:{ID}", f"\t{ID}\n"])
def test_harmless_spellings_are_normalised(text: str) -> None:
    """Blanks around it, case, braces and urn:uuid: do not change which id it is."""
    assert normalise_id(text) == ID


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("NA", "empty cell"),
        ("1.5E+15", "shortened"),
        ("00123", "is a number"),
        (ID[:-1], "31 digits"),
        (ID[:-1].upper(), "31 digits"),
        (ID + "\x1f", "invisible character (U+001F)"),
        ("\x1f", "invisible character (U+001F)"),
        (ID.replace("b", "\u0432", 1), "looks like"),
        (ID[:4] + "\u200b" + ID[4:], "invisible"),
        (ID[:4] + "\x00" + ID[4:], "invisible"),
        ("#REF!", "spreadsheet error"),
        ("../../users", "is not an id"),
        (ID.replace("-", ""), "32"),
    ],
)
def test_a_bad_id_is_refused_with_its_reason(text: str, word: str) -> None:
    """Each kind of unusable id has a sentence of its own."""
    validated = VALIDATOR.validate(SourceRow(2, (text, ID)))
    assert isinstance(validated, RejectedRow)
    assert validated.code == "bad_order_id"
    assert word in validated.detail


def test_missing_and_bad_status_have_their_codes() -> None:
    """An empty cell and a bad status are told apart."""
    missing, bad = VALIDATOR.validate(SourceRow(2, (ID, " "))), VALIDATOR.validate(SourceRow(2, (ID, "x")))
    assert isinstance(missing, RejectedRow)
    assert isinstance(bad, RejectedRow)
    assert (missing.code, bad.code) == ("missing_value", "bad_status_id")


@given(st.text(max_size=60))
def test_no_text_becomes_another_id(text: str) -> None:
    """An accepted id is always one that stands in the text."""
    found = normalise_id(text)
    assert found is None or found in text.lower()


@given(st.uuids())
def test_every_uuid_is_accepted(value: uuid.UUID) -> None:
    """A canonical UUID passes unchanged."""
    validated = VALIDATOR.validate(SourceRow(2, (str(value), ID)))
    assert validated == StatusUpdate(2, str(value), ID, False)


@pytest.mark.parametrize("text", [f"{{{ID}0", f"0{ID}}}", f"{{{ID}", f"{ID}\x1f", f"\x0b{ID}"])
def test_what_is_no_blank_and_no_pair_of_braces_is_not_taken_off(text: str) -> None:
    """A lone brace or a control character beside an id makes it another text, which is refused."""
    assert normalise_id(text) is None


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\x1b[1mb\u200b", "a\\x1b[1mb\\u200b"),
        ("ğ", "ğ"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 59 + "…"),
        ("\x00" * 16, "\\x00" * 14 + "\\x0…"),
    ],
)
def test_what_is_shown_is_escaped_and_cut_with_an_ellipsis(text: str, seen: str) -> None:
    """Invisible characters are written out; from 61 characters on, 59 and an ellipsis stay."""
    assert shown(text) == seen


@pytest.mark.parametrize(
    ("order", "status", "detail"),
    [
        ("", DONE, "the order id is empty"),
        ("\x1f", "", "the status is empty"),
        (ID, "\u00a0", "the status is empty"),
        (" ", "", "the order id is empty"),
    ],
)
def test_an_empty_cell_is_named(order: str, status: str, detail: str) -> None:
    """Of an empty cell the reason says which column it is in; of two, the order."""
    assert result(VALIDATOR, order, status) == ("missing_value", detail)


BAD = Flaw("formula_without_value", "no value")


@pytest.mark.parametrize(
    ("flaws", "rejection"),
    [
        ({WHOLE_ROW: Flaw("too_few_cells", "cells are missing"), 0: BAD}, ("too_few_cells", "cells are missing")),
        ({0: BAD, 1: BAD}, (BAD.code, "order id: no value")),
        ({1: BAD, 2: BAD}, (BAD.code, "status: no value")),
        ({2: BAD}, (BAD.code, "expected status: no value")),
        ({3: BAD}, None),
    ],
)
def test_a_flaw_counts_where_it_matters(flaws: dict[int, Flaw], rejection: tuple[str, str] | None) -> None:
    """What the reader saw wrong rejects the row when it concerns the row or a used column, and no other one."""
    assert result(RowValidator(0, 1, 2), ID, DONE, DONE, "x", flaws=flaws) == (
        rejection or StatusUpdate(7, ID, DONE, False, DONE)
    )
    unused = result(VALIDATOR, ID, DONE, DONE, "x", flaws={2: BAD})
    assert unused == StatusUpdate(7, ID, DONE)


@pytest.mark.parametrize(
    ("order", "status", "tidied"),
    [
        (ID, DONE, False),
        (ID.upper(), DONE, True),
        (ID, f" {DONE.upper()}", True),
        (ID, "completed", False),
    ],
)
def test_a_row_says_whether_an_id_was_tidied(order: str, status: str, tidied: bool) -> None:
    """An id that is sent otherwise than it stands in the sheet is marked; a name that was looked up is not."""
    assert result(RowValidator(0, 1, book=BOOK), order, status) == StatusUpdate(7, ID, DONE, tidied)


def test_orders_by_name_are_taken_from_the_looked_up_ones() -> None:
    """A name leads to its id or to the reason why it has none; blanks around it are no part of it, controls are."""
    bad = RejectedOrder("order_not_found", "no order is called 'B'")
    validator = RowValidator(0, 1, orders={"A": ID, "A\x1f": DONE, "B": bad})
    assert result(validator, "\u00a0A ", DONE) == StatusUpdate(7, ID, DONE)
    assert result(validator, "A\x1f", DONE) == StatusUpdate(7, DONE, DONE)
    assert result(validator, "B", DONE) == (bad.code, bad.detail)
    assert [validator.order_name(SourceRow(2, (cell, ""))) for cell in (" A\u00a0", "A\x1f")] == ["A", "A\x1f"]


def test_the_expected_status_is_read_like_the_status() -> None:
    """An empty expectation is none; an id or a name is looked up; a bad one rejects the row."""
    validator = RowValidator(0, 1, 2, BOOK)
    assert result(validator, ID, DONE, "\u00a0") == StatusUpdate(7, ID, DONE)
    assert result(validator, ID, DONE, " COMPLETED") == StatusUpdate(7, ID, DONE, False, DONE)
    for cell in ("Gone", "\x1f"):
        code, detail = result(validator, ID, DONE, cell)[:2]
        assert code == ("unknown_status" if cell == "Gone" else "bad_status_id")
        assert "no such status" in str(detail) or "invisible" in str(detail)


def test_a_status_in_place_of_an_order_is_named() -> None:
    """An order id that is the id of a status is refused with the status's name."""
    assert result(RowValidator(0, 1, book=BOOK), DONE, DONE) == (
        "order_is_status", f"order id {DONE} is the id of the status 'Completed'"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("book", "status", "code", "words"),
    [
        (BOOK, ID, "unknown_status", f"'{ID}': the service has no status with the id {ID}"),
        (BOOK, "Done", "unknown_status", "'Done': the service has no such status"),
        (BOOK, f"{DONE}\x1f", "bad_status_id", "status '301f0507"),
        (BOOK, "#REF!", "bad_status_id", "status '#REF!' is a spreadsheet error"),
        (None, "Done", "unknown_status", "'Done' is a name, and names can't be looked up now"),
        (None, "\x1f", "bad_status_id", "status '\\x1f' holds an invisible character"),
        (None, "#REF!", "bad_status_id", "status '#REF!' is a spreadsheet error"),
    ],
)
def test_a_bad_status_has_its_reason(book: StatusBook | None, status: str, code: str, words: str) -> None:
    """A name or id that the service has not is told from a text that is neither."""
    found = result(RowValidator(0, 1, book=book), ID, status)
    assert found[0] == code
    assert str(found[1]).startswith(words)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Completed", True),
        (" OK\u00a0", True),
        ("x", False),
        ("12 a", False),
        ("n/a", False),
        ("None", False),
        ("#NAME?", False),
        ("Done\x1f", False),
        ("Done\x0b", False),
        (ID[:-1], False),
        (ID[:-1].upper(), False),
        ("abcdefabcdefabcd", False),
        ("abcdefabcdefabc", True),
    ],
)
def test_a_name_is_told_from_a_damaged_id(text: str, name: bool) -> None:
    """Words of two letters or more are names; numbers, spreadsheet errors, words for empty and torn ids are not."""
    assert is_name(text) is name


def test_orders_that_are_mostly_statuses_show_swapped_columns() -> None:
    """More than half of the rows name a status as their order: the first of them is named, the others counted."""
    fine = [StatusUpdate(row, ID, DONE) for row in range(2, 5)]
    wrong = [RejectedRow(row, "order_is_status", "") for row in range(5, 9)]
    other = RejectedRow(9, "bad_order_id", "")
    assert swapped([*fine, *wrong]) == "row 5 and 3 more have a status as their order"
    assert swapped([*fine, *wrong, other]) == "", "half is not more than half"
    assert swapped([*wrong, *fine, *fine]) == ""


@pytest.mark.parametrize(
    ("rows", "orders", "statuses", "plain"),
    [
        (20, 4, 20, True),
        (19, 3, 19, False),
        (20, 5, 20, False),
        (24, 5, 24, False),
        (20, 4, 19, False),
        (20, 1, 1, False),
    ],
)
def test_few_orders_and_many_statuses_show_swapped_columns(rows: int, orders: int, statuses: int, plain: bool) -> None:
    """From 20 rows on: each row a status of its own and a fifth as many orders or fewer."""
    ids = [str(uuid.UUID(int=n)) for n in range(rows)]
    found = swapped([StatusUpdate(n, ids[n % orders], ids[n % statuses]) for n in range(rows)])
    assert found == ("20 rows name 4 different orders and 20 different statuses" if plain else "")


def test_every_row_gets_the_status_that_is_set_for_all() -> None:
    """No column of statuses is read; a rejected row keeps that status for its correction."""
    validator = RowValidator(0, None, book=BOOK, set_status="completed")
    assert result(validator, ID) == StatusUpdate(7, ID, DONE)
    rejected = validator.validate(SourceRow(7, ("x",)))
    assert isinstance(rejected, RejectedRow)
    assert rejected.status_text == "completed"


@pytest.mark.parametrize(("status", "book", "why"), [
    ("Completed", BOOK, ""), (DONE, None, ""), ("Complted", BOOK, "did you mean 'Completed'"),
    ("Completed", None, "can't be looked up"), (ID, BOOK, "no status"),
])  # fmt: skip
def test_a_status_for_all_rows_is_checked_once(status: str, book: StatusBook | None, why: str) -> None:
    """Before any row is planned: a wrong one would make all of them invalid."""
    found = RowValidator(0, None, book=book, set_status=status).why_not_sendable()
    assert why in found
    assert bool(why) == bool(found)
    assert RowValidator(0, 1, book=book).why_not_sendable() == "", "each row has its own"

"""The judge of the attacks: it finds an update that was sent again, called failed or left out unread, and no other."""

from pathlib import Path
from typing import Any

import pytest
from support.judging import judge_rows, judge_undo
from support.ledger import Doubts, Request, Said, is_time_to_wait, read_answer

A, B, OTHER = "order a", "order b", "order c"
YES, WORDS, LOST, NO, AGAIN, ONCE = (
    Said(200, is_right=True), Said(200), Said(), Said(400), Said(503, waits=True), Said(503)
)  # fmt: skip
SHOWN, HIDDEN, GONE, BROKEN = Said(200, is_right=True), Said(403), Said(404), Said(500)


def put(said: Said, status: str = "s", *, applied: bool = False, order: str = A) -> Request:
    return Request(order, status, applied=applied, said=said)


def get(said: Said = SHOWN, order: str = A) -> Request:
    return Request(order, is_reading=True, said=said)


def row(result: str, attempts: str = "1", **more: str) -> dict[str, str]:
    code = "ok" if result == "updated" else "server_error"
    fields = {"row": "2", "code": code, "detail": "why", "attempts": attempts, "order_id": A, "status_id": "s", **more}
    return {"result": result, **{f"result_{name}": value for name, value in fields.items()}}


@pytest.mark.parametrize("said", [WORDS, LOST, ONCE, Said(204), Said(202, waits=True), Said(101), Said(408), Said(504)])
@pytest.mark.parametrize("applied", [True, False])
def test_an_update_in_doubt_must_be_read_before_it_is_sent_again(said: Said, applied: bool) -> None:
    """Without an answer, or with one that does not say what was done, whatever was done."""
    assert Doubts([put(said, applied=applied), put(YES)]).unread
    assert not Doubts([put(said, applied=applied), get(), put(YES)]).unread


@pytest.mark.parametrize("said", [NO, AGAIN, Said(401), Said(429), Said(425), Said(307)])
def test_an_update_that_was_refused_may_be_sent_again_unread(said: Said) -> None:
    """The service said that it had not done it."""
    assert not Doubts([put(said), put(YES)]).unread


def test_503_among_many_tells_that_nothing_was_done() -> None:
    """A busy service refuses at the door; eleven such answers show it, a few do not."""
    few = [put(ONCE, order=str(number)) for number in range(10)]
    assert Doubts([*few[:9], put(ONCE), put(YES)]).unread
    assert not Doubts([*few, put(ONCE), put(YES)]).unread
    assert Doubts([*few, *[put(YES, order=str(number)) for number in range(200)], put(ONCE), put(YES)]).unread


def test_an_update_that_was_read_to_be_applied_is_not_sent_again() -> None:
    """The reading has settled it; one that shows another status, or a status in between, has not."""
    right, other = (Request(A, status, is_reading=True, said=SHOWN) for status in ("s", "other"))
    assert Doubts([put(LOST), right, put(YES)]).needless
    assert not Doubts([put(LOST), other, put(YES)]).needless
    assert not Doubts([put(LOST), right, put(YES, "next"), put(YES)]).needless
    assert not Doubts([put(YES), put(LOST, "next"), right, put(YES)]).needless


def test_the_next_status_of_an_order_needs_no_reading_after_a_yes() -> None:
    """In a sequence each update follows one that has ended: by a yes, or by a reading, even by one without success."""
    assert not Doubts([put(YES), put(YES, "next"), put(YES)]).unread
    assert Doubts([put(YES), put(YES)]).unread
    assert Doubts([put(LOST), put(YES, "next")]).unread
    assert not Doubts([put(LOST), get(BROKEN), put(YES, "next")]).unread
    assert Doubts([put(LOST), get(BROKEN), put(YES)]).unread


@pytest.mark.parametrize("said", [BROKEN, GONE, LOST, Said(200), Said(401), Said(429)])
def test_a_reading_without_an_order_is_none(said: Said) -> None:
    """What is not answered, or not with the order, has settled nothing; nor has the reading of another order."""
    assert Doubts([put(LOST), get(said), put(YES)]).unread
    assert Doubts([put(LOST), get(order=B), put(YES)]).unread


def test_where_orders_cannot_be_read_none_must_be() -> None:
    """A 403 counts for all orders, a 404 only when an order that was updated is not shown either."""
    assert not Doubts([get(HIDDEN, B), put(LOST), put(YES)]).unread
    assert not Doubts([put(YES, order=B), put(LOST), get(GONE), get(GONE, B), put(YES)]).unread
    assert Doubts([put(LOST, order=B), put(LOST), get(GONE), get(GONE, B), put(YES)]).unread


def judged(result: dict[str, str], *ledger: Request, status: str = "s", **more: Any) -> None:
    judge_rows([result], 1, ledger, {A: status}, **more)


def test_a_row_is_failed_only_after_a_refusal_or_a_reading() -> None:
    """What may have been applied is not called failed unread."""
    judged(row("failed"), put(NO))
    judged(row("failed"), put(LOST), get())
    judged(row("failed", code="order_not_found"), put(LOST))
    with pytest.raises(AssertionError, match="called failed unread"):
        judged(row("failed"), put(LOST))


def test_a_row_is_updated_only_after_a_yes_or_a_reading() -> None:
    """An update that was applied and never confirmed nor read is not known to be."""
    judged(row("updated"), put(YES, applied=True))
    judged(row("updated"), put(LOST, applied=True), get())
    with pytest.raises(AssertionError, match="neither confirmed nor read"):
        judged(row("updated"), put(LOST, applied=True))
    with pytest.raises(AssertionError, match="never applied"):
        judged(row("updated"), put(YES))


def test_attempts_are_left_out_only_after_a_kill() -> None:
    """How often a row was sent is known but after a kill, and is never 0 for one that was sent or may have been."""
    judged(row("updated", ""), put(LOST, applied=True), get(), kills=1)
    for result, attempts, kills in (("updated", "", 0), ("updated", "0", 1), ("updated", "2", 1), ("unknown", "0", 1)):
        with pytest.raises(AssertionError, match=r"how often|sent"):
            judged(row(result, attempts), put(YES, applied=True), kills=kills)
    with pytest.raises(AssertionError, match="was sent"):
        judged(row("not_sent"), put(LOST))


@pytest.mark.parametrize(
    ("undone", "fault"),
    [({A, B}, ""), ({A}, "leaves orders changed"), ({B}, "leaves"), ({A, B, OTHER}, "touches what was refused")],
)
def test_an_undo_has_what_may_have_been_applied(tmp_path: Path, undone: set[str], fault: str) -> None:
    """One update confirmed, one in doubt, one refused: the first two are undone."""
    sheet = tmp_path / "undo.csv"
    sheet.write_text("order_id\n" + "".join(f"{order}\n" for order in undone), encoding="utf-8")
    ledger = [put(YES, applied=True), put(LOST, order=B), put(NO, order=OTHER), put(LOST, order="gone")]
    rows = [row("failed", order_id="gone", code="order_not_found")]
    if not fault:
        judge_undo(sheet, ledger, rows)
        return
    with pytest.raises(AssertionError, match=fault):
        judge_undo(sheet, ledger, rows)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nyes", YES),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nyes", YES),
        (b"HTTP/1.1 200 OK\r\n\r\nno", WORDS),
        (b"HTTP/1.1 202 OK\r\n\r\nyes", Said(202)),
        (b"HTTP/1.1 101 Switching\r\n\r\n", Said(101)),
        (b"HTTP/1.1 503 X\r\nretry-after: 5\r\n\r\n", AGAIN),
        (b"HTTP/1.1 503 X\r\nRetry-After: soon\r\n\r\n", ONCE),
        (b"HTTP/1.1 2000 OK\r\n\r\nyes", LOST),
        (b"HTTP/1.1 20", LOST),
        (b"", LOST),
    ],
)
def test_an_answer_is_read_from_its_bytes(data: bytes, said: Said) -> None:
    """The code, whether it is the right answer, and whether it asks to wait; nothing when it is cut or garbage."""
    assert read_answer(data, b"yes") == said


@pytest.mark.parametrize(
    ("text", "found"),
    [("0", True), ("5", True), ("Fri, 31 Dec 9999 23:59:59 GMT", True), ("", False), ("-1", False), ("soon", False)],
)
def test_a_time_to_wait_is_a_number_or_a_date(text: str, found: bool) -> None:
    """Anything else in `Retry-After` says nothing."""
    assert is_time_to_wait(text) is found

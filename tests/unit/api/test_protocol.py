import json
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_updater.api.protocol import (
    check_base_url,
    classify,
    detail_text,
    order_url,
    orders_url,
    parse_order,
    parse_orders,
    parse_statuses,
    retry_after,
    update_body,
    update_url,
)
from batch_updater.common.errors import SettingsError
from batch_updater.common.models import Answer, ListedOrder, OrderStatus, Verdict

ORDER = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
OK = b'{"detail": "Order status updated successfully"}'
STATUS = "301f0507-37dd-5cd6-97fd-4d8876454e44"
YES = Answer(Verdict.DONE, "ok", "", 200)
LIST = b'{"detail": [{"loc": ["body", "status_id"], "msg": "not a uuid", "type": "x"}]}'


@pytest.mark.parametrize(
    ("status", "body", "verdict", "code"),
    [
        (200, OK, Verdict.DONE, "ok"),
        (200, b"", Verdict.UNKNOWN, "unexpected_response"),
        (201, OK, Verdict.UNKNOWN, "unexpected_response"),
        (200, b"<html>login</html>", Verdict.UNKNOWN, "wrong_address"),
        (200, b'{"detail": "queued"}', Verdict.UNKNOWN, "unexpected_response"),
        (200, b"[" * 60000, Verdict.UNKNOWN, "unexpected_response"),
        (204, b"", Verdict.UNKNOWN, "unexpected_response"),
        (199, b"", Verdict.UNKNOWN, "unexpected_response"),
        (300, b"", Verdict.STOP, "redirect"),
        (302, b"", Verdict.STOP, "redirect"),
        (399, b"", Verdict.STOP, "redirect"),
        (400, b'{"detail": "Order (x) not found"}', Verdict.REFUSED, "order_not_found"),
        (400, b'{"detail": "bad"}', Verdict.REFUSED, "validation_error"),
        (401, b"", Verdict.UNAUTHORIZED, "unauthorized"),
        (403, b"", Verdict.REFUSED, "forbidden"),
        (404, b"", Verdict.REFUSED, "wrong_address"),
        (404, b'{"detail": "Not Found"}', Verdict.REFUSED, "wrong_address"),
        (404, b'{"detail": "Order (x) not found"}', Verdict.REFUSED, "order_not_found"),
        (405, b"", Verdict.REFUSED, "wrong_address"),
        (408, b"", Verdict.RETRY, "timeout"),
        (409, b"", Verdict.REFUSED, "conflict"),
        (412, b"", Verdict.REFUSED, "precondition_failed"),
        (418, b"", Verdict.REFUSED, "unexpected_response"),
        (422, LIST, Verdict.REFUSED, "validation_error"),
        (425, b"", Verdict.THROTTLED, "server_error"),
        (429, b"", Verdict.THROTTLED, "rate_limited"),
        (500, b"<html>", Verdict.RETRY, "server_error"),
        (503, b"", Verdict.THROTTLED, "server_error"),
    ],
)
def test_each_answer_has_its_verdict(status: int, body: bytes, verdict: Verdict, code: str) -> None:
    """The status and the body of an answer decide what happens to its row."""
    answer = classify(status, {}, body)
    assert (answer.verdict, answer.code, answer.http_status) == (verdict, code, status)
    assert answer.detail


def test_list_shaped_detail_becomes_a_sentence() -> None:
    """FastAPI's list of problems is shown as field and message."""
    assert classify(422, {}, LIST).detail == "status_id: not a uuid"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "2"}, 2.0),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "1e99"}, None),
        ({"Retry-After": "999999"}, 999999.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Mon, 23 Nov 2026 10:00:09 GMT", "Date": "Mon, 23 Nov 2026 10:00:00 GMT"}, 9.0),
        ({"Retry-After": "Mon, 23 Nov 2026 09:00:00 GMT", "Date": "Mon, 23 Nov 2026 10:00:00 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read_in_both_forms(headers: dict[str, str], seconds: float | None) -> None:
    """Retry-After in seconds or as a date against the answer's own Date gives capped seconds."""
    assert retry_after(headers) == seconds


@given(st.integers(100, 599), st.binary(max_size=80), st.text(max_size=40))
def test_no_answer_raises(status: int, body: bytes, wait: str) -> None:
    """Whatever the service answers, there is a verdict, and only a 200 can be a yes."""
    answer = classify(status, {"Retry-After": wait, "Date": wait}, body)
    assert answer.verdict is not Verdict.DONE or status == 200


@given(st.text())
def test_only_a_canonical_id_becomes_a_url(text: str) -> None:
    """Anything but a canonical UUID raises instead of reaching a path or a body."""
    with pytest.raises(ValueError, match="canonical"):
        update_url("https://h", text)
    with pytest.raises(ValueError, match="canonical"):
        update_body(text)


def test_the_body_holds_the_status_and_nothing_else() -> None:
    """The update's body is the API's own JSON, byte for byte."""
    assert update_body(STATUS) == b'{"status_id": "301f0507-37dd-5cd6-97fd-4d8876454e44"}'


def test_the_base_paths_prefix_survives() -> None:
    """A version prefix in the base URL stays in the request's address."""
    base = check_base_url("https://api.example.com/v1/")
    assert update_url(base, ORDER) == f"https://api.example.com/v1/engagement/orders/{ORDER}/status"


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("https://API.Example.com:443/v1", "https://api.example.com/v1"),
        ("https://münchen.example/präfix/", "https://xn--mnchen-3ya.example/pr%C3%A4fix"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        (" https://api.example.com ", "https://api.example.com"),
    ],
)
def test_the_base_url_is_kept_as_it_is_sent(typed: str, sent: str) -> None:
    """Letters beyond ASCII, capitals of the host and the usual port are brought to one form."""
    assert check_base_url(typed) == sent


ABSOLUTE = ("The base URL must be an absolute https:// address.", "set EVREKA360_BASE_URL")
BARE = ("The base URL must hold no credentials, query or fragment.", "use https://host/prefix")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://example.com", ("http:// to example.com would send the token in the clear.", "use https://")),
        (
            "https://" + "ü" * 70 + ".example",
            ("The base URL can't be read.", "use https://host or https://host/prefix"),
        ),
        ("https://[::1", ("The base URL can't be read.", "use https://host or https://host/prefix")),
        ("ftp://x", ABSOLUTE),
        ("example.com", ABSOLUTE),
        ("https://", ABSOLUTE),
        ("", ABSOLUTE),
        ("https://x/a b", ABSOLUTE),
        ("https://x/%2e%2e/y", ABSOLUTE),
        ("https://x/\\y", ABSOLUTE),
        ("https://u:p@x", BARE),
        ("https://u@x", BARE),
        ("https://:p@x", BARE),
        ("https://x?q=1", BARE),
        ("https://x#y", BARE),
        ("https://x/../y", ("The base URL's path must not contain '.' or '..'.", "use https://host/prefix")),
        ("https://x/./y", ("The base URL's path must not contain '.' or '..'.", "use https://host/prefix")),
    ],
)
def test_a_dangerous_base_url_is_refused(url: str, said: tuple[str, str]) -> None:
    """Plain http elsewhere, credentials, queries and relative paths are refused with the reason and a way out."""
    with pytest.raises(SettingsError) as caught:
        check_base_url(url)
    assert (caught.value.message, caught.value.hint) == said


@pytest.mark.parametrize("url", ["https://example.com/vX", "https://X/v1/X"])
def test_only_slashes_are_taken_off_the_base_url(url: str) -> None:
    """A path that ends with a letter keeps it."""
    assert check_base_url(f"{url}//").split("/", 3)[3] == url.split("/", 3)[3]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", ""),
        (b"", ""),
        (b'"text"', ""),
        (b'["detail"]', ""),
        (b'{"detail": 5}', ""),
        (b'{"detail": {"a": "b"}}', ""),
        (b'{"detail": " two \\n\\t lines "}', "two lines"),
        (b'{"detail": "\\ud800x"}', "\\ud800x"),
        (json.dumps({"detail": "y" * 400}).encode(), "y" * 400),
        (json.dumps({"detail": list("abcdefg")}).encode(), "a; b; c; d; e"),
        (b'{"detail": [{"loc": ["body", "a", 0], "msg": "bad"}, {"msg": "worse"}]}', "a.0: bad; worse"),
        (b'{"detail": [{"loc": ["a"]}, {"loc": "a", "msg": "x"}, {}, 7]}', "a: ; x; ; 7"),
    ],
)
def test_the_services_reason_becomes_one_line(body: bytes, said: str) -> None:
    """A detail in any shape is one line with at most five problems; without one it is empty."""
    assert detail_text(body) == said


def test_an_answer_without_a_reason_gets_one() -> None:
    """Where the service gave no detail, a sentence says what it answered; where it did, its own is kept."""
    own = {
        200: "answered 200 without the API's confirmation",
        401: "the service did not accept the token",
        302: "the service redirects; check the base URL",
        418: "the service answered 418",
        429: "the service answered 429",
        500: "answered 500",
    }
    assert {status: classify(status, {}, b"").detail for status in own} == own
    given_one = b'{"detail": "because"}'
    assert {classify(status, {}, given_one).detail for status in own if status != 302} == {"because"}


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_a_wait_that_the_service_names_goes_with_the_answer(status: int) -> None:
    """Retry-After on any answer that is tried again holds everything back for that long."""
    said = classify(status, {"Retry-After": "7"}, b"")
    assert (said.verdict, said.wait) == (Verdict.THROTTLED, 7.0)


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        ("Mon, 23 Nov 2026 10:00:09 GMT", 9.0),
        ("Mon, 23 Nov 2026 10:00:09 -0000", 9.0),
        ("Mon, 23 Nov 2026 12:00:09 +0200", 9.0),
        ("Mon, 23 Nov 2026 10:09:00 GMT", 540.0),
        ("Mon, 23 Nov 2026 09:59:00 GMT", 0.0),
    ],
)
def test_a_date_without_the_answers_own_is_read_against_the_clock(until: str, seconds: float) -> None:
    """Any form of time zone counts, and without a Date header the present time is the start."""
    assert retry_after({"Retry-After": until}, datetime(2026, 11, 23, 10, tzinfo=UTC)) == seconds


def test_a_date_long_past_is_no_wait_by_this_machines_clock() -> None:
    """Without any other time to compare with, the clock of this machine is asked."""
    assert retry_after({"Retry-After": format_datetime(datetime(2001, 1, 1, tzinfo=UTC), usegmt=True)}) == 0.0


def order(status: object) -> bytes:
    return json.dumps({"id": ORDER, "status": status}).encode()


@pytest.mark.parametrize("found", [STATUS, STATUS.upper()])
def test_a_read_orders_status_is_its_id_in_lower_case(found: str) -> None:
    """An order that was read gives its status and nothing else."""
    assert order_url("https://h", ORDER) == f"https://h/engagement/orders/{ORDER}"
    assert parse_order(ORDER, 200, {}, order({"id": found})) == Answer(Verdict.DONE, "ok", "", 200, payload=STATUS)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"7", b"{}", order(None), order({}), order({"id": 5}), order({"id": STATUS[:-1]}), b"[" * 60000, OK],
)
def test_an_order_without_a_status_is_not_read(body: bytes) -> None:
    """A 200 that holds no usable status id says nothing about the order."""
    assert parse_order(ORDER, 200, {}, body) == Answer(
        Verdict.UNKNOWN, "unexpected_response", "the answer holds no status", 200
    )


READERS = {
    "order": lambda *answer: parse_order(ORDER, *answer),
    "orders": parse_orders,
    "statuses": parse_statuses,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("status", [201, 302, 401, 404, 429, 500])
def test_a_refused_reading_is_judged_like_an_update(reader: str, status: int) -> None:
    """Status, Retry-After and detail mean the same on a GET."""
    headers, body = {"Retry-After": "3"}, b'{"detail": "because"}'
    assert READERS[reader](status, headers, body) == classify(status, headers, body)


def test_the_list_of_statuses_is_read() -> None:
    """Ids come in lower case, a missing colour is empty; a bad id or no name leaves that status out."""
    items = [
        {"id": STATUS.upper(), "name": "Done", "color": "#0f0"},
        {"id": ORDER, "name": "Open", "color": None},
        {"id": "7", "name": "Bad id"},
        {"id": ORDER, "name": None},
    ]
    expected = [OrderStatus(STATUS, "Done", "#0f0"), OrderStatus(ORDER, "Open", "")]
    assert parse_statuses(200, {}, json.dumps({"items": items}).encode()) == replace(YES, payload=expected)


def test_a_page_of_orders_is_read() -> None:
    """Ids come in lower case, what an order has not is empty, one without a usable id is left out."""
    items = [
        {"id": ORDER.upper(), "name": "A", "status_id": STATUS.upper()},
        {"id": STATUS},
        {"id": 7, "name": "Bad id", "status_id": STATUS},
    ]
    expected = [ListedOrder(ORDER, "A", STATUS), ListedOrder(STATUS, "", "")]
    assert parse_orders(200, {}, json.dumps({"items": items}).encode()) == replace(YES, payload=expected)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"items": 5}', b'{"items": [5]}', b'{"items": [{}]}', b"[" * 60000]
)
def test_what_is_no_list_is_not_taken_for_an_empty_one(body: bytes) -> None:
    """A 200 without the expected items is no answer, neither for orders nor for statuses."""
    for found, what in ((parse_orders(200, {}, body), "orders"), (parse_statuses(200, {}, body), "statuses")):
        assert found == Answer(Verdict.UNKNOWN, "unexpected_response", f"the answer is no list of {what}", 200)


def test_a_name_in_the_query_is_encoded() -> None:
    """A page is asked for by number, 50 orders at a time; a name can add nothing else to the query."""
    assert orders_url("https://h", 2) == "https://h/engagement/orders?page=2&limit=50"
    assert orders_url("https://h", 1, name="a/b&c d") == (
        "https://h/engagement/orders?page=1&limit=50&name__exact=a%2Fb%26c%20d"
    )


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("https://new.example.com/v1/engagement", " to https://new.example.com/v1/engagement"),
        ("/login?state=abc#top", " to /login"),
        ("https://user:pass@sso.example.com/?code=1", " to https://sso.example.com/"),
        ("https://e.example.com/\x1b[31m", " to https://e.example.com/\\x1b[31m"),
        ("", ""),
    ],
)
def test_a_redirect_says_where_to(where: str, said: str) -> None:
    """Its target is named without what may be somebody's secret."""
    assert classify(302, {"Location": where}, b"").detail == f"the service redirects{said}; check the base URL"

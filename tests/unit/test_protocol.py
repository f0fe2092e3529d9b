import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_updater.api.protocol import check_base_url, classify, retry_after, update_body, update_url
from batch_updater.errors import SettingsError
from batch_updater.models import Verdict

ORDER = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
OK = b'{"detail": "Order status updated successfully"}'
LIST = b'{"detail": [{"loc": ["body", "status_id"], "msg": "not a uuid", "type": "x"}]}'


@pytest.mark.parametrize(
    ("status", "body", "verdict", "code"),
    [
        (200, OK, Verdict.DONE, "ok"),
        (200, b"", Verdict.UNKNOWN, "unexpected_response"),
        (200, b"<html>login</html>", Verdict.UNKNOWN, "unexpected_response"),
        (200, b'{"detail": "queued"}', Verdict.UNKNOWN, "unexpected_response"),
        (200, b"[" * 60000, Verdict.UNKNOWN, "unexpected_response"),
        (204, b"", Verdict.UNKNOWN, "unexpected_response"),
        (302, b"", Verdict.STOP, "redirect"),
        (400, b'{"detail": "Order (x) not found"}', Verdict.REFUSED, "order_not_found"),
        (400, b'{"detail": "bad"}', Verdict.REFUSED, "validation_error"),
        (401, b"", Verdict.UNAUTHORIZED, "unauthorized"),
        (403, b"", Verdict.REFUSED, "forbidden"),
        (404, b"", Verdict.REFUSED, "order_not_found"),
        (408, b"", Verdict.RETRY, "timeout"),
        (409, b"", Verdict.REFUSED, "conflict"),
        (412, b"", Verdict.REFUSED, "precondition_failed"),
        (422, LIST, Verdict.REFUSED, "validation_error"),
        (425, b"", Verdict.RETRY, "server_error"),
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
        ({"Retry-After": "999999"}, 300.0),
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


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://" + "ü" * 70 + ".example",
        "ftp://x",
        "example.com",
        "https://u:p@x",
        "https://x?q=1",
        "https://x/../y",
        "https://",
        "",
    ],
)
def test_a_dangerous_base_url_is_refused(url: str) -> None:
    """Plain http elsewhere, credentials, queries and relative paths are no base URL."""
    with pytest.raises(SettingsError):
        check_base_url(url)

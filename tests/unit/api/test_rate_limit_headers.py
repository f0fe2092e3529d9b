import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_updater.api.protocol import classify
from batch_updater.api.rate_limit_headers import read_quota, with_quota
from batch_updater.common.models import Quota, Verdict

DATE = "Sat, 28 Nov 2026 10:00:00 GMT"
AT = 1_795_860_000  # the same, as seconds of the epoch


@pytest.mark.parametrize(
    "headers",
    [
        {"RateLimit": '"default";r=7;t=30'},
        {"RateLimit": '"hour";r=900;t=3600, "burst, r=1;t=1";r=7;t=30'},
        {"RateLimit": "limit=100, remaining=7, reset=30"},
        {"RateLimit-Limit": "100", "RateLimit-Remaining": "7", "RateLimit-Reset": "30"},
        {"X-RateLimit-Remaining": " 7 ", "X-RateLimit-Reset": "30.0"},
        {"X-Rate-Limit-Remaining": "7", "X-Rate-Limit-Reset": "30"},
        {"X-RateLimit-Remaining": "7", "X-RateLimit-Reset": str(AT + 30), "Date": DATE},
        {"X-RateLimit-Remaining": "7", "X-RateLimit-Reset": str((AT + 30) * 1000), "Date": DATE},
    ],
    ids=["draft 10", "several policies", "draft 7", "draft 6", "X-", "X-Rate-", "epoch", "milliseconds"],
)
def test_each_way_to_say_it_is_read(headers: dict[str, str]) -> None:
    """Seven more are accepted in the next 30 s; the tightest of several policies counts."""
    assert read_quota(headers) == Quota(7, 30.0)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"RateLimit": ""},
        {"RateLimit": '"default";r=7'},
        {"RateLimit": "unlimited"},
        {"RateLimit-Remaining": "7"},
        {"X-RateLimit-Remaining": "-1", "X-RateLimit-Reset": "30"},
        {"X-RateLimit-Remaining": "7, 900", "X-RateLimit-Reset": "30"},
        {"X-RateLimit-Remaining": "7", "X-RateLimit-Reset": "soon"},
    ],
)
def test_what_names_no_number_or_no_reset_is_ignored(headers: dict[str, str]) -> None:
    """Without both there is nothing to keep to."""
    assert read_quota(headers) is None


@pytest.mark.parametrize("reset", ["3600", str(AT + 3600), "9" * 15])
def test_a_reset_is_believed_for_a_minute(reset: str) -> None:
    """Services name the end of the day, or have a wrong clock; after a minute it is tried again."""
    assert read_quota({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset, "Date": DATE}) == Quota(0, 60.0)


def test_a_reset_in_the_past_is_now() -> None:
    """A time of day that is over asks for no wait."""
    assert read_quota({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(AT - 5), "Date": DATE}) == Quota(0, 0.0)


@given(st.dictionaries(st.sampled_from(["RateLimit", "RateLimit-Remaining", "RateLimit-Reset", "Date"]), st.text()))
def test_no_header_breaks_the_reading(headers: dict[str, str]) -> None:
    """Whatever a service writes, the result is a quota within bounds or none."""
    quota = read_quota(headers)
    assert quota is None or (quota.remaining >= 0 and 0 <= quota.reset <= 60)


@pytest.mark.parametrize(
    ("status", "remaining", "more", "verdict", "wait"),
    [
        (200, "0", {}, Verdict.UNKNOWN, None),
        (404, "0", {}, Verdict.REFUSED, None),
        (429, "0", {}, Verdict.THROTTLED, 30.0),
        (429, "0", {"Retry-After": "2"}, Verdict.THROTTLED, 2.0),
        (429, "1", {}, Verdict.THROTTLED, None),
        (503, "0", {}, Verdict.THROTTLED, 30.0),
        (403, "0", {}, Verdict.THROTTLED, 30.0),
        (403, "1", {}, Verdict.REFUSED, None),
    ],
)
def test_a_refusal_with_nothing_left_waits_until_the_reset(
    status: int, remaining: str, more: dict[str, str], verdict: Verdict, wait: float | None
) -> None:
    """A `Retry-After` comes first; a 403 is a refusal for load only then; other answers mean what they always do."""
    headers = {"RateLimit-Remaining": remaining, "RateLimit-Reset": "30", **more}
    answer = with_quota(classify(status, headers, b""), headers)
    assert (answer.verdict, answer.wait, answer.quota) == (verdict, wait, Quota(int(remaining), 30.0))


def test_an_answer_without_such_headers_stays_as_it_is() -> None:
    """Nearly all services name no quota."""
    answer = classify(429, {}, b"")
    assert with_quota(answer, {}) is answer

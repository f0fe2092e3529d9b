import json
from dataclasses import replace

import pytest

from batch_updater.api.protocol import classify
from batch_updater.api.token_answer import parse_token
from batch_updater.common.models import Answer, Verdict

YES = Answer(Verdict.DONE, "ok", "", 200)


@pytest.mark.parametrize(
    ("more", "refresh", "seconds"),
    [
        ({}, None, None),
        ({"refresh_token": "r", "expires_in": 60}, "r", 60.0),
        ({"refresh_token": "", "expires_in": 0.5}, None, 0.5),
        ({"refresh_token": 5, "expires_in": 0}, None, None),
        ({"expires_in": -1}, None, None),
        ({"expires_in": "60"}, None, None),
        ({"expires_in": 1e9}, None, None),
    ],
)
def test_a_granted_token_is_read(more: dict[str, object], refresh: str | None, seconds: float | None) -> None:
    """The refresh token and the lifetime are kept where they are usable, and may be missing."""
    answer = parse_token(200, {}, json.dumps({"access_token": "a-token8", **more}).encode())
    granted = answer.payload
    assert replace(answer, payload=None) == YES
    assert granted is not None
    assert granted.access.reveal() == "a-token8"
    assert (granted.refresh and granted.refresh.reveal()) == refresh
    assert granted.expires_in == seconds


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"access_token": 5}',
        b'{"access_token": "\\u00fc"}',
        b'{"access_token": "a\\nb"}',
        b"[" * 60000,
    ],
)
def test_what_can_be_no_token_is_not_taken_for_one(body: bytes) -> None:
    """A token is a printable ASCII text, for it goes into a header."""
    assert parse_token(200, {}, body) == Answer(
        Verdict.UNKNOWN, "unexpected_response", "the token endpoint returned no token", 200
    )


def test_a_granted_token_that_could_not_be_masked_is_not_used() -> None:
    """One of fewer than eight characters stands in other text too; the sign-in says so and is not tried again."""
    answer = parse_token(200, {}, b'{"access_token": "seven-7"}')
    assert (answer.verdict, answer.payload) == (Verdict.STOP, None)
    assert answer.detail == "the token endpoint returned a token of fewer than 8 characters"


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_refused_sign_in_means_what_the_same_answer_to_an_update_means(status: int) -> None:
    """The verdict and the wait are those of every answer; there is no token in it."""
    headers, body = {"Retry-After": "3"}, b"{}"
    answer, meant = parse_token(status, headers, body), classify(status, headers, body)
    assert answer.payload is None
    assert (answer.verdict, answer.code, answer.wait) == (meant.verdict, meant.code, meant.wait)
    assert answer.detail == f"the token endpoint answered {status}"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            400,
            b'{"error": "invalid_grant", "error_description": "User is\\nlocked"}',
            "400: invalid_grant, User is locked",
        ),
        (401, b'{"error": "invalid_client"}', "401: invalid_client"),
        (400, b'{"error": 5, "error_description": null}', "400"),
        (401, b'{"detail": "Invalid credentials"}', "401: Invalid credentials"),
        (404, b"<html><title>Not here</title></html>", "404 with a web page, 'Not here'"),
        (400, b'{"error": "\\u001b[31m"}', "400: \\x1b[31m"),
        (500, b"[" * 60_000, "500"),
    ],
)
def test_a_refused_sign_in_says_why(status: int, body: bytes, said: str) -> None:
    """The words of RFC 6749 or of the API, or the title of a web page, in one line that moves no cursor."""
    assert parse_token(status, {}, body).detail == f"the token endpoint answered {said}"


def test_a_redirected_sign_in_says_where_to() -> None:
    """A person sees at once that a login page has taken the place of the endpoint."""
    said = parse_token(302, {"Location": "https://sso.example.com/login?next=1"}, b"").detail
    assert said == "the token endpoint redirects to https://sso.example.com/login; check the base URL"

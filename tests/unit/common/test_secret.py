"""Secrets are masked in other text, for as long as they may turn up there."""

import base64
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from batch_updater.common.secret import Secret, masked

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda text: quote(text, safe=""),
    "percent, some": quote,
    "percent, all": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "json": json.dumps,
    "json, all": lambda text: "".join(f"\\u{ord(c):04X}" for c in text),
    "json, slashes": lambda text: text.replace("/", r"\/"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("around", ["", "100% ", "%4", "C:\\", "\\u00"])
def test_a_secret_is_masked_however_it_is_escaped(spelling: str, around: str) -> None:
    """As it is, percent-encoded and as JSON, more than once, beside things that look like escapes."""
    secret = Secret("w4ss/w\u00f6rd+x~\u20ac")
    text = SPELLINGS[spelling](secret.reveal()).strip('"')
    assert masked(f"<{text}{around}|{text}>") == f"<***{around}|***>"


def test_other_text_stays_as_it_is() -> None:
    """Whatever characters and escapes it has."""
    Secret("n0t-in-there")
    other = "a % \\ \ud800 %zz %c3 %c3%28 \\u12 <b> \\" + base64.b64encode(b"x").decode()
    assert masked(other) == other


def test_a_secret_in_use_is_masked_however_many_follow() -> None:
    """Renewed tokens come and go by the thousand; a password that is still held stays masked, and so do late ones."""
    password = Secret("hunter2-of-the-run")
    for number in range(2500):
        Secret(f"access-token-{number:05}")
    assert masked(f"<{password.reveal()}>") == "<***>"
    assert masked("<access-token-02499> <access-token-01500>") == "<***> <***>"
    text = password.reveal()
    del password
    assert masked(f"<{text}>") == "<***>", "it has just gone"


def test_of_the_secrets_that_have_gone_the_last_thousand_are_kept() -> None:
    """What a process remembers does not grow for ever."""
    for number in range(1001):
        Secret(f"gone-{number:05}")
    assert masked("<gone-00000> <gone-00001>") == "<gone-00000> <***>"


def test_a_secret_that_begins_with_another_is_masked_as_a_whole() -> None:
    """No rest of the longer one is left."""
    secrets = [Secret("secret-12345678"), Secret("secret-123456"), Secret("secret-1234")]
    assert masked("<secret-12345678>") == "<***>"
    assert len(secrets) == 3

"""Read answers of the token endpoint (RFC 6749, 5.1 and 5.2), without any I/O."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from batch_updater.api.credentials import SHORTEST_TOKEN, Granted
from batch_updater.api.protocol import UNREADABLE, classify, detail_text
from batch_updater.common.models import Answer, Verdict
from batch_updater.common.secret import Secret
from batch_updater.common.text import escape_controls


def parse_token(status: int, headers: Mapping[str, str], body: bytes) -> Answer[Granted]:
    """Return what an answer of the token endpoint means. Never raises. Its detail may be long and hold secrets."""
    if status != 200:
        answer = classify(status, headers, body)
        return replace(answer, detail=_why_not(status, body, answer))
    try:
        found: Any = json.loads(body)
        access, refresh, life = found["access_token"], found.get("refresh_token"), found.get("expires_in")
    except UNREADABLE:
        access = refresh = life = None
    if not isinstance(access, str) or not access.isascii() or not access.isprintable():
        return Answer(Verdict.UNKNOWN, "unexpected_response", "the token endpoint returned no token", 200)
    if len(access) < SHORTEST_TOKEN:
        detail = f"the token endpoint returned a token of fewer than {SHORTEST_TOKEN} characters"
        return Answer(Verdict.STOP, "unexpected_response", detail, status, hint="check that it is the right service")
    expires = float(life) if isinstance(life, int | float) and 0 < life < 1e9 else None
    renewal = Secret(refresh) if isinstance(refresh, str) and refresh else None
    return Answer(Verdict.DONE, "ok", "", 200, payload=Granted(Secret(access), renewal, expires))


def _why_not(status: int, body: bytes, answer: Answer[Any]) -> str:
    """Return why there is no token, in the words of the endpoint where it has any."""
    if said := _oauth_error(body) or detail_text(body):
        return f"the token endpoint answered {status}: {said}"
    if answer.code == "redirect":
        return answer.detail.replace("the service", "the token endpoint", 1)
    if answer.detail.startswith("answered "):  # a web page, with its title
        return f"the token endpoint {answer.detail}"
    return f"the token endpoint answered {status}"


def _oauth_error(body: bytes) -> str:
    """Return `error` and `error_description` (RFC 6749, 5.2) as one line; empty when there are none."""
    try:
        found: Any = json.loads(body)
        words = [found[name] for name in ("error", "error_description") if isinstance(found.get(name), str)]
    except UNREADABLE:
        return ""
    return escape_controls(", ".join(" ".join(word.split()) for word in words))

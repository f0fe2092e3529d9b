"""Read what a service says of its limit in headers: the IETF's `RateLimit` in its several drafts, and `X-RateLimit-*`.

Sources: draft-ietf-httpapi-ratelimit-headers; GitHub's "Rate limits for the REST API" (epoch, 403 at zero).
"""

import contextlib
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from email.utils import mktime_tz, parsedate_tz
from typing import TypeVar

from batch_updater.common.models import Answer, Quota, Verdict

PAIRS = tuple((f"{prefix}Remaining", f"{prefix}Reset") for prefix in ("RateLimit-", "X-RateLimit-", "X-Rate-Limit-"))
NAMES = {"r": "r", "remaining": "r", "t": "t", "reset": "t"}
EPOCH = 1e9  # a larger number of seconds is a time of day; a thousand times as large, it is in milliseconds
LONGEST = 60.0  # seconds until a reset that are believed
_NUMBER = re.compile(r"\s*([0-9]{1,15})(\.[0-9]{1,9})?\s*", re.ASCII)
_QUOTED = re.compile(r'"[^"]*"')
_ITEM = re.compile(r"(?:^|[\s;,])(r|remaining|t|reset)=([0-9]{1,15})(?=$|[\s;,])", re.ASCII)
T = TypeVar("T")


def with_quota(answer: Answer[T], headers: Mapping[str, str]) -> Answer[T]:
    """Return the answer with the quota that its headers name, and with the wait when that is why it is a refusal.

    Such a wait is until the reset, and never instead of a `Retry-After`. A 403 with nothing left is meant so too.
    """
    quota = read_quota(headers)
    if quota is None:
        return answer
    if quota.remaining or answer.wait is not None:
        return replace(answer, quota=quota)
    if answer.http_status == 403:
        return replace(answer, verdict=Verdict.THROTTLED, code="rate_limited", wait=quota.reset, quota=quota)
    return replace(answer, wait=quota.reset if answer.verdict is Verdict.THROTTLED else None, quota=quota)


def read_quota(headers: Mapping[str, str]) -> Quota | None:
    """Return the tightest quota, its reset after at most 60 s; None when none, or no reset, is named. Never raises."""
    if text := headers.get("RateLimit"):
        return _structured(text)
    for remaining_name, reset_name in PAIRS:
        if (text := headers.get(remaining_name)) is not None:
            remaining, reset = _NUMBER.fullmatch(text), _NUMBER.fullmatch(headers.get(reset_name, ""))
            if remaining and reset:
                return Quota(int(remaining[1]), min(_seconds(float(reset[0]), headers), LONGEST))
    return None


def _structured(text: str) -> Quota | None:
    """Read `"policy";r=50;t=30`, several of them with commas between, or `limit=100, remaining=50, reset=30`."""
    plain = _QUOTED.sub("", text)
    items = [plain] if "remaining=" in plain else plain.split(",")
    found = [{NAMES[name]: int(value) for name, value in _ITEM.findall(item)} for item in items]
    return min((Quota(one["r"], min(float(one["t"]), LONGEST)) for one in found if len(one) == 2), default=None)


def _seconds(reset: float, headers: Mapping[str, str]) -> float:
    """Return the seconds until a reset; a time of day is read against the answer's own `Date`."""
    if reset < EPOCH:
        return reset
    now = time.time()
    with contextlib.suppress(ValueError, OverflowError):
        if date := parsedate_tz(headers.get("Date", "")):
            now = float(mktime_tz(date))
    return max((reset / 1000 if reset > EPOCH * 100 else reset) - now, 0.0)

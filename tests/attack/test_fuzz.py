import json
import random
import re

import pytest
from yarl import URL

from batch_updater.api.protocol import (
    classify,
    parse_order,
    parse_orders,
    parse_statuses,
    retry_after,
    update_url,
)
from batch_updater.api.token_answer import parse_token
from batch_updater.common.models import Answer
from batch_updater.planning.identifiers import normalise_id

BASE = "https://api.example.com/v1"
GOOD = "a67c5985-b9c1-5ff5-a369-541b0b6d7db6"
PIECES = [*"/?#\t\0{}_+ A\u0661\u202e\u00e9", "..", "%2e", "\r\n", "urn:uuid:"]
TIMES = ["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 0001 00:00:00 -2359", "Mon, 32 Foo 2026 99:99:99 +9999", "1e99"]
BITS = ['{"detail": ', '"x not found"', "[", "]", "}", '{"loc": [1], "msg": null}', "null", "1e999", "NaN", "\\ud800",
        '{"status": {"id": ', '{"items": ', '{"access_token": ', '"', "9" * 5000, "[" * 3000, "\xff", "{"]  # fmt: skip


@pytest.fixture
def times(request: pytest.FixtureRequest) -> int:
    """How often to try, by `--fuzz`."""
    return int(request.config.getoption("fuzz"))


def hostile_id(chance: random.Random) -> str:
    text = list(GOOD if chance.random() < 0.9 else "".join(chance.choices(PIECES, k=5)))
    for _ in range(chance.randrange(4)):
        place = chance.randrange(len(text) + 1)
        piece = chance.choice(PIECES) if chance.random() < 0.7 else chr(chance.randrange(0xD800))
        text[place : place + chance.randrange(2)] = [piece]
    return "".join(text)


def test_the_path_on_the_wire_is_the_one_intended_or_nothing_is_sent(times: int) -> None:
    """Whatever stands in a cell, the path is that of one order's status, or no request is built."""
    chance = random.Random(1)
    for number in range(times):
        text = hostile_id(chance)
        found = normalise_id(text)
        if found is not None:
            assert re.sub(r"[^0-9a-f]", "", text.lower().replace("urn:uuid:", "")) == found.replace("-", ""), number
        try:
            url = URL(update_url(BASE, text), encoded=True)
        except ValueError:
            continue
        assert url.raw_path_qs == f"/v1/engagement/orders/{text}/status", number
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text, re.ASCII), number


def test_every_answer_has_a_verdict(times: int) -> None:
    """No status, header or body makes a reader of answers raise, and no wait is longer than five minutes."""
    chance = random.Random(2)
    for number in range(times):
        body = "".join(chance.choices(BITS, k=chance.randrange(6))).encode("latin-1", "replace")
        if chance.random() < 0.3:
            body = json.dumps({"detail": chance.choice([1, None, [], {}, [[]], ["x"], [{"loc": {}}]])}).encode()
        status = chance.choice([200, 200, 204, 302, 400, 401, 422, 429, 503, chance.randrange(100, 1000)])
        words = [*TIMES, "0", "-1", "9" * 400, chr(chance.randrange(32, 0x2FF)) * 3, f"{chance.random():.12f}"]
        headers = {"Retry-After": chance.choice(words), "Date": chance.choice(words)}
        wait = retry_after(headers)
        assert wait is None or wait >= 0, number
        assert isinstance(classify(status, headers, body), Answer), number
        assert isinstance(parse_order(GOOD, status, headers, body), Answer), number
        for read in (parse_orders, parse_statuses, parse_token):
            assert isinstance(read(status, headers, body), Answer), number

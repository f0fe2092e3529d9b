import json
import re
from urllib.parse import quote

import pytest
from aiohttp import encode_basic_auth
from aioresponses import CallbackResult, aioresponses

from batch_updater.api.auth import Tokens
from batch_updater.api.client import OrderClient
from batch_updater.api.connection_errors import NoConnectionError
from batch_updater.api.credentials import Credentials, Grant
from batch_updater.api.network import find_network
from batch_updater.common.errors import CredentialsError
from batch_updater.common.models import Answer, OrderStatus, Quota, StatusUpdate, Verdict
from batch_updater.common.secret import Secret

ORDER, STATUS = "a67c5985-b9c1-5ff5-a369-541b0b6d7db6", "301f0507-37dd-5cd6-97fd-4d8876454e44"
BASE = "https://api.example.com/v1"
UPDATE = StatusUpdate(2, ORDER, STATUS)


def client(token: str = "t0k-canary") -> OrderClient:
    return OrderClient(BASE, Tokens(Credentials(Secret(token))), timeout=5, concurrency=2)


async def test_the_update_is_sent_exactly_as_the_api_has_it() -> None:
    """PUT under the base URL's own prefix, the bearer token, the JSON body and its content type."""
    seen: dict[str, object] = {}

    def answer(url: object, **request: object) -> CallbackResult:
        seen.update(request, url=str(url))
        return CallbackResult(payload={"detail": "Order status updated successfully"})

    with aioresponses() as service:
        service.put(re.compile(".*"), callback=answer)
        async with client() as orders:
            said = await orders.update_status(UPDATE)
    assert said.verdict is Verdict.DONE
    assert seen["url"] == f"{BASE}/engagement/orders/{ORDER}/status"
    assert json.loads(seen["data"]) == {"status_id": STATUS}  # type: ignore[arg-type]
    headers = seen["headers"]
    assert headers["Authorization"] == "Bearer t0k-canary"  # type: ignore[index]
    assert headers["Content-Type"] == "application/json; charset=utf-8"  # type: ignore[index]
    assert seen["allow_redirects"] is False


@pytest.mark.parametrize(
    ("status", "body", "verdict", "code"),
    [
        (200, "{}", Verdict.UNKNOWN, "unexpected_response"),
        (400, f'{{"detail": "Order ({ORDER}) not found"}}', Verdict.REFUSED, "order_not_found"),
        (302, "", Verdict.STOP, "redirect"),
        (401, "", Verdict.UNAUTHORIZED, "unauthorized"),
        (503, "<html>", Verdict.THROTTLED, "server_error"),
        (200, "x" * 70_000, Verdict.UNKNOWN, "unexpected_response"),
    ],
)
async def test_an_answer_is_classified(status: int, body: str, verdict: Verdict, code: str) -> None:
    """What comes back is read, capped, and judged."""
    with aioresponses() as service:
        service.put(re.compile(".*"), status=status, body=body)
        async with client() as orders:
            said = await orders.update_status(UPDATE)
    assert (said.verdict, said.code) == (verdict, code)


async def test_an_orders_status_is_read_back() -> None:
    """GET detail gives the present status in lower case."""
    with aioresponses() as service:
        service.get(f"{BASE}/engagement/orders/{ORDER}", payload={"id": ORDER, "status": {"id": STATUS.upper()}})
        async with client() as orders:
            said = await orders.read_order(ORDER)
    assert said.payload == STATUS


@pytest.mark.parametrize("order", ["..", "../x", ORDER.upper(), ORDER + "\n", ORDER + "?", ""])
async def test_no_request_is_built_from_anything_but_a_canonical_id(order: str) -> None:
    """An id that is not a lower-case UUID raises before anything leaves."""
    with aioresponses() as service:
        async with client() as orders:
            with pytest.raises(ValueError, match="canonical"):
                await orders.update_status(StatusUpdate(2, order, STATUS))
        assert not service.requests


async def said_of(detail: str, token: str = "t0k-canary") -> str:
    """What the client says of a refusal with this detail."""
    with aioresponses() as service:
        service.put(re.compile(".*"), status=403, payload={"detail": detail})
        async with client(token) as orders:
            return (await orders.update_status(UPDATE)).detail


async def test_a_token_that_the_service_repeats_is_not_passed_on() -> None:
    """A `detail` that quotes the request loses the token before anybody sees it, however it is escaped or cut."""
    token = "t0k/can+ary"
    assert await said_of(f"Bearer {token} may not", token) == "Bearer *** may not"
    assert await said_of(f"Bearer {quote(token, safe='')} may not", token) == "Bearer *** may not"
    assert await said_of("x" * 290 + f" {token}", token) == "x" * 290 + " ***"


@pytest.mark.parametrize("text", ["\x1b]0;title\x07", "\u202etxt.exe", "a\rb", "\x00", "\ud800", "a\u200bb", "y" * 400])
async def test_what_the_service_says_is_one_short_harmless_line(text: str) -> None:
    """At most 300 characters, and none that could do anything to a terminal."""
    said = await said_of(text)
    assert said.isprintable()
    assert len(said) <= 300
    assert said[-1] == "…" or len(text) < 300


@pytest.mark.parametrize("token", ["updated successfully", "order status", 'detail": "Order', ORDER, STATUS])
async def test_an_answer_is_read_before_anything_in_it_is_masked(token: str) -> None:
    """Secrets that stand in the API's own words, or are an id, make no right answer another one."""
    secret = Secret(token)
    with aioresponses() as service:
        service.put(re.compile(".*"), payload={"detail": "Order status updated successfully"})
        service.put(re.compile(".*"), status=400, payload={"detail": f"Order ({ORDER}) not found"})
        service.get(re.compile(".*"), payload={"id": ORDER, "status": {"id": STATUS}})
        service.get(re.compile(".*"), payload={"items": [{"id": STATUS, "name": token}]})
        async with client() as orders:
            assert (await orders.update_status(UPDATE)).verdict is Verdict.DONE
            refused = await orders.update_status(UPDATE)
            assert (await orders.read_order(ORDER)).payload == STATUS
            assert (await orders.list_statuses()).payload == [OrderStatus(STATUS, token)]
    assert refused.code == "order_not_found"
    assert secret.reveal() not in refused.detail


async def test_an_answer_names_the_quota_of_its_headers() -> None:
    """What remains of it is told with the answer, whatever the answer is."""
    with aioresponses() as service:
        service.put(re.compile(".*"), status=429, headers={"RateLimit-Remaining": "0", "RateLimit-Reset": "9"})
        async with client() as orders:
            said = await orders.update_status(UPDATE)
    assert (said.quota, said.wait) == (Quota(0, 9.0), 9.0)


async def test_a_token_endpoint_that_repeats_the_sign_in_is_not_passed_on() -> None:
    """However short the values are, and as the header that carries two of them."""
    grant = Grant(Secret("c-id"), Secret("c-s"), Secret("user1"), Secret("p/w"))
    basic = encode_basic_auth("c-id", "c-s")
    said = f"app c-id:c-s by {basic}, user1 with p/w is unknown"
    with aioresponses() as service:
        service.post(re.compile(".*"), status=400, payload={"error": "invalid_grant", "error_description": said})
        async with OrderClient(BASE, Tokens(Credentials(grant=grant)), timeout=5, concurrency=2) as orders:
            with pytest.raises(CredentialsError) as caught:
                await orders.sign_in()
    shown = "invalid_grant, app ***:*** by Basic ***, *** with *** is unknown"
    assert caught.value.message == f"The service refused to sign in (the token endpoint answered 400: {shown})."


@pytest.mark.parametrize(
    ("base_url", "environment", "named"),
    [
        (BASE, {"HTTPS_PROXY": "http://proxy.test:3128"}, "HTTPS_PROXY"),
        (BASE, {"all_proxy": "http://proxy.test:3128"}, "all_proxy"),
        (BASE, {"HTTPS_PROXY": "http://proxy.test:3128", "NO_PROXY": ".example.com"}, ""),
        (BASE, {}, ""),
        ("http://localhost:1", {"HTTPS_PROXY": "http://proxy.test:3128"}, ""),
    ],
)
async def test_a_proxy_of_the_environment_is_named_when_nobody_can_be_reached(
    base_url: str, environment: dict[str, str], named: str
) -> None:
    """Other programs would take it, this one does not: said with the failure, where it may be the cause."""
    network = find_network(base_url, None, None, environment)
    lost = NoConnectionError(Answer(Verdict.RETRY, "connection_error", "the service can't be reached", was_sent=False))
    with aioresponses() as service:
        service.put(re.compile(".*"), exception=lost)
        async with OrderClient(
            base_url, Tokens(Credentials(Secret("t0k-canary"))), timeout=5, concurrency=2, network=network
        ) as orders:
            said = await orders.update_status(UPDATE)
    note = f"; the proxy of {named} is not used, only the one of the setting `proxy`" if named else ""
    assert said.detail == f"the service can't be reached{note}"

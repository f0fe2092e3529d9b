import json
import re

import pytest
from aioresponses import CallbackResult, aioresponses

from batch_updater.api.auth import Tokens
from batch_updater.api.client import OrderClient
from batch_updater.api.credentials import Credentials
from batch_updater.common.models import StatusUpdate, Verdict
from batch_updater.common.secret import Secret

ORDER, STATUS = "a67c5985-b9c1-5ff5-a369-541b0b6d7db6", "301f0507-37dd-5cd6-97fd-4d8876454e44"
BASE = "https://api.example.com/v1"
UPDATE = StatusUpdate(2, ORDER, STATUS)


def client() -> OrderClient:
    return OrderClient(BASE, Tokens(Credentials(Secret("t0k"))), timeout=5, concurrency=2)


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
    assert headers["Authorization"] == "Bearer t0k"  # type: ignore[index]
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


async def test_a_token_that_the_service_repeats_is_not_passed_on() -> None:
    """A `detail` that quotes the request loses the token before anybody sees it."""
    with aioresponses() as service:
        service.put(re.compile(".*"), status=403, payload={"detail": "Bearer t0k may not"})
        async with client() as orders:
            said = await orders.update_status(UPDATE)
    assert said.detail == "Bearer *** may not"

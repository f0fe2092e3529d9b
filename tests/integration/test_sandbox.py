from collections import Counter
from typing import Any

import aiohttp
import pytest
from aiohttp import encode_basic_auth
from support.program import environment, served
from support.watched import Watched

from batch_updater.sandbox.server import Sandbox, SandboxOptions, order_id, status_id

BEARER = {"Authorization": "Bearer sandbox-token"}


async def test_an_issued_token_is_accepted_and_a_refresh_token_is_good_once() -> None:
    """Password grant and refresh work as the vendor documents them; the refresh token rotates."""
    basic = {"Authorization": encode_basic_auth("sandbox-client", "sandbox-secret")}
    password = {"grant_type": "password", "username": "sandbox-user", "password": "sandbox-pass", "scope": "profile"}
    async with Sandbox(SandboxOptions(token_ttl=60)) as sandbox, aiohttp.ClientSession(sandbox.base_url) as session:
        issued = await (await session.post("/auth/oauth/token", data=password, headers=basic)).json()
        assert issued["expires_in"] == 60
        bearer = {"Authorization": f"Bearer {issued['access_token']}"}
        assert (await session.get("/engagement/orders/status", headers=bearer)).status == 200
        refresh = {"grant_type": "refresh_token", "refresh_token": issued["refresh_token"]}
        assert (await session.post("/auth/oauth/token", data=refresh, headers=basic)).status == 200
        assert (await session.post("/auth/oauth/token", data=refresh, headers=basic)).status == 401


async def test_orders_are_listed_in_pages_and_by_exact_name() -> None:
    """The list has no total, is cut into pages, and name__exact finds one order."""
    async with Sandbox(SandboxOptions(orders=25)) as sandbox, aiohttp.ClientSession(sandbox.base_url) as session:
        page = await (await session.get("/engagement/orders?page=3", headers=BEARER)).json()
        assert len(page["items"]) == 5
        one = await (await session.get("/engagement/orders?name__exact=WO-00007", headers=BEARER)).json()
        assert [item["id"] for item in one["items"]] == [order_id(7)]
        assert (await session.get("/engagement/orders?limit=51", headers=BEARER)).status == 422


async def test_an_update_shows_in_the_detail_and_in_the_ledger() -> None:
    """What was put is read back; a missing order is 400 on update and 404 on read."""
    wanted = {"status_id": status_id("Completed")}
    async with Sandbox(SandboxOptions()) as sandbox, aiohttp.ClientSession(sandbox.base_url, headers=BEARER) as session:
        assert (await session.put(f"/engagement/orders/{order_id(1)}/status", json=wanted)).status == 200
        assert (await (await session.get(f"/engagement/orders/{order_id(1)}")).json())["status"]["name"] == "Completed"
        assert (await session.put(f"/engagement/orders/{order_id(0)}/status", json=wanted)).status == 400
        assert (await session.get(f"/engagement/orders/{order_id(0)}")).status == 404
        ledger = await (await session.get("/_sandbox/ledger")).json()
        assert [(item["method"], item["answer"], item["applied"]) for item in ledger] == [
            ("PUT", 200, True), ("GET", 200, False), ("PUT", 400, False), ("GET", 404, False),
        ]  # fmt: skip


ANSWERS: list[tuple[dict[str, Any], int, str, bytes]] = [
    ({"gateway_timeouts": 1.0}, 504, "text/html", b"504 Gateway Time-out"),
    ({"answer_with": 200}, 200, "application/json", b'{"detail": "Saved"}'),
    ({"answer_with": 201}, 201, "application/json", b'{"detail": "Saved"}'),
    ({"answer_with": 202}, 202, "application/json", b'{"detail": "Saved"}'),
    ({"answer_with": 204}, 204, "application/octet-stream", b""),
    ({"answer_with": 205}, 205, "application/octet-stream", b""),
    ({"answer_with": 299}, 299, "application/json", b'{"detail": "Saved"}'),
]


@pytest.mark.parametrize(("options", "status", "kind", "said"), ANSWERS)
async def test_an_applied_update_may_be_answered_as_others_do(
    options: dict[str, Any], status: int, kind: str, said: bytes
) -> None:
    """A gateway's 504, a bare status or other words: never the API's confirmation, and the ledger knows both."""
    wanted = {"status_id": status_id("Completed")}
    sandbox = Sandbox(SandboxOptions(**options))
    async with sandbox, aiohttp.ClientSession(sandbox.base_url, headers=BEARER) as session:
        answer = await session.put(f"/engagement/orders/{order_id(1)}/status", json=wanted)
        body = await answer.read()
        assert (answer.status, answer.content_type) == (status, kind)
        assert said in body
        assert b"updated successfully" not in body
        assert (await session.put(f"/engagement/orders/{order_id(0)}/status", json=wanted)).status == 400
    assert sandbox.orders[order_id(1)]["status"]["name"] == "Completed"
    assert [(entry["answer"], entry["applied"]) for entry in sandbox.ledger] == [(status, True), (400, False)]


async def test_gateway_timeouts_are_a_share_of_the_updates() -> None:
    """The others are answered as the API does."""
    wanted = {"status_id": status_id("Completed")}
    sandbox = Sandbox(SandboxOptions(gateway_timeouts=0.3))
    async with sandbox, aiohttp.ClientSession(sandbox.base_url, headers=BEARER) as session:
        for number in range(1, 101):
            await session.put(f"/engagement/orders/{order_id(number)}/status", json=wanted)
    answers = Counter(entry["answer"] for entry in sandbox.ledger)
    assert 15 <= answers[504] <= 45
    assert answers[200] == 100 - answers[504]
    assert all(entry["applied"] for entry in sandbox.ledger)


async def test_above_its_rate_limit_it_answers_429() -> None:
    """Requests in one burst beyond a tenth of the limit are refused with Retry-After."""
    options = SandboxOptions(rate_limit=20)
    async with Sandbox(options) as sandbox, aiohttp.ClientSession(sandbox.base_url, headers=BEARER) as session:
        answers = [await session.get("/engagement/orders/status") for _ in range(6)]
        assert [answer.status for answer in answers[:2]] == [200, 200]
        assert (answers[-1].status, answers[-1].headers["Retry-After"]) == (429, "1")


@pytest.mark.parametrize(
    "words", [["--port", "taken"], ["--port", "99999"], ["--host", "0.0.0.0"], ["--answer-with", "404"]]
)
def test_a_sandbox_that_can_not_be_served_is_wrong_use(watched: Watched, words: list[str]) -> None:
    """A port that is taken, or an address that others could reach: one message, exit 2."""
    with served() as sandbox:
        port = sandbox.base_url.rpartition(":")[2]
        ended = watched.call("sandbox", *(port if word == "taken" else word for word in words), env=environment())
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False)
    assert words[1].replace("taken", port) in ended.stderr

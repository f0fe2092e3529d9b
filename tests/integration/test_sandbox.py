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


async def test_above_its_rate_limit_it_answers_429() -> None:
    """Requests in one burst beyond a tenth of the limit are refused with Retry-After."""
    options = SandboxOptions(rate_limit=20)
    async with Sandbox(options) as sandbox, aiohttp.ClientSession(sandbox.base_url, headers=BEARER) as session:
        answers = [await session.get("/engagement/orders/status") for _ in range(6)]
        assert [answer.status for answer in answers[:2]] == [200, 200]
        assert (answers[-1].status, answers[-1].headers["Retry-After"]) == (429, "1")


@pytest.mark.parametrize("words", [["--port", "taken"], ["--port", "99999"], ["--host", "0.0.0.0"]])
def test_a_sandbox_that_can_not_be_served_is_wrong_use(watched: Watched, words: list[str]) -> None:
    """A port that is taken, or an address that others could reach: one message, exit 2."""
    with served() as sandbox:
        port = sandbox.base_url.rpartition(":")[2]
        ended = watched.call("sandbox", *(port if word == "taken" else word for word in words), env=environment())
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False)
    assert words[1].replace("taken", port) in ended.stderr

"""What is known of the service before anything is sent."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from batch_updater.api.auth import Tokens
from batch_updater.api.credentials import Credentials
from batch_updater.common.errors import AddressError, StoppedError
from batch_updater.common.secret import Secret
from batch_updater.planning import preflight
from batch_updater.planning.preflight import Tenant, probe_service
from batch_updater.sandbox.server import status_id

STATUS = status_id("Completed")


async def probed(refusals: int, status: int, wait: str) -> tuple[Tenant, int]:
    """The tenant of a service that refuses to list its statuses this many times, and how often it was asked."""
    asked = 0

    async def answer(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked <= refusals:
            return web.json_response({"detail": "slow"}, status=status, headers={"Retry-After": wait})
        return web.json_response({"items": [{"id": STATUS, "name": "Completed"}]})

    app = web.Application()
    app.router.add_get("/engagement/orders/status", answer)
    async with TestServer(app) as server:
        tenant = Tenant(str(server.make_url("")).rstrip("/"), tokens=Tokens(Credentials(Secret("a-token-of-ours"))))
        return await probe_service(tenant, 5.0, {}), asked


@pytest.mark.parametrize(
    ("refusals", "status", "wait"), [(1, 429, "30"), (1, 503, "3600"), (2, 503, "1"), (2, 429, "")]
)
async def test_a_service_that_is_busy_for_a_moment_has_its_statuses_checked(
    monkeypatch: pytest.MonkeyPatch, refusals: int, status: int, wait: str
) -> None:
    """However long it asks to wait, it is asked again within the ten seconds: a wrong id must not pass unchecked."""
    monkeypatch.setattr(preflight, "LONGEST", 3.0)
    tenant, asked = await probed(refusals, status, wait)
    assert (tenant.failure, tenant.unchecked, asked) == (None, "", refusals + 1)
    assert tenant.names == {STATUS: "Completed"}


async def test_a_service_that_stays_busy_is_asked_four_times_and_the_plan_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then statuses are not checked, and a sheet that needs them can't be sent now."""
    monkeypatch.setattr(preflight, "LONGEST", 4.0)
    tenant, asked = await probed(9, 429, "0")
    assert asked == preflight.ATTEMPTS
    assert isinstance(tenant.failure, StoppedError)
    assert tenant.unchecked == "statuses are not checked: the service does not list them (answered 429)"


async def answered(status: int, body: str, *, lists_orders: bool = False) -> Tenant:
    """The tenant of something that answers everything so, but perhaps a list of orders."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type="text/html" if "<" in body else "application/json")

    async def list_orders(_request: web.Request) -> web.Response:
        return web.json_response({"items": []})

    app = web.Application()
    if lists_orders:
        app.router.add_get("/v9/engagement/orders", list_orders)
    app.router.add_route("*", "/{any:.*}", answer)
    async with TestServer(app) as server:
        tenant = Tenant(str(server.make_url("/v9")), tokens=Tokens(Credentials(Secret("a-token-of-ours"))))
        return await probe_service(tenant, 5.0, {})


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, '{"detail": "Not Found"}'), (404, ""), (405, "{}"), (404, "<html>x"), (200, "<html><title>Sign in</title>")],
)
async def test_an_address_that_is_not_the_services_is_told_from_a_silent_one(status: int, body: str) -> None:
    """It is the base URL that has to be checked, not the sheet; and somebody is there, so nobody is waited for."""
    tenant = await answered(status, body)
    assert isinstance(tenant.failure, AddressError)
    assert (tenant.nobody, tenant.refused) == ("", None)
    assert "EVREKA360_BASE_URL" in tenant.failure.hint
    assert "EVREKA360_BASE_URL" in tenant.unchecked


async def test_a_list_that_the_account_may_not_read_is_no_wrong_address() -> None:
    """Ids can be sent all the same."""
    assert (await answered(403, "{}")).failure is None


async def test_a_service_that_lists_orders_but_no_statuses_is_the_right_one() -> None:
    """Only its statuses can't be checked."""
    tenant = await answered(404, "{}", lists_orders=True)
    assert (tenant.failure, tenant.unchecked) == (
        None,
        "statuses are not checked: the service does not list them (answered 404)",
    )


@pytest.mark.parametrize(("base_url", "lacking"), [("", "address"), ("https://api.example.com", "token")])
async def test_a_plan_without_a_service_takes_every_status(base_url: str, lacking: str) -> None:
    """It says what is not checked and why, and counts names as they are written."""
    tenant = await probe_service(Tenant(base_url), 5.0, {"bitti": "Completed"})
    assert tenant.book is not None
    assert tenant.book.find("Bitti") == tenant.book.find(" completed ")
    assert [tenant.names[tenant.book.find("Completed")], tenant.failure] == ["Completed", None]
    assert "statuses and orders are not checked" in tenant.unchecked
    assert lacking in tenant.unchecked

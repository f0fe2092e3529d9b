"""What is known of the service before anything is sent."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from batch_updater.api.auth import Tokens
from batch_updater.api.credentials import Credentials
from batch_updater.common.errors import StoppedError
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

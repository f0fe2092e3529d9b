"""The service that settings name: its address, the network to it, how to sign in, its statuses."""

import asyncio
from collections.abc import Mapping

from batch_updater.api.credential_sources import find_credentials
from batch_updater.api.credentials import Credentials
from batch_updater.api.network import find_network
from batch_updater.api.protocol import check_base_url
from batch_updater.common.errors import InputError, NoCredentialsError, SettingsError
from batch_updater.common.models import OrderStatus
from batch_updater.common.remedies import Remedy
from batch_updater.common.secret import Secret
from batch_updater.common.settings import Settings
from batch_updater.planning.preflight import Tenant, probe_service, with_credentials
from batch_updater.reports.commands import service_command


def find_service(
    settings: Settings, environment: Mapping[str, str], *, token: Secret | None = None, is_needed: bool = True
) -> Tenant:
    """Return the service and the credentials for it, `token` or what the environment has, without asking anybody.

    Raises SettingsError when the address or the credentials can't be used, and, where it `is_needed`, when there are
    none: only a plan that is looked at does without.
    """
    nowhere = Tenant("")
    tenant = resolve_service(settings, environment) if is_needed or settings.base_url else nowhere
    login = service_command("login", settings)
    try:
        found = Credentials(token) if token else find_credentials(environment, tenant.base_url, login)
    except NoCredentialsError:
        if is_needed:
            raise
        return tenant
    return tenant if tenant is nowhere else with_credentials(tenant, found)


def resolve_service(settings: Settings, environment: Mapping[str, str]) -> Tenant:
    """Return the service's address and the network to it, checked. Raises SettingsError."""
    if not settings.base_url:
        hint = Remedy("set EVREKA360_BASE_URL, or {base_url}, to your tenant's https:// address")
        raise SettingsError("No service address.", hint)
    base_url = check_base_url(settings.base_url)
    return Tenant(base_url, find_network(base_url, settings.ca_file, settings.proxy, environment))


def statuses(settings: Settings, tenant: Tenant) -> tuple[OrderStatus, ...]:
    """Return the tenant's order statuses. Raises CredentialsError, StoppedError, or InputError when none are listed."""
    tenant = asyncio.run(probe_service(tenant, settings.timeout, settings.status_map))
    if tenant.book is None:
        raise tenant.failure or InputError(
            f"There are no statuses to list: {tenant.unchecked}.", "a sheet of status ids can be sent anyway"
        )
    return tenant.book.statuses

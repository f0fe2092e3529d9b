"""Keep credentials in the system's keyring, after the service has accepted them."""

import asyncio
from collections.abc import Callable, Mapping

from batch_updater.api.credentials import GRANT_NAMES, TOKEN_NAMES, Credentials, Grant
from batch_updater.api.keyring_store import check_keyring, forget_in_keyring, keep_in_keyring
from batch_updater.app.service import resolve_service
from batch_updater.common.secret import Secret
from batch_updater.common.settings import Settings
from batch_updater.planning.preflight import probe_service, with_credentials

Ask = Callable[[str], Secret]
QUESTIONS = ("Client id", "Client secret", "User", "Password")


def keep_credentials(settings: Settings, environment: Mapping[str, str], ask: Ask, *, only_token: bool) -> str:
    """Ask for credentials, try them, keep them; return the service's address.

    Raises SettingsError or CredentialsError; then nothing is kept.
    """
    tenant = resolve_service(settings, environment)
    check_keyring(tenant.base_url)
    if only_token:
        token = ask("Access token")
        secrets, credentials = {TOKEN_NAMES[0]: token}, Credentials(token=token)
    else:
        answers = [ask(question) for question in QUESTIONS]
        secrets, credentials = dict(zip(GRANT_NAMES, answers, strict=True)), Credentials(grant=Grant(*answers))
    tenant = asyncio.run(probe_service(with_credentials(tenant, credentials), settings.timeout, settings.status_map))
    if tenant.failure:
        raise tenant.failure
    keep_in_keyring(secrets, tenant.base_url)
    return tenant.base_url


def forget_credentials(settings: Settings, environment: Mapping[str, str]) -> str:
    """Forget what is kept for a service; return its address. Raises SettingsError."""
    base_url = resolve_service(settings, environment).base_url
    forget_in_keyring(base_url)
    return base_url

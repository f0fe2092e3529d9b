"""Credentials from a person into the system's keyring, after the service has accepted them."""

import asyncio
import os

import click

from batch_updater.api.credentials import GRANT_NAMES, TOKEN_NAMES, Credentials, Grant
from batch_updater.api.keyring_store import check_keyring, forget_in_keyring, keep_in_keyring
from batch_updater.common.secret import Secret
from batch_updater.common.settings import Settings
from batch_updater.planning.preflight import probe_service, resolve_service, with_credentials

_QUESTIONS = ("Client id", "Client secret", "User", "Password")


def log_in(settings: Settings, *, only_token: bool) -> str:
    """Ask, try, keep; a sentence that says so. Raises SettingsError or CredentialsError; then nothing is kept."""
    tenant = resolve_service(settings, os.environ)
    check_keyring(tenant.base_url)
    if only_token:
        secrets = {TOKEN_NAMES[0]: _ask("Access token")}
        credentials = Credentials(token=secrets[TOKEN_NAMES[0]])
    else:
        answers = [_ask(question) for question in _QUESTIONS]
        secrets = dict(zip(GRANT_NAMES, answers, strict=True))
        credentials = Credentials(grant=Grant(*answers))
    tenant = asyncio.run(probe_service(with_credentials(tenant, credentials), settings))
    if tenant.failure:
        raise tenant.failure
    keep_in_keyring(secrets, tenant.base_url)
    return f"Accepted by {tenant.base_url} and kept in the keyring."


def log_out(settings: Settings) -> str:
    """Forget; a sentence that says so. Raises SettingsError."""
    base_url = resolve_service(settings, os.environ).base_url
    forget_in_keyring(base_url)
    return f"Nothing is kept for {base_url} any more."


def _ask(question: str) -> Secret:
    return Secret(click.prompt(question, hide_input=True, err=True).strip())

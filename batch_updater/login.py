"""Credentials from a person into the system's keyring, after the service has accepted them."""

import asyncio

import click

from batch_updater.api.auth import (
    GRANT_NAMES,
    TOKEN_NAMES,
    Credentials,
    Grant,
    check_token,
    forget_in_keyring,
    keep_in_keyring,
)
from batch_updater.api.protocol import check_base_url
from batch_updater.errors import SettingsError
from batch_updater.secret import Secret
from batch_updater.settings import Settings
from batch_updater.tenant import meet, with_credentials

_QUESTIONS = ("Client id", "Client secret", "User", "Password")


def log_in(settings: Settings, *, only_token: bool) -> str:
    """Ask, try, keep; a sentence that says so. Raises SettingsError or CredentialsError; then nothing is kept."""
    base_url = _base_url(settings)
    if only_token:
        secrets = {TOKEN_NAMES[0]: _ask("Access token")}
        check_token(secrets[TOKEN_NAMES[0]])
        credentials = Credentials(token=secrets[TOKEN_NAMES[0]])
    else:
        answers = [_ask(question) for question in _QUESTIONS]
        secrets = dict(zip(GRANT_NAMES, answers, strict=True))
        credentials = Credentials(grant=Grant(*answers))
    tenant = asyncio.run(meet(with_credentials(base_url, credentials), settings))
    if tenant.failure:
        raise tenant.failure
    keep_in_keyring(secrets, base_url)
    return f"Accepted by {base_url} and kept in the keyring."


def log_out(settings: Settings) -> str:
    """Forget; a sentence that says so. Raises SettingsError."""
    base_url = _base_url(settings)
    forget_in_keyring(base_url)
    return f"Nothing is kept for {base_url} any more."


def _base_url(settings: Settings) -> str:
    if not settings.base_url:
        raise SettingsError("No service address.", "set EVREKA360_BASE_URL to your tenant's https:// address")
    return check_base_url(settings.base_url)


def _ask(question: str) -> Secret:
    return Secret(click.prompt(question, hide_input=True, err=True).strip())

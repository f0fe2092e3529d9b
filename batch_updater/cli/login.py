"""Credentials from a person into the system's keyring."""

from collections.abc import Mapping

import click

from batch_updater.app import sign_in
from batch_updater.common.secret import Secret
from batch_updater.common.settings import Settings


def log_in(settings: Settings, environment: Mapping[str, str], *, only_token: bool) -> str:
    """Ask, try, keep; return a sentence that says so. Raises SettingsError or CredentialsError."""
    base_url = sign_in.keep_credentials(settings, environment, _ask, only_token=only_token)
    return f"Accepted by {base_url} and kept in the keyring."


def log_out(settings: Settings, environment: Mapping[str, str]) -> str:
    """Forget; return a sentence that says so. Raises SettingsError."""
    return f"Nothing is kept for {sign_in.forget_credentials(settings, environment)} any more."


def _ask(question: str) -> Secret:
    return Secret(click.prompt(question, hide_input=True, err=True).strip())

"""Credentials in the system's keyring, separate for each service."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from batch_updater.api.credentials import GRANT_NAMES, TOKEN_NAMES
from batch_updater.common.errors import SettingsError
from batch_updater.common.secret import Secret

KEYRING_SERVICE = "batch-updater"


def read_keyring(name: str, base_url: str) -> Secret | None:
    """Return the secret of this name for a service; None when there is none, or no keyring."""
    try:
        with _opened_keyring() as keyring:
            text = keyring.get_password(_keyring_service(base_url), name)
    except SettingsError:
        return None
    return Secret(text) if text else None


def keep_in_keyring(secrets: Mapping[str, Secret], base_url: str) -> None:
    """Store these secrets for a service in place of all earlier ones. Raises SettingsError without a keyring."""
    service = _keyring_service(base_url)
    with _opened_keyring() as keyring:
        for name in (*TOKEN_NAMES, *GRANT_NAMES):
            if keyring.get_password(service, name) is not None:
                keyring.delete_password(service, name)
        for name, secret in secrets.items():
            keyring.set_password(service, name, secret.reveal())


def forget_in_keyring(base_url: str) -> None:
    """Remove all secrets of a service. Raises SettingsError without a keyring."""
    keep_in_keyring({}, base_url)


def check_keyring(base_url: str) -> None:
    """Raise SettingsError when there is no usable keyring, before you are asked for a secret."""
    with _opened_keyring() as keyring:
        keyring.get_password(_keyring_service(base_url), TOKEN_NAMES[0])


@contextlib.contextmanager
def _opened_keyring() -> Iterator[Any]:
    try:
        import keyring  # noqa: PLC0415 - an optional extra
        import keyring.errors  # noqa: PLC0415 - as above
    except ImportError:
        raise SettingsError("Keyring support is not installed.", "pip install 'batch-updater[keyring]'") from None
    try:
        yield keyring
    except keyring.errors.KeyringError as error:
        raise SettingsError(
            f"The keyring can't be used ({type(error).__name__}).", "use the environment or <NAME>_FILE instead"
        ) from None


def _keyring_service(base_url: str) -> str:
    return f"{KEYRING_SERVICE} {base_url}"

"""Credentials: a token, or the four values that get one."""

import hashlib
from dataclasses import dataclass

from batch_updater.common.errors import SettingsError
from batch_updater.common.secret import Secret

TOKEN_NAMES = ("EVREKA360_ACCESS_TOKEN", "ACCESS_TOKEN")
GRANT_NAMES = ("EVREKA360_AUTH_CLIENT_ID", "EVREKA360_AUTH_CLIENT_SECRET", "EVREKA360_API_USER", "EVREKA360_API_PASS")


@dataclass(frozen=True, slots=True)
class Grant:
    """The four values of the password grant. Raises SettingsError for a client id that HTTP Basic can't carry."""

    client_id: Secret
    client_secret: Secret
    user: Secret
    password: Secret

    def __post_init__(self) -> None:
        if ":" in self.client_id.reveal():  # RFC 7617, 2
            raise SettingsError("A client id holds no ':'.", f"copy {GRANT_NAMES[0]} again")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A static token, the values to sign in with, or both: then the token is used until it is refused.

    Raises SettingsError for a token that no header can carry.
    """

    token: Secret | None = None
    grant: Grant | None = None

    def __post_init__(self) -> None:
        text = "" if self.token is None else self.token.reveal()
        if not text.isascii() or not text.isprintable() or " " in text:
            raise SettingsError("The access token holds a blank or a character that no token has.", "copy it again")

    @property
    def account(self) -> str | None:
        """A hash that identifies the user without a name; None for a static token."""
        if self.grant is None:
            return None
        return hashlib.sha256(self.grant.user.reveal().encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Granted:
    """What the token endpoint granted; `expires_in` is seconds, None when it is not known."""

    access: Secret
    refresh: Secret | None
    expires_in: float | None

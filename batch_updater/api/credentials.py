"""Credentials: a token, or the four values that get one."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

from batch_updater.common.errors import SettingsError
from batch_updater.common.secret import Secret

TOKEN_NAMES = ("EVREKA360_ACCESS_TOKEN", "ACCESS_TOKEN")
GRANT_NAMES = ("EVREKA360_AUTH_CLIENT_ID", "EVREKA360_AUTH_CLIENT_SECRET", "EVREKA360_API_USER", "EVREKA360_API_PASS")
_QUOTES, _SCHEME = tuple("\"'`"), re.compile(r"(authorization:\s*)?bearer\b", re.IGNORECASE)
SHORTEST_TOKEN = 8  # characters; a shorter one stands in other text too, and can't be masked there


def check_token(token: Secret, name: str = "The access token") -> Secret:
    """Return the token. Raises SettingsError, which calls it by `name`, when it can't be used as one."""
    text = token.reveal()
    if text[:1] in _QUOTES or text[-1:] in _QUOTES:
        raise SettingsError(f"{name} stands in quotation marks.", "leave them out; an env file of docker keeps them")
    if _SCHEME.match(text):
        raise SettingsError(f"{name} begins with 'Bearer', which is no part of it.", "leave that word out")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise SettingsError(f"{name} holds a blank or a character that no token has.", "copy it again")
    if len(text) < SHORTEST_TOKEN:
        raise SettingsError(
            f"{name} has fewer than {SHORTEST_TOKEN} characters, too few for an access token.", "copy all of it"
        )
    return token


@dataclass(frozen=True, slots=True)
class Grant:
    """The four values of the password grant. Raises SettingsError for a client id that HTTP Basic can't carry."""

    client_id: Secret
    client_secret: Secret
    user: Secret
    password: Secret

    @property
    def values(self) -> tuple[str, ...]:
        """The four, to be compared."""
        return tuple(one.reveal() for one in (self.client_id, self.client_secret, self.user, self.password))

    def __post_init__(self) -> None:
        if ":" in self.client_id.reveal():  # RFC 7617, 2
            raise SettingsError("A client id holds no ':'.", f"copy {GRANT_NAMES[0]} again")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A static token, the values to sign in with, or both: then the token is used until it is refused.

    `read_again` returns them as they are now, when they come from files, which may be rotated during a run.
    Raises SettingsError for a token that no header can carry, or that is too short to be masked.
    """

    token: Secret | None = None
    grant: Grant | None = None
    read_again: Optional[Callable[[], "Credentials"]] = None  # noqa: UP045 - `|` knows no text

    def __post_init__(self) -> None:
        if self.token is not None:
            check_token(self.token)

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

"""Who we are: secrets that can't be printed by accident, and a token that is renewed once for the whole pool.

The vendor's sign-in is OAuth 2 (RFC 6749): password grant and refresh at `POST /auth/oauth/token`.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch_updater.api.retry import attempt_again
from batch_updater.errors import BlockedError, CredentialsError, SettingsError, StoppedError
from batch_updater.log import event
from batch_updater.models import Answer, Verdict
from batch_updater.secret import Secret

TOKEN_NAMES = ("EVREKA360_ACCESS_TOKEN", "ACCESS_TOKEN")
GRANT_NAMES = ("EVREKA360_AUTH_CLIENT_ID", "EVREKA360_AUTH_CLIENT_SECRET", "EVREKA360_API_USER", "EVREKA360_API_PASS")
SIGN_IN_ATTEMPTS = 5
KEYRING_SERVICE = "batch-updater"


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
    """A static token, the values to sign in with, or both: then the token is used until it is refused."""

    token: Secret | None = None
    grant: Grant | None = None

    @property
    def account(self) -> str | None:
        """Tells one user from another without naming them; None for a static token."""
        if self.grant is None:
            return None
        return hashlib.sha256(self.grant.user.reveal().encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Granted:
    """What the token endpoint gave; `expires_in` is seconds, None when it did not say."""

    access: Secret
    refresh: Secret | None
    expires_in: float | None


Ask = Callable[[dict[str, str], Grant], Awaitable[tuple[Answer, Granted | None]]]


def find_credentials(environment: Mapping[str, str], base_url: str) -> Credentials:
    """Credentials from the environment and the files that `<NAME>_FILE` names, else from the system's keyring.

    The keyring keeps them for one `base_url`, so that no service gets what belongs to another.
    Raises SettingsError when there are none or when one could not be sent.
    """
    places: tuple[Callable[[str], Secret | None], ...] = (
        lambda name: secret_from(name, environment),
        lambda name: _from_keyring(name, base_url),
    )
    for find in places:
        token = next((secret for name in TOKEN_NAMES if (secret := find(name))), None)
        if token is not None:
            check_token(token)
        values = {name: secret for name in GRANT_NAMES if (secret := find(name))}
        grant = Grant(*(values[name] for name in GRANT_NAMES)) if len(values) == len(GRANT_NAMES) else None
        if token or grant:
            return Credentials(token, grant)
        if values:
            missing = ", ".join(name for name in GRANT_NAMES if name not in values)
            raise SettingsError(f"To sign in, {missing} is missing.", "set it, or set EVREKA360_ACCESS_TOKEN")
    raise SettingsError(
        "No access token.",
        "set EVREKA360_ACCESS_TOKEN, or EVREKA360_ACCESS_TOKEN_FILE to a file that holds it, or the four"
        f" {GRANT_NAMES[0]}, _SECRET, EVREKA360_API_USER, _PASS; or keep them with `batch-updater login`",
    )


def secret_from(name: str, environment: Mapping[str, str]) -> Secret | None:
    """The secret of this name, or in the file that `<name>_FILE` names; None without. Raises SettingsError."""
    text = environment.get(name, "").strip() or _from_file(name, environment.get(f"{name}_FILE"))
    if any("\ud800" <= char <= "\udfff" for char in text or ""):  # how a stray byte of the environment is read
        raise SettingsError(f"{name} holds a byte that is no text.", "copy it again, as UTF-8")
    return Secret(text) if text else None


def check_token(token: Secret) -> None:
    """Raise SettingsError for a token that no header can carry."""
    text = token.reveal()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise SettingsError("The access token holds a blank or a character that no token has.", "copy it again")


def _from_file(name: str, path: str | None) -> str | None:
    if not path:
        return None
    try:
        text = Path(path).read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        place = path if Path(path).is_absolute() else "the file"  # else it may be the secret itself, set by mistake
        raise SettingsError(f"{name}_FILE: {place} can't be read ({type(error).__name__}).", "check the path") from None
    if not text:
        raise SettingsError(f"{name}_FILE: {path} is empty.", "write the secret into it, or unset the variable")
    return text


def _from_keyring(name: str, base_url: str) -> Secret | None:
    try:
        import keyring  # noqa: PLC0415 - an optional extra
        import keyring.errors  # noqa: PLC0415 - as above
    except ImportError:
        return None
    try:
        text = keyring.get_password(_keyring_service(base_url), name)
    except keyring.errors.KeyringError:
        return None  # no keyring on this machine
    return Secret(text) if text else None


def keep_in_keyring(secrets: Mapping[str, Secret], base_url: str) -> None:
    """Keep these for a service, in place of what was kept before. Raises SettingsError without a keyring."""
    _change_keyring(base_url, secrets)


def forget_in_keyring(base_url: str) -> None:
    """Remove what is kept for a service. Raises SettingsError without a keyring."""
    _change_keyring(base_url, {})


def check_keyring(base_url: str) -> None:
    """Raise SettingsError where nothing could be kept, before anybody is asked for a secret."""
    with _opened_keyring() as keyring:
        keyring.get_password(_keyring_service(base_url), TOKEN_NAMES[0])


def _change_keyring(base_url: str, secrets: Mapping[str, Secret]) -> None:
    service = _keyring_service(base_url)
    with _opened_keyring() as keyring:
        for name in (*TOKEN_NAMES, *GRANT_NAMES):
            if keyring.get_password(service, name) is not None:
                keyring.delete_password(service, name)
        for name, secret in secrets.items():
            keyring.set_password(service, name, secret.reveal())


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


class Tokens:
    """The token in use. One renewal at a time serves every row that waits; a rotated refresh token is kept."""

    def __init__(
        self,
        credentials: Credentials,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._grant = credentials.grant
        self._access = credentials.token
        self._refresh: Secret | None = None
        self._renew_at: float | None = None
        self._clock, self._sleep = clock, sleep
        self.generation = 0
        self.requests = 0
        self.attach(None)

    def attach(self, ask: Ask | None) -> None:
        """Use this way to the token endpoint, from the running loop."""
        self._ask = ask
        self._turn = asyncio.Lock()

    async def current(self) -> Secret:
        """A token to send with, renewed shortly before it expires. Raises CredentialsError or StoppedError."""
        if self._access is not None and (self._renew_at is None or self._clock() < self._renew_at):
            return self._access
        await self.renew(self.generation)
        if self._access is None:
            raise CredentialsError("No access token.", "check the credentials")
        return self._access

    async def renew(self, refused: int) -> bool:
        """Get a newer token than generation `refused`; False when that is not possible.

        Raises CredentialsError when the service refuses to sign us in, StoppedError when it does not answer.
        """
        async with self._turn:
            if self.generation > refused:
                return True
            if self._grant is None or self._ask is None:
                return False
            if self._refresh is not None:
                form = {"grant_type": "refresh_token", "refresh_token": self._refresh.reveal()}
                if (await self._request(form, self._grant, self._ask)).verdict is Verdict.DONE:
                    return True
                self._refresh = None
            answer = await self._request(_password_form(self._grant), self._grant, self._ask)
            if answer.verdict is not Verdict.DONE:
                raise CredentialsError(
                    f"The service refused to sign in ({answer.detail}).",
                    f"check {', '.join(GRANT_NAMES)} and the service's address, then run again",
                )
            return True

    def _keep(self, granted: Granted, asked: float) -> None:
        self._access = granted.access
        self._refresh = granted.refresh or self._refresh
        life = granted.expires_in
        # A fortieth of its life before the end, at most 30 s: requests under way still arrive in time.
        self._renew_at = None if life is None else asked + life - min(life / 40, 30.0)
        self.generation += 1
        event("token", generation=self.generation, seconds=life, reason="renewed" if self.generation > 1 else "issued")

    async def _request(self, form: dict[str, str], grant: Grant, ask: Ask) -> Answer:
        """Ask, and keep what is granted. Raises StoppedError when there is neither a grant nor a refusal."""
        tries, wait = 0, 0.0

        async def attempt() -> Answer:
            nonlocal tries, wait
            tries += 1
            self.requests += 1
            asked = self._clock()
            answer, granted = await ask(form, grant)
            wait = answer.wait or 0.0
            if granted is not None:
                self._keep(granted, asked)
            return answer

        async def sleep(seconds: float) -> None:
            await self._sleep(max(seconds, wait))

        answer = await attempt_again(attempt, await attempt(), lambda: tries >= SIGN_IN_ATTEMPTS, sleep)
        if answer.verdict in {Verdict.DONE, Verdict.REFUSED, Verdict.UNAUTHORIZED}:
            return answer
        kind = BlockedError if answer.blocked else StoppedError
        raise kind(f"Signing in failed: {answer.detail}.", answer.hint or "run again when the service is back")


def _password_form(grant: Grant) -> dict[str, str]:
    user, password = grant.user.reveal(), grant.password.reveal()
    return {"grant_type": "password", "username": user, "password": password, "scope": "profile"}

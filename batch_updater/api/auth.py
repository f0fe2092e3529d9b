"""Sign in, and renew the token once for all requests.

The vendor's sign-in is OAuth 2 (RFC 6749): password grant and refresh at `POST /auth/oauth/token`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from batch_updater.api.credentials import GRANT_NAMES, Credentials, Grant, Granted
from batch_updater.api.retry import Attempts
from batch_updater.common.errors import BlockedError, CredentialsError, StoppedError
from batch_updater.common.log import event
from batch_updater.common.models import Answer, Verdict
from batch_updater.common.secret import Secret

SIGN_IN_ATTEMPTS = 5
Ask = Callable[[dict[str, str], Grant], Awaitable[Answer[Granted]]]


class Tokens:
    """The token in use. One renewal serves every row that waits; a rotated refresh token replaces the old one."""

    def __init__(
        self, credentials: Credentials, clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:  # fmt: skip
        self._grant = credentials.grant
        self._access = credentials.token
        self._refresh: Secret | None = None
        self._renew_at: float | None = None
        self._clock, self._sleep = clock, sleep
        self.generation = 0
        self.requests = 0
        self.attach(None)

    def attach(self, ask: Ask | None) -> None:
        """Reach the token endpoint through `ask`, in the running loop."""
        self._ask = ask
        self._turn = asyncio.Lock()

    async def current(self) -> Secret:
        """Return a token, renewed shortly before it expires. Raises CredentialsError or StoppedError."""
        if self._access is not None and (self._renew_at is None or self._clock() < self._renew_at):
            return self._access
        await self.renew(self.generation)
        if self._access is None:
            raise CredentialsError("No access token.", "check the credentials")
        return self._access

    async def renew(self, refused: int) -> bool:
        """Get a newer token than generation `refused`; False when that is not possible.

        Raises CredentialsError when the service refuses the sign-in, StoppedError when it does not answer.
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
            user, password = self._grant.user.reveal(), self._grant.password.reveal()
            form = {"grant_type": "password", "username": user, "password": password, "scope": "profile"}
            answer = await self._request(form, self._grant, self._ask)
            if answer.verdict is not Verdict.DONE:
                raise CredentialsError(
                    f"The service refused to sign in ({answer.detail}).",
                    f"check {', '.join(GRANT_NAMES)} and the service's address, then run again",
                )
            return True

    async def _request(self, form: dict[str, str], grant: Grant, ask: Ask) -> Answer[Granted]:
        """Send a grant request and store what it grants. Raises StoppedError when it is neither granted nor refused."""

        async def attempt() -> Answer[Granted]:
            self.requests += 1
            asked = self._clock()
            answer = await ask(form, grant)
            if answer.payload is not None:
                self._store(answer.payload, asked)
            return answer

        answer = await Attempts(SIGN_IN_ATTEMPTS, sleep=self._sleep).run(attempt)
        if answer.verdict in {Verdict.DONE, Verdict.REFUSED, Verdict.UNAUTHORIZED}:
            return answer
        kind = BlockedError if answer.needs_human else StoppedError
        raise kind(f"Signing in failed: {answer.detail}.", answer.hint or "run again when the service is back")

    def _store(self, granted: Granted, asked: float) -> None:
        self._access = granted.access
        self._refresh = granted.refresh or self._refresh
        life = granted.expires_in
        # A fortieth of its life before the end, at most 30 s: requests under way still arrive in time.
        self._renew_at = None if life is None else asked + life - min(life / 40, 30.0)
        self.generation += 1
        event("token", generation=self.generation, seconds=life, reason="renewed" if self.generation > 1 else "issued")

"""Sign in, and renew the token once for all requests.

The vendor's sign-in is OAuth 2 (RFC 6749): password grant and refresh at `POST /auth/oauth/token`.
"""

import asyncio
import contextlib
import math
import re
import time
from collections.abc import Awaitable, Callable
from functools import partial

from batch_updater.api.credentials import GRANT_NAMES, Credentials, Grant, Granted
from batch_updater.api.retry import Attempts
from batch_updater.common.errors import BlockedError, CredentialsError, SettingsError, StoppedError
from batch_updater.common.log import event
from batch_updater.common.models import Answer, Verdict
from batch_updater.common.secret import Secret

SIGN_IN_ATTEMPTS = 5
SIGN_IN_LONGEST = 60.0  # seconds, outside a run
Ask = Callable[[dict[str, str], Grant], Awaitable[Answer[Granted]]]


class Tokens:
    """The token in use. One renewal serves every row that waits; a rotated refresh token replaces the old one."""

    def __init__(
        self, credentials: Credentials, clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:  # fmt: skip
        self._grant = credentials.grant
        self._access = self._static = credentials.token
        self._read_again = credentials.read_again
        self._refresh: Secret | None = None
        self._renew_at: float | None = None
        self._refusal: CredentialsError | None = None  # of the last sign-in
        self._clock, self._sleep = clock, sleep
        self.generation = 0
        self.requests = 0
        self.attach(None)

    def attach(self, ask: Ask | None) -> None:
        """Reach the token endpoint through `ask`, in the running loop."""
        self._ask = ask
        self._turn = asyncio.Lock()
        self._stopping: asyncio.Event | None = None
        self._saw: Callable[[Answer[Granted]], None] = lambda _answer: None

    def obey(self, stopping: asyncio.Event, saw: Callable[[Answer[Granted]], None]) -> None:
        """Ask until there is a token or `stopping` is set, which frees whoever waits; tell `saw` each answer."""
        self._stopping, self._saw = stopping, saw

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

        Raises CredentialsError when the service refuses the sign-in, which is asked for once; StoppedError when it does
        not answer, or the run stops meanwhile.
        """
        async with self._turn:
            if self.generation > refused or self._take_rotated_token():
                return True
            if self._grant is None or self._ask is None:
                return False
            if self._refusal:
                raise self._refusal
            if self._refresh is not None:
                form = {"grant_type": "refresh_token", "refresh_token": self._refresh.reveal()}
                if (await self._once(form, self._grant, self._ask)).verdict is Verdict.DONE:
                    return True
                self._refresh = None  # whatever the reason was: the password is good as well
            answer = await self._sign_in(self._grant, self._ask)
            if answer.verdict is not Verdict.DONE and (rotated := self._rotated_grant()):
                self._grant = rotated
                answer = await self._sign_in(rotated, self._ask)
            if answer.verdict is not Verdict.DONE:
                self._refusal = _refused_sign_in(answer.detail, self._grant)
                raise self._refusal
            return True

    async def _sign_in(self, grant: Grant, ask: Ask) -> Answer[Granted]:
        user, password = grant.user.reveal(), grant.password.reveal()
        form = {"grant_type": "password", "username": user, "password": password, "scope": "profile"}
        return await self._request(form, grant, ask)

    def _take_rotated_token(self) -> bool:
        """Use the token that now stands in the file, if it is another one than was last read there."""
        token = self._now().token
        if token is None or (self._static and token.reveal() == self._static.reveal()):
            return False
        self._store(Granted(token, None, None), self._clock())
        self._static = token
        return True

    def _rotated_grant(self) -> Grant | None:
        """Return the values to sign in with that now stand in their files; None when they are those that were used."""
        grant = self._now().grant
        return grant if grant and self._grant and grant.values != self._grant.values else None

    def _now(self) -> Credentials:
        """Return what the files hold now; nothing while one is missing, or where there are none."""
        with contextlib.suppress(SettingsError):
            return self._read_again() if self._read_again else Credentials()
        return Credentials()

    async def _once(self, form: dict[str, str], grant: Grant, ask: Ask) -> Answer[Granted]:
        """Send a grant request, unless the run stops, and store what it grants."""
        if self._stopping and self._stopping.is_set():
            raise StoppedError("The run stopped before there was a token.")
        self.requests += 1
        asked = self._clock()
        answer = await ask(form, grant)
        if answer.payload is not None:
            self._store(answer.payload, asked)
        self._saw(answer)
        return answer

    async def _request(self, form: dict[str, str], grant: Grant, ask: Ask) -> Answer[Granted]:
        """Send a grant request until it is granted or refused. Raises StoppedError when it is neither.

        In a run, whose time is measured elsewhere, it is sent as long as that goes on.
        """
        stopping = self._stopping
        attempts = Attempts(
            math.inf if stopping else SIGN_IN_ATTEMPTS, sleep=self._pause,
            until=math.inf if stopping else time.monotonic() + SIGN_IN_LONGEST,
            stopping=stopping.is_set if stopping else lambda: False,
        )  # fmt: skip
        answer = await attempts.run(partial(self._once, form, grant, ask))
        if answer.verdict in {Verdict.DONE, Verdict.REFUSED, Verdict.UNAUTHORIZED}:
            return answer
        kind = BlockedError if answer.needs_human else StoppedError
        raise kind(f"Signing in failed: {answer.detail}.", answer.hint or "run again when the service is back")

    async def _pause(self, seconds: float) -> None:
        if self._stopping is None:
            await self._sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _store(self, granted: Granted, asked: float) -> None:
        self._access = granted.access
        self._refresh = granted.refresh or self._refresh
        life = granted.expires_in
        # A fortieth of its life before the end, at most 30 s: requests under way still arrive in time.
        self._renew_at = None if life is None else asked + life - min(life / 40, 30.0)
        self.generation += 1
        event("token", generation=self.generation, seconds=life, reason="renewed" if self.generation > 1 else "issued")


def _refused_sign_in(why: str, grant: Grant) -> CredentialsError:
    quoted = [
        name for name, value in zip(GRANT_NAMES, grant.values, strict=True) if re.fullmatch(r"([\"']).*\1", value)
    ]
    hint = f"check {', '.join(GRANT_NAMES)} and the service's address, then run again"
    if quoted:
        hint = f"{', '.join(quoted)}: leave out the quotation marks around it; an env file of docker keeps them"
    return CredentialsError(f"The service refused to sign in ({why}).", hint)

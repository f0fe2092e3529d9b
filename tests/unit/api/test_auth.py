import asyncio
import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batch_updater.api.auth import Ask, Tokens
from batch_updater.api.credential_sources import find_credentials
from batch_updater.api.credentials import GRANT_NAMES, Credentials, Grant, Granted
from batch_updater.common.errors import CredentialsError, SettingsError, StoppedError
from batch_updater.common.models import Answer, Verdict
from batch_updater.common.secret import Secret

TEXT = "s3cr3t-value"
BASE = "https://api.example.com/v1"
FOUR = dict(zip(GRANT_NAMES, ("client", "c-secret", "user", "pass"), strict=True))
GRANT = Grant(*(Secret(value) for value in FOUR.values()))
NO = Answer(Verdict.UNAUTHORIZED, "unauthorized", "the token endpoint answered 401", 401)
YES = Answer(Verdict.DONE, "ok", "", 200)


class Endpoint:
    """A token endpoint with a clock of its own: the nth token is `a<n>`, its refresh token `r<n>`."""

    def __init__(self, life: float | None = 60.0, *, rotates: bool = True) -> None:
        self.life, self.rotates = life, rotates
        self.now = 1000.0
        self.asked: list[dict[str, str]] = []
        self.slept: list[float] = []
        self.answers: list[Answer] = []  # said before any other
        self.refuses: set[str] = set()

    async def ask(self, form: dict[str, str], _grant: Grant) -> Answer[Granted]:
        await asyncio.sleep(0)
        self.asked.append(form)
        if self.answers:
            return self.answers.pop(0)
        if form["grant_type"] in self.refuses:
            return NO
        number = len(self.asked)
        refresh = Secret(f"r{number}") if self.rotates or number == 1 else None
        return replace(YES, payload=Granted(Secret(f"a{number}"), refresh, self.life))

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def tokens(self, token: str | None = None, grant: Grant | None = GRANT) -> Tokens:
        tokens = Tokens(Credentials(Secret(token) if token else None, grant), lambda: self.now, self.sleep)
        ask: Ask = self.ask
        tokens.attach(ask)
        return tokens

    @property
    def grants(self) -> list[str]:
        return [form["grant_type"] for form in self.asked]


SHOWING: dict[str, Callable[[Secret], object]] = {
    "repr": repr,
    "str": str,
    "format": lambda secret: f"{secret} {secret!r} {secret!s} {secret}",
    "wide format": lambda secret: format(secret, ">30"),
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - one more way to show it
    "pickle": pickle.dumps,
    "old pickle": lambda secret: pickle.dumps(secret, 0),
    "copy": copy.copy,
    "deep copy": copy.deepcopy,
    "vars": vars,
    "state": lambda secret: secret.__getstate__(),  # type: ignore[func-returns-value]
    "json": json.dumps,
    "asdict": lambda secret: dataclasses.asdict(Credentials(secret)),
    "inside": lambda secret: repr(Credentials(secret, Grant(secret, secret, secret, secret))),
    "exception": lambda secret: repr(CredentialsError(f"{secret}", str(secret))),
}


@pytest.mark.parametrize("way", SHOWING)
def test_a_secret_shows_nothing(way: str) -> None:
    """Whatever prints, copies or stores it either shows stars or refuses."""
    try:
        shown = SHOWING[way](Secret(TEXT))
    except TypeError as error:
        shown = error
    assert TEXT not in str(shown)
    assert TEXT not in repr(shown)
    assert TEXT.encode() not in (shown if isinstance(shown, bytes) else b"")


@pytest.mark.parametrize("name", ["EVREKA360_ACCESS_TOKEN", "ACCESS_TOKEN"])
@pytest.mark.parametrize("text", ["t0k-canary", "t0k-canary\n", " t0k-canary\r\n"])
def test_a_token_comes_from_the_environment_or_a_file(tmp_path: Path, name: str, text: str) -> None:
    """Blanks and line ends around it do not matter, nor does a byte order mark in the file."""
    file = tmp_path / "token"
    file.write_text("\ufeff" + text, encoding="utf-8")
    for environment in ({name: text}, {f"{name}_FILE": str(file)}, {name: " \n", f"{name}_FILE": str(file)}):
        found = find_credentials(environment, BASE)
        assert found.token is not None
        assert found.token.reveal() == "t0k-canary"
        assert (found.grant, found.account) == (None, None)


def test_the_four_values_sign_in_from_environment_and_files(tmp_path: Path) -> None:
    """Each of the four may come from its own file; with a token besides, both are kept."""
    file = tmp_path / "pass"
    file.write_text("p w\n")
    mixed = {**FOUR, "EVREKA360_API_PASS": "", "EVREKA360_API_PASS_FILE": str(file), "ACCESS_TOKEN": "t0k-canary"}
    found = find_credentials(mixed, BASE)
    assert found.grant is not None
    assert found.grant.password.reveal() == "p w"
    assert found.token is not None
    assert found.account not in {None, "user"}
    assert found.account == find_credentials(FOUR, BASE).account


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "login"),
        ({"ACCESS_TOKEN": "  "}, "No access token"),
        (dict.fromkeys(GRANT_NAMES[:3], "x"), "EVREKA360_API_PASS is missing"),
        ({GRANT_NAMES[0]: "x"}, "_CLIENT_SECRET, EVREKA360_API_USER, EVREKA360_API_PASS is missing"),
        ({"ACCESS_TOKEN": "s3cr3t value"}, "blank"),
        ({"ACCESS_TOKEN": "s3cr3tü"}, "no token has"),
        ({"ACCESS_TOKEN": '"s3cr3t-token"'}, "ACCESS_TOKEN stands in quotation marks"),
        ({"ACCESS_TOKEN": "'s3cr3t-token'"}, "env file of docker"),
        ({"ACCESS_TOKEN": "Bearer s3cr3t-token"}, "ACCESS_TOKEN begins with 'Bearer'"),
        ({"ACCESS_TOKEN": "Authorization: bearer s3cr3t"}, "begins with 'Bearer'"),
        ({"ACCESS_TOKEN": "s3cr3t\x00"}, "no token has"),
        ({"ACCESS_TOKEN": "s3cr3t"}, "ACCESS_TOKEN has fewer than 8 characters"),
        ({"ACCESS_TOKEN_FILE": "/nowhere/token"}, "/nowhere/token can't be read"),
        ({"ACCESS_TOKEN_FILE": "/dev/null"}, "is empty"),
        ({**FOUR, GRANT_NAMES[0]: "s3cr3t:x"}, "no ':'"),
    ],
)
def test_unusable_credentials_are_told_before_anything_is_asked(environment: dict[str, str], words: str) -> None:
    """The message says what is missing or wrong, and shows no part of a secret."""
    with pytest.raises(SettingsError) as caught:
        find_credentials(environment, BASE)
    assert words in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("name", ["EVREKA360_ACCESS_TOKEN", "ACCESS_TOKEN"])
def test_a_token_that_could_not_be_masked_is_refused_by_name(tmp_path: Path, name: str) -> None:
    """One of fewer than eight characters stands in other text too; the message has the variable that holds it."""
    file = tmp_path / "token"
    file.write_text("seven-7\n", encoding="utf-8")
    for variable, value in ((name, "seven-7"), (f"{name}_FILE", str(file))):
        with pytest.raises(SettingsError, match=rf"^{variable} has fewer than 8 characters"):
            find_credentials({variable: value}, BASE)
    with pytest.raises(SettingsError, match=r"^The access token has fewer than 8 characters"):
        Credentials(Secret("seven-7"))
    assert Credentials(Secret("eight-88")).token is not None


async def test_a_token_is_renewed_shortly_before_it_expires() -> None:
    """With `expires_in` a token serves until a fortieth of its life is left; then the refresh grant gives the next."""
    endpoint = Endpoint(life=60.0)
    tokens = endpoint.tokens()
    assert (await tokens.current()).reveal() == "a1"
    endpoint.now += 58.4
    assert (await tokens.current()).reveal() == "a1"
    endpoint.now += 0.2
    assert (await tokens.current()).reveal() == "a2"
    assert endpoint.grants == ["password", "refresh_token"]
    assert endpoint.asked[0] == {"grant_type": "password", "username": "user", "password": "pass", "scope": "profile"}


async def test_a_long_life_ends_at_most_half_a_minute_early() -> None:
    """A token of a day is not thrown away half an hour before its end."""
    endpoint = Endpoint(life=86_400.0)
    tokens = endpoint.tokens()
    await tokens.current()
    endpoint.now += 86_369
    await tokens.current()
    assert tokens.requests == 1
    endpoint.now += 2
    await tokens.current()
    assert tokens.requests == 2


async def test_life_counts_from_the_question_not_from_the_answer() -> None:
    """A slow token endpoint does not make us think that the token lives longer than it does."""
    endpoint = Endpoint(life=10.0)
    tokens = endpoint.tokens()

    async def slow(form: dict[str, str], grant: Grant) -> Answer[Granted]:
        endpoint.now += 6
        return await endpoint.ask(form, grant)

    tokens.attach(slow)
    await tokens.current()
    endpoint.now += 4
    await tokens.current()
    assert tokens.requests == 2


async def test_without_expires_in_a_token_serves_until_it_is_refused() -> None:
    """No life told: nothing is renewed by the clock, and the first refusal renews."""
    endpoint = Endpoint(life=None)
    tokens = endpoint.tokens()
    await tokens.current()
    endpoint.now += 1e6
    assert (await tokens.current()).reveal() == "a1"
    assert await tokens.renew(tokens.generation)
    assert (await tokens.current()).reveal() == "a2"


async def test_one_renewal_serves_everybody_who_waits() -> None:
    """Two hundred rows refused with the same token cause one request, and go on with the new token."""
    endpoint = Endpoint(life=None)
    tokens = endpoint.tokens()
    await tokens.current()
    refused = tokens.generation
    assert all(await asyncio.gather(*(tokens.renew(refused) for _ in range(200))))
    assert tokens.requests == 2
    found = await asyncio.gather(*(tokens.current() for _ in range(200)))
    assert {token.reveal() for token in found} == {"a2"}
    endpoint.life = 1.0
    await tokens.renew(tokens.generation)
    endpoint.now += 5
    await asyncio.gather(*(tokens.current() for _ in range(200)))
    assert tokens.requests == 4


@pytest.mark.parametrize(("rotates", "third"), [(True, "r2"), (False, "r1")])
async def test_a_rotated_refresh_token_is_kept(rotates: bool, third: str) -> None:
    """The newest refresh token is used; the old one stays when no new one came."""
    endpoint = Endpoint(rotates=rotates)
    tokens = endpoint.tokens()
    for _ in range(3):
        await tokens.renew(tokens.generation)
    assert [form.get("refresh_token") for form in endpoint.asked] == [None, "r1", third]


async def test_a_refused_refresh_signs_in_anew_and_is_not_tried_again() -> None:
    """After a refused refresh token comes the password grant, and the dead refresh token is forgotten."""
    endpoint = Endpoint(rotates=False)
    tokens = endpoint.tokens()
    await tokens.renew(0)
    endpoint.refuses = {"refresh_token"}
    for _ in range(2):
        assert await tokens.renew(tokens.generation)
    assert endpoint.grants == ["password", "refresh_token", "password", "password"]


async def test_a_refused_sign_in_says_what_to_check() -> None:
    """Refresh and password refused: an error that names the four variables and the answer, exit status 5."""
    endpoint = Endpoint()
    tokens = endpoint.tokens()
    await tokens.renew(0)
    endpoint.refuses = {"refresh_token", "password"}
    with pytest.raises(CredentialsError) as caught:
        await tokens.renew(tokens.generation)
    assert caught.value.exit_code == 5
    assert all(name in caught.value.hint for name in GRANT_NAMES)
    assert "answered 401" in caught.value.message


async def test_a_static_token_is_used_until_it_is_refused_and_then_the_grant() -> None:
    """With both, the given token goes first; without a grant there is no way to a newer one."""
    endpoint = Endpoint()
    tokens = endpoint.tokens("given-token")
    assert (await tokens.current()).reveal() == "given-token"
    assert tokens.requests == 0
    assert await tokens.renew(tokens.generation)
    assert (await tokens.current()).reveal() == "a1"
    alone = endpoint.tokens("given-token", None)
    assert not await alone.renew(alone.generation)
    assert (await alone.current()).reveal() == "given-token"


async def test_a_token_endpoint_in_trouble_is_asked_again_when_it_says() -> None:
    """Errors are retried, Retry-After is kept to, and after five attempts the run stops, resumable."""
    endpoint = Endpoint()
    tokens = endpoint.tokens()
    endpoint.answers = [
        Answer(Verdict.THROTTLED, "rate_limited", "", 429, wait=7.0), Answer(Verdict.RETRY, "server_error", "", 500)
    ]  # fmt: skip
    assert (await tokens.current()).reveal() == "a3"
    assert endpoint.slept[0] == 7.0
    assert endpoint.slept[1] < 7.0
    endpoint.answers = [Answer(Verdict.UNKNOWN, "timeout", "no answer in time")] * 6  # the first one to a refresh
    with pytest.raises(StoppedError, match="no answer in time"):
        await tokens.renew(tokens.generation)
    assert len(endpoint.asked) == 9


async def test_a_refresh_that_fails_for_any_reason_is_followed_by_the_password() -> None:
    """An error of the endpoint, not only a refusal: the run does not end while it can sign in."""
    endpoint = Endpoint()
    tokens = endpoint.tokens()
    await tokens.renew(0)
    endpoint.answers = [Answer(Verdict.RETRY, "server_error", "answered 500", 500)]
    assert await tokens.renew(tokens.generation)
    assert endpoint.grants == ["password", "refresh_token", "password"]


async def test_a_refused_sign_in_is_asked_for_once() -> None:
    """Twenty workers that wait for the same token must not lock the account: each is told what the first was."""
    endpoint = Endpoint()
    endpoint.refuses = {"password"}
    tokens = endpoint.tokens()
    found = await asyncio.gather(*(tokens.current() for _ in range(20)), return_exceptions=True)
    assert {type(error) for error in found} == {CredentialsError}
    assert endpoint.grants == ["password"]


async def test_a_stop_frees_whoever_waits_for_a_token() -> None:
    """In a run the endpoint is asked until there is a token; after a stop it is not asked any more."""
    endpoint, stopping = Endpoint(), asyncio.Event()
    tokens = endpoint.tokens()
    seen: list[str] = []

    def saw(answer: Answer[Any]) -> None:
        seen.append(answer.code)
        if len(seen) == 3:
            stopping.set()

    tokens.obey(stopping, saw)
    endpoint.answers = [Answer(Verdict.RETRY, "server_error", "answered 500", 500)] * 9
    found = await asyncio.wait_for(asyncio.gather(*(tokens.current() for _ in range(20)), return_exceptions=True), 20)
    assert {type(error) for error in found} == {StoppedError}
    assert (seen, len(endpoint.asked)) == (["server_error"] * 3, 3)


async def test_a_token_file_that_was_rotated_is_read_again(tmp_path: Path) -> None:
    """A refused token is replaced by what its file holds now; a file that holds the same or nothing helps nobody."""
    file = tmp_path / "token"
    file.write_text("first-token")
    tokens = Tokens(find_credentials({"ACCESS_TOKEN_FILE": str(file)}, BASE))
    assert not await tokens.renew(tokens.generation)
    file.write_text("")
    assert not await tokens.renew(tokens.generation)
    file.write_text("second-token\n")
    refused = tokens.generation
    assert await asyncio.gather(*(tokens.renew(refused) for _ in range(20))) == [True] * 20
    assert (await tokens.current()).reveal() == "second-token"
    assert tokens.generation == refused + 1
    assert not await tokens.renew(tokens.generation)
    file.unlink()
    assert not await tokens.renew(tokens.generation)


async def test_rotated_files_to_sign_in_with_are_read_again(tmp_path: Path) -> None:
    """After a refused sign-in a changed password is tried, once; an unchanged one is not sent a second time."""
    file = tmp_path / "pass"
    file.write_text("first")
    environment = {**FOUR, "EVREKA360_API_PASS": "", "EVREKA360_API_PASS_FILE": str(file)}
    endpoint = Endpoint()
    for content, asked in (("first", ["first"]), ("second", ["first", "second"])):
        tokens = Tokens(find_credentials(environment, BASE), lambda: endpoint.now, endpoint.sleep)
        tokens.attach(endpoint.ask)
        endpoint.asked, endpoint.answers = [], [NO]
        file.write_text(content)
        if len(asked) == 1:
            with pytest.raises(CredentialsError):
                await tokens.current()
        else:
            await tokens.current()
        assert [form["password"] for form in endpoint.asked] == asked
        file.write_text("first")


async def test_quotation_marks_around_a_value_are_named_when_the_sign_in_is_refused() -> None:
    """They may belong to a password, so they are only told once the service has said no."""
    quoted = Grant(Secret("client"), Secret("'c-secret'"), Secret("user"), Secret('"pass"'))
    endpoint = Endpoint()
    endpoint.refuses = {"password"}
    with pytest.raises(CredentialsError) as caught:
        await endpoint.tokens(grant=quoted).current()
    assert caught.value.hint.startswith(
        "EVREKA360_AUTH_CLIENT_SECRET, EVREKA360_API_PASS: leave out the quotation marks"
    )
    assert "c-secret" not in str(caught.value)

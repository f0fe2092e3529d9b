"""Credentials in a keyring: an in-memory one that stands for the system's."""

from collections.abc import Iterator

import keyring
import keyring.backend
import keyring.errors
import pytest
from click.testing import CliRunner, Result
from support.program import TOKEN, environment, good_rows, served, write_sheet
from support.watched import GRANT, Watched

from batch_updater.api.credential_sources import find_credentials
from batch_updater.api.credentials import GRANT_NAMES
from batch_updater.cli import main as cli
from batch_updater.common.errors import CredentialsError, SettingsError, StoppedError

FOUR = "\n".join(GRANT.values()) + "\n"


class Drawer(keyring.backend.KeyringBackend):
    """A keyring in memory; `locked` makes it refuse everything."""

    priority = 1.0  # type: ignore[assignment]  # keyring declares a property

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        self._look()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._look()
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._look()
        if self.kept.pop((service, username), None) is None:
            raise keyring.errors.PasswordDeleteError(username)

    def _look(self) -> None:
        if self.locked:
            raise keyring.errors.KeyringLocked("locked")


@pytest.fixture
def drawer() -> Iterator[Drawer]:
    """The keyring of this test."""
    before = keyring.get_keyring()
    drawer = Drawer()
    keyring.set_keyring(drawer)
    yield drawer
    keyring.set_keyring(before)


def invoke(base_url: str, *words: str, typed: str = "") -> Result:
    """The command with these answers typed; what the person sees is watched."""
    env = {
        **dict.fromkeys((*GRANT_NAMES, "ACCESS_TOKEN", "EVREKA360_ACCESS_TOKEN"), ""),
        "EVREKA360_BASE_URL": base_url,
    }
    return CliRunner().invoke(cli.commands, words, input=typed, env=env)


def without_credentials(base_url: str) -> dict[str, str]:
    """The environment with an address and nothing to sign in with."""
    return environment(base_url, EVREKA360_ACCESS_TOKEN="")


def test_what_login_keeps_a_run_uses_until_logout(watched: Watched, drawer: Drawer) -> None:
    """The four values are tried, kept for this service only, used by a run, and forgotten by logout."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(3))
    with served(token_ttl=60) as sandbox, served() as other:
        said = invoke(sandbox.base_url + "/", "login", typed=FOUR)
        assert said.exit_code == 0, said.output
        assert f"Accepted by {sandbox.base_url} and kept" in said.stdout
        assert {service for service, _ in drawer.kept} == {f"batch-updater {sandbox.base_url}"}
        assert watched.call("run", sheet, "--yes", env=without_credentials(sandbox.base_url)).returncode == 0
        elsewhere = watched.call("run", sheet, "--yes", env=without_credentials(other.base_url))
        assert elsewhere.returncode == 2
        assert other.ledger == []
        assert "Nothing is kept" in invoke(sandbox.base_url, "logout").stdout
        assert drawer.kept == {}
        again = watched.call("run", sheet, "--yes", env=without_credentials(sandbox.base_url))
        assert (again.returncode, "batch-updater login" in again.stderr) == (2, True)


def test_a_token_can_be_kept_in_place_of_the_four(watched: Watched, drawer: Drawer) -> None:
    """`login --token` asks for one secret, and replaces what was kept before."""
    with served() as sandbox:
        invoke(sandbox.base_url, "login", typed=FOUR)
        assert len(drawer.kept) == 4
        assert invoke(sandbox.base_url, "login", "--token", typed=f" {TOKEN} \n").exit_code == 0
        assert [name for _, name in drawer.kept] == ["EVREKA360_ACCESS_TOKEN"]
        assert find_credentials({}, sandbox.base_url).token is not None


@pytest.mark.parametrize(
    ("options", "words", "typed", "error"),
    [
        ({}, ["login"], FOUR.replace("sandbox-pass", "a-wrong-one"), CredentialsError),
        ({}, ["login", "--token"], "a-wrong-token\n", CredentialsError),
        ({}, ["login", "--token"], "two words\n", SettingsError),
        ({"refuse_statuses": 500}, ["login", "--token"], f"{TOKEN}\n", StoppedError),
    ],
)
def test_what_the_service_did_not_accept_is_not_kept(
    watched: Watched,
    drawer: Drawer,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, int],
    words: list[str],
    typed: str,
    error: type[Exception],
) -> None:
    """Refused, impossible, or not answered: the keyring stays as it was."""
    monkeypatch.setattr("batch_updater.planning.preflight.ATTEMPTS", 1)
    with served(**options) as sandbox:
        said = invoke(sandbox.base_url, *words, typed=typed)
        assert isinstance(said.exception, error)
    assert drawer.kept == {}


def test_a_service_without_a_status_list_accepts_a_login(watched: Watched, drawer: Drawer) -> None:
    """403 on the list of statuses is no refusal of the credentials."""
    with served(refuse_statuses=403) as sandbox:
        assert invoke(sandbox.base_url, "login", typed=FOUR).exit_code == 0
    assert len(drawer.kept) == 4


def test_a_locked_keyring_is_told_in_one_sentence(watched: Watched, drawer: Drawer) -> None:
    """Login, before it asks, and logout say that the keyring can't be used; a run says that there is no token."""
    drawer.locked = True
    with served() as sandbox:
        for words in (["login", "--token"], ["logout"]):
            said = invoke(sandbox.base_url, *words)
            assert isinstance(said.exception, SettingsError)
            assert "KeyringLocked" in said.exception.message
        with pytest.raises(SettingsError, match="No access token"):
            find_credentials({}, sandbox.base_url)


def test_the_environment_goes_before_the_keyring(drawer: Drawer) -> None:
    """A token in the environment is used even when another is kept."""
    drawer.set_password("batch-updater https://x.example", "ACCESS_TOKEN", "the-one-kept")
    found = find_credentials({"ACCESS_TOKEN": "the-one-given"}, "https://x.example").token
    kept = find_credentials({}, "https://x.example").token
    assert found is not None
    assert kept is not None
    assert (found.reveal(), kept.reveal()) == ("the-one-given", "the-one-kept")

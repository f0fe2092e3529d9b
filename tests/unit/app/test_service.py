"""Where the service and the credentials for it come from."""

import pytest

from batch_updater.api.credentials import GRANT_NAMES
from batch_updater.app.service import find_service
from batch_updater.common.errors import NoCredentialsError, SettingsError
from batch_updater.common.secret import Secret
from batch_updater.common.settings import Settings, load_settings

SETTINGS = Settings(base_url="https://api.example.com")


def test_only_a_plan_can_do_without_credentials() -> None:
    """Without any, what sends raises, and what only plans has none."""
    with pytest.raises(NoCredentialsError):
        find_service(SETTINGS, {})
    assert find_service(SETTINGS, {}, is_needed=False).tokens is None


def test_only_a_plan_can_do_without_an_address() -> None:
    """A token alone is of no use then, but one that can't be used is refused all the same."""
    nowhere = load_settings({}, {})
    with pytest.raises(SettingsError, match="No service address"):
        find_service(nowhere, {"ACCESS_TOKEN": "a-token-of-ours"})
    found = find_service(nowhere, {"ACCESS_TOKEN": "a-token-of-ours"}, is_needed=False)
    assert (found.base_url, found.tokens) == ("", None)
    with pytest.raises(SettingsError, match="ACCESS_TOKEN_FILE"):
        find_service(nowhere, {"ACCESS_TOKEN_FILE": "/nowhere"}, is_needed=False)


def test_without_credentials_the_command_that_keeps_some_names_the_service() -> None:
    """It would keep them for another one otherwise."""
    with pytest.raises(NoCredentialsError) as caught:
        find_service(SETTINGS, {})
    assert "\n          batch-updater login --base-url https://api.example.com" in caught.value.hint


@pytest.mark.parametrize("is_needed", [True, False])
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"EVREKA360_ACCESS_TOKEN": "seven-7"}, r"^EVREKA360_ACCESS_TOKEN has fewer than 8 characters"),
        ({"ACCESS_TOKEN": "two words"}, r"^ACCESS_TOKEN holds a blank"),
        ({GRANT_NAMES[0]: "client"}, r"^To sign in, .* is missing\."),
    ],
)
def test_credentials_that_can_not_be_used_are_refused_by_everything(
    environment: dict[str, str], said: str, is_needed: bool
) -> None:
    """A plan does not take them for none; the message names the variable, and the exit status is 2."""
    with pytest.raises(SettingsError, match=said) as caught:
        find_service(SETTINGS, environment, is_needed=is_needed)
    assert caught.value.exit_code == 2


def test_a_token_that_a_program_passes_is_checked_too() -> None:
    """A short one is refused before anything is asked."""
    with pytest.raises(SettingsError, match=r"^The access token has fewer than 8 characters"):
        find_service(SETTINGS, {}, token=Secret("seven-7"))

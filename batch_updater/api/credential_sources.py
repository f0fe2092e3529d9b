"""Find credentials in the environment, in files that it names, or in the system's keyring."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from batch_updater.api.credentials import GRANT_NAMES, TOKEN_NAMES, Credentials, Grant, check_token
from batch_updater.api.keyring_store import read_keyring
from batch_updater.common.errors import NoCredentialsError, SettingsError
from batch_updater.common.remedies import Remedy
from batch_updater.common.secret import Secret


def find_credentials(environment: Mapping[str, str], base_url: str, login: Sequence[str] = ("login",)) -> Credentials:
    """Return credentials from the environment and the files that `<NAME>_FILE` names, else from the system's keyring.

    The keyring stores them by `base_url`, so that no service gets the credentials of another; `login` is the command
    that does so.
    Raises NoCredentialsError when there are none, SettingsError when one is missing or can't be used.
    """

    def from_environment() -> Credentials | None:
        return _find(lambda name: secret_from(name, environment), lambda name: _variable(name, environment))

    if found := from_environment():
        uses_files = any(environment.get(f"{name}_FILE") for name in (*TOKEN_NAMES, *GRANT_NAMES))
        return replace(found, read_again=lambda: from_environment() or Credentials()) if uses_files else found
    if kept := _find(lambda name: read_keyring(name, base_url), "{} in the keyring".format):
        return kept
    raise NoCredentialsError(
        "No access token.",
        Remedy(
            "set EVREKA360_ACCESS_TOKEN, or EVREKA360_ACCESS_TOKEN_FILE to a file that holds it, or the four"
            " {grant}, _SECRET, EVREKA360_API_USER, _PASS; or store them in the keyring",
            {"grant": GRANT_NAMES[0]},
            tuple(login),
        ),
    )


def _find(find: Callable[[str], Secret | None], called: Callable[[str], str]) -> Credentials | None:
    """Return the credentials of one place, of which `find` returns each by its name; None when there are none."""
    token = next((check_token(secret, called(name)) for name in TOKEN_NAMES if (secret := find(name))), None)
    values = {name: secret for name in GRANT_NAMES if (secret := find(name))}
    grant = Grant(*(values[name] for name in GRANT_NAMES)) if len(values) == len(GRANT_NAMES) else None
    if token or grant:
        return Credentials(token, grant)
    if values:
        missing = ", ".join(name for name in GRANT_NAMES if name not in values)
        raise SettingsError(f"To sign in, {missing} is missing.", "set it, or set EVREKA360_ACCESS_TOKEN")
    return None


def secret_from(name: str, environment: Mapping[str, str]) -> Secret | None:
    """Return the secret of this name, or of the file that `<name>_FILE` names, or None. Raises SettingsError."""
    text = _given(name, environment) or _from_file(name, environment.get(f"{name}_FILE"))
    if any("\ud800" <= char <= "\udfff" for char in text or ""):  # how a stray byte of the environment is read
        raise SettingsError(f"{name} holds a byte that is no text.", "copy it again, as UTF-8")
    return Secret(text) if text else None


def _given(name: str, environment: Mapping[str, str]) -> str:
    return environment.get(name, "").strip()


def _variable(name: str, environment: Mapping[str, str]) -> str:
    """Return the name of the variable that `secret_from` goes by."""
    return name if _given(name, environment) else f"{name}_FILE"


def _from_file(name: str, path: str | None) -> str | None:
    if not path:
        return None
    try:
        text = Path(path).read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        place = path if Path(path).is_absolute() else "the file"  # it may be the secret itself, set by mistake
        raise SettingsError(f"{name}_FILE: {place} can't be read ({type(error).__name__}).", "check the path") from None
    if not text:
        raise SettingsError(f"{name}_FILE: {path} is empty.", "write the secret into it, or unset the variable")
    return text

"""The bearer token, kept so that it can't be printed by accident."""

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from batch_updater.errors import SettingsError

TOKEN_NAMES = ("EVREKA360_ACCESS_TOKEN", "ACCESS_TOKEN")


class Secret:
    """A text that repr, str, format and pickle never show; `reveal` is the only way to it."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """The text itself."""
        return self.__text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


def static_token(environment: Mapping[str, str]) -> Secret:
    """The access token from the environment, or from the file that `<NAME>_FILE` names.

    Raises SettingsError when there is none, or when it could not be a header.
    """
    for name in TOKEN_NAMES:
        text = environment.get(name) or _from_file(name, environment.get(f"{name}_FILE"))
        if text and text.strip():
            token = text.strip()
            if not token.isascii() or not token.isprintable() or " " in token:
                raise SettingsError(f"{name} holds a blank or a character that no token has.", "copy it again")
            return Secret(token)
    raise SettingsError("No access token.", "set EVREKA360_ACCESS_TOKEN, or EVREKA360_ACCESS_TOKEN_FILE to a file")


def _from_file(name: str, path: str | None) -> str | None:
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}_FILE: {path} can't be read ({type(error).__name__}).", "check the path") from None

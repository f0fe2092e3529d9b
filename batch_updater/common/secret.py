"""Texts that must not be shown, and how they are masked in other text."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NoReturn

_SHORTEST, _MOST = 6, 1000  # characters: shorter ones occur in ordinary words; secrets that are remembered
_made: dict[str, None] = {}


class Secret:
    """A text that repr, str, format and pickle never show; only `reveal` returns it."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text
        if len(text) >= _SHORTEST:
            _made[text] = None
            if len(_made) > _MOST:
                _made.pop(next(iter(_made)), None)

    def reveal(self) -> str:
        """Return the text."""
        return self.__text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is neither copied nor pickled")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret is neither copied nor pickled")


def masked(text: str) -> str:
    """Return the text with `***` for every secret that this process has made: for unforeseen errors."""
    return without(text.encode("utf-8", "surrogatepass"), list(_made)).decode("utf-8", "surrogatepass")


def without(body: bytes, secrets: Iterable[str]) -> bytes:
    """Return the bytes with `***` for each secret, plain or escaped as in URLs or JSON."""
    for secret in secrets:
        body = body.replace(secret.encode(), b"***")
        if b"%" in body or b"\\" in body:
            body = _escaped(secret).sub(b"***", body)
    return body


@lru_cache(16)
def _escaped(secret: str) -> re.Pattern[bytes]:
    """Return a pattern for a secret of which any character may be escaped."""
    return re.compile("".join(map(_one, secret)).encode())


def _one(character: str) -> str:
    plain, code = re.escape(character), "|".join(f"%{byte:02x}" for byte in character.encode())
    return rf"(?:{plain}|(?i:{code}|\\u{ord(character):04x})|\\{plain})"

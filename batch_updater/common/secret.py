"""Texts that must not be shown, and how they are masked in other text."""

import re
from collections import deque
from typing import NoReturn
from weakref import ref

_SHORTEST = 6  # characters: shorter ones occur in ordinary words
_in_use: dict["ref[Secret]", str] = {}
_gone: deque[str] = deque(maxlen=1000)  # a request that was signed with one may still be answered
_ESCAPE = re.compile(r"%[0-7][0-9a-f]|(?:%[c-f][0-9a-f])(?:%[89ab][0-9a-f])+|\\u[0-9a-f]{4}|\\.", re.IGNORECASE)


class Secret:
    """A text that repr, str, format and pickle never show; only `reveal` returns it."""

    __slots__ = ("__text", "__weakref__")

    def __init__(self, text: str) -> None:
        self.__text = text
        if len(text) >= _SHORTEST:
            _in_use[ref(self, _retire)] = text

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


def _retire(secret: "ref[Secret]") -> None:
    _gone.append(_in_use[secret])  # before it leaves the others: it is masked at every moment
    del _in_use[secret]


def masked(text: str) -> str:
    """Return the text with `***` for every secret in use and the last 1,000 that were, plain or escaped.

    Any of their characters may be escaped as in URLs or JSON.
    """
    secrets = sorted({*_in_use.values(), *_gone}, key=len, reverse=True)  # one may begin with another
    for secret in secrets:
        text = text.replace(secret, "***")
    return _without_escaped(text, secrets) if "%" in text or "\\" in text else text


def _without_escaped(text: str, secrets: list[str]) -> str:
    plain, places = _unescaped(text)
    for secret in secrets:
        while (at := plain.find(secret)) >= 0:
            text = f"{text[: places[at]]}***{text[places[at + len(secret)] :]}"
            plain, places = _unescaped(text)
    return text


def _unescaped(text: str) -> tuple[str, list[int]]:
    """Return the text without escapes, and where in `text` each of its characters begins, its end included."""
    places: list[int] = []
    plain, end = "", 0
    for found in _ESCAPE.finditer(text):
        plain += text[end : found.start()] + _character(found[0])
        places += range(end, found.start() + 1)
        end = found.end()
    return plain + text[end:], [*places, *range(end, len(text) + 1)]


def _character(escape: str) -> str:
    if escape[0] == "%":
        return bytes.fromhex(escape.replace("%", "")).decode("utf-8", "replace")[0]
    return chr(int(escape[2:], 16)) if len(escape) > 2 else escape[1]

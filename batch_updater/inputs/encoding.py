"""Find the encoding of a text file; a file whose encoding is not certain is refused."""

import codecs
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from batch_updater.common.errors import InputError
from batch_updater.common.remedies import Remedy
from batch_updater.common.text import shown

Opener = Callable[[], BinaryIO]
PIECE = 1 << 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Turkish, Western, Central European and Cyrillic Windows, and Turkish DOS: what spreadsheets export there.
_LIKELY = ("cp1254", "cp1252", "cp1250", "cp1251", "cp857")
_MOST_LINES = 200


def find_encoding(open_file: Opener, name: Path, chosen: str | None) -> str:
    """Return the encoding of the whole file: the BOM's, UTF-8, or the chosen one. Every byte of the file is decoded.

    Raises InputError when it is not certain, and shows how the likely encodings read a line.
    """
    with open_file() as stream:
        start = stream.read(4096)
    marked = next((encoding for mark, encoding in _BOMS if start.startswith(mark)), None)
    encoding = _known(chosen, name) if chosen else marked or "utf-8"
    if marked and chosen:
        family = codecs.lookup(marked).name.removesuffix("-sig")[:6]
        if not codecs.lookup(chosen).name.startswith(family):
            raise InputError(
                f"{name} starts with the byte order mark of {marked}, so it is not {chosen}.",
                Remedy("leave out {encoding}"),
            )
        encoding = marked
    if not marked and not chosen and (guess := _unmarked_utf16(start)):
        raise InputError(
            f"{name} looks like UTF-16 without a byte order mark.",
            Remedy("use {encoding} {guess}, or save as CSV UTF-8", {"guess": guess}),
        )
    try:
        _decode_all(open_file, name, encoding)
    except UnicodeError:
        if chosen:
            raise InputError(
                f"{name} is not text in {chosen}.", Remedy("choose another {encoding}, e.g. cp1254")
            ) from None
        raise _unknown(open_file, name, encoding) from None
    return encoding


def _known(chosen: str, name: Path) -> str:
    try:
        found = codecs.lookup(chosen)
        "".encode(chosen)  # refuses codecs such as rot13 and hex, which are no text encodings
    except LookupError:
        raise InputError(
            f"{name} can't be read as {chosen!r}: there is no such text encoding.",
            Remedy("use {encoding} cp1254, cp1252 or utf-8"),
        ) from None
    return found.name


def _unmarked_utf16(start: bytes) -> str | None:
    enough = 0.4 * (len(start) // 2)
    low, high = start[::2].count(0), start[1::2].count(0)
    if high > enough > low:
        return "utf-16-le"
    return "utf-16-be" if low > enough > high else None


def _decode_all(open_file: Opener, name: Path, encoding: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    with open_file() as stream:
        before = True  # whether the piece before had a line break
        while piece := stream.read(PIECE):
            text = decoder.decode(piece)
            now = "\n" in text or "\r" in text
            if not now and not before:
                raise InputError(f"{name} has a line of over {PIECE:,} characters.", "is it the right file?")
            before = now or len(piece) < PIECE
        decoder.decode(b"", final=True)


def _unknown(open_file: Opener, name: Path, encoding: str) -> InputError:
    if encoding != "utf-8":
        return InputError(f"{name} is damaged: it begins as {encoding} and is not.", "save it again as CSV UTF-8")
    number, (one, one_text), (other, other_text) = _clearest(open_file)
    return InputError(
        f"{name}, line {number} is not UTF-8. As {one} it reads '{one_text}', as {other} '{other_text}'.",
        Remedy(
            "save it as 'CSV UTF-8', or use {encoding} {one} or {other}, whichever reads right",
            {"one": one, "other": other},
        ),
    )


Decoding = tuple[str, str]  # an encoding, and a line in it


def _clearest(open_file: Opener) -> tuple[int, Decoding, Decoding]:
    """Return a line's number and two different decodings of it, if possible by the two likeliest encodings."""
    best: tuple[int, Decoding, Decoding] | None = None
    for number, line in islice(_not_utf8(open_file), _MOST_LINES):
        first, *others = _decodings(line)
        second = next((other for other in others if other[1] != first[1]), first)
        if (first[0], second[0]) == _LIKELY[:2]:
            return number, first, second
        best = best or (number, first, second)
    return best or (1, (_LIKELY[0], ""), (_LIKELY[1], ""))


def _not_utf8(open_file: Opener) -> Iterator[tuple[int, bytes]]:
    with open_file() as stream:
        for number, line in enumerate(iter(lambda: stream.readline(PIECE), b""), 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                yield number, line[max(0, error.start - 25) : error.start + 25]


def _decodings(line: bytes) -> list[Decoding]:
    found = []
    for encoding in _LIKELY:
        try:
            found.append((encoding, shown(line.decode(encoding).strip())))
        except UnicodeDecodeError:
            continue  # this encoding leaves the byte undefined
    return found or [(_LIKELY[0], shown(line.decode(_LIKELY[0], "replace")))]

"""Result values as cells: their texts as XML, colours, widths."""

import re
from collections.abc import Mapping

from batch_updater.common.text import HALVES

LONGEST_TEXT = 32_767  # UTF-16 units that a cell can hold
_GREEN, _RED, _YELLOW, _GREY = "C6EFCE", "FFC7CE", "FFEB9C", "E7E6E6"
COLOURS = {
    "updated": _GREEN, "unchanged": _GREEN, "duplicate": _GREY, "failed": _RED, "unknown": _RED, "invalid": _YELLOW,
    "conflict": _YELLOW, "not_sent": _GREY,
}  # fmt: skip
_WIDTHS = {"result_detail": 60, "result_sent_at": 25}  # where the content is longer than the name
# What XML can't hold, and what readers would take for the escape of it (ECMA-376, part 1, 22.9.2.19).
_ODD = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff\ud800-\udfff]|_(?=x[0-9a-fA-F]{4}_)")
_MARKUP = re.compile("[&<>]")
_AS_IT_IS = re.compile("[ -%'-;=?-^`-~]*")  # printable ASCII but for markup and `_`
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def width_of(name: str) -> int:
    """Return how wide a column of this name should be, in characters."""
    usual = 38 if name.lower().endswith("id") else max(12, min(len(name) + 4, 40))
    return _WIDTHS.get(name, usual)


def escape_odd(text: str) -> str:
    """Return the text with what XML can't hold as Excel escapes it, and half a character as in JSON."""
    return _ODD.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if 0xD800 <= code <= 0xDFFF else f"_x{code:04X}_"


def xml_text(text: str) -> bytes:
    """Return the text as XML in any encoding that ASCII is a part of."""
    if _AS_IT_IS.fullmatch(text):  # nearly all
        return text.encode("ascii")
    safe = _MARKUP.sub(lambda found: _ENTITIES[found[0]], escape_odd(text))
    return safe.encode("ascii", "xmlcharrefreplace")


class CellMaker:
    """Makes the text cells of a worksheet whose elements have this prefix; `styles` are by result word, or ""."""

    def __init__(self, prefix: str, styles: Mapping[str, int]) -> None:
        self.prefix = prefix.encode()
        self._styles = {word: b' s="%d"' % style for word, style in styles.items()}
        p = self.prefix
        self._end = b"</%st></%sis></%sc>" % (p, p, p)

    def style_of(self, word: str) -> bytes:
        """Return the attribute for a cell with this result word, or with any other text."""
        return self._styles.get(word, self._styles.get("", b""))

    def cell(self, place: bytes, text: str, style: bytes) -> bytes:
        """Return the XML of a text cell."""
        space = b' xml:space="preserve"' if text != text.strip() or "\n" in text else b""
        p = self.prefix
        start = b'<%sc r="%s"%s t="inlineStr"><%sis><%st%s>' % (p, place, style, p, p, space)
        return start + xml_text(text) + self._end


class Cuts:
    """Cuts texts that are too long for a cell, and remembers the first row."""

    def __init__(self) -> None:
        self._count, self._first = 0, 0

    def fit(self, text: str, row: int) -> str:
        """Return as much of the text as a cell can hold."""
        if len(text) <= LONGEST_TEXT // 2:
            return text
        units = text.encode("utf-16-le", HALVES)
        if len(units) <= 2 * LONGEST_TEXT:
            return text
        self._count, self._first = self._count + 1, self._first or row
        return units[: 2 * LONGEST_TEXT].decode("utf-16-le", "ignore")

    def notes(self) -> list[str]:
        """Return one sentence when something was cut."""
        if not self._count:
            return []
        what = "1 text is" if self._count == 1 else f"{self._count:,} texts are"
        where = "in" if self._count == 1 else "the first in"
        return [
            f"{what} cut in the Excel result file, {where} row {self._first}: a cell holds {LONGEST_TEXT:,} characters."
            " The sheet itself has the whole text, and so has a result file in CSV (-o x.csv)"
        ]

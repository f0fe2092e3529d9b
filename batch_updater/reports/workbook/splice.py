"""Copy XML byte by byte, but for what is inserted or cut out: nothing is written anew that was not changed.

A part in UTF-16 is refused; in every other encoding that expat reads, tags are ASCII.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO
from xml.parsers import expat  # document types, and so entities, are refused by `parse_in_pieces`

from batch_updater.inputs.excel.worksheet import Attributes, parse_in_pieces, parse_stream
from batch_updater.reports.workbook.layout import UnsuitableError

_TAG = re.compile(rb"""<[^"'>]*(?:"[^"]*"[^"'>]*|'[^']*'[^"'>]*)*>""")
_ATTRIBUTE = re.compile(rb"""\s+([^\s=/>]+)\s*=\s*("[^"]*"|'[^']*')""")


class Splicer:
    """Copies a stream. Its handlers edit at the start of the event under way, never before it.

    A self-closed element is told by `tag()` at its start; its end is then told just after it.
    """

    def __init__(self, source: IO[bytes], write: Callable[[bytes], object]) -> None:
        self.parser = expat.ParserCreate()
        self._source, self._write = source, write
        self._pending = bytearray()  # read, but not written
        self._base = 0  # where that begins in the stream
        self._is_cutting = False

    def run(self) -> None:
        """Copy the stream to its end. Raises SheetError, UnsuitableError."""
        for _piece in parse_in_pieces(self, self.parser):  # type: ignore[arg-type]  # reading is all that is needed
            self._advance(self.parser.CurrentByteIndex)
        self._write(bytes(self._pending))

    def read(self, size: int) -> bytes:
        """Return the next bytes for the parser, and keep them to be copied."""
        piece = self._source.read(size)
        self._pending += piece
        if self._base == 0:
            refuse_wide(bytes(self._pending[:4]))
        return piece

    def tag(self) -> bytes:
        """Return the tag that starts here, as it stands."""
        found = _TAG.match(self._pending, self.parser.CurrentByteIndex - self._base)
        if found is None:
            raise UnsuitableError("its XML is not understood")
        return found[0]

    def insert(self, data: bytes) -> None:
        """Write `data` before the tag here."""
        self._advance(self.parser.CurrentByteIndex)
        self._write(data)

    def replace_tag(self, data: bytes) -> None:
        """Write `data` in place of the tag here."""
        end = self.parser.CurrentByteIndex + len(self.tag())
        self.insert(data)
        self._drop(end)

    def cut(self) -> None:
        """Leave out everything from here to `end_cut`."""
        self._advance(self.parser.CurrentByteIndex)
        self._is_cutting = True

    def end_cut(self, *, with_tag: bool) -> None:
        """Copy again from here on, or from after the tag here."""
        end = self.parser.CurrentByteIndex + (len(self.tag()) if with_tag else 0)
        self._drop(end)
        self._is_cutting = False

    def _advance(self, end: int) -> None:
        if end > self._base:
            if not self._is_cutting:
                self._write(bytes(self._pending[: end - self._base]))
            self._drop(end)

    def _drop(self, end: int) -> None:
        del self._pending[: end - self._base]
        self._base = end


def refuse_wide(start: bytes) -> None:
    """Raise UnsuitableError for XML in UTF-16, by its first bytes."""
    if start[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\x00" in start[:4]:
        raise UnsuitableError("a part of it is in UTF-16")


def is_self_closed(tag: bytes) -> bool:
    """Whether this tag is a whole element."""
    return tag.endswith(b"/>")


def with_attributes(tag: bytes, values: Mapping[str, str]) -> bytes:
    """Return a tag with other values for some attributes, those that it lacks added at its end."""
    left = {name.encode(): value.encode() for name, value in values.items()}

    def changed(found: re.Match[bytes]) -> bytes:
        value = left.pop(found[1], None)
        return found[0] if value is None else found[0][: found.start(2) - found.start()] + b'"%s"' % value

    new = _ATTRIBUTE.sub(changed, tag)
    end = 2 if is_self_closed(new) else 1
    added = b"".join(b' %s="%s"' % pair for pair in left.items())
    return new[:-end].rstrip() + added + new[-end:] if added else new


@dataclass(slots=True)
class Element:
    """An element of a small part: its local name, attributes, parent, and where its tags and content lie."""

    name: str
    prefix: str
    attributes: Attributes
    parent: "Element | None"
    start: int
    inner: int
    close: int = 0  # where its end tag begins, or the element ends
    end: int = 0
    children: list["Element"] = field(default_factory=list)

    def all(self, *path: str) -> list["Element"]:
        """Return the elements under this one by their local names."""
        found = [self]
        for name in path:
            found = [child for element in found for child in element.children if child.name == name]
        return found


class Part:
    """A small part of a workbook, read whole; `edit` notes changes, `result` makes them."""

    def __init__(self, data: bytes) -> None:
        refuse_wide(data)
        self.data = data
        self._edits: list[tuple[int, int, bytes]] = []
        self.root = self._parse()

    def _parse(self) -> Element:
        parser, stack, roots = expat.ParserCreate(), list[Element](), list[Element]()

        def start(name: str, attributes: Attributes) -> None:
            prefix, _colon, local = name.rpartition(":")
            found = _TAG.match(self.data, parser.CurrentByteIndex)
            if found is None:
                raise UnsuitableError("its XML is not understood")
            parent = stack[-1] if stack else None
            element = Element(
                local, prefix and f"{prefix}:", attributes, parent, parser.CurrentByteIndex, found.end()
            )  # fmt: skip
            (parent.children if parent else roots).append(element)
            stack.append(element)

        def end(_name: str) -> None:
            element = stack.pop()
            element.close = element.end = element.inner
            if not is_self_closed(self.tag_of(element)):
                element.close = parser.CurrentByteIndex
                found = _TAG.match(self.data, element.close)
                element.end = found.end() if found else element.close

        parser.StartElementHandler, parser.EndElementHandler = start, end
        parse_stream(_Bytes(self.data), parser)  # type: ignore[arg-type]  # reading is all that is needed
        return roots[0]

    def tag_of(self, element: Element) -> bytes:
        """Return the start tag of an element, as it stands."""
        return self.data[element.start : element.inner]

    def replace(self, start: int, end: int, data: bytes) -> None:
        """Note that these bytes are to be replaced."""
        self._edits.append((start, end, data))

    def set(self, element: Element, **values: str) -> None:
        """Note other values for attributes."""
        self.replace(element.start, element.inner, with_attributes(self.tag_of(element), values))

    def append(self, element: Element, data: bytes, **values: str) -> None:
        """Note XML to be added at the end of an element, and other values for its attributes."""
        tag = with_attributes(self.tag_of(element), values)
        if is_self_closed(tag):
            name = f"{element.prefix}{element.name}".encode()
            self.replace(element.start, element.inner, tag[:-2] + b">" + data + b"</%s>" % name)
        else:
            self.replace(element.start, element.inner, tag)
            self.replace(element.close, element.close, data)

    def remove(self, element: Element) -> None:
        """Note that an element is to be left out."""
        self.replace(element.start, element.end, b"")

    def result(self) -> bytes:
        """Return the part with the changes."""
        pieces, done = [], 0
        for start, end, data in sorted(self._edits, key=lambda edit: edit[:2]):
            pieces += [self.data[done:start], data]
            done = end
        return b"".join([*pieces, self.data[done:]])


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._left = data

    def read(self, _size: int) -> bytes:
        """Return everything at once, then nothing."""
        data, self._left = self._left, b""
        return data

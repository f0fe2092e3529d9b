"""JSON lines: one object per line; its keys are the headers, its values are taken as they are written."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any, NoReturn

from batch_updater.common.errors import InputError
from batch_updater.inputs.encoding import Opener, find_encoding
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.table import Record, Table

MOST_KEYS = 16_384


def is_json_object(start: bytes) -> bool:
    """Whether a text file that begins like this holds JSON objects, not cells between delimiters."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


class JsonLinesTable(Table):
    """A file of JSON objects. A row has the number of its line; a missing key is an empty cell."""

    def __init__(self, open_file: Opener, name: Path, options: ReadOptions) -> None:
        self._open_file, self._name = open_file, name
        self._encoding = find_encoding(open_file, name, options.encoding)
        if not self._encoding.startswith("utf-8"):
            raise InputError(f"{name} is {self._encoding}; JSON lines are UTF-8.", "save it again as UTF-8")
        self.description = "JSON lines"
        keys: dict[str, None] = {}
        for number, line in self._objects():
            keys.update(dict.fromkeys(line))
            if len(keys) > MOST_KEYS:
                self._refuse(number, "has too many different keys")
        self.header = list(keys)

    def records(self) -> Generator[Record]:
        """Yield line number and cells of each object. Raises InputError for a line that is none."""
        header = self.header or []
        for number, found in self._objects():
            yield number, [_text(found.get(key)) for key in header], None

    def _objects(self) -> Generator[tuple[int, dict[str, Any]]]:
        with self._open_file() as stream:
            for number, raw in enumerate(stream, 1):
                line = raw.decode(self._encoding if number == 1 else "utf-8").strip()
                if not line:
                    continue
                try:
                    found = json.loads(
                        line, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_unique
                    )
                except _DoubleKeyError as error:
                    self._refuse(number, f"has the key {str(error)!r} twice")
                except (ValueError, RecursionError):
                    self._refuse(number, "is not a JSON object")
                if not isinstance(found, dict):
                    self._refuse(number, "is not a JSON object")
                yield number, found

    def _refuse(self, number: int, what: str) -> NoReturn:
        raise InputError(f"{self._name}: line {number} {what}.", "write one object per line, as `jq -c` does")


class _DoubleKeyError(Exception):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _DoubleKeyError(key)
        found[key] = value
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""A `.env` file beside the config file: names of this program's environment, where nobody else may read it."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from batch_updater.common.errors import SettingsError

NAME = ".env"
_OURS = re.compile(r"(?:EVREKA360_|BATCH_UPDATER_)[A-Z0-9_]+|ACCESS_TOKEN(?:_FILE)?")
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")
_CALL = ("CONFIG", "DRY_RUN", "JSON", "NO_COLOR", "NOTIFY", "PROFILE", "QUIET", "VERBOSE", "YES")
_OF_THE_CALL = tuple(f"BATCH_UPDATER_{name}" for name in _CALL)


def with_dotenv(environment: Mapping[str, str], config: Path | None) -> tuple[dict[str, str], str]:
    """Return the environment, with what the `.env` beside the config file adds to it, and what to say about the file.

    Names of other programs are left out, and so is what has a value already. A file that others may read is not read.
    Raises SettingsError for one that can't be read or is no text.
    """
    path = (config.parent if config else Path()) / NAME
    try:
        if not path.is_file():
            return dict(environment), ""
        if is_open_to_others(path):
            return dict(environment), f"{path} is not read, for others may read it too: chmod 600 {path}"
        found = parse(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} can't be read ({type(error).__name__}).", "correct it, or remove it") from None
    useless = [name for name in _OF_THE_CALL if name in found]
    said = f"{path}: {', '.join(useless)} has no effect there; set it in the environment" if useless else ""
    given = {name: value for name, value in environment.items() if value}
    return {**environment, **{name: value for name, value in found.items() if name not in given}}, said


def is_open_to_others(path: Path) -> bool:
    """Return whether somebody but its owner may read or change a file; Windows has other means against that."""
    if os.name == "nt":
        return False
    found = path.stat()
    return bool(found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)) or found.st_uid not in {os.geteuid(), 0}


def parse(text: str) -> dict[str, str]:
    """Return this program's names and their values; quotation marks around a value are no part of it."""
    found = {}
    for line in text.splitlines():
        if (match := _LINE.fullmatch(line)) and _OURS.fullmatch(match[1]):
            value = match[2]
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            else:
                value = re.sub(r"\s+#.*", "", value)
            found[match[1]] = value
    return found

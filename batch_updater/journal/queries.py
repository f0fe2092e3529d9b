"""Ask a journal's file, and say it when it can't be read."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from batch_updater.common.errors import JournalError
from batch_updater.journal.facts import RunFacts


class Queries:
    """A connection to a journal. Every method raises JournalError."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db

    def _select(self, query: str, values: tuple[Any, ...] = ()) -> Iterator[Any]:
        try:
            yield from self._db.execute(query, values)
        except sqlite3.ProgrammingError:
            raise  # a bug, not a damaged file
        except sqlite3.Error as error:
            raise JournalError(f"The journal {self.path} can't be read: {error}") from None

    def _value(self, query: str) -> Any:
        found = list(self._select(query))
        return found[0][0] if found else None

    def _meta(self) -> dict[str, Any]:
        return {key: json.loads(value) for key, value in list(self._select("SELECT key, value FROM meta"))}

    @property
    def version(self) -> int:
        """The version of the tables; 0 for a journal that was never finished."""
        return int(self._meta().get("schema", 0))

    def facts(self) -> RunFacts:
        """Return the facts of the run."""
        try:
            return RunFacts.model_validate(self._meta())
        except ValidationError as error:
            wrong = ", ".join(str(problem["loc"][0]) for problem in error.errors())
            raise JournalError(f"The journal {self.path} is damaged: its facts lack {wrong}.") from None

"""The tenant's order statuses: find the one that a name means. Pure."""

import unicodedata
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches

from batch_updater.common.errors import SettingsError
from batch_updater.common.models import OrderStatus
from batch_updater.common.secret import masked
from batch_updater.common.text import escape_controls
from batch_updater.planning.identifiers import is_name, normalise_id

MOST_NAMED = 10_000  # statuses that a plan can show by their names


class UnknownStatusError(ValueError):
    """A text that names no status, or more than one; the message is one sentence."""


def folded(name: str) -> str:
    """Return a name without case, blanks, invisible characters and differences of Unicode form.

    The Turkish i with and without a dot are the same: upper case texts come from machines with and without Turkish
    rules.
    """
    text = unicodedata.normalize("NFKC", name).casefold().replace("\u0307", "").replace("\u0131", "i")
    text = "".join(c for c in text if not c.isspace() and unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", text)


class StatusBook:
    """Finds statuses by id and by name. `aliases` maps the sheet's own words to status names or ids.

    Raises SettingsError for two words that differ in spelling only and mean different things.
    `statuses` are without secrets, and so are `names`, by id, with control characters escaped.
    """

    def __init__(self, statuses: Iterable[OrderStatus], aliases: Mapping[str, str] | None = None) -> None:
        known = tuple(statuses)
        self.statuses = tuple(replace(one, name=masked(one.name), color=masked(one.color)) for one in known)
        self.names = {status.id: escape_controls(status.name) for status in self.statuses}
        self._by_name: dict[str, list[OrderStatus]] = {}
        for status, shown in zip(known, self.statuses, strict=True):
            self._by_name.setdefault(folded(status.name), []).append(shown)
        self._aliases = _folded_once(aliases or {})

    def check_id(self, status_id: str) -> None:
        """Raise UnknownStatusError when the tenant has no status with this id."""
        if status_id not in self.names:
            raise UnknownStatusError(f"the service has no status with the id {status_id}")

    def find(self, text: str) -> str:
        """Return the id of the status that this text names. Raises UnknownStatusError."""
        if meaning := self._aliases.get(folded(text)):
            try:
                return self._find(meaning)
            except UnknownStatusError as error:
                raise UnknownStatusError(f"the status map makes it '{escape_controls(meaning)}': {error}") from None
        return self._find(text)

    def _find(self, wanted: str) -> str:
        if wanted.lower() in self.names:
            return wanted.lower()
        found = self._by_name.get(folded(wanted), [])
        if len(found) == 1:
            return found[0].id
        if found:
            ids = " or ".join(status.id for status in found)
            many = f"{len(found)} statuses are called '{escape_controls(wanted)}'"
            raise UnknownStatusError(f"{many}; write the id instead: {ids}")
        near = get_close_matches(folded(wanted), self._by_name, 3)
        names = " or ".join(f"'{escape_controls(self._by_name[name][0].name)}'" for name in near)
        known = ", ".join(list(self.names.values())[:10])
        more = " …" if len(self.names) > 10 else ""
        advice = f"did you mean {names}?" if near else f"it has {known}{more}"
        raise UnknownStatusError(f"the service has no such status; {advice}")


class AnyStatus(StatusBook):
    """Takes every name for that of a status, and every id: for a plan to look at while nobody can be asked.

    Its ids of names are made up; what is clearly no name is none here either.
    """

    def __init__(self, aliases: Mapping[str, str] | None = None) -> None:
        super().__init__((), aliases)

    def check_id(self, status_id: str) -> None:
        """Take the id."""

    def _find(self, wanted: str) -> str:
        if status_id := normalise_id(wanted):
            return status_id
        if not is_name(wanted):
            raise UnknownStatusError("it is no name")
        made_up = str(uuid.uuid5(uuid.NAMESPACE_OID, folded(wanted)))
        if len(self.names) < MOST_NAMED:
            self.names.setdefault(made_up, escape_controls(wanted))
        return made_up


def _folded_once(aliases: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word, meaning in aliases.items():
        other = found.setdefault(folded(word), meaning)
        if folded(other) != folded(meaning):
            raise SettingsError(
                escape_controls(f"The status map makes '{word}' both '{other}' and '{meaning}'."),
                "letters of either case and blanks are the same; keep one of them",
            )
    return found

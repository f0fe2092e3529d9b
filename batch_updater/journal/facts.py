"""The facts of a run as a whole: what was asked for, how each start ended. Typed; JSON only in the file."""

import getpass
import socket
from enum import StrEnum
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, ConfigDict

from batch_updater.common.errors import ExitCode
from batch_updater.common.remedies import Remedy
from batch_updater.journal.run_folder import FRAME, is_nameless


class Phase(StrEnum):
    """How far a run as a whole has come; which rows are left, the rows say."""

    PLANNED = "planned"  # nothing has been claimed
    SENDING = "sending"  # a start is under way, or was killed
    STOPPED = "stopped"  # the last start ended early
    FINISHED = "finished"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Start(_Frozen):
    """One start of a run: when (seconds since the epoch), by whom, with which version of the program."""

    at: float
    by: str
    version: str


class Rates(_Frozen):
    """The limit of one start: `at` and `ended` in seconds since the epoch, `final` and each change in requests/s.

    A change is seconds since `at` and the limit from then on; `final` is None when there was no limit. `window` is the
    most requests in flight that the service took, None when that was no limit; `parked` how often a row waited for its
    next attempt.
    """

    at: float
    ended: float
    final: float | None
    history: tuple[tuple[float, float], ...] = ()
    window: int | None = None
    parked: int = 0


class Requests(_Frozen):
    """Requests over all starts, updates apart: those are counted row by row."""

    get: int = 0
    token: int = 0
    retried: int = 0
    throttled: int = 0


class Ended(_Frozen):
    """How the last start ended. Times are seconds since the epoch, `seconds` is wall time."""

    started: float
    ended: float
    seconds: float
    exit_code: int
    reason: str
    rows_per_second: float


class UsedColumns(_Frozen):
    """The positions (0-based) of the columns by which a run was planned, those of earlier results left out.

    The headers are there when others than the sheet's header told the columns: own words for them, or their cells.
    `status` is None when every row got the same status.
    """

    order: int
    status: int | None = None
    expect: int | None = None
    order_header: str = ""
    status_header: str = ""


class RunFacts(_Frozen):
    """The facts of a run, as its journal holds them.

    `input` is the sheet as it was named, `name` its file name, `path` where it lies, seen from the runs folder (empty
    for stdin, a DataFrame, and in journals of earlier versions), `sha256` that of its bytes. `reading` and `status_map`
    are the settings by which it was planned, `columns` the columns that were found (None in journals of earlier
    versions), `compare` whether orders are read before they are sent. `parent` is the id of the run that this one
    follows up, `root` that of the run with whose sheet the work began, `root_name` the name of that sheet; the rows
    then carry its row numbers. `carried_from` is the unfinished run of the sheet before it changed, whose done rows
    this one has kept, `superseded_by` the run that has kept those of this one.
    `overruled_by` is the newest run that has undone or followed up this one before it was finished.
    `results_reading` are the settings, beside those of the columns, with which the result file is read again.
    `not_before` is when the service wants to be asked again, in seconds since the epoch; 0 for any time.
    """

    run_id: str
    name: str
    input: str
    sha256: str
    path: str = ""
    base_url: str
    account: str | None = None
    on_conflict: str = "hold"
    compare: bool = False
    status_map: dict[str, str] = {}
    reading: dict[str, Any] = {}
    columns: UsedColumns | None = None
    status_names: dict[str, str] = {}
    output: str | None = None
    parent: str = ""
    root: str = ""
    root_name: str = ""
    carried_from: str = ""
    superseded_by: str = ""
    overruled_by: str = ""
    phase: Phase = Phase.PLANNED
    canary_passed: bool = False
    not_before: float = 0.0
    settings: dict[str, Any] = {}
    chosen: tuple[str, ...] = ()
    starts: tuple[Start, ...] = ()
    rates: tuple[Rates, ...] = ()
    notes: tuple[str, ...] = ()
    results_reading: dict[str, Any] = {}
    requests: Requests = Requests()
    end: Ended | None = None

    def with_changes(self, **changes: Any) -> "RunFacts":
        """Return these facts with other values for some. Raises TypeError for an unknown fact."""
        if unknown := set(changes) - set(type(self).model_fields):
            raise TypeError(f"no facts of a run: {unknown}")
        return self.model_copy(update=changes)

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON types."""
        return self.model_dump(mode="json")

    @property
    def ended_early(self) -> bool:
        """Whether the last start was interrupted or stopped."""
        return self.end is None or self.end.exit_code not in {ExitCode.DONE, ExitCode.NOT_ALL_DONE}

    def has_input_of(self, other: "RunFacts") -> bool:
        """Whether this run has the input of another run in the same runs folder: a sheet of the same path.

        What comes from stdin or a DataFrame has no path: all such runs of a folder have one input. So have all
        follow-ups of one run, whatever file has its corrected rows.
        """
        if self.parent or other.parent:
            return self.parent == other.parent
        if is_nameless(self.name) or is_nameless(other.name):
            return is_nameless(self.name) and is_nameless(other.name)
        return self.path == other.path if self.path and other.path else self.name == other.name

    def name_row(self, row: int, root_row: int | None) -> str:
        """Return a row as a person reads it: as the first sheet numbers it, and this one too where that differs."""
        if root_row in {None, row}:
            return f"row {row}"
        return f"row {root_row} of {self.root_name or 'the first sheet'} (row {row} here)"

    def differences(self, wanted: "RunFacts") -> list[Remedy]:
        """Return how a new start differs from what this run was planned for, one sentence each."""
        what = "its cells differ" if self.name == FRAME.stem else "the file's bytes differ"
        found = [] if self.sha256 == wanted.sha256 else [Remedy("{what}", {"what": what})]
        was, now = ({**facts.reading, **facts.model_dump(include=_SAME)} for facts in (self, wanted))
        for key, value in now.items():
            if (was.get(key) or None) != (value or None):  # an older journal lacks the settings of newer versions
                name = f"[{key}]" if isinstance(value, dict) else Remedy.of_setting(key)
                before, after = str(was.get(key) or "not set"), str(value or "not set")
                said = Remedy("{name} differs: was {was}, now {now}", {"name": name, "was": before, "now": after})
                found.append(said)
        return found


_SAME = {"base_url", "account", "on_conflict", "compare", "status_map"}


def who() -> str:
    """Return the user and the machine, as far as the system knows them."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may run a user id without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def program_version() -> str:
    """Return the version of the installed package."""
    return version("batch-updater")

"""The facts of a run as a whole: what was asked for, how each start ended. Typed; JSON only in the file."""

from enum import StrEnum
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, ConfigDict

from batch_updater.common.errors import ExitCode
from batch_updater.journal.run_folder import is_nameless


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


class RunFacts(_Frozen):
    """The facts of a run, as its journal holds them.

    `input` is the sheet as it was named, `name` its file name, `path` where it lies, seen from the runs folder (empty
    for stdin, a DataFrame, and in journals of earlier versions), `sha256` that of its bytes. `reading` and `status_map`
    are the settings by which it was planned, `compare` whether orders are read before they are sent. `root` is the id
    of the run that this one follows up; its rows then carry the row numbers of that run's sheet. `not_before` is when
    the service wants to be asked again at the earliest, in seconds since the epoch; 0 for any time.
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
    status_names: dict[str, str] = {}
    output: str | None = None
    root: str = ""
    phase: Phase = Phase.PLANNED
    canary_passed: bool = False
    not_before: float = 0.0
    settings: dict[str, Any] = {}
    chosen: tuple[str, ...] = ()
    starts: tuple[Start, ...] = ()
    rates: tuple[Rates, ...] = ()
    notes: tuple[str, ...] = ()
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

        What comes from stdin or a DataFrame has no path: all such runs of a folder have one input.
        """
        if is_nameless(self.name) or is_nameless(other.name):
            return is_nameless(self.name) and is_nameless(other.name)
        return self.path == other.path if self.path and other.path else self.name == other.name

    def differences(self, wanted: "RunFacts") -> list[str]:
        """Return how a new start differs from what this run was planned for, one sentence each."""
        found = [] if self.sha256 == wanted.sha256 else ["the file's bytes differ"]
        was, now = ({**facts.reading, **facts.model_dump(include=_SAME)} for facts in (self, wanted))
        for key, value in now.items():
            if was.get(key) != value:
                option = "--" + key.replace("_", "-")
                found.append(f"{option} differs: was {was.get(key) or 'not set'}, now {value or 'not set'}")
        return found


_SAME = {"base_url", "account", "on_conflict", "compare", "status_map"}


def program_version() -> str:
    """Return the version of the installed package."""
    return version("batch-updater")

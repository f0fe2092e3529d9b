"""The words of the program as frozen types. Standard library only.

Those made once or more for every row are named tuples, which are quicker to make than frozen dataclasses.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, NamedTuple, TypeVar

from batch_updater.common.errors import BatchUpdaterError
from batch_updater.common.remedies import Remedy

T_co = TypeVar("T_co", covariant=True)


class Result(StrEnum):
    """What happened to a row, as the result file says it."""

    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DUPLICATE = "duplicate"
    FAILED = "failed"
    UNKNOWN = "unknown"
    INVALID = "invalid"
    CONFLICT = "conflict"
    NOT_SENT = "not_sent"


class State(StrEnum):
    """Where a row stands in the journal."""

    PLANNED = "planned"  # to be sent
    WAITING = "waiting"  # a duplicate; its leader speaks for it
    QUEUED = "queued"  # to be sent after its leader, an earlier row of the same order, has ended
    CLAIMED = "claimed"  # announced as about to be sent; in doubt after a crash
    ENDED = "ended"


class Verdict(StrEnum):
    """What an answer (or its absence) means for the row that was sent."""

    DONE = "done"
    REFUSED = "refused"
    RETRY = "retry"
    THROTTLED = "throttled"
    UNAUTHORIZED = "unauthorized"
    UNKNOWN = "unknown"
    STOP = "stop"


WHOLE_ROW = -1


class Flaw(NamedTuple):
    """What the reader saw wrong with a cell or a row: the machine word and a sentence."""

    code: str
    detail: str


class SourceRow(NamedTuple):  # a tuple is made in half the time of a frozen dataclass, millions of times
    """One row of the sheet: its number as a spreadsheet shows it (header is 1) and its cells as text.

    `flaws` is what the reader saw wrong: position of the cell -> code and sentence; WHOLE_ROW stands for the row.
    `root_row` is what an earlier run's result file says of the row's number in the sheet that the work began with.
    """

    number: int
    cells: tuple[str, ...]
    flaws: Mapping[int, Flaw] | None = None
    root_row: int | None = None


class StatusUpdate(NamedTuple):
    """A usable row: this order shall get this status. All ids are lower-case hyphenated UUIDs.

    `expected_id` is the status that the order must have now for the update to be sent; empty for any. `root_row` is
    the row's number in the sheet that the work began with, when that is another one.
    """

    row: int
    order_id: str
    status_id: str
    normalised: bool = False
    expected_id: str = ""
    root_row: int | None = None


# What is sent to an order, of the fields above: the plan, its checksum, duplicates and readings all go by it.
SENT = ("status_id",)


class RejectedRow(NamedTuple):
    """A row that is never sent, with the machine word and the sentence that say why, and its cells to be corrected."""

    row: int
    code: str
    detail: str
    order_text: str = ""
    status_text: str = ""
    root_row: int | None = None


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """One classified answer, and what was asked for as its `payload`; an `Answer[Never]` carries nothing.

    `http_status` is None when no answer came; `wait` is seconds the service asked for.
    """

    verdict: Verdict
    code: str
    detail: str = ""
    http_status: int | None = None
    wait: float | None = None
    was_sent: bool = True  # False: the request certainly never left this machine
    payload: T_co | None = None
    token_generation: int = 0  # of the token that it was sent with, when that was refused
    hint: str | Remedy = ""  # what a person can do, when that is known

    @property
    def needs_human(self) -> bool:
        """Whether nothing can be sent until a person changes something: certificates, or a proxy."""
        return self.verdict is Verdict.STOP and not self.was_sent

    @property
    def asks_to_slow_down(self) -> bool:
        """Whether the service said that it wants less: 429, or a Retry-After on anything."""
        return self.verdict is Verdict.THROTTLED and (self.wait is not None or self.http_status == 429)


@dataclass(frozen=True, slots=True)
class ListedOrder:
    """An order as the paged list has it. Ids are lower-case hyphenated UUIDs."""

    id: str
    name: str
    status_id: str


class RowOutcome(NamedTuple):
    """What became of one row. `attempts` are those in no checkpoint; `sent_at` is seconds since the epoch.

    `state` is ENDED, PLANNED for a row to be sent at the next start, or CLAIMED for one left in doubt.
    """

    row: int
    state: State
    result: Result
    code: str
    detail: str
    http_status: int | None = None
    attempts: int = 0
    sent_at: float | None = None
    duration_ms: int | None = None
    previous_status_id: str | None = None
    remark: str = ""  # said after the detail, whatever becomes of the row later


class Checkpoint(NamedTuple):
    """What must be durable before the next request of a row leaves.

    `attempts` are PUTs not counted before, `sent_at` the time of the first (seconds since the epoch).
    """

    row: int
    attempts: int = 0
    sent_at: float | None = None
    previous_status_id: str | None = None
    remark: str = ""


@dataclass(slots=True)
class Counters:
    """What has happened in this start of a run. `throttled` are answers that asked for less.

    `results` counts the rows that have ended by result, of a verification by symbol.
    """

    results: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    put: int = 0
    get: int = 0
    token: int = 0
    retried: int = 0
    throttled: int = 0

    @property
    def ended(self) -> int:
        """Rows that have ended."""
        return self.results.total()


@dataclass(frozen=True, slots=True)
class ReadBack:
    """An order as `verify` found it: `=` as planned, `*` differs, `-` gone, `!` could not be read."""

    row: int
    symbol: str
    status_id: str
    detail: str


class ResultRow(NamedTuple):
    """One line of the result file: the input's cells, then what is said about them. The fields are its columns."""

    cells: tuple[str, ...]
    result: Result
    http_status: int | None
    code: str
    detail: str
    attempts: int
    order_id: str
    status_id: str
    status_name: str
    previous_status_id: str
    row: int
    sent_at: str
    duration_ms: int | None
    run_id: str


RESULT_COLUMNS = ("result", *(f"result_{name}" for name in ResultRow._fields[2:]))


@dataclass(frozen=True, slots=True)
class Reason:
    """Rows that are not done for the same reason: what it means, what to do, the first rows with their details."""

    result: Result
    code: str
    rows: int
    says: str
    what_to_do: str
    examples: tuple[tuple[int, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """The group as `summary.json` has it."""
        row, detail = self.examples[0]
        return {
            "result": self.result.value,
            "code": self.code,
            "rows": self.rows,
            "example_row": row,
            "example_detail": detail,
            "what_to_do": self.what_to_do,
        }


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The outcome of a run, as `summary.json` has it. Times are ISO 8601 UTC, `seconds` wall time of this start.

    `rate` holds the limit at the end and how it was found, in requests per second, as `summary.json` has it.
    `resume_command` are the words after the program's name that pick the run up again.
    `frame` reads the result file as a pandas DataFrame; `results()` calls it.
    """

    run_id: str
    input: str
    base_url: str
    started_at: str
    ended_at: str
    exit_code: int
    resumable: bool
    rows: int
    result_counts: dict[str, int]
    code_counts: dict[str, int]
    requests: dict[str, int]
    seconds: float
    rows_per_second: float
    run_dir: str
    results_file: str
    reason: str = ""
    notes: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    report_file: str = ""
    rate: Mapping[str, Any] = field(default_factory=lambda: {"final": None, "history": []})
    resume_command: tuple[str, ...] = ()
    frame: Callable[[], Any] | None = field(default=None, repr=False, compare=False)

    def results(self) -> Any:
        """The result file as a pandas DataFrame of text cells. Raises BatchUpdaterError when there is none."""
        if self.frame is None:
            raise BatchUpdaterError("This run has no result file.")
        return self.frame()

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain JSON types."""
        return {
            "schema": 1,
            "run_id": self.run_id,
            "input": self.input,
            "base_url": self.base_url,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "exit_code": self.exit_code,
            "resumable": self.resumable,
            "rows": self.rows,
            "results": self.result_counts,
            "codes": self.code_counts,
            "requests": self.requests,
            "seconds": self.seconds,
            "rows_per_second": self.rows_per_second,
            "run_dir": self.run_dir,
            "results_file": self.results_file,
            "reason": self.reason,
            "notes": list(self.notes),
            "reasons": [reason.to_dict() for reason in self.reasons],
            "report_file": self.report_file,
            "rate": dict(self.rate),
        }


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """One status of the tenant; the id is a lower-case hyphenated UUID."""

    id: str
    name: str
    color: str = ""

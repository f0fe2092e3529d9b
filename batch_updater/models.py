"""The words of the program as frozen types. Standard library only."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


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


class Verdict(StrEnum):
    """What an answer (or its absence) means for the row that was sent."""

    DONE = "done"
    REFUSED = "refused"
    RETRY = "retry"
    THROTTLED = "throttled"
    UNAUTHORIZED = "unauthorized"
    UNKNOWN = "unknown"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of the sheet: its number as a spreadsheet shows it (header is 1) and its cells as text."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """A usable row: this order shall get this status. Both ids are lower-case hyphenated UUIDs."""

    row: int
    order_id: str
    status_id: str
    normalised: bool = False


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that is never sent, with the machine word and the sentence that say why."""

    row: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One classified answer. `http_status` is None when no answer came; `wait` is seconds the service asked for."""

    verdict: Verdict
    code: str
    detail: str = ""
    http_status: int | None = None
    wait: float | None = None
    left: bool = True  # False: the request certainly never left this machine


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """What became of one planned row; times are seconds since the epoch, the duration milliseconds."""

    row: int
    result: Result
    code: str
    detail: str
    http_status: int | None
    attempts: int
    sent_at: float | None
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One line of the result file: the input's cells and everything that is said about them."""

    cells: tuple[str, ...]
    row: int
    result: Result
    http_status: int | None
    code: str
    detail: str
    attempts: int
    order_id: str
    status_id: str
    status_name: str
    previous_status_id: str
    sent_at: str
    duration_ms: int | None
    run_id: str


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The outcome of a run, as `summary.json` has it. Times are ISO 8601 UTC, `seconds` wall time."""

    run_id: str
    input: str
    base_url: str
    started_at: str
    ended_at: str
    exit_code: int
    resumable: bool
    rows: int
    results: dict[str, int]
    codes: dict[str, int]
    requests: dict[str, int]
    seconds: float
    rows_per_second: float
    run_dir: str
    results_file: str
    schema: int = field(default=1, kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain JSON types, `schema` first."""
        return {"schema": self.schema, **{k: v for k, v in asdict(self).items() if k != "schema"}}

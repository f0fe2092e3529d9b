"""The outcome of a run, as `summary.json`, the terminal and the report have it. Standard library only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from batch_updater.common.errors import BatchUpdaterError
from batch_updater.common.models import Result
from batch_updater.common.text import count


@dataclass(frozen=True, slots=True)
class Reason:
    """Rows that are not done for the same reason: what it means, what to do, the first rows as examples.

    An example has the number of its row, what a person calls it, and the detail. `command` holds the words of the
    command that helps; empty for none.
    """

    result: Result
    code: str
    rows: int
    explanation: str
    what_to_do: str
    examples: tuple[tuple[int, str, str], ...]
    command: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the group as `summary.json` has it."""
        row, _name, detail = self.examples[0]
        return {
            "result": self.result.value, "code": self.code, "rows": self.rows, "example_row": row,
            "example_detail": detail, "what_to_do": self.what_to_do,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """What can be done next: what for, and the words of the command after the program's name."""

    why: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The outcome of a run. Times are ISO 8601 UTC, `seconds` is the wall time of this start.

    `rate` holds the limit at the end and how it was found, in requests per second, the most requests in flight when
    that was limited, and how often a row waited for its next attempt. `steps` are what can be done next, the way on
    first; `next_limit` is the limit of failures to go on with, when more rows have failed than might. `frame` reads the
    result file as a pandas DataFrame; `results()` calls it.
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
    rate: Mapping[str, Any] = field(default_factory=lambda: {"final": None, "history": [], "window": None, "parked": 0})
    steps: tuple[Step, ...] = ()
    next_limit: int | None = None
    frame: Callable[[], Any] | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        counts = ", ".join(f"{number:,} {word}" for word, number in self.result_counts.items())
        said = f"{self.input}: {count(self.rows, 'row')}" + (f", {counts}" if counts else "")
        return f"{said}. {self.reason}".strip()

    def results(self) -> Any:
        """Return the result file as a pandas DataFrame. Raises BatchUpdaterError when there is none.

        Of a sheet its own columns are texts; those of a DataFrame that was sent are the caller's, under the caller's
        index. `result_http_status`, `result_attempts`, `result_row` and `result_duration_ms` (milliseconds) are Int64,
        `result_sent_at` is a time in UTC, the other columns of results are texts.
        """
        if self.frame is None:
            raise BatchUpdaterError("This run has no result file.")
        return self.frame()

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain JSON types, as `summary.json` has it."""
        keys = {"result_counts": "results", "code_counts": "codes"}
        own = {"frame", "steps", "next_limit"}  # for callers in this process only
        values = {keys.get(name, name): getattr(self, name) for name in _FIELDS if name not in own}
        reasons = [reason.to_dict() for reason in self.reasons]
        return {"schema": 1, **values, "notes": list(self.notes), "reasons": reasons, "rate": dict(self.rate)}


_FIELDS = tuple(field.name for field in fields(RunSummary))

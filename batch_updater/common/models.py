"""The types that all rooms share. Standard library only.

Those made once or more for every row are named tuples, which take half the time of frozen dataclasses to make.
"""

import datetime
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from batch_updater.common.remedies import Remedy

T_co = TypeVar("T_co", covariant=True)
Value = str | float | int | bool | datetime.date | datetime.time | datetime.timedelta | None  # of a cell, as stored


class Result(StrEnum):
    """What happened to a row, in the words of the result file."""

    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DUPLICATE = "duplicate"
    FAILED = "failed"
    UNKNOWN = "unknown"
    INVALID = "invalid"
    CONFLICT = "conflict"
    NOT_SENT = "not_sent"


NOT_DONE = (Result.FAILED, Result.UNKNOWN, Result.INVALID, Result.CONFLICT, Result.NOT_SENT)


class State(StrEnum):
    """The state of a row in the journal."""

    PLANNED = "planned"  # to be sent
    WAITING = "waiting"  # a duplicate; it has the result of its leader
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
    """What is wrong with a cell or a row as it was read: the machine word and a sentence."""

    code: str
    detail: str


class SourceRow(NamedTuple):
    """One row of the sheet: its number as a spreadsheet shows it (header is 1) and its cells as text.

    `flaws` are by the position of the cell; WHOLE_ROW stands for the row. `root_row` is the row's number in the sheet
    that the work began with, when an earlier run's result file names one. `stored` are the cells as a spreadsheet
    holds them, where that is more than text.
    """

    number: int
    cells: tuple[str, ...]
    flaws: Mapping[int, Flaw] | None = None
    root_row: int | None = None
    stored: tuple[Value, ...] | None = None


class StatusUpdate(NamedTuple):
    """A usable row: the order is to get this status. All ids are lower-case hyphenated UUIDs.

    `expected_id` is the status that the order must have now for the update to be sent; empty for any, several are
    separated by spaces. `root_row` is the row's number in the sheet that the work began with, when that is another one.
    """

    row: int
    order_id: str
    status_id: str
    normalised: bool = False
    expected_id: str = ""
    root_row: int | None = None

    def expects(self, status_id: str) -> bool:
        """Return whether the update is to be sent to an order that has this status now."""
        return not self.expected_id or status_id in self.expected_id.split()


# Which of the fields above are sent to an order: the plan, its checksum, duplicates and readings all use this.
SENT = ("status_id",)


class RejectedRow(NamedTuple):
    """A row that is never sent: why, as a machine word and a sentence, and its cells for the correction."""

    row: int
    code: str
    detail: str
    order_text: str = ""
    status_text: str = ""
    root_row: int | None = None


class Quota(NamedTuple):
    """What a service says of its limit: so many more requests are accepted until the reset in so many seconds."""

    remaining: int
    reset: float


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """One classified answer, with the requested data as its `payload`; an `Answer[Never]` has none.

    `http_status` is None when no answer came; `wait` is the seconds that the service asked for.
    """

    verdict: Verdict
    code: str
    detail: str = ""
    http_status: int | None = None
    wait: float | None = None
    was_sent: bool = True  # False: the request certainly never left this machine
    payload: T_co | None = None
    token_generation: int = 0  # of the token that it was sent with, when that was refused
    hint: str | Remedy = ""  # what you can do, when that is known
    wording: str = ""  # what a 2xx says that is not the API's confirmation
    quota: Quota | None = None  # by its rate-limit headers

    @property
    def is_doubtful(self) -> bool:
        """Whether the request may have been carried out although no answer says so."""
        no_answer = self.verdict in {Verdict.RETRY, Verdict.UNKNOWN, Verdict.STOP}  # a redirect may follow an update
        return self.was_sent and (no_answer or (self.verdict is Verdict.THROTTLED and not self.asks_to_slow_down))

    @property
    def needs_human(self) -> bool:
        """Whether nothing can be sent until you change something: certificates, or a proxy."""
        return self.verdict is Verdict.STOP and not self.was_sent

    @property
    def asks_to_slow_down(self) -> bool:
        """Whether the service asked for fewer requests: by 425 or 429, or by a Retry-After on any answer."""
        return self.verdict is Verdict.THROTTLED and (self.wait is not None or self.http_status in {425, 429})


@dataclass(frozen=True, slots=True)
class ListedOrder:
    """An order as the paged list has it. Ids are lower-case hyphenated UUIDs."""

    id: str
    name: str
    status_id: str


class RowOutcome(NamedTuple):
    """How one row ended. `attempts` are those not in a checkpoint; `sent_at` is seconds since the epoch.

    `state` is ENDED, PLANNED for a row to be sent (again), or CLAIMED for one left in doubt. An empty `code` or
    `detail` leaves what an earlier outcome said.
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
    remark: str = ""  # stays after the detail, however the row ends later


class Checkpoint(NamedTuple):
    """What must be durable before the next request of a row leaves.

    `attempts` are PUTs in no earlier checkpoint, `sent_at` the time of the first (seconds since the epoch).
    """

    row: int
    attempts: int = 0
    sent_at: float | None = None
    previous_status_id: str | None = None
    remark: str = ""


@dataclass(slots=True)
class Counters:
    """What has happened in this start of a run. `throttled` are answers that asked for fewer requests.

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
    """One line of the result file: its row in the sheet, the sheet's cells, then a result column for each other field.

    `row` is the row's number in the sheet that the work began with.
    """

    number: int
    cells: tuple[Value, ...]
    result: Result
    http_status: int | None
    code: str
    detail: str
    attempts: int | None  # None: not known exactly
    order_id: str
    status_id: str
    status_name: str
    previous_status_id: str
    row: int
    sent_at: str
    duration_ms: int | None
    run_id: str


RESULT_COLUMNS = ("result", *(f"result_{name}" for name in ResultRow._fields[3:]))


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """One status of the tenant; the id is a lower-case hyphenated UUID."""

    id: str
    name: str
    color: str = ""

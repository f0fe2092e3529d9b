"""Join the journal and the frozen sheet to the rows of the result file."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache

from batch_updater.common.errors import JournalError
from batch_updater.common.models import NOT_DONE, Result, ResultRow, State, Value
from batch_updater.inputs.source import Source
from batch_updater.journal.facts import RunFacts
from batch_updater.journal.reader import Entry, JournalReader
from batch_updater.reports.reasons import ReasonCounts

KEPT_NOT_DONE = 10_000
_RESULTS = {result.value: result for result in Result}


def iso(seconds: float) -> str:
    """Return seconds since the epoch as ISO 8601 UTC with milliseconds."""
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03}Z"


@lru_cache(64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class ResultRows:
    """Streams the result rows of a run in the sheet's order and counts what it streamed.

    `not_done` keeps the first 10,000 rows that are not done, without their cells.
    Raises JournalError when the journal and the sheet do not have the same rows.
    """

    def __init__(self, source: Source, journal: JournalReader, run_id: str) -> None:
        self._source, self._journal, self._run_id = source, journal, run_id
        self._facts = journal.facts()
        self._begin()

    def _begin(self) -> None:
        self.results: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.reasons = ReasonCounts()
        self.not_done: list[ResultRow] = []

    def __iter__(self) -> Iterator[ResultRow]:
        self._begin()
        entries = self._journal.entries()
        for source_row in self._source.rows():
            entry = next(entries, None)
            if entry is None or entry.row != source_row.number:
                raise JournalError(f"The journal and the copy of the sheet differ at row {source_row.number}.")
            cells = source_row.cells if source_row.stored is None else source_row.stored
            row = _result_row(cells, entry, self._facts, self._run_id)
            self._count(row, entry)
            yield row
        if next(entries, None) is not None:
            raise JournalError("The journal has more rows than the copy of the sheet.")

    def count_all(self) -> None:
        """Count every row of the journal, when not all could be streamed."""
        self._begin()
        for entry in self._journal.entries():
            self._count(_result_row((), entry, self._facts, self._run_id), entry)

    def _count(self, row: ResultRow, entry: Entry) -> None:
        self.results[str(row.result)] += 1
        self.codes[row.code] += 1
        if row.result in NOT_DONE:
            self.reasons.add(row, self._facts.name_row(entry.row, entry.root_row))
            if len(self.not_done) < KEPT_NOT_DONE:
                self.not_done.append(row._replace(cells=()))


def _result_row(cells: tuple[Value, ...], entry: Entry, facts: RunFacts, run_id: str) -> ResultRow:
    result, code, detail = _result_of(entry)
    attempts = None if _is_uncounted(entry) else entry.attempts
    uncounted = "" if attempts is not None else "how often it was sent is not known, for a start was broken off"
    return ResultRow(
        number=entry.row, cells=cells, result=result, http_status=entry.http_status, code=code,
        detail="; ".join(part for part in (detail, entry.remark, uncounted) if part), attempts=attempts,
        order_id=entry.order_id, status_id=entry.status_id, status_name=facts.status_names.get(entry.status_id, ""),
        previous_status_id=entry.previous_status_id or "", row=entry.root_row or entry.row,
        sent_at=iso(entry.sent_at) if entry.sent_at else "", duration_ms=entry.duration_ms,
        run_id=entry.carried_from or run_id,
    )  # fmt: skip


def _is_uncounted(entry: Entry) -> bool:
    """Return whether an update may have left without being counted, in this start or an earlier one."""
    is_open = entry.state == State.CLAIMED and entry.result != Result.UNKNOWN and entry.may_have_left
    return is_open or bool(entry.uncounted)


def _result_of(entry: Entry) -> tuple[Result, str, str]:
    code, detail = entry.code, entry.detail
    if entry.state == State.ENDED:
        return _RESULTS[entry.result or ""], code, detail
    match State(entry.state):
        case State.WAITING:
            led_by = entry.leader_result if entry.leader_state == State.ENDED else Result.NOT_SENT.value
            return Result.DUPLICATE, code, f"{detail}, which is {led_by}"
        case State.CLAIMED if entry.result == Result.UNKNOWN:
            return Result.UNKNOWN, "stopped", f"{detail}; the run stopped before the order was read back"
        case State.CLAIMED if entry.may_have_left:
            return Result.UNKNOWN, "stopped", "the run ended while this row was under way"
        case State.QUEUED:
            before = entry.leader_root_row or entry.leader
            return Result.NOT_SENT, "stopped", f"the run stopped before row {before} of this order had ended"
        case State.PLANNED if entry.attempts:
            return Result.FAILED, code or "stopped", f"{detail or 'refused'}; the run stopped before it was sent again"
        case _:
            result = _RESULTS.get(entry.result or "", Result.NOT_SENT)
            return result, code or "stopped", detail or "the run stopped before this row"

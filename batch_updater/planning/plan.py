"""Make the plan of a sheet in the journal, and count what it holds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

from batch_updater.common.errors import InputError
from batch_updater.common.models import RejectedRow, SourceRow, StatusUpdate
from batch_updater.common.remedies import Remedy
from batch_updater.journal.draft import Draft, SettledDraft
from batch_updater.journal.facts import RunFacts
from batch_updater.journal.lifecycle import what_is_left
from batch_updater.journal.reader import JournalReader
from batch_updater.planning.swapped import swapped

BLOCK = 5000
MOST_SHOWN = 5  # problems in a plan


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do: counts of rows, updates per status, and the first problems.

    A problem has the row as a person calls it, its result, and the detail.
    """

    rows: int
    to_send: int
    in_doubt: int
    done: int
    kept: int
    duplicates: int
    invalid: int
    conflicts: int
    normalised: int
    statuses: dict[str, int]
    problems: list[tuple[str, str, str]]


ValidateRow = Callable[[SourceRow], StatusUpdate | RejectedRow]
PrepareBlock = Callable[[list[SourceRow]], None]


def ignore_block(_block: list[SourceRow]) -> None:
    """Prepare nothing."""


def make_plan(
    rows: Iterable[SourceRow], validate: ValidateRow, draft: Draft, on_conflict: str,
    prepare: PrepareBlock = ignore_block, *, name: object = "the sheet",
    on_rows: Callable[[int], None] = lambda _number: None, superseded: Mapping[str, int] = MappingProxyType({}),
) -> SettledDraft:  # fmt: skip
    """Validate every row and write the plan into the draft. Memory does not grow with the rows.

    `superseded`, which may be filled while the rows are read, maps orders to a later row that is done already.
    `prepare` gets each block of rows before it is validated, `on_rows` the number of rows so far.
    Raises InputError, naming the sheet as `name`, when the columns of orders and statuses are clearly swapped.
    """
    stream = iter(rows)
    first, done = True, 0
    while block := list(islice(stream, BLOCK)):
        prepare(block)
        validated = list(map(validate, block))
        if first and (evidence := swapped(validated)):
            raise InputError(
                f"{name}: the columns look swapped: {evidence}.", Remedy("correct {order_column} and {status_column}")
            )
        first = False
        draft.add(validated)
        on_rows(done := done + len(block))
    return draft.settle(on_conflict, superseded)


def read_plan(journal: JournalReader) -> Plan:
    """Return the counts of the plan in a journal: for a resumed run, of what is left."""
    facts = journal.facts()
    states, results, left = journal.states(), journal.results(), what_is_left(journal, facts)
    return Plan(
        rows=sum(states.values()), to_send=left.to_send, in_doubt=left.in_doubt,
        done=results.get("updated", 0) + results.get("unchanged", 0), kept=journal.kept(),
        duplicates=states.get("waiting", 0), invalid=results.get("invalid", 0),
        conflicts=results.get("conflict", 0), normalised=journal.tidied(),
        statuses=journal.updates_per_status(), problems=_problems(journal, facts),
    )  # fmt: skip


def _problems(journal: JournalReader, facts: RunFacts) -> list[tuple[str, str, str]]:
    found = journal.problems(MOST_SHOWN)
    return [(facts.name_row(row, first), result, detail) for row, first, result, detail in found]

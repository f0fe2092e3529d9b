"""From a sheet to a plan in the journal, and the plan as a person reads it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

from batch_updater.common.errors import InputError
from batch_updater.common.models import RejectedRow, SourceRow, StatusUpdate
from batch_updater.common.remedies import Remedy
from batch_updater.journal.journal import Journal
from batch_updater.planning.swapped import swapped

BLOCK = 5000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do: counts of rows, updates per status, and the first problems (row, result, detail)."""

    rows: int
    to_send: int
    in_doubt: int
    done: int
    duplicates: int
    invalid: int
    conflicts: int
    normalised: int
    statuses: dict[str, int]
    problems: list[tuple[int, str, str]]


Judge = Callable[[SourceRow], StatusUpdate | RejectedRow]


def make_plan(
    rows: Iterable[SourceRow],
    judge: Judge,
    journal: Journal,
    on_conflict: str,
    prepare: Callable[[list[SourceRow]], None] = lambda _block: None,
    *,
    name: object = "the sheet",
    on_rows: Callable[[int], None] = lambda _number: None,
    overtaken: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Judge every row and write the plan into the journal. Memory does not grow with the rows.

    `overtaken`, which may be filled while the rows are read, has orders of which a later row is done already.
    `prepare` sees each block of rows before it is judged, `on_rows` is told how many are done. Raises InputError,
    naming the sheet as `name`, when the columns of orders and statuses have plainly been swapped.
    """
    stream = iter(rows)
    first, done = True, 0
    while block := list(islice(stream, BLOCK)):
        prepare(block)
        judged = list(map(judge, block))
        if first and (how := swapped(judged)):
            raise InputError(
                f"{name}: the columns look swapped: {how}.", Remedy("correct {order_column} and {status_column}")
            )
        first = False
        journal.add(judged)
        on_rows(done := done + len(block))
    journal.hold_back(overtaken)
    journal.settle_repeats(on_conflict)


def read_plan(journal: Journal) -> Plan:
    """What the plan in a journal says now: for a run picked up again, what is left of it."""
    states = journal.count("state")
    results = journal.count("result", "state = 'ended'")
    return Plan(
        rows=sum(states.values()),
        to_send=states.get("planned", 0) + states.get("queued", 0),
        in_doubt=states.get("claimed", 0),
        done=results.get("updated", 0) + results.get("unchanged", 0),
        duplicates=states.get("waiting", 0),
        invalid=results.get("invalid", 0),
        conflicts=results.get("conflict", 0),
        normalised=journal.count("normalised").get("1", 0),
        statuses=journal.count("status_id", "state IN ('planned', 'queued', 'claimed')"),
        problems=journal.problems(5),
    )

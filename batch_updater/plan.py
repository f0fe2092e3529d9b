"""From a sheet to a plan in the journal, and the plan as a person reads it."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from batch_updater.inputs.columns import Columns
from batch_updater.journal import Journal
from batch_updater.models import SourceRow
from batch_updater.validate import shown, validate_row

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


def make_plan(rows: Iterable[SourceRow], columns: Columns, journal: Journal, on_conflict: str) -> None:
    """Judge every row and write the plan into the journal. Memory does not grow with the rows."""
    stream = iter(rows)
    while block := list(islice(stream, BLOCK)):
        journal.add(validate_row(row, columns.order, columns.status) for row in block)
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


def describe(plan: Plan, *, source: str, columns: Columns, base_url: str, rate: float | None) -> str:
    """The plan as text that fits 80 columns."""
    lines = [
        f"Plan for {source}",
        f"  service   {base_url}",
        f"  columns   order = {shown(columns.order_header)!r}, status = {shown(columns.status_header)!r}",
        f"  rows      {plan.rows:,}",
        f"  to send   {plan.to_send:,}",
    ]
    for label, number in (
        ("in doubt", plan.in_doubt),
        ("done", plan.done),
        ("duplicate", plan.duplicates),
        ("invalid", plan.invalid),
        ("conflict", plan.conflicts),
        ("tidied", plan.normalised),
    ):
        if number:
            lines.append(f"  {label:<9} {number:,}")
    lines += [f"  {'status' if not n else '':<9} {i}  {c:,}" for n, (i, c) in enumerate(plan.statuses.items())][:12]
    if rate and plan.to_send:
        lines.append(f"  takes     at least {plan.to_send / rate:,.0f} s at {rate:g} requests/s")
    lines += [f"  row {row}: {result}: {detail}" for row, result, detail in plan.problems]
    hidden = plan.invalid + plan.conflicts - len(plan.problems)
    if hidden > 0:
        lines.append(f"  … and {hidden:,} more; the result file names each")
    return "\n".join(lines)

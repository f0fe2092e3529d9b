"""From a sheet to a plan in the journal, and the plan as a person reads it."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from batch_updater.inputs.columns import Columns
from batch_updater.journal import Journal
from batch_updater.models import RejectedRow, SourceRow, StatusUpdate
from batch_updater.validate import shown, validate_row

BLOCK = 5000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do: counts of rows, updates per status, and the first problems (row, result, detail)."""

    rows: int
    to_send: int
    duplicates: int
    invalid: int
    conflicts: int
    normalised: int
    statuses: dict[str, int]
    problems: list[tuple[int, str, str]]


def make_plan(rows: Iterable[SourceRow], columns: Columns, journal: Journal, on_conflict: str) -> Plan:
    """Judge every row, write the plan into the journal and give its summary. Memory does not grow with the rows."""
    stream = iter(rows)
    while block := list(islice(stream, BLOCK)):
        judged = [validate_row(row, columns.order, columns.status) for row in block]
        journal.add_planned(item for item in judged if isinstance(item, StatusUpdate))
        journal.add_rejected(item for item in judged if isinstance(item, RejectedRow))
    journal.settle_repeats(on_conflict)
    return read_plan(journal)


def read_plan(journal: Journal) -> Plan:
    """The summary of the plan that a journal holds."""
    states, results = journal.count("state"), journal.count("result")
    return Plan(
        rows=sum(states.values()),
        to_send=states.get("planned", 0),
        duplicates=states.get("waiting", 0),
        invalid=results.get("invalid", 0),
        conflicts=results.get("conflict", 0),
        normalised=journal.count("normalised").get("1", 0),
        statuses=journal.planned_statuses(),
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

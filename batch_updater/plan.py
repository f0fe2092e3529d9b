"""From a sheet to a plan in the journal, and the plan as a person reads it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from textwrap import wrap
from types import MappingProxyType

from batch_updater.errors import InputError
from batch_updater.inputs.columns import Columns
from batch_updater.journal import Journal
from batch_updater.models import RejectedRow, SourceRow, StatusUpdate
from batch_updater.remembered import LearnedRate
from batch_updater.settings import Settings
from batch_updater.tenant import Tenant
from batch_updater.text import visible
from batch_updater.validate import shown, swapped

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
            raise InputError(f"{name}: the columns look swapped: {how}.", "correct --order-column and --status-column")
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


def describe(
    plan: Plan,
    *,
    source: str,
    columns: Columns,
    tenant: Tenant,
    settings: Settings,
    notes: Sequence[str] = (),
    start: LearnedRate | None = None,
    width: int = 80,
) -> str:
    """The plan as text whose sentences fit `width` columns; `start` is the rate that an earlier run learned, if any."""
    named = f"order = {shown(columns.order_header)!r}, status = {shown(columns.status_header)!r}"
    if columns.expect_header:
        named += f", expected = {shown(columns.expect_header)!r}"
    lines = [
        f"Plan for {source}",
        f"  SERVICE   {tenant.base_url}{'   ** PRODUCTION **' if settings.production else ''}",
        *_labelled("columns", named, width),
        f"  rows      {plan.rows:,}",
        f"  to send   {plan.to_send:,}{_duration(plan, tenant, settings, start)}",
    ]
    counts = {
        "in doubt": plan.in_doubt,
        "done": plan.done,
        "duplicate": plan.duplicates,
        "invalid": plan.invalid,
        "conflict": plan.conflicts,
        "tidied": plan.normalised,
    }
    lines += [f"  {label:<9} {number:,}" for label, number in counts.items() if number]
    lines += _describe_statuses(plan, tenant)
    if settings.compares:
        how = "by the order list where that is fewer requests" if settings.compare == "list" else "one by one"
        lines += _labelled("compare", f"orders are read first, {how}; one that is so already is left alone", width)
    for note in (tenant.unchecked, *notes, start.describe() if start else ""):
        lines += _labelled("note", note, width) if note else []
    for row, result, detail in plan.problems:
        lines += wrap(f"row {row}: {result}: {detail}", width - 2, initial_indent="  ", subsequent_indent="      ")
    hidden = plan.invalid + plan.conflicts - len(plan.problems)
    if hidden > 0:
        lines.append(f"  … and {hidden:,} more; the result file names each")
    return "\n".join(map(visible, lines))


def _labelled(label: str, text: str, width: int) -> list[str]:
    """A sentence beside its label."""
    return wrap(text, width - 2, initial_indent=f"  {label:<10}", subsequent_indent=" " * 12)


def _describe_statuses(plan: Plan, tenant: Tenant) -> list[str]:
    width = max((len(f"{number:,}") for number in plan.statuses.values()), default=0)
    found = [
        f"  {'statuses' if not place else '':<9} {number:>{width},}  {shown(tenant.names.get(status, status))}"
        for place, (status, number) in enumerate(plan.statuses.items())
    ]
    return found if len(found) <= 12 else [*found[:11], f"  {'':<9} … and {len(found) - 11} more statuses"]


def _duration(plan: Plan, tenant: Tenant, settings: Settings, start: LearnedRate | None) -> str:
    requests = (plan.to_send + plan.in_doubt) * (2 if settings.compares else 1)
    rate = start.rate if start else settings.rate
    paced = requests / rate if rate else 0.0
    answered = requests * tenant.latency / settings.concurrency if tenant.latency else 0.0
    seconds = max(paced, answered)
    if seconds < 1:
        return ""
    return f", about {seconds:,.0f} s" if seconds < 120 else f", about {seconds / 60:,.0f} min"

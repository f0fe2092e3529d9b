"""The plan as a person reads it on a terminal."""

from collections.abc import Sequence
from textwrap import wrap

from batch_updater.api.pacing.learned_rate import LearnedRate
from batch_updater.common.settings import Settings
from batch_updater.common.text import escape_controls, shown
from batch_updater.inputs.columns import Columns
from batch_updater.planning.plan import Plan
from batch_updater.planning.preflight import Tenant


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
        how = "by the order list where that is fewer requests" if settings.compare_list else "one by one"
        lines += _labelled("compare", f"orders are read first, {how}; one that is so already is left alone", width)
    for note in (tenant.unchecked, *notes, start.describe() if start else ""):
        lines += _labelled("note", note, width) if note else []
    for row, result, detail in plan.problems:
        lines += wrap(f"row {row}: {result}: {detail}", width - 2, initial_indent="  ", subsequent_indent="      ")
    hidden = plan.invalid + plan.conflicts - len(plan.problems)
    if hidden > 0:
        lines.append(f"  … and {hidden:,} more; the result file names each")
    return "\n".join(map(escape_controls, lines))


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

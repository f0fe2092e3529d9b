"""The plan as a person reads it on a terminal."""

from collections.abc import Iterator
from textwrap import wrap

from batch_updater.app.run import Run
from batch_updater.common.text import count, escape_controls, shown

FEW = 2000  # orders that are soon read


def describe(run: Run, width: int = 80) -> str:
    """Return the plan of a run as text whose sentences fit `width` columns."""
    return "\n".join(map(escape_controls, _lines(run, width)))


def _lines(run: Run, width: int) -> Iterator[str]:
    plan, tenant, settings = run.plan, run.tenant, run.settings
    yield f"Plan for {run.facts.input} ({run.source.description})"
    service = tenant.base_url or "none yet"
    yield f"  SERVICE   {service}{'   ** PRODUCTION **' if settings.production else ''}"
    yield from _labelled("columns", _columns(run), width)
    if unused := run.columns.unused:
        yield from _labelled("not used", ", ".join(repr(shown(title)) for title in unused), width)
    yield f"  rows      {plan.rows:,}"
    yield f"  to send   {plan.to_send:,}{_duration(run)}"
    counts = {
        "in doubt": plan.in_doubt,
        "kept": plan.kept,
        "done": plan.done - plan.kept,
        "duplicate": plan.duplicates,
        "invalid": plan.invalid,
        "conflict": plan.conflicts,
        "tidied": plan.normalised,
    }
    yield from (f"  {label:<9} {number:,}" for label, number in counts.items() if number)
    yield from _describe_statuses(run)
    if settings.compares:
        how = "by the order list where that is fewer requests" if settings.compare_list else "one by one"
        yield from _labelled(
            "compare", f"orders are read first, {how}; one that already has its status is left alone", width
        )
    if settings.canary and not run.facts.canary_passed and run.open_rows:
        first = count(min(settings.canary, run.open_rows), "row", "is", "are")
        yield from _labelled("canary", f"{first} sent first and read back; the others follow when that is right", width)
    if plan.to_send:
        yield from _labelled("undo", _about_undo(run), width)
    for note in _notes(run):
        yield from _labelled("note", note, width) if note else []
    for row, result, detail in plan.problems:
        yield from wrap(f"{row}: {result}: {detail}", width - 2, initial_indent="  ", subsequent_indent="      ")
    if (hidden := plan.invalid + plan.conflicts - len(plan.problems)) > 0:
        yield f"  … and {hidden:,} more; the result file names each"


def _about_undo(run: Run) -> str:
    if run.facts.compare:
        return "possible: what each order has now is recorded first"
    if run.resumed:
        return "not possible: nothing records what the orders had before"
    advice = "add --compare" if run.plan.to_send <= FEW else "with --compare it is"
    return f"not possible: nothing records what the orders have now; {advice}, which reads each of them first"


def _columns(run: Run) -> str:
    found, one = run.columns, run.settings.set_status
    status = f"every row gets {shown(one)!r}" if one else f"status = {shown(found.status_header)!r}"
    expected = f", expected = {shown(found.expect_header)!r}" if found.expect_header else ""
    return f"order = {shown(found.order_header)!r}, {status}{expected}"


def _notes(run: Run) -> list[str]:
    kept = f"kept are rows that {run.facts.carried_from} has done already" if run.plan.kept else ""
    return [run.tenant.unchecked, kept, *run.notes, *run.source.notes]


def _labelled(label: str, text: str, width: int) -> list[str]:
    """Return a sentence beside its label."""
    return wrap(text, width - 2, initial_indent=f"  {label:<10}", subsequent_indent=" " * 12)


def _describe_statuses(run: Run) -> list[str]:
    statuses, names = run.plan.statuses, run.tenant.names
    width = max((len(f"{number:,}") for number in statuses.values()), default=0)
    found = [
        f"  {'statuses' if not place else '':<9} {number:>{width},}  {shown(names.get(status, status))}"
        for place, (status, number) in enumerate(statuses.items())
    ]
    return found if len(found) <= 12 else [*found[:11], f"  {'':<9} … and {len(found) - 11} more statuses"]


def _duration(run: Run) -> str:
    requests = run.open_rows * (2 if run.settings.compares else 1)
    paced = requests / run.settings.rate if run.settings.rate else 0.0
    answered = requests * run.tenant.latency / run.settings.concurrency if run.tenant.latency else 0.0
    seconds = max(paced, answered)
    if seconds < 1:
        return ""
    return f", about {seconds:,.0f} s" if seconds < 120 else f", about {seconds / 60:,.0f} min"

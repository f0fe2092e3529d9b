"""What a run would do: the counts of its plan, and what its orders have now. Nothing is sent."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch_updater.app.run import Run
from batch_updater.app.verify import read_every_order
from batch_updater.common.errors import SettingsError
from batch_updater.common.models import Result
from batch_updater.common.progress import OnProgress, Stop
from batch_updater.reports.results import write_results
from batch_updater.reports.rows import ResultRows

MOST_NAMED = 100
_PROBLEMS = (Result.INVALID, Result.CONFLICT)


@dataclass(frozen=True, slots=True)
class Preview:
    """What the orders of a plan have now.

    `statuses` counts orders by the status that each has now and the one that it would get, by ids. `unknown` names the
    first 100 rows whose order the service does not have, with the order's id; `unreadable` counts the orders that could
    not be read for another reason. `reason` says why not all were read, and `exit_code` is that of a run which ends so;
    empty and 0 when all were.
    """

    statuses: dict[tuple[str, str], int]
    unknown: tuple[tuple[int, str], ...]
    unknown_orders: int
    unreadable: int
    reason: str = ""
    exit_code: int = 0

    @property
    def already(self) -> int:
        """Orders that have the status already."""
        return sum(number for (now, new), number in self.statuses.items() if now == new)


async def preview(
    run: Run, stop: Stop | None = None, on_progress: OnProgress | None = None, *, catch_signals: bool = False
) -> Preview:
    """Read every order of a planned run; no update is sent. `catch_signals` is as in `send`.

    Raises JournalError, or SettingsError without a token.
    """
    run.journal.clear_readings()
    code, reason = await read_every_order(run, stop or Stop(), on_progress, catch_signals=catch_signals)
    symbols = run.journal.reading_symbols()
    return Preview(
        statuses=run.journal.reading_statuses(),
        unknown=tuple(run.journal.orders_read_as("-", MOST_NAMED)),
        unknown_orders=symbols.get("-", 0),
        unreadable=symbols.get("!", 0),
        reason=reason,
        exit_code=int(code),
    )


def write_problems(run: Run, path: Path) -> tuple[int, list[str]]:
    """Write the rows of a planned run that will not be sent, with the reasons, as a result file.

    They are the invalid and conflicting ones. The file can be corrected and run. Return their number, and notes on what
    the file could not hold. Raises SettingsError.
    """
    rows, source = ResultRows(run.source, run.journal, ""), run.source
    problems = (row for row in rows if row.result in _PROBLEMS)
    try:
        written = write_results(path, source.header, problems, None, source.password, delimiter=source.delimiter)
    except OSError as error:
        raise SettingsError(f"{path} can't be written: {error.strerror}.", "choose another place") from None
    return sum(rows.results[word] for word in _PROBLEMS), written.notes


def trial_summary(run: Run, found: Preview | None = None) -> dict[str, Any]:
    """Return what `plan --json` prints: the words of the summary, with nothing sent, and what the orders have now."""
    plan = run.plan
    counts = Counter({"not_sent": plan.to_send, "unknown": plan.in_doubt, "duplicate": plan.duplicates})
    counts += Counter(run.journal.results())
    summary = {
        "schema": 1, "run_id": None, "input": run.facts.input, "base_url": run.facts.base_url, "exit_code": 0,
        "resumable": False, "rows": plan.rows, "results": dict(counts),
        "codes": run.journal.codes(), "statuses": plan.statuses, "notes": [*run.notes, *run.source.notes],
    }  # fmt: skip
    if found is None:
        return summary
    orders = [{"now": now, "new": new, "orders": number} for (now, new), number in found.statuses.items()]
    unknown = [{"row": row, "order_id": order} for row, order in found.unknown]
    return {
        **summary, "exit_code": found.exit_code, "reason": found.reason,
        "preview": {
            "orders": orders, "already": found.already, "unknown_orders": found.unknown_orders, "unknown": unknown,
            "unreadable": found.unreadable,
        },
    }  # fmt: skip

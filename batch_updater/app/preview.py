"""What a run would do, without sending anything."""

import asyncio
from typing import TYPE_CHECKING, Any

from batch_updater.app.run import Run
from batch_updater.common.errors import InputError
from batch_updater.common.models import OrderStatus
from batch_updater.common.settings import Settings
from batch_updater.planning.preflight import Tenant, probe_service

if TYPE_CHECKING:
    pass


def read_statuses(tenant: Tenant, settings: Settings) -> tuple[OrderStatus, ...]:
    """The tenant's order statuses. Raises CredentialsError, StoppedError, or InputError when none are listed."""
    tenant = asyncio.run(probe_service(tenant, settings))
    if tenant.book is None:
        raise tenant.failure or InputError(
            f"There are no statuses to list: {tenant.unchecked}.", "a sheet of status ids can be sent anyway"
        )
    return tenant.book.statuses


def trial_summary(run: Run) -> dict[str, Any]:
    """What `plan --json` prints: the words of the summary, with nothing sent."""
    plan = run.plan
    counts = {
        "not_sent": plan.to_send,
        "duplicate": plan.duplicates,
        "invalid": plan.invalid,
        "conflict": plan.conflicts,
    }
    return {
        "schema": 1, "run_id": None, "input": run.facts.input, "base_url": run.facts.base_url, "exit_code": 0,
        "resumable": False, "rows": plan.rows, "results": {word: n for word, n in counts.items() if n},
        "codes": run.journal.codes(), "statuses": plan.statuses, "notes": run.source.notes,
    }  # fmt: skip

"""What keeps a run from sending: too many failures over all its starts, or the time that the service asked for."""

import time
from dataclasses import dataclass, field
from typing import Any

from batch_updater.common.errors import StoppedError
from batch_updater.common.models import Result
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings
from batch_updater.common.text import count
from batch_updater.journal.facts import RunFacts
from batch_updater.journal.reader import JournalReader
from batch_updater.sending.brake import Brake, is_refused
from batch_updater.sending.health import wait_error


@dataclass(frozen=True, slots=True)
class FailureLimit:
    """How many rows of a run have failed or are unknown, and how many may; `allowed` is None when no limit is set.

    Then the brake stops a run whose first rows are all refused.
    """

    failed: int
    allowed: int | None
    brake: Brake = field(default_factory=Brake)

    @property
    def refusal(self) -> StoppedError | None:
        """Why a start would send nothing, when more rows have failed than may."""
        allow = Remedy("see the result file for the reasons; to go on, allow more with {max_failures}")
        if found := self.brake.why():
            return StoppedError(f"{found.message} Nothing was sent.", [found.hint, allow])
        if self.allowed is None or self.failed <= self.allowed:
            return None
        over = count(self.allowed, "row", "of this run has", "of this run have")
        what = f"More than {over} failed, {self.failed:,} in all; nothing was sent."
        return StoppedError(what, allow)

    @property
    def next_allowed(self) -> int | None:
        """A limit to go on with, by which as many rows again may fail; None when the present one will do."""
        return self.failed + max(self.allowed or self.failed, 1) if self.refusal else None


def failure_limit(journal: JournalReader, settings: Settings) -> FailureLimit:
    """Return the limit that these settings set to a run; a share is of all rows that the run was to send."""
    refusals, results = journal.refusals(), journal.results()
    failed = sum(refusals.values())
    if settings.max_failures is not None:
        return FailureLimit(failed, settings.failure_limit(journal.to_send_in_all()), Brake(is_off=True))
    accepted = results.get(Result.UPDATED, 0) + results.get(Result.UNCHANGED, 0)
    refused = [(kind, number) for kind, number in refusals.items() if is_refused(Result.FAILED, *kind)]
    return FailureLimit(failed, None, Brake(refused, is_off=accepted > 0))


def last_failure_limit(journal: JournalReader, facts: RunFacts) -> FailureLimit:
    """Return the limit that the last start of a run had."""
    last: dict[str, Any] = {"max_failures": facts.settings.get("max_failures")}
    return failure_limit(journal, Settings(**last))


def wait_refusal(facts: RunFacts) -> StoppedError | None:
    """Return why a start would send nothing, before the time that the service has named."""
    if facts.not_before <= time.time():
        return None
    return wait_error(facts.not_before, "it said so to an earlier start; nothing was sent")

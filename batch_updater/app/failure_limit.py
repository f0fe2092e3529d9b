"""The limit of failures, counted over all starts of a run."""

from dataclasses import dataclass
from typing import Any

from batch_updater.common.errors import StoppedError
from batch_updater.common.models import Result
from batch_updater.common.remedies import Remedy
from batch_updater.common.settings import Settings
from batch_updater.journal.facts import RunFacts
from batch_updater.journal.reader import JournalReader


@dataclass(frozen=True, slots=True)
class FailureLimit:
    """How many rows of a run have failed or are unknown, and how many may; 0 and None when there is no limit."""

    failed: int
    allowed: int | None

    @property
    def refusal(self) -> StoppedError | None:
        """Why a start would send nothing, when more rows have failed than may."""
        if self.allowed is None or self.failed <= self.allowed:
            return None
        return StoppedError(
            f"More than {self.allowed:,} rows of this run have failed, {self.failed:,} in all; nothing was sent.",
            Remedy("see the result file for the reasons; to go on, allow more with {max_failures}"),
        )

    @property
    def next_allowed(self) -> int | None:
        """A limit to go on with, by which as many rows again may fail; None when the present one will do."""
        return self.failed + max(self.allowed or 0, 1) if self.refusal else None


def failure_limit(journal: JournalReader, settings: Settings) -> FailureLimit:
    """Return the limit that these settings set to a run; a share is of all rows that the run was to send."""
    if settings.max_failures is None:
        return FailureLimit(0, None)
    results = journal.results()
    failed = results.get(Result.FAILED, 0) + results.get(Result.UNKNOWN, 0)
    return FailureLimit(failed, settings.failure_limit(journal.to_send_in_all()))


def last_failure_limit(journal: JournalReader, facts: RunFacts) -> FailureLimit:
    """Return the limit that the last start of a run had."""
    last: dict[str, Any] = {"max_failures": facts.settings.get("max_failures")}
    return failure_limit(journal, Settings(**last))

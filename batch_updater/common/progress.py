"""How a caller stops a running use case, and how it learns how far that has come."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from batch_updater.common.models import Result

NOT_RIGHT = (Result.FAILED.value, "*", "-", "!")


class Stop:
    """A handle that ends a run or a verification early; from any thread, before it, during it or after it.

    It holds no lock, so that a signal handler can use it too.
    """

    def __init__(self) -> None:
        self._listeners: deque[Callable[[], None]] = deque()
        self.requested = False

    def request(self) -> None:
        """Ask to stop: nothing more is sent, requests in flight are allowed to finish. Idempotent."""
        self.requested = True
        self._notify()

    @contextlib.contextmanager
    def calling(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call `listener` once when the stop is requested during the block, or at once when it was before.

        It is called in the thread that makes the request.
        """
        self._listeners.append(listener)  # before the check: a request in between finds it
        if self.requested:
            self._notify()
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):  # it has been called
                self._listeners.remove(listener)

    def _notify(self) -> None:
        while True:
            try:
                listener = self._listeners.popleft()
            except IndexError:
                return
            listener()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run or a verification has come. Times are seconds since the epoch.

    `stage` is one of settling, comparing, canary, sending, reading back, rechecking and verifying.
    `results` counts the rows that have ended in this start by result word, of a verification by symbol; a row that is
    still to be read back counts as unknown. `rows` is how many there are to end. `limit` is requests per second,
    `window` the most requests in flight that the service takes, None for none. `pause_reason` is the result code of the
    answer that caused the pause. While the service does not answer, `last_seen` is the detail of the last failure, and
    `outage_until` is when the run gives up. `requests` counts, as the summary does, `put`, `get`, `token`, `retried`
    (attempts after the first) and `throttled` (answers that asked for fewer).
    """

    stage: str
    rows: int
    results: Mapping[str, int] = field(default_factory=dict)
    in_flight: int = 0
    rows_per_second: float = 0.0
    limit: float | None = None
    window: int | None = None
    paused_until: float | None = None
    pause_reason: str = ""
    outage_since: float | None = None
    outage_until: float | None = None
    last_seen: str = ""
    requests: Mapping[str, int] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """Rows that have ended."""
        return sum(self.results.values())

    @property
    def failed(self) -> int:
        """Rows that have failed, or orders that do not have the wanted status."""
        return sum(self.results.get(word, 0) for word in NOT_RIGHT)

    @property
    def unconfirmed(self) -> int:
        """Rows that no answer has confirmed, still to be read back or not to be read."""
        return self.results.get(Result.UNKNOWN.value, 0)


OnProgress = Callable[[Progress], None]

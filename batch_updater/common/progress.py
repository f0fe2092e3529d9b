"""What passes between a use case at work and those who watch it: the wish to stop, and how far it has come."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from batch_updater.common.models import Result

NOT_RIGHT = (Result.FAILED.value, Result.UNKNOWN.value, "*", "-", "!")


class Stop:
    """The wish that a run or a verification ends early; from any thread, before it, during it or after it.

    It holds no lock, so that it can be requested from a signal handler too.
    """

    def __init__(self) -> None:
        self._listeners: deque[Callable[[], None]] = deque()
        self.requested = False

    def request(self) -> None:
        """Ask to stop: nothing more is sent, what is in flight is allowed to finish. Again does nothing more."""
        self.requested = True
        self._tell()

    @contextlib.contextmanager
    def told_to(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call `listener` once when the stop is requested during the block, or at once when it was before.

        It is called in the thread that requests.
        """
        self._listeners.append(listener)  # before it is asked whether: a request in between finds it
        if self.requested:
            self._tell()
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):  # it has been told
                self._listeners.remove(listener)

    def _tell(self) -> None:
        while True:
            try:
                listener = self._listeners.popleft()
            except IndexError:
                return
            listener()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run or a verification has come. Times are seconds since the epoch.

    `stage` says what is going on: settling, comparing, canary, sending, reading back, rechecking or verifying.
    `results` counts the rows that have ended in this start by result word, of a verification by symbol; `rows` is how
    many there are to end. `limit` is requests per second, None for none. `pause_reason` is the result code of the
    answer that made it pause, `last_seen` what the last failed request saw. `requests` counts, as the summary does,
    `put`, `get`, `token`, `retried` (attempts after the first) and `throttled` (answers that asked for less).
    """

    stage: str
    rows: int
    results: Mapping[str, int] = field(default_factory=dict)
    in_flight: int = 0
    rows_per_second: float = 0.0
    limit: float | None = None
    paused_until: float | None = None
    pause_reason: str = ""
    outage_since: float | None = None
    last_seen: str = ""
    requests: Mapping[str, int] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """Rows that have ended."""
        return sum(self.results.values())

    @property
    def failed(self) -> int:
        """Rows that have ended, or orders that were found, otherwise than was wanted."""
        return sum(self.results.get(word, 0) for word in NOT_RIGHT)


OnProgress = Callable[[Progress], None]

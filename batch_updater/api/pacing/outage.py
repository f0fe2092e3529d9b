"""Whether the service is down. Pure state over a clock."""

FAILURES_IN_A_ROW = 20
PROBE_FIRST = 0.5
PROBE_LONGEST = 30.0


class Outage:
    """The service counts as down after 20 system failures in a row, silent ones or over at least a second.

    While it is down one request at a time may leave, at intervals that double from 0.5 s to 30 s.
    """

    def __init__(self) -> None:
        self._failures = self._silent = 0
        self._first = 0.0
        self._since: float | None = None
        self._next = 0.0
        self._interval = PROBE_FIRST

    def succeeded(self) -> None:
        """Record that a request was answered normally."""
        self._failures, self._silent, self._since = 0, 0, None

    def failed(self, now: float, *, silent: bool) -> None:
        """Record that a request ended without an answer (`silent`), or with an error of the service."""
        self._failures += 1
        self._silent = self._silent + 1 if silent else 0
        if self._failures == 1:
            self._first = now
        down = self._silent >= FAILURES_IN_A_ROW or (self._failures >= FAILURES_IN_A_ROW and now - self._first >= 1.0)
        if self._since is None and down:
            self._since, self._interval, self._next = now, PROBE_FIRST, now + PROBE_FIRST

    @property
    def is_on(self) -> bool:
        """Whether the service counts as down."""
        return self._since is not None

    def wait(self, now: float) -> float:
        """Return the seconds until a request may leave, 0 for at once."""
        return 0.0 if self._since is None else max(self._next - now, 0.0)

    def departed(self, now: float) -> None:
        """Record that a request leaves; while the service is down it is a probe, and the next one waits longer."""
        if self._since is not None:
            self._interval = min(self._interval * 2, PROBE_LONGEST)
            self._next = now + self._interval

    def lasted(self, now: float) -> float:
        """Return the seconds since the service was found to be down; 0 when it is not."""
        return 0.0 if self._since is None else now - self._since

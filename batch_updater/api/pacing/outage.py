"""Whether the service works, and whose fault a failure is. Pure state over a clock; times are seconds.

UP --20 failures with no good answer between, or 3 of the only request in flight--> SUSPECTED
SUSPECTED --a probe is answered--> UP
SUSPECTED --it is not--> DOWN, until a later probe is answered
"""

import math

FAILURES_IN_A_ROW = 20
FAILURES_ALONE = 3
FIRST_PROBE_AGAIN = 0.5
LONGEST_PROBE_WAIT = 30.0
GRACE = 1.0  # seconds for which a suspicion is kept back
VOUCHED = 10.0  # seconds for which the answer to a neutral request shows that the service works


class Outage:
    """What the last answers say of the service. `last_seen` is the detail of the last failure.

    While it is suspected nothing but a probe leaves: at once, then after 0.5 s, doubling to 30 s.
    """

    def __init__(self) -> None:
        self.since: float | None = None  # when the first of the failures came; None unless a probe has failed too
        self.is_suspected = False
        self.last_seen = ""
        self._failures = 0
        self._first = 0.0
        self._good, self._vouched = 0, -math.inf  # departures before the last good answer; the last neutral one
        self._next, self._interval = 0.0, FIRST_PROBE_AGAIN

    def works(self, departed: int) -> None:
        """Record a good answer, when so many requests had left."""
        self._good = departed
        self.answers()

    def answers(self) -> None:
        """Record an answer that shows no more than that somebody is there."""
        self._failures, self.is_suspected, self.since = 0, False, None

    def vouched(self, departed: int, now: float) -> None:
        """Record an answer that shows the service to work whatever becomes of single orders, such as a probe's."""
        self.works(departed)
        self._vouched = now

    def failed(self, now: float, why: str, *, alone: bool) -> None:
        """Record a request that ended without an answer or with an error of the service; `alone`: no other was left."""
        self._first = self._first if self._failures else now
        self._failures, self.last_seen = self._failures + 1, why
        if self._failures >= (FAILURES_ALONE if alone else FAILURES_IN_A_ROW):
            self.suspect(now, why)

    def suspect(self, now: float, why: str) -> None:
        """Let nothing but a probe leave from now on."""
        self.last_seen = why
        if not self.is_suspected:
            self.is_suspected, self._next, self._interval = True, now, FIRST_PROBE_AGAIN
            self._first = self._first if self._failures else now

    def probe_failed(self, now: float, why: str, wait: float = 0.0) -> None:
        """Record a probe that was not answered, or with an error of the service, which asks to `wait` so long."""
        self.suspect(now, why)
        self._vouched = -math.inf
        self.since = self._first if self.since is None else self.since
        self._next, self._interval = now + max(self._interval, wait), min(self._interval * 2, LONGEST_PROBE_WAIT)

    def has_worked_since(self, departure: int, now: float) -> bool:
        """Return whether the service has been shown to work since this departure, so that its failure is its own."""
        return self._good >= departure or now - self._vouched < VOUCHED

    def wait(self, now: float) -> float:
        """Return the seconds until the next probe may leave, 0 for at once."""
        return max(self._next - now, 0.0) if self.is_suspected else 0.0

    def lasted(self, now: float) -> float:
        """Return the seconds since the service stopped answering; 0 when it works."""
        return 0.0 if self.since is None else now - self.since

    def suspected_for(self, now: float) -> float:
        """Return the seconds since the first failure of a suspected service; 0 until the probe has had a second."""
        return now - self._first if self.is_suspected and now - self._next >= GRACE else 0.0

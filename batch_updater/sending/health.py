"""When a run must stop for the sake of the service, by the answers to all rows; and the probe of one that is down.

A row has `--retries` for its own failures. What is refused for load costs no row anything, and neither does a service
that is down; both stop the run when they last for the `--outage-budget`.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from batch_updater.api.pacing.pacer import Pacer
from batch_updater.common.errors import CredentialsError, StoppedError
from batch_updater.common.models import Answer, Verdict
from batch_updater.common.remedies import Remedy
from batch_updater.common.text import moment
from batch_updater.sending.control import Control

RECENT = 50  # answers by which a storm of 503 is told
STORM = 10  # more of them that are 503 than this
TELLS_ALL = frozenset({425, 429, 503})  # statuses that speak for the whole service
Ask = Callable[[], Awaitable[Answer[Any]]]


class Health:
    """Follows the answers to all rows, and stops the run by `control`.

    `ask` is a neutral request: it reads the list of statuses, once. `budget` is seconds. `not_before` is the time,
    in seconds since the epoch, before which the service does not want to be asked again; 0 when it named none.
    """

    def __init__(self, pacer: Pacer, control: Control, ask: Ask, budget: float) -> None:
        self._pacer, self._control, self._ask, self._budget = pacer, control, ask, budget
        self.not_before = 0.0
        self._asked_to_wait: set[str] = set()  # orders whose answers named too long a time
        self._unauthorized: set[str] = set()  # orders whose token was refused since something was accepted
        self._is_token_refused = False
        self._unavailable = deque([False] * RECENT, RECENT)  # whether each of the last answers was a 503
        pacer.has_prober = True

    def saw(self, answer: Answer[Any], order_id: str, *, is_load: bool) -> None:
        """Take an answer into account; stop when the service asks for more time than the run has."""
        self._unavailable.append(answer.http_status == 503)
        if self._unauthorized and answer.verdict in {Verdict.DONE, Verdict.REFUSED} and answer.payload is None:
            self._unauthorized.clear()  # an update was accepted; a reading says nothing of who may update
        if answer.wait is None or answer.wait <= self._budget or is_load:
            return
        self._asked_to_wait.add(order_id)
        if answer.http_status in TELLS_ALL or len(self._asked_to_wait) > 1:
            self.not_before = max(time.time() + answer.wait, self.not_before)
            self._control.fail(wait_error(self.not_before, f"{answer.http_status}, {answer.detail}"))

    def is_doubtful(self, answer: Answer[Any]) -> bool:
        """Return whether the update of this answer may have been applied. In a storm of 503 nobody looks at updates."""
        return answer.is_doubtful and not (answer.http_status == 503 and sum(self._unavailable) > STORM)

    def check(self) -> None:
        """Stop when a budget is used up."""
        pacer = self._pacer
        if (seconds := pacer.outage_for) and seconds >= self._budget:
            what = f"The service has not worked for {self._budget:g} s ({pacer.outage.last_seen})."
            self._control.fail(StoppedError(what, "run again when it is back"))
        elif (seconds := pacer.refused_for) and seconds >= self._budget:
            what = f"The service has accepted nothing for {self._budget:g} s; it asks for fewer requests."
            self._control.fail(StoppedError(what, Remedy("run again later, or with a lower {rate}")))

    async def is_token_refused(self, order_id: str) -> bool:
        """Return whether a refused token is no good for any request, rather than for this order alone.

        It is when another order was refused too and nothing was accepted between, or when the list of statuses is.
        """
        self._unauthorized.add(order_id)
        if not self._is_token_refused:
            others = len(self._unauthorized) > 1
            self._is_token_refused = others or (await self._ask()).verdict is Verdict.UNAUTHORIZED
        return self._is_token_refused

    async def probe(self) -> None:
        """While the service is suspected to be down, ask for its statuses now and then; until the run stops."""
        pacer, control = self._pacer, self._control
        while not control.stopping.is_set():
            await pacer.suspected.wait()
            if (wait := pacer.probe_wait) > 0:
                await control.sleep(min(wait, 1.0))
                continue
            try:
                answer = await self._ask()
            except Exception as error:  # there is no token; after a bug, rows would wait for a probe in vain
                control.fail(error)
                return
            if answer.verdict is Verdict.UNAUTHORIZED:
                control.fail(CredentialsError("The service did not accept the token.", "get a new one, run again"))
            elif answer.needs_human:
                control.fail(StoppedError(f"Stopped: {answer.detail}.", answer.hint))
            elif answer.verdict is Verdict.REFUSED:
                pacer.has_prober = False  # this request says nothing: the next row in line is the probe
                return
            pacer.probed(answer)


def wait_error(until: float, why: str = "") -> StoppedError:
    """Return the error of a service that does not want to be asked before a time, in seconds since the epoch."""
    reason = f" ({why})" if why else ""
    return StoppedError(f"The service asks to wait until {moment(until)}{reason}.", "run again then")

"""Stop a run that is refused from the start: nothing it does is right, and more of it helps nobody."""

from collections import Counter
from collections.abc import Iterable

from batch_updater.api.protocol import CHECK_ADDRESS
from batch_updater.common.errors import BatchUpdaterError, CredentialsError, StoppedError
from batch_updater.common.models import Result, RowOutcome

FEW, MANY = 20, 100  # refusals by which a reason is told: of any address or account, or of the orders in a sheet
ABOUT_ORDERS = frozenset({"order_not_found", "validation_error", "conflict", "precondition_failed", "server_error"})
CHECKS = {
    "wrong_address": CHECK_ADDRESS,
    "forbidden": "check which rights the account has",
    "server_error": "tell whoever runs the service, and run again when it is mended",
    "order_not_found": "check that the ids are those of orders, and of this tenant",
}
ACCEPTED = frozenset({Result.UPDATED, Result.UNCHANGED})
Reason = tuple[str, int | None]  # the result code and the HTTP status


class Brake:
    """Counts the first rows of a run, while all of them are refused for the same reason and none is accepted."""

    def __init__(self, refused: Iterable[tuple[Reason, int]] = (), *, is_off: bool = False) -> None:
        """Begin with rows that earlier starts had refused; `is_off`: something was accepted then, or a limit is set."""
        self._refused: Counter[Reason] = Counter(dict(refused))
        self.is_off = is_off

    def add(self, outcome: RowOutcome) -> BatchUpdaterError | None:
        """Count a row that has ended; return why the run must stop."""
        if outcome.result in ACCEPTED:
            self.is_off = True
        if self.is_off or not is_refused(outcome.result, outcome.code, outcome.http_status):
            return None
        return self.refuse(outcome.code, outcome.http_status, outcome.detail)

    def refuse(self, code: str, http_status: int | None, detail: str) -> BatchUpdaterError | None:
        """Count the first answer to a row; return why the run must stop."""
        self._refused[code, http_status] += 1
        return None if self.is_off else self.why(detail)

    def why(self, detail: str = "") -> BatchUpdaterError | None:
        """Return why the run must stop; None while something was accepted, or there are several reasons."""
        if self.is_off or len(self._refused) != 1:
            return None
        (((code, http_status), number),) = self._refused.items()
        if number < (MANY if code in ABOUT_ORDERS else FEW):
            return None
        said = f" ({http_status})" if http_status else ""
        what = f"The first {number:,} rows were all refused for one reason, {code}{said}, and none was accepted"
        if http_status == 401:
            return CredentialsError(f"{what}.", "get a token of an account that may update orders, run again")
        hint = CHECKS.get(code, "check the service's address, the account and the sheet")
        return StoppedError(f"{what}: {detail}." if detail else f"{what}.", hint)


def is_refused(result: str, code: str, http_status: int | None) -> bool:
    """Return whether a row that has ended so was refused; what fails by the service's own fault is counted apart."""
    return result == Result.FAILED and http_status is not None and 400 <= http_status < 500 and http_status != 408

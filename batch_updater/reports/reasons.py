"""Why rows are not done: what each machine word means, what to do about it, and the counts of a run."""

from collections.abc import Mapping
from dataclasses import dataclass

from batch_updater.common.models import NOT_DONE, Result, ResultRow
from batch_updater.common.summary import Reason

REFUSED = frozenset({  # codes of rows that the service refuses again while nothing else is changed
    "order_not_found", "wrong_address", "forbidden", "validation_error", "conflict", "precondition_failed",
})  # fmt: skip
EXAMPLES = 3
OTHER = "other"
KINDS = 200  # pairs of result and code; the program knows some 30, a damaged journal may hold any


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a `result_code` means for a row, and what to do about it, perhaps by a command; empty for nothing."""

    explanation: str
    what_to_do: str = ""
    command: str = ""


_RETRY = "Run the result file again with --only failed,unknown; nothing is sent twice that is confirmed."
_GO_ON = "To resume this run, type the same command again, or the one that is proposed."
_CORRECT = "Correct these cells in the result file, then run it with --only invalid."
MEANINGS: Mapping[str, Meaning] = {
    "ok": Meaning("The API confirmed the update."),
    "already_set": Meaning("The order had this status already; nothing was sent."),
    "confirmed_after_interruption": Meaning("A start was interrupted; read back, the order has the status."),
    "confirmed_by_reading": Meaning("No answer confirmed it; read back, the order has the status."),
    "duplicate_row": Meaning("The same order and status as an earlier row, whose result counts for both."),
    "order_not_found": Meaning(
        "The service has no such order.",
        "Check the ids against Evreka360, and that the sheet belongs to this tenant.",
    ),
    "wrong_address": Meaning(
        "The service does not know the request's address.",
        "Check the base URL, and the prefix in it.",
    ),
    "ambiguous_order": Meaning("Several orders have this name.", "Write the order's id instead. " + _CORRECT),
    "no_previous_status": Meaning(
        "The status before was not recorded.",
        "Set these orders by hand; a run with --compare records what can be put back.",
    ),
    "bad_order_id": Meaning("The order id can't be one.", _CORRECT),
    "bad_status_id": Meaning("The status id can't be one.", _CORRECT),
    "missing_value": Meaning("The order id or the status is empty.", _CORRECT),
    "short_row": Meaning("The row has fewer cells than the header.", "Add the missing cells or their delimiters."),
    "merged_cell": Meaning("The cell is merged with another one.", "Unmerge it and fill the value in. " + _CORRECT),
    "formula_without_value": Meaning(
        "The cell has a formula whose result the file does not hold.", "Open the sheet, let it calculate, and save it."
    ),
    "number_format": Meaning(
        "The cell's number format may show something else than its value.",
        "Format the column as text and type what was meant. " + _CORRECT,
    ),
    "order_is_status": Meaning(
        "The order id is the id of a status.", "Columns may be swapped: check --order-column and --status-column."
    ),
    "unknown_status": Meaning(
        "The tenant has no such status, or several with this name.",
        "Look the names up, or map them under [status_map] in the config file.",
        "statuses",
    ),
    "conflicting_rows": Meaning(
        "Several rows give one order different statuses.",
        "Delete the wrong rows, or choose --on-conflict first, last or sequence.",
    ),
    "status_moved": Meaning(
        "The order has another status now than was expected.",
        "It was changed meanwhile: check these orders before you send anything.",
    ),
    "unauthorized": Meaning(
        "The service did not accept the token.",
        "Get a new token, then run the same command again. Where other rows were accepted, ask who may change these.",
    ),
    "forbidden": Meaning(
        "The account may not change these orders.", "Ask for the permission, or use another account; then retry."
    ),
    "validation_error": Meaning(
        "The API refused the values.", "Read the API's reason in result_detail; the status may not fit the order."
    ),
    "conflict": Meaning(
        "The API says that the order's present state does not allow it.", "Check these orders in Evreka360."
    ),
    "precondition_failed": Meaning(
        "The API's condition for the change was not met.", "Check these orders in Evreka360."
    ),
    "rate_limited": Meaning("The service refused to take so many requests.", f"Set a lower --rate. {_RETRY}"),
    "server_error": Meaning("The service failed on every attempt.", f"Wait until it is well. {_RETRY}"),
    "timeout": Meaning("No answer came in time.", f"Try a longer --timeout or fewer --concurrency. {_RETRY}"),
    "connection_error": Meaning("The connection failed on every attempt.", f"Check the network. {_RETRY}"),
    "tls_error": Meaning(
        "No trusted TLS connection could be made.",
        "Check the base URL, this machine's clock and --ca-file; then run the same command again.",
    ),
    "proxy_error": Meaning(
        "The proxy made no connection to the service.",
        "Check --proxy and the proxy's credentials; then run the same command again.",
    ),
    "unexpected_response": Meaning(
        "The service answered something that is not in its description.",
        "Check that the base URL is the API's, and not that of a proxy or a sign-in page; then retry.",
    ),
    "redirect": Meaning(
        "The service answered with a redirect.",
        "Check the base URL. If it was wrong, correct it and add --restart; else run the same command again.",
    ),
    "not_applied": Meaning(
        "The update did not show when the order was read back.", "Check these orders in Evreka360, then retry."
    ),
    "overtaken": Meaning(
        "A late answer to an earlier row of the order undid this one.", "Run the result file again with --only failed."
    ),
    "stopped": Meaning("The run stopped before this row.", _GO_ON),
}
_OTHER = Meaning("A reason this version does not know.", "Read result_detail.")
_LEFT_IN_DOUBT = Meaning(
    "The run ended while these rows were under way.",
    "Run the same command again: they are read back first, and sent again only where that is needed.",
)
_UNSETTLED = Meaning(
    "Sent, and neither an answer nor reading back could settle it.",
    "Read the orders back, or run the result file with --only unknown.",
    "verify",
)


def meaning(result: Result, code: str) -> Meaning:
    """Return what this pair means; a row that is unknown or was not sent needs other steps than a refused one."""
    known = MEANINGS.get(code, _OTHER)
    if result is Result.UNKNOWN:
        if code == "stopped":
            return _LEFT_IN_DOUBT
        last = known.explanation[0].lower() + known.explanation[1:]
        return Meaning(f"{_UNSETTLED.explanation} Last: {last}", _UNSETTLED.what_to_do, _UNSETTLED.command)
    if result is Result.NOT_SENT and "same command" not in known.what_to_do:
        return Meaning(f"The run stopped. {known.explanation}", _GO_ON)
    return known


def fails_again(reason: Reason) -> bool:
    """Whether rows that are not done for this reason would end the same way if they were sent as they are."""
    return reason.result in {Result.INVALID, Result.CONFLICT} or (
        reason.result is Result.FAILED and reason.code in REFUSED
    )


class ReasonCounts:
    """Groups rows that are not done by result and code as they stream by. Memory does not grow with the rows."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Result, str], int] = {}
        self._examples: dict[tuple[Result, str], list[tuple[int, str, str]]] = {}

    def add(self, row: ResultRow, name: str) -> None:
        """Count one row, unless it is done or a duplicate; `name` is what a person calls it."""
        if row.result not in NOT_DONE:
            return
        group = (row.result, row.code)
        if group not in self._counts and len(self._counts) >= KINDS:
            group = (row.result, OTHER)
        self._counts[group] = self._counts.get(group, 0) + 1
        examples = self._examples.setdefault(group, [])
        if len(examples) < EXAMPLES:
            examples.append((row.row, name, row.detail))

    def top(self) -> tuple[Reason, ...]:
        """Return the groups, the largest first; equal ones in the order of their first row."""
        largest = sorted(self._counts.items(), key=lambda item: (-item[1], self._examples[item[0]][0][0]))
        return tuple(self._reason(group, number) for group, number in largest)

    def _reason(self, group: tuple[Result, str], number: int) -> Reason:
        known = meaning(*group)
        examples = tuple(self._examples[group])
        command = (known.command,) if known.command else ()
        return Reason(*group, number, known.explanation, known.what_to_do, examples, command)

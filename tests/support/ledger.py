"""What a service saw of its orders, request by request: which updates may have been applied, and which were read."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from itertools import accumulate
from typing import Any, Self

FORBIDDEN_TO_READ = {403, 405}
NOT_YET = {401, 408, 425, 429}  # says nothing about reading
INTERIM = re.compile(rb"HTTP/1\.1 1(00|02|03) ")  # before the answer proper
STORM, AROUND = 10, 70  # so many 503s among the answers around one: the service is busy and looks at nothing


@dataclass(frozen=True)
class Said:
    """What a client could learn from an answer: its code, 0 when there was none that can be read.

    `is_right`: it was the API's confirmation, or the order as it is. `waits`: it named a time to try again.
    """

    code: int = 0
    is_right: bool = False
    waits: bool = False


NOTHING = Said()


@dataclass(frozen=True)
class Request:
    """An update or a reading of one order, as its service saw it.

    `status` is what an update asks for, None when its body did not arrive; or what a reading showed, None if unknown.
    """

    order: str
    status: str | None = None
    is_reading: bool = False
    applied: bool = False
    said: Said = NOTHING

    @property
    def is_refused(self) -> bool:
        """Whether the service said that it did nothing: its own no, or that it did not look."""
        code = self.said.code
        return (300 <= code < 500 and code != 408) or (code >= 500 and self.said.waits)

    @classmethod
    def of_sandbox(cls, entry: Mapping[str, Any]) -> Self:
        """One entry of a sandbox's ledger about an order."""
        said = Said(entry["answer"] or 0, entry["answer"] == 200)
        return cls(entry["order_id"], entry["status_id"], entry["method"] == "GET", entry["applied"], said)


def read_answer(data: bytes, right: bytes) -> Said:
    """What the bytes of an answer say. They may be cut, or broken in any way."""
    while INTERIM.match(data):
        data = data.partition(b"\r\n\r\n")[2]
    head = data.partition(b"\r\n\r\n")[0]
    found = re.match(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) ", head)
    code = int(found[1]) if found else 0
    time = re.search(rb"(?i)\r\nretry-after:[ \t]*([^\r]*)", head)
    is_right = code == 200 and any(form in data for form in (right, right.decode().encode("utf-16")))
    return Said(code, is_right, bool(time and is_time_to_wait(time[1].decode("latin-1"))))


def is_time_to_wait(text: str) -> bool:
    """Whether the text of `Retry-After` says when: seconds or a date."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
        return True
    try:
        return bool(parsedate_to_datetime(text))
    except (ValueError, TypeError, IndexError, OverflowError):
        return False


@dataclass
class Doubts:
    """What is in doubt after these requests, in the order of their arrival.

    `open`: by order, the last update, if it may have been applied and was not read since. `unread`: what was sent again
    although the update before it was in doubt. `needless`: what was sent although a reading had shown it. `applied`:
    pairs of order and status. `confirmed`: those that the service confirmed, or showed afterwards. `cannot_read`:
    readings were refused for good, so none is asked for.
    """

    requests: Sequence[Request]
    open: dict[str, Request] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    needless: list[str] = field(default_factory=list)
    confirmed: set[tuple[str, str]] = field(default_factory=set)
    applied: set[tuple[str, str]] = field(default_factory=set)
    cannot_read: bool = False

    def __post_init__(self) -> None:
        self._last: dict[str, Request] = {}
        self._shown: dict[str, str | None] = {}  # by the last reading since the last update
        self._tried: set[str] = set()  # orders that were asked for since their last update, with or without success
        for request, busy in zip(self.requests, busy_times(self.requests), strict=True):
            if request.is_reading:
                self._read(request)
            else:
                self._update(request, looked=not (busy and request.said.code == 503))

    def _read(self, reading: Request) -> None:
        last = self._last.get(reading.order)
        self._tried.add(reading.order)
        if reading.said.is_right:
            self.open.pop(reading.order, None)
            self._shown[reading.order] = reading.status
            if last and last.status and (reading.status == last.status if reading.status else last.applied):
                self.confirmed.add((last.order, last.status))
        was_updated = last is not None and last.said.is_right
        is_refused = 400 <= reading.said.code < 500 and reading.said.code not in NOT_YET
        if reading.said.code in FORBIDDEN_TO_READ or (is_refused and was_updated):
            self.cannot_read = True

    def _update(self, update: Request, *, looked: bool) -> None:
        last, tried = self.open.pop(update.order, None), update.order in self._tried
        self._tried.discard(update.order)
        follows = last and update.status != last.status and (last.said.is_right or tried)  # in a sequence
        if last and not self.cannot_read and not follows:
            self.unread.append(f"{update.order} was sent again unread after {last.said.code or 'no answer'}")
        before, shown = self._last.get(update.order), self._shown.pop(update.order, None)
        if before and before.status and before.status == shown == update.status:
            self.needless.append(f"{update.order} was sent although a reading showed its status")
        self._last[update.order] = update
        if update.applied and update.status:
            self.applied.add((update.order, update.status))
        if update.said.is_right and update.status:
            self.confirmed.add((update.order, update.status))
        if looked and not update.is_refused:
            self.open[update.order] = update

    def has(self, order: str, status: str | None = None) -> bool:
        """Whether an order (with this status) was updated without a confirmation, a refusal, or a reading since."""
        update = self.open.get(order)
        return update is not None and not update.said.is_right and (not status or update.status in {None, status})


def busy_times(requests: Sequence[Request]) -> Iterator[bool]:
    """For each request, whether 503 was a common answer around it."""
    sums = [0, *accumulate(request.said.code == 503 for request in requests)]
    for place in range(len(requests)):
        yield sums[min(place + AROUND, len(requests))] - sums[max(place - AROUND, 0)] > STORM

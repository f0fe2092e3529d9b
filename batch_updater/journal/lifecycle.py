"""The life cycle of a row: named conditions as SQL, and what is left to do in a run.

Most rows go from planned to claimed to ended. A row that repeats an earlier one stays `waiting`; one that gives its
order another status is `queued` until the earlier one has ended. A claimed row is in doubt: its update may have been
applied, so its order is read before anything else happens to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from batch_updater.common.models import State
from batch_updater.journal.facts import RunFacts

IN_DOUBT = "state = 'claimed'"
ANY_PLANNED = "EXISTS (SELECT 1 FROM rows INDEXED BY rows_planned WHERE state = 'planned')"
ANY_QUEUED = "EXISTS (SELECT 1 FROM rows INDEXED BY rows_queued WHERE state = 'queued')"
TO_SEND = "state IN ('planned', 'queued', 'claimed')"
EVER_TO_SEND = (
    "state <> 'waiting' AND carried_from = ''"
    " AND NOT (state = 'ended' AND result IN ('invalid', 'conflict') AND claim = 0)"
)
# An order that is read first has a durable reading before its update is sent.
CERTAINLY_NOT_SENT = "{0}state = 'claimed' AND {0}previous_status_id IS NULL AND (? OR {0}expected_id <> '')"
OPEN_CLAIM = "state = 'claimed' AND result IS NOT 'unknown'"  # no outcome says yet what was sent
MAY_HAVE_CHANGED = (
    "(state = 'ended' AND result IN ('updated', 'unknown') AND carried_from = '')"
    f" OR (state = 'claimed' AND NOT ({CERTAINLY_NOT_SENT.format('')}))"
)
USABLE = (
    "{0}order_id <> '' AND ({0}result IS NULL OR {0}result NOT IN ('invalid', 'conflict')) AND {0}state <> 'waiting'"
)
LAST_WORD_ON_ITS_ORDER = (
    f"{USABLE.format('')} AND NOT EXISTS"  # noqa: S608 - constants
    f" (SELECT 1 FROM rows l WHERE l.order_id = rows.order_id AND l.row > rows.row AND {USABLE.format('l.')})"
)
DONE = "{0}state = 'ended' AND {0}result IN ('updated', 'unchanged')"
DECIDES = "d.row = CASE WHEN r.state = 'waiting' THEN r.leader ELSE r.row END"  # the row d whose result row r has
# Rows r that say last what their order is to have.
LAST_OF_ITS_ORDER = "r.row IN (SELECT max(row) FROM rows WHERE order_id <> '' GROUP BY order_id)"
MAY_HAVE_BEEN_SENT = (  # a token that was refused kept its update from being looked at
    "((attempts > 0 OR (state = 'ended' AND claim > 0)) AND code <> 'unauthorized') OR uncounted"
    f" OR (state = 'claimed' AND NOT ({CERTAINLY_NOT_SENT.format('')}))"
)
UNKNOWN = "state = 'ended' AND result = 'unknown'"
# The last row of a sequence that followed one whose answers were lost: a late answer may have undone it.
POSSIBLY_OVERWRITTEN = (
    "state = 'ended' AND result IN ('updated', 'unchanged') AND leader IS NOT NULL AND NOT EXISTS"
    " (SELECT 1 FROM rows l WHERE l.order_id = rows.order_id AND l.row > rows.row AND l.state = 'ended')"
    " AND EXISTS (SELECT 1 FROM rows e WHERE e.order_id = rows.order_id AND e.row < rows.row"
    " AND e.claim > 0"
    " AND NOT (e.code IN ('ok', 'already_set') AND e.attempts <= 1 AND NOT e.uncounted AND e.remark = ''))"
)


@dataclass(frozen=True, slots=True)
class WhatIsLeft:
    """What the next start would do: rows to read back first, rows to send, and whether to recheck sequences."""

    in_doubt: int
    to_send: int
    recheck: bool

    def __bool__(self) -> bool:
        return bool(self.in_doubt or self.to_send or self.recheck)


class _Rows(Protocol):
    def states(self) -> Mapping[str, int]: ...
    def possibly_overwritten(self, after: int, count: int) -> Sequence[object]: ...


def what_is_left(journal: _Rows, facts: RunFacts) -> WhatIsLeft:
    """Return what is left to do in a run of these facts; false when nothing is."""
    states = journal.states()
    to_send = states.get(State.PLANNED, 0) + states.get(State.QUEUED, 0)
    recheck = facts.ended_early and bool(journal.possibly_overwritten(0, 1))
    return WhatIsLeft(states.get(State.CLAIMED, 0), to_send, recheck)

"""Settle orders that several rows name, as SQL over a journal's planned rows.

The same status again is led by the first such row (`waiting`). Different statuses are decided by `--on-conflict`:
`hold` sends none, `first` and `last` choose one, `sequence` queues each row behind the one before (`queued`).
"""

from batch_updater.common.models import SENT

_VALUES = ", ".join(SENT)
_DIFFERS = " OR ".join(f"min({name}) <> max({name})" for name in SENT)
_CHANGES = " OR ".join(f"{name} IS NOT lag({name}) OVER w" for name in SENT)
_UNLIKE_FIRST = " OR ".join(f"{{row}}.{name} <> f.{name}" for name in SENT)
_FIND = (
    f"CREATE TEMP TABLE repeated AS SELECT order_id, {_DIFFERS} AS differs,"  # noqa: S608 - constants
    " min(row) AS first, max(row) AS last FROM rows WHERE state = 'planned' AND order_id IN"
    # The index alone tells the few orders that matter; without this every row would be looked up.
    " (SELECT order_id FROM rows WHERE order_id <> '' GROUP BY order_id HAVING count(*) > 1)"
    " GROUP BY order_id HAVING count(*) > 1",
    "CREATE UNIQUE INDEX temp.repeated_order ON repeated (order_id)",
)
# Each row names the first one that disagrees with it: the first of the order, or the first that differs from that.
_HOLD = (
    "CREATE TEMP TABLE held AS SELECT q.order_id, q.first, min(r.row) AS other FROM repeated q"  # noqa: S608 - constants
    " JOIN rows f ON f.row = q.first JOIN rows r ON r.order_id = q.order_id"
    f" WHERE q.differs AND r.state = 'planned' AND ({_UNLIKE_FIRST.format(row='r')}) GROUP BY q.order_id",
    "CREATE UNIQUE INDEX temp.held_order ON held (order_id)",
    "UPDATE rows SET state = 'ended', result = 'conflict', code = 'conflicting_rows', detail ="  # noqa: S608 - constants
    f" 'row ' || CASE WHEN {_UNLIKE_FIRST.format(row='rows')} THEN coalesce(f.root_row, f.row)"
    " ELSE coalesce(o.root_row, o.row) END ||"
    " ' gives this order another status; correct the sheet or choose --on-conflict'"
    " FROM held h JOIN rows f ON f.row = h.first JOIN rows o ON o.row = h.other"
    " WHERE rows.state = 'planned' AND rows.order_id = h.order_id",
    "DROP TABLE held",
)
_KEEP_ONE = (
    "UPDATE rows SET state = 'ended', result = 'conflict', code = 'conflicting_rows',"
    " detail = '--on-conflict {word} chose row ' || (SELECT coalesce(k.root_row, k.row)"
    " FROM rows k JOIN repeated q ON k.row = q.{word} WHERE q.order_id = rows.order_id)"
    " WHERE state = 'planned' AND order_id IN (SELECT order_id FROM repeated WHERE differs) AND ({values}) <>"
    " (SELECT {chosen} FROM rows k JOIN repeated q ON k.row = q.{word} WHERE q.order_id = rows.order_id)"
)
# A head is a row whose status differs from that of the row before it, for the same order.
_LEAD = (
    f"CREATE TEMP TABLE steps AS SELECT row, order_id, {_CHANGES} AS head FROM rows"  # noqa: S608 - constants
    " WHERE state = 'planned' AND order_id IN (SELECT order_id FROM repeated)"
    " WINDOW w AS (PARTITION BY order_id ORDER BY row)",
    "CREATE TEMP TABLE led AS SELECT row, head, CASE WHEN head"
    " THEN max(CASE WHEN head THEN row END) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    " ELSE max(CASE WHEN head THEN row END) OVER (w ROWS UNBOUNDED PRECEDING) END AS leader"
    " FROM steps WINDOW w AS (PARTITION BY order_id ORDER BY row)",
    "UPDATE rows SET state = CASE WHEN led.head THEN 'queued' ELSE 'waiting' END, leader = led.leader,"
    " code = CASE WHEN led.head THEN '' ELSE 'duplicate_row' END,"
    " detail = CASE WHEN led.head THEN '' ELSE 'same order and status as row ' || coalesce(l.root_row, l.row) END"
    " FROM led JOIN rows l ON l.row = led.leader WHERE led.row = rows.row",
    "DROP TABLE led",
    "DROP TABLE steps",
    "DROP TABLE repeated",
)


def _keep_one(word: str) -> str:
    chosen = ", ".join(f"k.{name}" for name in SENT)
    return _KEEP_ONE.format(word=word, values=_VALUES, chosen=chosen)


DUPLICATES = {
    "hold": (*_FIND, *_HOLD, *_LEAD),
    "first": (*_FIND, _keep_one("first"), *_LEAD),
    "last": (*_FIND, _keep_one("last"), *_LEAD),
    "sequence": (*_FIND, *_LEAD),
}

"""What the orders of a plan have now, as a person reads it on a terminal."""

from collections.abc import Iterator, Mapping
from textwrap import wrap

from batch_updater.app.preview import Preview
from batch_updater.common.text import count, escape_controls, shown

SHOWN_PAIRS, SHOWN_ORDERS = 20, 5


def describe_preview(found: Preview, names: Mapping[str, str], width: int = 80) -> str:
    """Return the statuses that orders have and would get, and the orders that can't get any; `names` are by id."""
    return "\n".join(map(escape_controls, _lines(found, names, width)))


def _lines(found: Preview, names: Mapping[str, str], width: int) -> Iterator[str]:
    read = sum(found.statuses.values())
    yield f"  {count(read + found.unknown_orders + found.unreadable, 'order', 'was', 'were')} read; nothing is sent"
    yield from _pairs(found, names, width)
    if found.already:
        yield f"  {found.already:,} of them have their status already"
    if found.unknown_orders:
        yield f"  {found.unknown_orders:,} unknown to the service"
        for row, order in found.unknown[:SHOWN_ORDERS]:
            yield f"      row {row}: {order}"
        if (hidden := found.unknown_orders - SHOWN_ORDERS) > 0:
            yield f"      … and {hidden:,} more"
    if found.unreadable:
        yield f"  {found.unreadable:,} could not be read"
    if found.reason:
        yield from wrap(f"Not all orders were read: {found.reason}", width)


def _pairs(found: Preview, names: Mapping[str, str], width: int) -> Iterator[str]:
    pairs = list(found.statuses.items())[:SHOWN_PAIRS]
    if not pairs:
        return
    room = (width - 24) // 2
    lines = [(shown(names.get(now, now))[:room], shown(names.get(new, new))[:room], n, now == new)
             for (now, new), n in pairs]  # fmt: skip
    digits = max(len("orders"), *(len(f"{number:,}") for _, _, number, _ in lines))
    first = max(4, *(len(now) for now, _, _, _ in lines))
    second = max(len(new) for _, new, _, _ in lines)
    yield f"  {'orders':>{digits}}  {'now':<{first}} → new"
    for now, new, number, is_so in lines:
        already = f"{new:<{second}}  already so" if is_so else new
        yield f"  {number:>{digits},}  {now:<{first}} → {already}"
    if (hidden := len(found.statuses) - SHOWN_PAIRS) > 0:
        yield f"  … and {hidden:,} more pairs"

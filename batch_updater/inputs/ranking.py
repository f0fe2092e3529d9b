"""Rank the headers of a sheet: how well each one says that its column holds the orders, or the statuses to set. Pure.

A status that an order should get (*new*, *target*) ranks before a plain one, and that before one that it has or had
(*current*, *old*). A person's own words, from the config file, rank before all others.
"""

from collections.abc import Collection
from enum import IntEnum

from batch_updater.inputs.header_words import Role, roles_of, split_header


class StatusRank(IntEnum):
    """How well a header says that its column holds the status that an order should get."""

    NONE = 0
    RELATED = 1  # it has to do with statuses: a note, a date, a part of a longer name
    EXPECTED = 2  # what the order must have before
    CURRENT = 3  # what the order has, or had
    DOUBTFUL = 4  # it may be the new status, and may be something else: "status update", "new"
    PLAIN = 5
    TARGET = 6
    OWN = 7


class OrderRank(IntEnum):
    """How well a header says that its column holds orders, by their ids or by their names."""

    NONE = 0
    RELATED = 1  # it has to do with orders: a note, a date, a part of a longer name
    POOR = 2
    FAIR = 3
    GOOD = 4
    BETTER = 5
    BEST = 6
    OWN = 7


_PLAIN = {Role.ORDER, Role.STATUS, Role.STATE, Role.ID, Role.NUMBER, Role.NAME, Role.OURS, Role.FILLER}
# Beside one of them a state is a status.
_SAYING = {Role.TARGET, Role.CHANGED, Role.CURRENT, Role.PAST, Role.EXPECTED, Role.ORDER}


def rank_status(header: str, own: Collection[str] = ()) -> StatusRank:
    """Return the rank of a header as that of the statuses to set; `own` are a person's own headers of them."""
    if is_own(header, own):
        return StatusRank.OWN
    roles, is_plain = roles_of(header)
    is_new, is_old = Role.TARGET in roles, bool(roles & {Role.CURRENT, Role.PAST, Role.EXPECTED})
    if not is_status(header):
        return StatusRank.DOUBTFUL if is_new and is_plain and roles <= {Role.TARGET, Role.FILLER} else StatusRank.NONE
    if Role.ABOUT in roles:
        return StatusRank.RELATED
    if (is_new and (is_old or not is_plain)) or (Role.CHANGED in roles and not is_old):
        return StatusRank.DOUBTFUL
    if not is_plain:
        return StatusRank.RELATED
    if is_new:
        return StatusRank.TARGET
    return StatusRank.EXPECTED if Role.EXPECTED in roles else StatusRank.CURRENT if is_old else StatusRank.PLAIN


def rank_order(header: str, own: Collection[str] = (), *, by_name: bool = False) -> OrderRank:
    """Return the rank of a header as that of the orders; `by_name` when these are names, not ids."""
    if is_own(header, own):
        return OrderRank.OWN
    roles, is_plain = roles_of(header)
    if is_status(header) or not roles & {Role.ORDER, Role.ID, Role.NAME}:
        return OrderRank.NONE
    if not is_plain or not roles <= _PLAIN:
        return OrderRank.RELATED if Role.ORDER in roles else OrderRank.NONE
    return _rank_for_names(roles) if by_name else _rank_for_ids(roles)


def _rank_for_ids(roles: frozenset[Role]) -> OrderRank:
    """From the id that Evreka360 gives an order, by that name, down to an order's number."""
    is_order = Role.ORDER in roles
    if Role.ID in roles:
        return OrderRank.BEST if Role.OURS in roles else OrderRank.BETTER if is_order else OrderRank.FAIR
    if not is_order:
        return OrderRank.NONE
    if Role.NUMBER in roles:
        return OrderRank.POOR
    return OrderRank.RELATED if Role.NAME in roles else OrderRank.BEST if Role.OURS in roles else OrderRank.GOOD


def _rank_for_names(roles: frozenset[Role]) -> OrderRank:
    """From the name of an order down to any id."""
    is_order = Role.ORDER in roles
    if Role.NAME in roles:
        return OrderRank.BEST if is_order else OrderRank.FAIR
    if is_order and Role.ID not in roles:
        return OrderRank.GOOD if Role.NUMBER in roles else OrderRank.BETTER
    return OrderRank.FAIR if is_order else OrderRank.POOR


def rank_expected(header: str, own: Collection[str] = ()) -> int:
    """Return the rank of a header as that of the statuses that orders must have now; 0 when it is none."""
    if is_own(header, own):
        return 4
    rank, (roles, _is_plain) = rank_status(header), roles_of(header)
    if rank is StatusRank.EXPECTED:
        return 3
    if split_header(header) == ("from",):
        return 1
    return 2 if rank is StatusRank.CURRENT and Role.PAST not in roles else 0


def is_status(header: str) -> bool:
    """Whether a header has to do with statuses, in any way."""
    roles, _is_plain = roles_of(header)
    return Role.STATUS in roles or (Role.STATE in roles and bool(roles & _SAYING))


def is_own(header: str, own: Collection[str]) -> bool:
    """Whether a header is one of a person's own words, whatever the case, blanks and marks."""
    return bool(own) and any(same_header(header, word) for word in own)


def same_header(one: str, other: str) -> bool:
    """Whether two headers differ in letter case, accents, blanks and marks only."""
    words = split_header(one)
    return "".join(words) == "".join(split_header(other)) if words else one.strip() == other.strip()

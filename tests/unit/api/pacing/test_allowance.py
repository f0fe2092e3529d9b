import math

from batch_updater.api.pacing.allowance import Allowance
from batch_updater.common.models import Quota


def test_no_more_are_in_flight_than_remain() -> None:
    """Until the reset; a quota that the workers can't reach restricts nothing."""
    allowance = Allowance(64)
    assert allowance.most(0.0) == math.inf
    assert allowance.tell(1, Quota(5, 10.0), 0.0)
    assert (allowance.left, allowance.most(9.9), allowance.most(10.0)) == (5, 5, math.inf)
    allowance.tell(2, Quota(64, 10.0), 20.0)
    assert allowance.left == math.inf


def test_the_newest_request_knows_best() -> None:
    """An answer that is overtaken by that of a later request changes nothing."""
    allowance = Allowance(64)
    allowance.tell(7, Quota(5, 10.0), 0.0)
    assert not allowance.tell(6, Quota(0, 99.0), 0.1)
    assert allowance.most(0.1) == 5


def test_after_a_quota_of_zero_one_request_goes_ahead() -> None:
    """Its answer tells how many may follow; when it tells nothing for a second, all do."""
    allowance = Allowance(64)
    allowance.tell(1, Quota(0, 10.0), 0.0)
    assert [allowance.most(at) for at in (9.9, 10.0, 10.9, 11.0)] == [0, 1, 1, math.inf]


def test_the_earliest_reset_of_one_quota_counts() -> None:
    """Whole seconds are rounded up; a reset that moves by a second or more, or a quota with more left, is new."""
    allowance = Allowance(64)
    allowance.tell(1, Quota(9, 1.0), 0.1)
    allowance.tell(2, Quota(0, 1.0), 0.9)
    assert allowance.until == 1.1
    assert allowance.most(1.1) == 1
    allowance.tell(3, Quota(0, 1.0), 1.2)
    assert allowance.until == 2.2
    allowance.tell(4, Quota(0, 2.0), 1.3)
    assert allowance.until == 3.3
    allowance.tell(5, Quota(9, 3.0), 1.4)
    assert allowance.until == 4.4

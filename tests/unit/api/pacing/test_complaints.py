import pytest

from batch_updater.api.pacing.limit_search import Complaints


def add(complaints: Complaints, bad: int, good: int, *, told: bool = False) -> None:
    """So many bad answers, then so many good ones."""
    for _ in range(bad):
        complaints.add_bad(told=told)
    for _ in range(good):
        complaints.add_good()


def told_of(bad: int, good: int, *, told: bool = False) -> Complaints:
    """Complaints after so many bad answers, then so many good ones."""
    complaints = Complaints()
    add(complaints, bad, good, told=told)
    return complaints


@pytest.mark.parametrize("seconds", [None, 0.1, 100.0])
@pytest.mark.parametrize("told", [True, False])
def test_a_fifth_of_the_recent_answers_is_too_much_in_any_case(seconds: float | None, told: bool) -> None:
    """Of the last hundred or so answers 22 may be bad when nothing limits the pool yet; 23 are too many."""
    assert told_of(23, 0, told=told).are_too_many(seconds)
    assert not told_of(22, 0, told=told).are_too_many(None)
    assert told_of(23, 3, told=told).are_too_many(seconds)
    assert not told_of(23, 4, told=told).are_too_many(None)


@pytest.mark.parametrize(
    ("bad", "good", "seconds", "too_many"),
    [
        (5, 94, 1.0, True),  # four, and one in a hundred
        (5, 95, 1.0, False),
        (4, 0, 1.0, False),
        (5, 0, 1.0, True),
        (5, 94, 0.5, True),
        (5, 94, 0.49, False),  # too early to say
        (5, 94, None, False),  # nothing limits the pool, so that nothing is lost by waiting
        (7, 292, 1.0, True),
        (7, 293, 1.0, False),
        (6, 393, 1.0, False),
        (8, 391, 1.0, True),
    ],
)
def test_more_than_four_and_one_in_a_hundred_are_too_many_where_a_limit_is_in_use(
    bad: int, good: int, seconds: float | None, too_many: bool
) -> None:
    """Bare 503s on a limited pool that has sent for half a second are judged by their share."""
    assert told_of(bad, good).are_too_many(seconds) is too_many


def test_a_service_that_says_429_is_taken_at_its_word() -> None:
    """Its bare 503s do not count by their share, whichever came first."""
    assert not told_of(1, 0, told=True).are_too_many(1.0)
    complaints = told_of(1, 0, told=True)
    add(complaints, 10, 0)
    assert not complaints.are_too_many(1.0)


def test_answers_are_judged_in_blocks_of_400() -> None:
    """What was bad in an earlier block is forgotten with the 400th answer."""
    complaints = told_of(5, 394)
    assert not complaints.are_too_many(1.0)
    complaints.add_good()
    add(complaints, 4, 0)
    assert not complaints.are_too_many(1.0)
    add(complaints, 1, 0)
    assert complaints.are_too_many(1.0)


def test_a_new_count_begins_with_nothing() -> None:
    """After a refusal that counted neither the share nor the recent answers say anything."""
    complaints = told_of(30, 60)
    assert complaints.accepted == 60
    complaints.start_again()
    assert complaints.accepted == 0
    add(complaints, 4, 0)
    assert not complaints.are_too_many(1.0)
    add(complaints, 1, 0)
    assert complaints.are_too_many(1.0)


@pytest.mark.parametrize(
    ("bad", "good", "told", "doubtful"),
    [
        (0, 100, False, False),
        (3, 197, False, False),  # 1.5 %: so few that a test would never end
        (4, 196, False, True),
        (39, 161, False, True),
        (40, 160, False, False),  # a fifth is a refusal, whatever else it is
        (20, 180, True, False),
        (0, 0, False, False),
    ],
)
def test_only_a_middling_share_of_bare_503s_is_doubtful(bad: int, good: int, told: bool, doubtful: bool) -> None:
    """Whether a lower rate is tested: hardly any or very many bad answers, and told ones, leave no doubt."""
    complaints = told_of(bad, good, told=told)
    complaints.start_again()
    assert complaints.are_doubtful is doubtful


@pytest.mark.parametrize(
    ("bad", "good", "verdict", "noise"),
    [
        (0, 59, None, 0.0),  # of 60 answers six would be bad if it were noise
        (0, 60, False, 0.0),
        (3, 57, False, 0.05),
        (4, 56, True, 1 / 15),
        (30, 30, True, 0.2),  # more than a fifth is never taken as noise
    ],
)
def test_a_test_ends_when_it_has_seen_enough(bad: int, good: int, verdict: bool | None, noise: float) -> None:
    """A tenth was bad before: half of that or less at the lower rate, and it was the rate; the share is noted."""
    complaints = told_of(20, 180)
    complaints.start_again()
    for n in range(bad + good):
        complaints.add_bad(told=False) if n < bad else complaints.add_good()
    assert complaints.decide_test() is verdict
    assert complaints.noise == pytest.approx(noise)


def test_known_noise_is_allowed_for() -> None:
    """Where a twentieth is known to be noise, a tenth and four more are too many, and a next test looks for more."""
    complaints = told_of(20, 180)
    complaints.start_again()
    add(complaints, 5, 95)
    complaints.decide_test()
    complaints.start_again()
    add(complaints, 14, 86)
    assert not complaints.are_too_many(1.0)
    add(complaints, 1, 0)
    assert complaints.are_too_many(1.0)
    complaints.start_again()  # 15 of 101: a next test lies between 5 and 15 of 100
    add(complaints, 10, 90)
    assert complaints.decide_test() is True
    complaints.start_again()
    add(complaints, 9, 91)
    assert complaints.decide_test() is False


@pytest.mark.parametrize(("share", "is_noise"), [(10, True), (1000, False)])
def test_a_test_at_a_lower_rate_tells_noise_from_refusals(share: int, is_noise: bool) -> None:
    """As many bad answers at a lower rate as before are noise; hardly any mean that it had been too fast."""
    complaints = Complaints()
    for n in range(200):
        complaints.add_bad(told=False) if n % 10 == 0 else complaints.add_good()
    complaints.start_again()
    assert complaints.are_doubtful
    verdict = None
    for n in range(1, 100):
        complaints.add_bad(told=False) if n % share == 0 else complaints.add_good()
        verdict = complaints.decide_test() if verdict is None else verdict
    assert verdict is is_noise


def test_before_any_refusal_nothing_is_doubtful() -> None:
    """There is no share to compare a test with."""
    complaints = told_of(10, 10)
    assert not complaints.are_doubtful
    assert complaints.decide_test() is None

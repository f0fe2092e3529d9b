import pytest

from batch_updater.api.pacing.noise import Noise


def counted(noise: Noise, answers: int, every: int, *, limited: bool) -> bool:
    """Count answers of which every so many is a bare 503, until they are too many; whether they were."""
    for n in range(1, answers + 1):
        if n % every:
            noise.add_good(limited=limited)
        elif noise.add_bad(limited=limited):
            return True
    return False


@pytest.mark.parametrize(("every", "limited", "too_many"), [
    (2, False, True), (4, False, True), (6, False, False), (20, False, False),
    (2, True, True), (20, True, True), (60, True, True), (100, True, False),
])  # fmt: skip
def test_a_fifth_of_the_answers_is_too_much_and_where_a_limit_is_known_more_than_a_few(
    every: int, limited: bool, too_many: bool
) -> None:
    """Of 400 answers to a pool with a limit five may be 503."""
    assert counted(Noise(), 2000, every, limited=limited) is too_many


def test_noise_that_was_there_before_the_limit_is_not_too_much_at_it() -> None:
    """One in twenty is then usual; one in eight is not."""
    noise = Noise()
    counted(noise, 800, 20, limited=False)
    assert noise.share == 0.05
    assert not counted(noise, 2000, 20, limited=True)
    assert counted(noise, 2000, 8, limited=True)


def test_noise_that_ends_is_forgotten_and_never_more_than_a_tenth() -> None:
    """Answers without any 503 are as telling as those with."""
    noise = Noise()
    counted(noise, 800, 6, limited=False)
    assert noise.share == 0.1
    counted(noise, 800, 1000, limited=True)
    assert noise.share == 0.0


@pytest.mark.parametrize(("every", "is_noise"), [(20, True), (30, True), (80, False), (7, False)])
def test_a_test_at_a_lower_rate_tells_noise_from_a_limit(every: int, is_noise: bool) -> None:
    """About as many 503s as before are noise; clearly fewer, or more than noise can be, are not."""
    noise = Noise()
    assert counted(noise, 400, 20, limited=True)
    assert noise.is_doubtful
    noise.start_test()
    assert noise.is_suspected
    assert noise.end_test() is None
    assert counted(noise, 140, every, limited=True) is False
    assert noise.end_test() is is_noise
    assert (noise.is_suspected, noise.share > 0.02) == (False, is_noise or every == 7)


def test_many_503s_are_no_reason_for_a_test() -> None:
    """Neither are none."""
    noise = Noise()
    assert not noise.is_doubtful
    counted(noise, 400, 3, limited=True)
    assert not noise.is_doubtful

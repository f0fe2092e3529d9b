import pytest

from batch_updater.common.models import Result, RowOutcome, State
from batch_updater.sending.brake import FEW, MANY, Brake


def ended(code: str, status: int | None = 404, result: Result = Result.FAILED) -> RowOutcome:
    """A row that has ended like this."""
    return RowOutcome(2, State.ENDED, result, code, "said so", status)


def stops_at(brake: Brake, *outcomes: RowOutcome) -> int:
    """The number of the row after which the run is to stop; 0 for none."""
    return next((n for n, outcome in enumerate(outcomes, 1) if brake.add(outcome)), 0)


@pytest.mark.parametrize(
    ("code", "status", "number"),
    [
        ("wrong_address", 404, FEW), ("wrong_address", 400, FEW), ("forbidden", 403, FEW),
        ("unexpected_response", 418, FEW),
        ("order_not_found", 400, MANY), ("validation_error", 422, MANY), ("conflict", 409, MANY),
        ("timeout", None, 0), ("timeout", 408, 0), ("server_error", 500, 0), ("not_applied", 200, 0),
    ],
)  # fmt: skip
def test_a_run_of_nothing_but_refusals_is_stopped(code: str, status: int | None, number: int) -> None:
    """Soon for an address or an account, later for what the sheet may be to blame for, never for failed attempts."""
    assert stops_at(Brake(), *[ended(code, status)] * 200) == number


@pytest.mark.parametrize("result", [Result.UPDATED, Result.UNCHANGED])
def test_one_row_that_is_accepted_lets_all_others_be_tried(result: Result) -> None:
    """However many are refused before or after it."""
    rows = [ended("forbidden", 403)] * (FEW - 1), [ended("ok", 200, result)], [ended("forbidden", 403)] * 200
    assert stops_at(Brake(), *rows[0], *rows[1], *rows[2]) == 0


def test_two_reasons_are_the_rows_own() -> None:
    """Nothing is known of the service when rows are refused for different reasons."""
    assert stops_at(Brake(), ended("order_not_found", 400), *[ended("forbidden", 403)] * 200) == 0


def test_refusals_of_earlier_starts_count() -> None:
    """Nineteen before and one now; and at the limit a start is told before it sends anything."""
    before = {("forbidden", 403): FEW - 1}.items()
    assert Brake(before).why() is None
    assert stops_at(Brake(before), *[ended("forbidden", 403)] * 5) == 1
    assert Brake({("forbidden", 403): FEW}.items()).why()
    assert Brake({("forbidden", 403): FEW}.items(), is_off=True).why() is None


def test_the_reason_is_said_with_what_to_check() -> None:
    """The code, the status, the service's own words, and the next step."""
    brake = Brake({("wrong_address", 404): FEW - 1}.items())
    stop = brake.refuse("wrong_address", 404, "answered 404 with a web page, 'Not Found'")
    assert stop
    assert all(part in stop.message for part in ("first 20 rows", "wrong_address (404)", "'Not Found'"))
    assert "EVREKA360_BASE_URL" in stop.hint

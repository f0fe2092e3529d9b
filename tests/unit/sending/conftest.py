import pytest


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries follow at once."""
    monkeypatch.setattr("batch_updater.api.retry.FIRST_WAIT", 0.001)
    monkeypatch.setattr("batch_updater.api.retry.LONGEST_WAIT", 0.001)

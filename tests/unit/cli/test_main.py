import signal
import sys
import time
import weakref

import pytest

from batch_updater.cli.main import _terminated, interrupt_again


class Thing:
    """Has weak references."""


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_an_interruption_is_not_lost_in_a_callback_of_python(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, error: type[BaseException]
) -> None:
    """What is raised while a weak reference is cleared is thrown away by Python; a moment later it comes again."""
    monkeypatch.setattr(sys, "unraisablehook", interrupt_again)
    before = signal.signal(signal.SIGTERM, _terminated)
    thing = Thing()
    reference = weakref.ref(thing, lambda _gone: signal.raise_signal(number))
    try:
        with pytest.raises(error):
            del thing
            time.sleep(5)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert reference() is None


def test_any_other_error_in_a_callback_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As Python shows it, and nothing is interrupted."""
    monkeypatch.setattr(sys, "unraisablehook", interrupt_again)
    thing = Thing()
    reference = weakref.ref(thing, lambda _gone: 1 / 0)
    del thing
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert reference() is None

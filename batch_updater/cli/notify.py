"""Notices at the end of a run, one sentence each, by apprise. The only place that knows it.

It is an extra (`batch-updater[notify]`). A notice that can't be sent changes nothing about the run.
"""

import logging
import warnings
from typing import Any

from batch_updater.common.errors import BatchUpdaterError, ExitCode, SettingsError
from batch_updater.common.secret import Secret
from batch_updater.common.summary import RunSummary
from batch_updater.common.text import duration, shortened


class Notices:
    """Sends notices to an address, which is never shown: it may hold a token.

    Raises SettingsError when the extra is missing or the address is none that apprise knows.
    """

    def __init__(self, url: Secret) -> None:
        try:
            import apprise
        except ImportError:
            raise SettingsError("--notify needs apprise.", "pip install 'batch-updater[notify]'") from None
        logging.getLogger("apprise").disabled = True  # its messages may name the address
        self._to: Any = apprise.Apprise()
        with warnings.catch_warnings(action="ignore"):  # it loads all its services, some by deprecated modules
            known = self._to.add(url.reveal())
        if not known:
            raise SettingsError("--notify is no address that apprise knows.", "see its list of services")

    def send(self, title: str, body: str, *, good: bool) -> bool:
        """Send a notice; return whether it was delivered."""
        return bool(
            self._to.notify(title=title, body=body, body_format="text", notify_type="success" if good else "failure")
        )


def of_summary(summary: RunSummary) -> tuple[str, str, bool]:
    """Return title, sentence and whether all went well, for a run that has ended, early or not."""
    counts = ", ".join(f"{number:,} {word}" for word, number in summary.result_counts.items())
    said = {ExitCode.DONE: "finished", ExitCode.NOT_ALL_DONE: "finished, some rows are not done"}
    word = said.get(ExitCode(summary.exit_code), "stopped early; can be resumed")
    name = shortened(summary.input, 120)
    sentence = f"{name} on {summary.base_url}: {word} after {duration(summary.seconds)}; {counts or 'no rows'}."
    if summary.reason:
        sentence += f" {shortened(summary.reason.splitlines()[0], 200)}"
    return f"batch-updater: {word}", sentence, summary.exit_code == ExitCode.DONE


def of_error(name: str, error: BatchUpdaterError) -> tuple[str, str, bool]:
    """Return title, sentence and False for a run that could not begin."""
    return "batch-updater: nothing sent", f"{shortened(name, 120)}: {shortened(error.message, 300)}", False

"""Read every order of a run back and compare."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from batch_updater.api.pacing.pacer import Pacer
from batch_updater.app.execute import client_for
from batch_updater.app.reconcile import SYMBOLS, write_verification
from batch_updater.app.run import Run
from batch_updater.app.runs import reopen_run
from batch_updater.app.signals import drive, handled_signals
from batch_updater.common.errors import ExitCode, StoppedError
from batch_updater.common.progress import OnProgress, Stop
from batch_updater.common.settings import Settings
from batch_updater.common.text import escape_controls
from batch_updater.journal.find_runs import find_run
from batch_updater.journal.lock import lock_input
from batch_updater.planning.preflight import Tenant
from batch_updater.sending.stages import Runner


@dataclass(frozen=True, slots=True)
class VerifySummary:
    """What `verify` found: orders by symbol (`=`, `*`, `-`, `!`) and where each is listed."""

    run_id: str
    exit_code: int
    symbols: dict[str, int]
    verify_file: str
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain JSON types."""
        return {"schema": 1, **asdict(self), "orders": sum(self.symbols.values())}

    def describe(self) -> str:
        """The summary for a person."""
        lines = [f"{sum(self.symbols.values()):,} orders read back"]
        lines += [f"  {symbol} {self.symbols.get(symbol, 0):>9,}  {words}" for symbol, words in SYMBOLS.items()]
        return "\n".join([*lines, escape_controls(f"Listed in {self.verify_file}")])


@contextlib.contextmanager
def open_verification(place: Path, tenant: Tenant) -> Iterator[Run]:
    """The run to verify, locked. Raises JournalError, LockedError, or ResumeError for another tenant's run."""
    folder = find_run(place)
    with reopen_run(folder, tenant) as run, lock_input(folder.path.parent, Path(run.facts.input)) as hold_for:
        hold_for(folder)
        run.journal.clear_readings()
        yield run


async def verify(
    run: Run,
    settings: Settings,
    on_progress: OnProgress | None = None,
    *,
    stop: Stop | None = None,
    catch_signals: bool = False,
) -> VerifySummary:
    """Read every order of a run back, write `verify.csv`, return the summary; nothing is changed.

    `exit_code` is 0 when all are as planned, 3 when some are not. For the others see `execute`.
    """
    stop = stop or Stop()
    async with client_for(run, settings) as client:
        runner = Runner(
            run.journal, client, Pacer(settings.rate, adapt=settings.adapt), rows=run.plan.rows,
            concurrency=settings.concurrency, retries=settings.retries, outage_budget=settings.outage_budget,
            stop=stop, on_progress=on_progress,
        )  # fmt: skip
        with handled_signals(stop, enabled=catch_signals) as interrupted:
            code, reason = await drive(runner.verify, stop, interrupted)
    path = run.folder.path / "verify.csv"
    try:
        counts = write_verification(run.journal, path)
    except OSError as error:
        raise StoppedError(f"{path} can't be written: {error.strerror}.", "free some disk space") from None
    if code == ExitCode.DONE and set(counts) - {"="}:
        code = ExitCode.NOT_ALL_DONE
    return VerifySummary(run.folder.run_id, int(code), dict(counts), str(path), reason)

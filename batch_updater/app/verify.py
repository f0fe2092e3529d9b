"""Read every order of a run back and compare."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from batch_updater.api.pacing.pacer import pacer_for
from batch_updater.app.execute import client_for
from batch_updater.app.reconcile import SYMBOLS, write_verification
from batch_updater.app.run import Run, reopen_run
from batch_updater.app.signals import drive, handled_signals
from batch_updater.common.errors import ExitCode, StoppedError
from batch_updater.common.log import LOG, log_to_file
from batch_updater.common.progress import OnProgress, Stop
from batch_updater.common.settings import Settings
from batch_updater.common.text import count, escape_controls
from batch_updater.inputs.pandas_io import read_verification
from batch_updater.journal.find_runs import find_run
from batch_updater.journal.lock import lock_with_earlier_runs
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

    def results(self) -> Any:
        """Return what was found as a pandas DataFrame: a row for each order, with its symbol, ids and names."""
        return read_verification(Path(self.verify_file))

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain JSON types."""
        return {"schema": 1, **asdict(self), "orders": sum(self.symbols.values())}

    def describe(self) -> str:
        """Return the summary for a person."""
        lines = [f"{count(sum(self.symbols.values()), 'order')} read back"]
        lines += [f"  {symbol} {self.symbols.get(symbol, 0):>9,}  {words}" for symbol, words in SYMBOLS.items()]
        return "\n".join([*lines, escape_controls(f"Listed in {self.verify_file}")])


async def verify(
    place: Path,
    settings: Settings,
    tenant: Tenant,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
    *,
    catch_signals: bool = False,
) -> VerifySummary:
    """Read every order of a run back, write `verify.csv`, return the summary; nothing is changed at the service.

    `exit_code` is 0 when all are as planned, 3 when some are not. `on_progress` and `catch_signals` are as in `send`.
    Raises SettingsError when `place` is no run, LockedError while it is under way, ResumeError when it is another
    tenant's, JournalError, StoppedError when the file can't be written.
    """
    with contextlib.ExitStack() as stack:
        run = await asyncio.to_thread(stack.enter_context, _opened(place, settings, tenant))
        stack.enter_context(log_to_file(run.folder.path / LOG, settings.log_format))
        code, reason = await read_every_order(run, stop or Stop(), on_progress, catch_signals=catch_signals)
        path = run.folder.path / "verify.csv"
        try:
            counts = write_verification(run.journal, path)
        except OSError as error:
            raise StoppedError(f"{path} can't be written: {error.strerror}.", "free some disk space") from None
    if code == ExitCode.DONE and set(counts) - {"="}:
        code = ExitCode.NOT_ALL_DONE
    return VerifySummary(run.folder.run_id, int(code), dict(counts), str(path), reason)


@contextlib.contextmanager
def _opened(place: Path, settings: Settings, tenant: Tenant) -> Iterator[Run]:
    folder = find_run(place)
    with reopen_run(folder, settings, tenant) as run, lock_with_earlier_runs(folder, run.facts):
        run.journal.clear_readings()
        yield run


async def read_every_order(
    run: Run, stop: Stop, on_progress: OnProgress | None, *, catch_signals: bool = False
) -> tuple[int, str]:
    """Keep a reading of every order in the journal; return the exit code and the reason why it ended early."""
    settings = run.settings
    async with client_for(run) as client:
        pacer = pacer_for(settings.sending)
        runner = Runner(
            run.journal, client, pacer, settings.sending, rows=run.journal.count_to_verify(), stop=stop,
            on_progress=on_progress,
        )  # fmt: skip
        with handled_signals(
            stop, enabled=catch_signals, farewell=lambda: "Stopped at once; nothing was changed."
        ) as interrupted:
            return await drive(runner.verify, stop, interrupted)

"""Runs against the fault server, in this process and many in one loop, each judged by the one judge."""

import asyncio
import contextlib
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from support.fault_server import CLIENT, CLIENT_SECRET, ISSUED, PASSWORD, PUT, USER, Fault, FaultServer, Seen
from support.journals import undo_sheet
from support.judging import Rows, Witness, judge_folder, judge_rows, judge_undo
from support.program import quick_folder, read_result, write_sheet

from batch_updater.api.credentials import Credentials, Grant
from batch_updater.api.protocol import retry_after
from batch_updater.app.execute import send
from batch_updater.app.planning import plan
from batch_updater.common.secret import Secret
from batch_updater.common.settings import Settings
from batch_updater.common.summary import RunSummary
from batch_updater.journal.facts import Phase
from batch_updater.planning.preflight import Tenant, with_credentials

BEFORE, WANTED, OTHER = (str(uuid.UUID(int=n)) for n in (900, 901, 902))


def short_wait(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """What a service asks for, made so short that an attack need not wait for it."""
    wait = retry_after(headers, now)
    return None if wait is None else min(wait, 0.01)


QUICK = {
    "api.retry.FIRST_WAIT": 0.005, "api.retry.LONGEST_WAIT": 0.02, "api.pacing.controller.BARE_HOLD": 0.01,
    "api.pacing.controller.LONGEST_BARE_HOLD": 0.02,
    "api.protocol.retry_after": short_wait, "api.pacing.outage.FIRST_PROBE_AGAIN": 0.01,
    "api.pacing.outage.LONGEST_PROBE_WAIT": 0.05, "api.pacing.rate_search.SLOWEST": 500.0,
}  # fmt: skip
AT_ONCE = 12  # runs in one loop
LONGEST = 60.0  # seconds for one run with all its starts; a run that hangs takes longer
SHORT, LONG = 0.25, 10.0  # time-outs for faults that last until it is over, and for those that do not


@dataclass
class Attack:
    """One run to be attacked: its rows, its settings, and what goes wrong."""

    faults: dict[tuple[object, ...], Fault]
    rows: list[tuple[str, str]]
    settings: dict[str, Any] = field(default_factory=dict)
    keep_alive: bool = True
    signs_in: bool = False  # with user and password, not by a token of its own

    def any(self, word: str) -> bool:
        """Whether some fault is of this kind."""
        return any(getattr(fault, word) for fault in self.faults.values())


@dataclass
class Outcome:
    """What came of it: the summary of every start, and the last result rows."""

    summaries: list[RunSummary]
    rows: Rows
    server: FaultServer
    folder: Path

    @property
    def codes(self) -> list[int]:
        """The exit codes of the starts."""
        return [summary.exit_code for summary in self.summaries]


def some_orders(count: int) -> list[str]:
    """Orders that no other run has."""
    return [str(uuid.uuid4()) for _ in range(count)]


async def start(sheet: Path, settings: Settings, credentials: Credentials) -> RunSummary:
    """Begin or pick up a run, and send."""
    tenant = with_credentials(Tenant(settings.base_url or ""), credentials)
    with contextlib.ExitStack() as stack:
        run = await asyncio.to_thread(stack.enter_context, plan(sheet, settings, tenant))
        return await send(run)


class Scene:
    """A server, a sheet and how to run it, in a folder of its own."""

    def __init__(self, attack: Attack, folder: Path) -> None:
        self.attack = attack
        self.sheet = write_sheet(folder / "o.csv", attack.rows)
        self.runs = folder / "o.runs"
        self.witness = Witness(self.runs)
        self.kills = 0
        self.signs_in = attack.signs_in or attack.any("signs_in")
        orders = dict.fromkeys((order for order, _status in attack.rows), BEFORE)
        self.server = FaultServer(
            attack.faults, orders, statuses=(BEFORE, WANTED, OTHER), keep_alive=attack.keep_alive,
            concurrency=attack.settings.get("concurrency", 1), signs_in=self.signs_in, on_put=self._see,
            refusals=self._refusals,
        )  # fmt: skip

    def _see(self, seen: Seen) -> None:
        self.witness.see(seen.about, seen.status)

    def _refusals(self) -> int:
        """How often the client has said that nobody listens."""
        return sum(log.read_text().count("can't be reached") for log in self.runs.glob("2*/run.log"))

    @property
    def credentials(self) -> Credentials:
        """A token, or what to get one with."""
        if not self.signs_in:
            return Credentials(Secret(self.server.token))
        return Credentials(grant=Grant(*(Secret(text) for text in (CLIENT, CLIENT_SECRET, USER, PASSWORD))))

    @property
    def settings(self) -> Settings:
        """The settings of this attack."""
        mine = {
            "base_url": self.server.base_url, "concurrency": 1,
            "timeout": SHORT if self.attack.any("slow") else LONG,
            "retries": 100 if self.attack.any("refuses") else 5,  # somebody listens again a little later
        }  # fmt: skip
        return Settings(**{**mine, **self.attack.settings})

    async def start(self) -> tuple[RunSummary, Rows]:
        """One start of the run, judged."""
        summary = await start(self.sheet, self.settings, self.credentials)
        return summary, self.judge(summary)

    async def bring_to_its_end(self, starts: int) -> Outcome:
        """Start the run until nothing is left to do; judged after each start. A fault that lasts ends after two."""
        summaries: list[RunSummary] = []
        async with asyncio.timeout(LONGEST + 4 * len(self.attack.rows)):
            while not summaries or (summaries[-1].resumable and len(summaries) < starts):
                if len(summaries) == 2 and self.attack.any("lasting"):
                    self.server.end_lasting()
                summary, rows = await self.start()
                summaries.append(summary)
        assert not summaries[-1].resumable, f"still open after {starts} starts: {summaries[-1].reason}"
        folder = Path(summaries[-1].run_dir)
        judge_undo(undo_sheet(folder, self.sheet.with_name("undo.csv")), self.server.ledger, rows)
        return Outcome(summaries, rows, self.server, folder)

    async def crash(self, applied: Iterable[str]) -> None:
        """Leave the run as a crash does: all rows claimed, the updates of these orders applied, nothing recorded."""
        tenant = with_credentials(Tenant(self.server.base_url), self.credentials)
        with contextlib.ExitStack() as stack:
            run = await asyncio.to_thread(stack.enter_context, plan(self.sheet, self.settings, tenant))
            for update in run.journal.claim(len(self.attack.rows)):
                if update.order_id in applied:
                    self.server.orders[update.order_id] = update.status_id
                    self.server.seen.append(Seen(PUT, update.order_id, update.status_id, applied=True, ended=True))
            run.journal.update_facts(phase=Phase.SENDING)
        self.kills = 1

    def judge(self, summary: RunSummary) -> Rows:
        """All that must hold after a start; gives the result rows."""
        server = self.server
        rows = read_result(Path(summary.results_file))
        ledger = server.ledger
        judge_rows(rows, len(self.attack.rows), ledger, server.orders, kills=self.kills, unseen=server.unseen)
        judge_folder(Path(summary.run_dir), rows, ledger, secrets=(ISSUED, CLIENT_SECRET, PASSWORD))
        assert not server.wrongs, server.wrongs
        assert not self.witness.wrongs, self.witness.wrongs
        assert not server.somebody_went_elsewhere, "a redirect was followed"
        return rows


@asynccontextmanager
async def staged(attack: Attack) -> AsyncIterator[Scene]:
    """The scene of an attack, with its server running."""
    with tempfile.TemporaryDirectory() as other, quick_folder(Path(other)) as folder:
        scene = Scene(attack, folder)
        async with scene.server:
            yield scene


async def all_of(attacks: Iterable[tuple[str, Attack]], starts: int = 4) -> dict[str, Outcome]:
    """Bring many runs to their ends, some at once; names those that fail."""
    turn = asyncio.Semaphore(AT_ONCE)
    found: dict[str, Outcome] = {}
    failures: list[Exception] = []

    async def one(name: str, attack: Attack) -> None:
        async with turn, staged(attack) as scene:
            try:
                found[name] = await scene.bring_to_its_end(starts)
            except Exception as error:
                error.add_note(name)
                failures.append(error)

    async with asyncio.TaskGroup() as group:
        for name, attack in attacks:
            group.create_task(one(name, attack))
    if failures:
        raise ExceptionGroup("runs that failed", failures)
    return found

"""A service that is down: noticed early, waited for, given up in time, and gone on with later."""

import asyncio
from pathlib import Path

import pytest
from support.journals import sealed

from batch_updater.api.auth import Tokens
from batch_updater.api.client import OrderClient
from batch_updater.api.credentials import Credentials
from batch_updater.api.pacing.pacer import Pacer
from batch_updater.common.errors import BatchUpdaterError, ExitCode, StoppedError
from batch_updater.common.models import Answer, RowOutcome, StatusUpdate, Verdict
from batch_updater.common.secret import Secret
from batch_updater.common.settings import SendOptions
from batch_updater.journal.draft import Draft
from batch_updater.journal.journal import Journal
from batch_updater.sandbox.server import Sandbox, SandboxOptions, order_id, status_id
from batch_updater.sending.stages import Runner

pytestmark = pytest.mark.usefixtures("wire")  # both ways to send are held to all of this

DONE = status_id("Completed")


def journal_of(folder: Path, count: int) -> Journal:
    draft = Draft.create(folder / "j.sqlite")
    draft.add([StatusUpdate(n + 2, order_id(n + 1), DONE) for n in range(count)])
    return sealed(draft, "hold")


def runner_for(journal: Journal, client: OrderClient, *, retries: int = 5, budget: float = 300.0) -> Runner:
    return Runner(journal, client, Pacer(None), SendOptions(concurrency=20, retries=retries, outage_budget=budget))


def client_for(port: int) -> OrderClient:
    tokens = Tokens(Credentials(Secret("sandbox-token")))
    return OrderClient(f"http://127.0.0.1:{port}", tokens, timeout=2, concurrency=20)


@pytest.mark.parametrize("retries", [0, 5])
async def test_a_service_that_comes_back_is_waited_for(tmp_path: Path, unused_tcp_port: int, retries: int) -> None:
    """Down for more than a second in the middle of a run: sending goes on by itself, next to no row has failed."""
    journal = journal_of(tmp_path, 1500)
    async with Sandbox(SandboxOptions(port=unused_tcp_port)) as sandbox, client_for(unused_tcp_port) as client:
        runner = runner_for(journal, client, retries=retries)
        task = asyncio.create_task(runner.run())
        while len(sandbox.ledger) < 100:
            await asyncio.sleep(0.001)
        await sandbox.stop()
        while not runner._pacer.outage_for:
            await asyncio.sleep(0.001)
        await asyncio.sleep(1.2)
        await sandbox.start()
        await asyncio.wait_for(task, 60)
        applied = {item["order_id"] for item in sandbox.ledger if item["applied"]}
    results = journal.results()
    assert all(e.order_id in applied for e in journal.entries() if e.result == "updated")
    assert results["updated"] >= (1500 if retries else 1440)
    assert journal.states() == {"ended": 1500}
    journal.close()


@pytest.mark.parametrize("retries", [0, 5])
async def test_a_silent_service_is_given_up_after_the_budget(
    tmp_path: Path, unused_tcp_port: int, retries: int
) -> None:
    """Nobody listens: exit 6 when the budget is spent, the rows stay to be sent and later are."""
    journal = journal_of(tmp_path, 3000)
    async with client_for(unused_tcp_port) as client:
        with pytest.raises(StoppedError, match=r"has not worked for 0\.5 s") as stopped:
            await runner_for(journal, client, retries=retries, budget=0.5).run()
        assert stopped.value.exit_code == ExitCode.STOPPED
        failed = journal.results().get("failed", 0)
        assert failed <= (60 if retries == 0 else 0), "the outage is noticed after some twenty rows, not thousands"
        assert journal.states()["planned"] == 3000 - failed
        async with Sandbox(SandboxOptions(port=unused_tcp_port)):
            await runner_for(journal, client, retries=retries).run()
    assert journal.results()["updated"] == 3000 - failed
    journal.close()


class Stub:
    """A client whose answers a test chooses; counts what is under way."""

    token_requests = 0

    def __init__(self) -> None:
        self.under_way = 0
        self.go = asyncio.Event()

    def obey(self, _stopping: object, _saw: object) -> None:
        """Nobody signs in."""

    async def sign_in(self) -> None:
        """There is a token."""

    async def update_status(self, update: StatusUpdate) -> Answer:
        """Raise for row 3; the others are answered once it has."""
        if update.row == 3:
            while self.under_way < 3:
                await asyncio.sleep(0)
            self.go.set()
            raise RuntimeError("never foreseen")
        self.under_way += 1
        await self.go.wait()
        await asyncio.sleep(0.05)
        return Answer(Verdict.DONE, "ok", "", 200)

    async def read_order(self, order: str) -> Answer:
        """Nobody reads."""
        raise NotImplementedError

    async def renew(self, refused: int) -> bool:
        """There is no other token."""
        return False


async def test_an_unforeseen_error_lets_the_others_finish(tmp_path: Path) -> None:
    """A bug in one row's way: what is under way is recorded, the rest is not sent, exit 1, no hang."""
    journal = journal_of(tmp_path, 50)
    runner = Runner(journal, Stub(), Pacer(None), SendOptions(concurrency=4, retries=0))
    with pytest.raises(BatchUpdaterError, match="never foreseen") as stopped:
        await asyncio.wait_for(runner.run(), 20)
    assert stopped.value.exit_code == ExitCode.BUG
    assert journal.states() == {"planned": 46, "ended": 3, "claimed": 1}
    journal.close()


async def test_an_unforeseen_error_in_the_journal_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug while outcomes are written ends the run with a reason; who waits for a note is told."""

    def broken(_journal: Journal, _outcomes: list[RowOutcome]) -> None:
        raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")

    monkeypatch.setattr(Journal, "record", broken)
    journal = journal_of(tmp_path, 300)
    async with Sandbox(SandboxOptions(error_rate=0.3)) as sandbox:
        port = int(sandbox.base_url.rsplit(":", 1)[1])
        async with client_for(port) as client:
            with pytest.raises(StoppedError, match="surrogates"):
                await asyncio.wait_for(runner_for(journal, client).run(), 20)
    journal.close()


async def test_a_cancelled_run_records_what_had_left(tmp_path: Path) -> None:
    """Cancelled from outside: rows under way are in doubt with their attempt, the others planned."""
    journal = journal_of(tmp_path, 40)
    async with Sandbox(SandboxOptions(latency=30)) as sandbox:
        port = int(sandbox.base_url.rsplit(":", 1)[1])
        async with client_for(port) as client:
            task = asyncio.create_task(runner_for(journal, client).run())
            while len(sandbox.ledger) < 20:
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    entries = list(journal.entries())
    journal.close()
    assert [(e.state, e.attempts, e.sent_at is not None) for e in entries] == [
        *[("claimed", 1, True)] * 20, *[("planned", 0, False)] * 20,
    ]  # fmt: skip


async def test_the_services_strangest_words_can_be_kept(tmp_path: Path) -> None:
    """A lone surrogate in a reason, which no file can hold, does not stop the run."""
    from batch_updater.api.protocol import classify

    class Odd(Stub):
        async def update_status(self, _update: StatusUpdate) -> Answer:
            return classify(422, {}, b'{"detail": "\\ud800 no"}')

    journal = journal_of(tmp_path, 5)
    await asyncio.wait_for(Runner(journal, Odd(), Pacer(None), SendOptions(concurrency=4, retries=0)).run(), 20)
    assert {entry.detail for entry in journal.entries()} == {"\\ud800 no"}
    journal.close()

import asyncio
import threading
import uuid
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest
from support.journals import sealed

from batch_updater.api.auth import Tokens
from batch_updater.api.client import OrderClient
from batch_updater.api.credentials import Credentials
from batch_updater.api.pacing.pacer import Pacer
from batch_updater.common.errors import BatchUpdaterError, CredentialsError, JournalError
from batch_updater.common.models import StatusUpdate, Verdict
from batch_updater.common.progress import Progress, Stop
from batch_updater.common.secret import Secret
from batch_updater.common.settings import SendOptions
from batch_updater.journal.draft import Draft
from batch_updater.journal.journal import Journal
from batch_updater.sandbox.server import Sandbox, SandboxOptions, order_id, status_id
from batch_updater.sending.stages import Runner

pytestmark = pytest.mark.usefixtures("wire")  # both ways to send are held to all of this

UPDATE = StatusUpdate(2, str(uuid.UUID(int=7)), str(uuid.UUID(int=8)))


def journal_of(path: Path, count: int) -> Journal:
    draft = Draft.create(path / "j.sqlite")
    draft.add([StatusUpdate(n + 2, order_id(n + 1), status_id("Completed")) for n in range(count)])
    return sealed(draft, "hold")


def client_for(url: str, token: str = "sandbox-token", timeout: float = 5.0) -> OrderClient:
    return OrderClient(url, Tokens(Credentials(Secret(token))), timeout=timeout, concurrency=8)


@pytest.mark.parametrize("reads", [False, True])
async def test_a_broken_connection_is_one_put_and_unknown(reads: bool) -> None:
    """The server sees a PUT once when it drops the connection, and the row is in doubt."""
    seen = []

    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(1)
        if reads:
            await reader.readuntil(b"}")
        writer.transport.abort()

    server = await asyncio.start_server(drop, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, client_for(f"http://127.0.0.1:{port}") as client:
        answer = await client.update_status(UPDATE)
    assert answer.verdict is Verdict.UNKNOWN
    assert len(seen) == 1


async def test_nobody_listening_is_certainly_not_sent(unused_tcp_port: int) -> None:
    """A refused connection is told apart from an unknown end."""
    async with client_for(f"http://127.0.0.1:{unused_tcp_port}") as client:
        answer = await client.update_status(UPDATE)
    assert (answer.verdict, answer.was_sent) == (Verdict.RETRY, False)


async def test_silence_is_unknown_after_the_timeout() -> None:
    """A server that never answers leaves the row in doubt."""
    held: list[asyncio.StreamWriter] = []

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, client_for(f"http://127.0.0.1:{port}", timeout=0.1) as client:
        answer = await client.update_status(UPDATE)
        for writer in held:
            writer.close()
    assert (answer.verdict, answer.code) == (Verdict.UNKNOWN, "timeout")


async def test_every_updated_row_was_applied(tmp_path: Path) -> None:
    """With errors and lost answers each row ends, `updated` is in the ledger, concurrency holds."""
    options = SandboxOptions(error_rate=0.05, lose_answers=0.02, latency=0.002)
    async with Sandbox(options) as sandbox, client_for(sandbox.base_url) as client:
        journal = journal_of(tmp_path, 300)
        await Runner(journal, client, Pacer(None), SendOptions(concurrency=8, retries=8)).run()
        entries = list(journal.entries())
        journal.close()
        applied = {item["order_id"]: item["status_id"] for item in sandbox.ledger if item["applied"]}
        assert {e.state for e in entries} == {"ended"}
        assert all(applied.get(e.order_id) == e.status_id for e in entries if e.result == "updated")
        assert sum(e.result == "updated" for e in entries) > 280
        assert sum(e.attempts for e in entries) == sum(item["method"] == "PUT" for item in sandbox.ledger)
        assert max(item["in_flight"] for item in sandbox.ledger) <= 8


async def test_requests_under_way_have_a_bounded_time_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that never answers can't hold a stopped run; its rows stay claimed, in doubt."""
    monkeypatch.setattr("batch_updater.sending.stages.DRAIN_SECONDS", 0.1)
    async with Sandbox(SandboxOptions(latency=30)) as sandbox, client_for(sandbox.base_url) as client:
        journal = journal_of(tmp_path, 20)
        stop = Stop()
        runner = Runner(journal, client, Pacer(None), SendOptions(concurrency=4, retries=3), stop=stop)
        task = asyncio.create_task(runner.run())
        while runner.counters.in_flight < 4:
            await asyncio.sleep(0.01)
        stop.request()
        await asyncio.wait_for(task, 5)
        assert journal.states() == {"planned": 16, "claimed": 4}
        assert [entry.attempts for entry in journal.entries()] == [1] * 4 + [0] * 16, "each that left is counted"
        journal.close()


async def test_a_refused_token_stops_the_run(tmp_path: Path) -> None:
    """401 ends the run, every row stays open for the next start."""
    async with Sandbox(SandboxOptions()) as sandbox, client_for(sandbox.base_url, "a-wrong-token") as client:
        journal = journal_of(tmp_path, 50)
        with pytest.raises(CredentialsError):
            await Runner(journal, client, Pacer(None), SendOptions(concurrency=8, retries=3)).run()
        assert journal.states() == {"planned": 50}
        journal.close()
        assert len(sandbox.ledger) <= 8 + 1  # the list of statuses is asked whether it refuses the token too


async def test_nothing_is_sent_when_the_claim_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that can't be written stops the run before the first PUT."""

    def full(_self: Journal, _count: int) -> list[StatusUpdate]:
        raise JournalError("disk full")

    async with Sandbox(SandboxOptions()) as sandbox, client_for(sandbox.base_url) as client:
        journal = journal_of(tmp_path, 5)
        monkeypatch.setattr(Journal, "claim", full)
        with pytest.raises(JournalError, match="disk full"):
            await Runner(journal, client, Pacer(None), SendOptions(concurrency=8, retries=3)).run()
        journal.close()
        assert sandbox.ledger == []


@pytest.mark.parametrize("when", [1, 3])
async def test_a_bug_in_what_watches_a_run_stops_it(tmp_path: Path, when: int) -> None:
    """Rows that have ended stay so, the others are open, and nobody waits for a task that is gone."""
    calls = 0

    def watch(_progress: Progress) -> None:
        nonlocal calls
        calls += 1
        if calls >= when:
            raise RuntimeError("no bar")

    async with Sandbox(SandboxOptions()) as sandbox, client_for(sandbox.base_url) as client:
        journal = journal_of(tmp_path, 600)
        runner = Runner(
            journal, client, Pacer(None), SendOptions(concurrency=8, retries=3, compares=True), on_progress=watch
        )
        async with asyncio.timeout(20):
            with pytest.raises(BatchUpdaterError, match="no bar"):
                await runner.run()
        states = journal.states()
        journal.close()
        assert states.get("ended", 0) == len([entry for entry in sandbox.ledger if entry["method"] == "PUT"])
        assert set(states) <= {"ended", "planned"}


async def test_a_run_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stage by stage, with rows that only grow in number, the requests so far, and an end at which all have ended."""
    monkeypatch.setattr("batch_updater.journal.recorder.FLUSH_SECONDS", 0.01)
    journal, seen = journal_of(tmp_path, 150), list[Progress]()
    journal.claim(20)  # in doubt, as after a kill
    options = SandboxOptions(latency=0.03, lose_answers=0.2)
    async with Sandbox(options) as sandbox, client_for(sandbox.base_url) as client:
        await Runner(
            journal, client, Pacer(None), SendOptions(concurrency=8, retries=0), rows=150, on_progress=seen.append
        ).run()
        requests = Counter(item["method"].lower() for item in sandbox.ledger)
    results = journal.results()
    journal.close()
    stages = [stage for stage, _ in groupby(progress.stage for progress in seen)]
    assert stages == ["settling", "sending", "reading back", "rechecking"]
    assert [one.ended for one in seen] == sorted(one.ended for one in seen)
    assert {one.rows for one in seen} == {150}
    assert any(one.in_flight for one in seen)
    assert any(one.rows_per_second for one in seen)
    assert any(one.results.get("unknown") for one in seen)
    assert seen[-1].results == results == {"updated": 150}
    assert {kind: seen[-1].requests[kind] for kind in ("put", "get")} == requests


async def test_a_verification_tells_how_far_it_is(tmp_path: Path) -> None:
    """Orders by symbol; those that are not as planned count as failed."""
    journal, seen = journal_of(tmp_path, 50), list[Progress]()
    async with Sandbox(SandboxOptions()) as sandbox, client_for(sandbox.base_url) as client:
        sandbox.orders[order_id(1)]["status"] = {"id": status_id("Completed"), "name": "Completed"}
        await Runner(
            journal, client, Pacer(None), SendOptions(concurrency=8), rows=50, on_progress=seen.append
        ).verify()
    journal.close()
    assert {one.stage for one in seen} == {"verifying"}
    assert (seen[-1].results, seen[-1].failed) == ({"=": 1, "*": 49}, 49)


async def test_a_pause_is_told_while_it_lasts(tmp_path: Path) -> None:
    """Until when nothing leaves and what asked for it; later the limit that was learned."""
    journal, seen = journal_of(tmp_path, 60), list[Progress]()
    async with Sandbox(SandboxOptions(rate_limit=30)) as sandbox, client_for(sandbox.base_url) as client:
        await Runner(journal, client, Pacer(None), SendOptions(concurrency=8), rows=60, on_progress=seen.append).run()
    journal.close()
    paused = [one for one in seen if one.paused_until]
    assert paused
    assert {one.pause_reason for one in paused} == {"rate_limited"}
    assert seen[-1].limit


@pytest.mark.parametrize("when", ["before", "while it sends", "after"])
async def test_a_run_can_be_stopped_from_another_thread(tmp_path: Path, when: str) -> None:
    """Before it nothing leaves; in its midst what is in flight ends and the rest is planned; after it all is done."""
    journal, stop = journal_of(tmp_path, 400), Stop()
    request = threading.Thread(target=stop.request)
    async with Sandbox(SandboxOptions(latency=0.02)) as sandbox, client_for(sandbox.base_url) as client:
        if when == "before":
            request.start()
            request.join()
        run = asyncio.create_task(Runner(journal, client, Pacer(None), SendOptions(concurrency=8), stop=stop).run())
        while when == "while it sends" and not sandbox.ledger:
            await asyncio.sleep(0.001)
        if when == "while it sends":
            request.start()
        await asyncio.wait_for(run, 20)
        if when == "after":
            request.start()
        request.join()
        sent = len(sandbox.ledger)
    states = journal.states()
    journal.close()
    assert states.get("ended", 0) == sent
    assert states.get("planned", 0) == 400 - sent
    assert {"before": sent == 0, "after": sent == 400}.get(when, 0 < sent < 100)

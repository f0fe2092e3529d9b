"""Rows in doubt, unknown ends and late answers: read back, sent again, or said."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from support.journals import sealed

from batch_updater.api.auth import Tokens
from batch_updater.api.client import OrderClient
from batch_updater.api.credentials import Credentials
from batch_updater.api.pacing.pacer import Pacer
from batch_updater.common.errors import JournalError
from batch_updater.common.models import RowOutcome, StatusUpdate
from batch_updater.common.progress import Stop
from batch_updater.common.secret import Secret
from batch_updater.common.settings import SendOptions
from batch_updater.journal.draft import Draft
from batch_updater.journal.journal import Journal
from batch_updater.journal.lifecycle import what_is_left
from batch_updater.sandbox.server import Sandbox, SandboxOptions, order_id, status_id
from batch_updater.sending.stages import Runner

pytestmark = pytest.mark.usefixtures("wire")  # both ways to send are held to all of this

FIRST, SECOND = status_id("Assigned"), status_id("Completed")


def journal_of(folder: Path, rows: list[tuple[int, str]], on_conflict: str = "hold") -> Journal:
    draft = Draft.create(folder / "j.sqlite")
    draft.add([StatusUpdate(n, order_id(order), status) for n, (order, status) in enumerate(rows, 2)])
    return sealed(draft, on_conflict)


def interrupted(journal: Journal, claimed: int) -> Journal:
    """As after a kill: some rows claimed, nothing said about them."""
    journal.claim(claimed)
    journal.close()
    journal = Journal.open(journal.path)
    journal.mark_interrupted()
    return journal


async def run(
    journal: Journal, sandbox: Sandbox, retries: int = 5, canary: int = 0, concurrency: int = 8
) -> list[dict[str, object]]:
    tokens = Tokens(Credentials(Secret("sandbox-token")))
    options = SendOptions(concurrency=concurrency, retries=retries, canary=canary, timeout=0.2)
    async with OrderClient(sandbox.base_url, tokens, timeout=5, concurrency=8) as client:
        await Runner(journal, client, Pacer(None), options).run()
    return list(journal.entries())


class GatedSandbox(Sandbox):
    """A sandbox whose GETs of orders are answered with a status of the test's choice."""

    def __init__(self, options: SandboxOptions, read_status: int) -> None:
        super().__init__(options)
        self._read_status = read_status

        self.losing: set[str] = set()  # orders whose next update is applied and not answered

    def _gate(self, request: web.Request) -> web.Response | None:
        if request.method == "GET" and request.match_info.get("order"):
            return web.json_response({"detail": "no"}, status=self._read_status)
        return super()._gate(request)

    async def _update(self, request: web.Request) -> web.StreamResponse:
        answer = await super()._update(request)
        if (order := request.match_info["order"]) in self.losing:
            self.losing.discard(order)
            assert request.transport
            request.transport.abort()
        return answer


class LateSandbox(Sandbox):
    """Loses the first update of an order, and applies it just after the last one."""

    async def _update(self, request: web.Request) -> web.StreamResponse:
        wanted = (await request.json())["status_id"]
        seen = [entry for entry in self.ledger if entry["method"] == "PUT"]
        if len(seen) == 1 and not self.options.error_rate:
            seen[0]["status_id"], seen[0]["lost"] = wanted, True
            assert request.transport
            request.transport.abort()
            return web.Response()
        answer = await super()._update(request)
        if wanted == SECOND:
            order = request.match_info["order"]
            self.orders[order] = {**self.orders[order], "status": {"id": FIRST, "name": "Assigned"}}
        return answer


class StrictSandbox(Sandbox):
    """Refuses an update to the status that an order has; of the first of each order it loses the answer.

    With `late` that first one is applied just before the second one comes.
    """

    late = False

    async def _update(self, request: web.Request) -> web.StreamResponse:
        wanted, order = (await request.json())["status_id"], request.match_info["order"]
        is_first = sum(entry["method"] == "PUT" and entry["order_id"] == order for entry in self.ledger) == 1
        if self.late and not is_first:
            self.set_status(order, wanted)
        if order in self.orders and self.orders[order]["status"]["id"] == wanted:
            return web.json_response({"detail": "Order has this status already"}, status=409)
        answer = web.Response() if self.late else await super()._update(request)
        if is_first and order in self.orders:
            assert request.transport
            request.transport.abort()
        return answer


def methods_of(sandbox: Sandbox) -> list[str]:
    return [entry["method"] for entry in sandbox.ledger]


async def test_an_update_that_lost_its_answer_is_not_sent_twice(tmp_path: Path) -> None:
    """The order is read before the update would be sent again, and has the status."""
    journal = journal_of(tmp_path, [(1, SECOND), (99, SECOND)])
    async with StrictSandbox(SandboxOptions(orders=2)) as sandbox:
        done, missing = await run(journal, sandbox)
        assert sorted(methods_of(sandbox)) == ["GET", "PUT", "PUT"]
    journal.close()
    assert (done.result, done.code, done.attempts, done.remark) == ("updated", "confirmed_by_reading", 1, "")
    assert (missing.result, missing.code, missing.remark) == ("failed", "order_not_found", "")


async def test_a_refusal_after_a_lost_answer_is_no_word_about_the_order(tmp_path: Path) -> None:
    """The update without an answer may be what made the service refuse the next: the order is read once more."""
    journal = journal_of(tmp_path, [(1, SECOND)])
    async with StrictSandbox(SandboxOptions(orders=2)) as sandbox:
        sandbox.late = True
        (done,) = await run(journal, sandbox)
        assert methods_of(sandbox) == ["PUT", "GET", "PUT", "GET"]
    journal.close()
    assert (done.result, done.code, done.attempts) == ("updated", "confirmed_by_reading", 2)
    assert done.remark == "the last one was refused: Order has this status already"


@pytest.mark.parametrize("read_status", [403, 405])
async def test_a_row_that_can_not_be_read_back_is_sent_again_and_says_so(tmp_path: Path, read_status: int) -> None:
    """Reading refused: it is tried once, and the rows in doubt are sent a second time, with a remark."""
    journal = interrupted(journal_of(tmp_path, [(n, SECOND) for n in range(1, 7)]), 4)
    async with GatedSandbox(SandboxOptions(), read_status) as sandbox:
        entries = await run(journal, sandbox, concurrency=1)
        assert methods_of(sandbox) == ["GET", *["PUT"] * 6]
    journal.close()
    assert [entry.result for entry in entries] == ["updated"] * 6
    assert [f"could not be read back: no ({read_status})" in str(entry.remark) for entry in entries] == [
        True, True, True, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("read_status", [400, 404, 410, 422, 500])
async def test_no_row_stays_in_doubt_for_ever(tmp_path: Path, read_status: int) -> None:
    """An order that can't be read after its retries is not sent again blindly, and its row ends as unknown."""
    journal = interrupted(journal_of(tmp_path, [(n, SECOND) for n in range(1, 5)]), 2)
    async with GatedSandbox(SandboxOptions(), read_status) as sandbox:
        entries = await run(journal, sandbox, retries=0)
        assert methods_of(sandbox).count("PUT") == 2
    assert [entry.result for entry in entries] == ["unknown", "unknown", "updated", "updated"]
    assert not what_is_left(journal, journal.facts())
    journal.close()


async def test_readings_that_an_updated_order_is_refused_too_are_given_up(tmp_path: Path) -> None:
    """A bare 404, for an order that was updated too: nothing can be read here, and what was lost is sent again."""
    journal = journal_of(tmp_path, [(n, SECOND) for n in range(1, 9)])
    async with GatedSandbox(SandboxOptions(), 404) as sandbox:
        sandbox.losing = {order_id(7), order_id(8)}
        entries = await run(journal, sandbox, concurrency=1)
        assert methods_of(sandbox).count("GET") == 2
    journal.close()
    assert [(entry.result, entry.code, entry.attempts) for entry in entries[:6]] == [("updated", "ok", 1)] * 6
    assert [(entry.result, entry.code, entry.attempts) for entry in entries[6:]] == [("updated", "ok", 2)] * 2


async def test_rows_in_doubt_that_a_stop_leaves_unread_stay_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while a slow service is read, and the time to end is over: no row may be sent again unread."""
    monkeypatch.setattr("batch_updater.sending.stages.DRAIN_SECONDS", 0.05)
    journal = interrupted(journal_of(tmp_path, [(n, SECOND) for n in range(1, 41)]), 40)
    tokens = Tokens(Credentials(Secret("sandbox-token")))
    async with (
        Sandbox(SandboxOptions(latency=5)) as sandbox,
        OrderClient(sandbox.base_url, tokens, timeout=5, concurrency=4) as client,
    ):
        stop = Stop()
        runner = Runner(journal, client, Pacer(None), SendOptions(concurrency=4), stop=stop)
        task = asyncio.create_task(runner.run())
        while not sandbox.ledger:
            await asyncio.sleep(0)
        stop.request()
        await task
    assert journal.states() == {"claimed": 40}
    journal.close()


async def test_rows_in_doubt_are_read_before_anything_is_sent(tmp_path: Path) -> None:
    """Right already: updated without a PUT; else sent in this very start, however slow the journal is."""
    journal = interrupted(journal_of(tmp_path, [(n, SECOND) for n in range(1, 31)]), 30)
    async with Sandbox(SandboxOptions()) as sandbox:
        for n in range(1, 11):
            sandbox.orders[order_id(n)]["status"] = {"id": SECOND, "name": "Completed"}
        entries = await run(journal, sandbox)
        asked = {n: [e["method"] for e in sandbox.ledger if e["order_id"] == order_id(n)] for n in range(1, 31)}
    journal.close()
    assert [entry.code for entry in entries] == ["confirmed_after_interruption"] * 10 + ["ok"] * 20
    assert [asked[n] for n in range(1, 31)] == [["GET"]] * 10 + [["GET", "PUT"]] * 20


async def test_what_settling_finds_is_sent_although_the_journal_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next phase waits for the outcomes of the one before."""
    monkeypatch.setattr("batch_updater.journal.recorder.FLUSH_SECONDS", 5.0)
    journal = interrupted(journal_of(tmp_path, [(n, SECOND) for n in range(1, 11)]), 10)
    async with Sandbox(SandboxOptions()) as sandbox:
        entries = await run(journal, sandbox)
    journal.close()
    assert {entry.result for entry in entries} == {"updated"}


@pytest.mark.parametrize(
    ("lost", "result", "code"), [(True, "updated", "confirmed_by_reading"), (False, "unknown", "connection_error")]
)
async def test_unknown_ends_are_read_back_at_the_end(tmp_path: Path, lost: bool, result: str, code: str) -> None:
    """Every answer lost: reading back settles the row; what can't be read stays unknown."""
    journal = journal_of(tmp_path, [(n, SECOND) for n in range(1, 9)])
    options = SandboxOptions(lose_answers=1.0)
    async with Sandbox(options) if lost else GatedSandbox(options, 500) as sandbox:
        entries = await run(journal, sandbox, retries=0)
    journal.close()
    assert {(entry.result, entry.code, entry.attempts) for entry in entries} == {(result, code, 1)}


async def test_an_update_that_was_lost_and_not_applied_is_failed(tmp_path: Path) -> None:
    """Read back, the order has another status: the row says which."""
    journal = journal_of(tmp_path, [(1, FIRST)])
    async with LateSandbox(SandboxOptions()) as sandbox:
        entries = await run(journal, sandbox, retries=0)
    journal.close()
    assert [(entry.result, entry.code) for entry in entries] == [("failed", "not_applied")]
    assert status_id("Planned") in str(entries[0].detail)


def as_it_is(journal: Journal) -> Journal:
    return journal


@pytest.mark.parametrize("begin", [as_it_is, lambda journal: interrupted(journal, 1)])
@pytest.mark.parametrize("had", ["Planned", "Assigned"])
async def test_an_older_status_is_never_left_behind_unsaid(
    tmp_path: Path, begin: Callable[[Journal], Journal], had: str
) -> None:
    """A lost update that is applied after the last one: the last row is `overtaken`, also after an interruption."""
    journal = begin(journal_of(tmp_path, [(1, FIRST), (1, SECOND)], "sequence"))
    crashed = begin is not as_it_is
    async with LateSandbox(SandboxOptions(error_rate=1e-9 if crashed else 0)) as sandbox:
        sandbox.orders[order_id(1)]["status"] = {"id": status_id(had), "name": had}
        entries = await run(journal, sandbox)
        assert sandbox.orders[order_id(1)]["status"]["id"] == FIRST
    journal.close()
    assert entries[1].result == "failed"
    assert entries[1].code == "overtaken"


async def test_a_sequence_that_may_still_be_undone_says_so(tmp_path: Path) -> None:
    """Right when read back, but an update of the order is still missing its answer: the detail says it."""
    journal = journal_of(tmp_path, [(1, FIRST), (1, SECOND)], "sequence")
    async with Sandbox(SandboxOptions(lose_answers=1.0)) as sandbox:
        entries = await run(journal, sandbox, retries=0)
    journal.close()
    assert [entry.result for entry in entries] == ["updated", "updated"]
    assert "was right when read back" in str(entries[1].remark)


async def test_a_sequence_is_sent_to_its_end_however_the_commits_fall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows released between two looks at the journal are sent in the same start."""
    look = Journal.has_open

    def late(journal: Journal) -> bool:
        waiting = [str(e.row) for e in journal.entries() if e.state == "queued"]
        journal._db.execute(f"UPDATE rows SET state = 'planned' WHERE row IN ({','.join(waiting)})")
        return look(journal)

    monkeypatch.setattr(Journal, "has_open", late)  # as if the outcome before had been written just now
    journal = journal_of(tmp_path, [(1, FIRST), (1, SECOND)], "sequence")
    async with Sandbox(SandboxOptions(latency=0.1)) as sandbox:
        entries = await run(journal, sandbox)
    journal.close()
    assert {entry.state for entry in entries} == {"ended"}


async def test_a_stop_during_the_canary_is_no_failed_canary(tmp_path: Path) -> None:
    """Stopped between the canary's update and its reading: no complaint, and the next start tries one again."""
    journal = journal_of(tmp_path, [(n, SECOND) for n in range(1, 30)])
    tokens = Tokens(Credentials(Secret("sandbox-token")))
    async with Sandbox(SandboxOptions(latency=0.02)) as sandbox:
        async with OrderClient(sandbox.base_url, tokens, timeout=5, concurrency=8) as client:
            stop = Stop()
            runner = Runner(journal, client, Pacer(None), SendOptions(concurrency=1, retries=0, canary=3), stop=stop)
            task = asyncio.create_task(runner.run())
            while not sandbox.ledger:
                await asyncio.sleep(0)
            stop.request()
            await task
        assert sum(item["method"] == "PUT" for item in sandbox.ledger) == 1
        assert not journal.facts().canary_passed
        await run(journal, sandbox, canary=3)
        assert sum(item["method"] == "GET" for item in sandbox.ledger) == 3
        assert journal.facts().canary_passed
        assert journal.states() == {"ended": 29}
    journal.close()


async def test_nothing_is_said_of_a_row_whose_outcome_can_not_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outcomes that can't be written leave their rows claimed, in doubt, and stop the sending."""

    def broken(_journal: Journal, _outcomes: list[RowOutcome]) -> None:
        raise JournalError("disk I/O error")

    monkeypatch.setattr(Journal, "record", broken)
    monkeypatch.setattr("batch_updater.sending.stages.CLAIM_BLOCK", 40)
    journal = journal_of(tmp_path, [(n, SECOND) for n in range(1, 1001)])
    async with Sandbox(SandboxOptions(latency=0.02)) as sandbox:
        with pytest.raises(JournalError, match="disk I/O"):
            await run(journal, sandbox)
        sent = len(sandbox.ledger)
    states = journal.states()
    journal.close()
    assert states["claimed"] >= sent
    assert sent < 200

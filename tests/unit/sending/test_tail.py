"""The pool on a clock of its own, on which only the service takes time: what is lost is lost by the pool."""

import asyncio
import selectors
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
from support.journals import sealed

from batch_updater.api.pacing.pacer import Pacer
from batch_updater.common.models import Answer, ListedOrder, StatusUpdate, Verdict
from batch_updater.common.settings import SendOptions
from batch_updater.journal.draft import Draft
from batch_updater.journal.journal import Journal
from batch_updater.sending.stages import Runner

WORKERS = 16
DONE = Answer(Verdict.DONE, "ok", "", 200)


class Leaping(selectors.DefaultSelector):
    """Does not wait until the next timer is due, but puts the clock forward."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        found = super().select(0 if timeout is not None else None)
        if not found and timeout:
            self.now += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while it sleeps."""

    def __init__(self) -> None:
        self._leaping = Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now


class AtOnce(Executor):
    """Does its work when it is asked to, in no time."""

    def __init__(self, *_: object) -> None:
        return

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        try:
            done.set_result(work(*arguments, **named))
        except Exception as error:
            done.set_exception(error)
        return done


class Service:
    """Answers every update after the seconds that `latency` gives for its row; `came` has when each came."""

    token_requests = 0

    def __init__(self, latency: Callable[[int], float]) -> None:
        self._latency = latency
        self.came: list[float] = []
        self.ended: list[float] = []

    def obey(self, _stopping: object, _saw: object) -> None:
        """Nobody signs in."""

    async def sign_in(self) -> None:
        """There is a token."""

    async def update_status(self, update: StatusUpdate) -> Answer:
        loop = asyncio.get_running_loop()
        self.came.append(loop.time())
        await asyncio.sleep(self._latency(update.row))
        self.ended.append(loop.time())
        return DONE

    async def read_order(self, order_id: str) -> Answer:
        raise AssertionError(order_id)

    async def list_orders(self, page: int) -> Answer[list[ListedOrder]]:
        raise AssertionError(page)

    async def renew(self, refused: int) -> bool:
        raise AssertionError(refused)


@pytest.fixture
def send(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[int], float]], Service]:
    """Sends so many rows through a runner on a virtual clock to a service with this latency."""
    monkeypatch.setattr("batch_updater.journal.recorder.ThreadPoolExecutor", AtOnce)

    def send(rows: int, latency: Callable[[int], float]) -> Service:
        async def run(journal: Journal) -> None:
            loop = asyncio.get_running_loop()
            await Runner(journal, service, Pacer(None, loop.time), SendOptions(concurrency=WORKERS)).run()

        service = Service(latency)
        with Draft.create(tmp_path / "journal.sqlite") as draft:
            draft.add(StatusUpdate(n, str(uuid.UUID(int=n)), str(uuid.UUID(int=1))) for n in range(2, rows + 2))
            journal = sealed(draft, "hold")
            with asyncio.Runner(loop_factory=VirtualLoop) as runner:
                runner.run(run(journal))
            assert journal.results() == {"updated": rows}
        return service

    return send


Send = Callable[[int, Callable[[int], float]], Service]


def test_workers_never_wait_for_rows(send: Send) -> None:
    """Against a service of 50 ms every worker sends its next update the moment that an answer has come."""
    service = send(6000, lambda _row: 0.05)
    assert service.ended[-1] == pytest.approx(6000 / WORKERS * 0.05)


def test_slow_rows_hold_back_nobody_else(send: Send) -> None:
    """With one answer in a hundred taking 1 s the pool does 99 % of what its workers can, up to the last seconds."""
    service = send(6000, lambda row: 1.0 if row % 100 == 0 else 0.05)
    ideal = WORKERS / (0.99 * 0.05 + 0.01 * 1.0)
    assert sum(came < 20 for came in service.came) >= 0.99 * ideal * 20


def test_one_endless_row_costs_one_worker(send: Send) -> None:
    """A row that takes an hour keeps its own worker busy; the others end all other rows meanwhile."""
    service = send(6000, lambda row: 3600.0 if row == 2 else 0.05)
    assert service.ended[-2] == pytest.approx(6000 / (WORKERS - 1) * 0.05, rel=0.01)

import asyncio
import contextlib
import socket
import threading
import time
import uuid

import pytest
from support.fault_list import FAULTS
from support.fault_server import PUT, Exchange, Fault, FaultServer, answer

from batch_updater.api.auth import Tokens
from batch_updater.api.client import OrderClient
from batch_updater.api.credentials import Credentials
from batch_updater.common.models import StatusUpdate, Verdict
from batch_updater.common.secret import Secret

pytestmark = pytest.mark.usefixtures("wire")

BEFORE, WANTED = str(uuid.UUID(int=8)), str(uuid.UUID(int=9))
UPDATES = [StatusUpdate(n + 2, str(uuid.UUID(int=n + 1)), WANTED) for n in range(2)]


async def answers_twice(exchange: Exchange) -> None:
    await exchange.read()
    exchange.apply()
    await exchange.send(answer())
    await asyncio.sleep(0.02)
    await exchange.send(answer())


async def test_a_second_answer_to_one_update_is_not_taken_for_that_to_the_next() -> None:
    """A yes that arrives unasked on an idle connection never confirms the update that uses the connection next."""
    orders = {update.order_id: BEFORE for update in UPDATES}
    async with FaultServer({(PUT, 0): Fault(answers_twice), (PUT, 1): FAULTS["400"]}, orders) as server:
        tokens = Tokens(Credentials(Secret(server.token)))
        async with OrderClient(server.base_url, tokens, timeout=2, concurrency=1) as client:
            first = await client.update_status(UPDATES[0])
            await asyncio.sleep(0.1)
            second = await client.update_status(UPDATES[1])
    assert first.verdict is Verdict.DONE
    assert second.verdict is Verdict.REFUSED
    assert [seen.applied for seen in server.puts] == [True, False]


def serve_late(listening: socket.socket) -> None:
    """Two answers to the first request, shortly one after the other; a refusal to the one that comes over another."""
    first, _ = listening.accept()
    with first:
        first.recv(4096)
        first.sendall(answer())
        time.sleep(0.02)
        first.sendall(answer())
        listening.settimeout(2)
        with contextlib.suppress(TimeoutError):
            other, _ = listening.accept()
            with other:
                other.recv(4096)
                other.sendall(answer(400, b'{"detail": "Order (x) not found"}'))


async def test_a_second_answer_that_nobody_has_read_yet_is_not_taken_either() -> None:
    """What waits in the socket's buffer when the next update is about to leave is no answer to it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=serve_late, args=(listening,))
        server.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with OrderClient(
            url, Tokens(Credentials(Secret("t0k-of-late-answers"))), timeout=2, concurrency=1
        ) as client:
            first = await client.update_status(UPDATES[0])
            time.sleep(0.1)
            second = await client.update_status(UPDATES[1])
        await asyncio.to_thread(server.join)
    assert (first.verdict, second.verdict) == (Verdict.DONE, Verdict.REFUSED)

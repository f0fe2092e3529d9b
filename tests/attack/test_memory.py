"""What one answer costs in memory, however large, deep, packed or endless it is: seen by the kernel, in a process."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.fault_list import FAULTS, pours, says
from support.fault_server import GET, PAGE, PUT, STATUSES, Fault, FaultServer, answer
from support.one_client import ORDER, STATUS

from batch_updater.api.client import MAX_LIST

TESTS = Path(__file__).parents[1]
SMALLEST = b'{"":0},'  # of JSON: what takes most memory for its length
SPARE = 5  # requests on connections that have just been closed, which do not arrive
ANSWER = answer(200, b"{}")
BOMBS = {
    "small objects": Fault(says(answer(200, b'{"items": [' + SMALLEST * (MAX_LIST // len(SMALLEST) - 9) + b"{}]}"))),
    "answers without end": Fault(pours(ANSWER, ANSWER * 1000)),
    **{
        name: FAULTS[name]
        for name in (
            "a head of 1 MB", "10,000 headers", "an endless head", "cookies", "100 a thousand times", "100 for ever",
            "nested json", "a number of 60,000 digits", "enormous json", "endless json", "endless chunks",
            "chunked, enormous", "length enormous", "gzip bomb", "gzip bomb in a gzip bomb", "gzip bomb as transfer",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize(("kind", "most"), [(PUT, 16), (GET, 16), (PAGE, 100), (STATUSES, 100)])
async def test_no_answer_takes_much_memory(wire: str, kind: str, most: int) -> None:
    """All bombs together, one after the other: the process never has so many MB more than before the first."""
    faults: dict[tuple[object, ...], Fault] = {(kind, 1 + place): bomb for place, bomb in enumerate(BOMBS.values())}
    async with FaultServer(faults, {ORDER: STATUS}, statuses=(STATUS,)) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "support.one_client", server.base_url, wire, kind, str(len(BOMBS) + SPARE),
            stdout=subprocess.PIPE, env={**os.environ, "TOKEN": server.token}, cwd=TESTS,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert server.fired == [*BOMBS.values()]
    costs = [int(line.split()[0]) for line in said.decode().splitlines()]
    assert len(costs) == len(BOMBS) + SPARE
    assert max(costs) < most * 1024, [*zip(BOMBS, costs, strict=False)]

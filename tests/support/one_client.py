"""A client in a process of its own, which measures what answers cost it.

The address, the way to send, the kind of request and the number of answers are its arguments, the token is in TOKEN.
It asks once for an answer that is good, then so many times; of each it writes a line with the memory (kB) that the
process has had at most since the first, beyond what it had then, and the code of the answer.
"""

import os
import re
import sys
from pathlib import Path

from support.fault_server import GET, PAGE, PUT, STATUSES

from batch_updater.api.auth import Tokens
from batch_updater.api.client import OrderClient
from batch_updater.api.credentials import Credentials
from batch_updater.app.batch import run_loop
from batch_updater.common.models import Answer, StatusUpdate
from batch_updater.common.secret import Secret

ORDER, STATUS = "00000000-0000-0000-0000-000000000007", "00000000-0000-0000-0000-000000000008"


def memory(kind: str) -> int:
    """What the process has now (VmRSS) or has had at most (VmHWM), in kB."""
    found = re.search(rf"{kind}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


async def ask(client: OrderClient, kind: str) -> Answer:
    """One request and its answer."""
    if kind == PUT:
        return await client.update_status(StatusUpdate(2, ORDER, STATUS))
    if kind == GET:
        return await client.read_order(ORDER)
    return await (client.list_orders(1) if kind == PAGE else client.list_statuses())


async def main(base_url: str, wire: str, kind: str, number: str) -> None:
    """Ask and measure."""
    assert kind in {PUT, GET, PAGE, STATUSES}
    tokens = Tokens(Credentials(Secret(os.environ["TOKEN"])))
    async with OrderClient(base_url, tokens, timeout=2, concurrency=1, prepared=wire == "prepared") as client:
        assert (await ask(client, kind)).code == "ok"
        before = memory("VmRSS")
        for _ in range(int(number)):
            answer = await ask(client, kind)
            sys.stdout.write(f"{memory('VmHWM') - before} {answer.code}\n")


if __name__ == "__main__":
    run_loop(main(*sys.argv[1:]))

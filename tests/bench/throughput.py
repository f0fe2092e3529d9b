"""How fast the program sends, beside what else one could use, against a server that is no obstacle.

    pip install -e '.[bench]' && apt-get install nginx-light curl hey wrk && python tests/bench/throughput.py

nginx (one worker, on a core of its own where there are two) answers every PUT at once as the API does; without nginx a
small server in Python stands in, and is then the bottleneck. The clients run one after another in turns, each as a
process of its own on the other core; the table has the medians over all turns. Lines marked * are whole processes,
start-up included, the program's own from the start to the result file; the others are the sending alone, without
start-up, imports and reading the sheet. "Peak" is of the whole process (below some 20 MB it can't be seen).
What is not installed is left out.
"""

import argparse
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from limits import write_sheet

HERE = Path(__file__).parent
CONCURRENCY = 64
TOKEN = "bench-token"
NGINX = """
worker_processes 1; daemon off; pid {place}/nginx.pid; error_log {place}/error.log; worker_rlimit_nofile 4096;
events {{ worker_connections 2048; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; default_type application/json;
  client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
  uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /count {{ stub_status; }}
    location / {{ return 404 '{{"detail":"Not Found"}}'; }}
    location ~ ^/engagement/orders/[^/]+/status$ {{
      if ($request_method != PUT) {{ return 404 '{{"detail":"Not Found"}}'; }}
      return 200 '{{"detail":"Order status updated successfully"}}';
    }}
  }}
}}
"""
BY_SESSION = """
import sys
from batch_updater.app import execute
from batch_updater.cli.main import main
execute.PREPARED_FROM = sys.maxsize
main()
"""


@dataclass(frozen=True)
class Client:
    """One way to send: its command, on a sheet with this share of the rows; `whole`: its start-up counts too."""

    title: str
    command: list[str]
    share: float
    whole: bool = False


@dataclass(frozen=True)
class Sample:
    """One measurement: rows per second, CPU seconds per row, and the peak memory of the process in MB."""

    speed: float
    cpu: float
    peak: float


def cores() -> tuple[set[int], set[int]]:
    """The server's core and the client's; the same when there is only one, empty where they can't be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return set(), set()
    found = sorted(os.sched_getaffinity(0))
    return {found[0]}, {found[-1]}


def start(command: list[str], core: set[int], **options: object) -> subprocess.Popen[str]:
    """Start a process on a core."""
    pin = (lambda: os.sched_setaffinity(0, core)) if core else None
    return subprocess.Popen(command, text=True, preexec_fn=pin, **options)  # type: ignore[call-overload, no-any-return]  # noqa: PLW1509 - there are no threads here


@contextlib.contextmanager
def target(place: Path, core: set[int]) -> Iterator[tuple[str, str]]:
    """Serve on loopback; give the base URL and what serves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if nginx:
        conf = place / "nginx.conf"
        conf.write_text(NGINX.format(place=place, port=port), encoding="ascii")
        command = [nginx, "-p", str(place), "-c", str(conf)]
    else:
        command = [sys.executable, str(HERE / "server.py"), str(port)]
    server = start(command, core, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}", "nginx" if nginx else "Python (nginx is not installed)"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def _wait_for(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit("the server did not start")


def clients(place: Path, url: str) -> list[Client]:
    """Every client that is installed."""
    python, kinds = sys.executable, str(HERE / "clients.py")
    single = f"{url}/engagement/orders/x/status"
    body = json.dumps({"status_id": "00000000-0000-0000-0000-000000000001"})
    program = [python, "-m", "batch_updater", "run", "{sheet}", "--yes", "--quiet", "--concurrency"]
    found = [
        Client("batch-updater run, the whole command *", [*program, str(CONCURRENCY)], 1, whole=True),
        Client("batch-updater, sending alone", [python, kinds, "sending", "{sheet}", url], 1),
        Client(
            "batch-updater run by aiohttp's session, the whole command *",
            [python, "-c", BY_SESSION, *program[3:], str(CONCURRENCY)],
            1,
            whole=True,
        ),
        Client("bare aiohttp loop (no results, no retry)", [python, kinds, "bare", "{sheet}", url], 1),
        Client("the script people write", [python, kinds, "script", "{sheet}", url], 0.5),
        Client("requests, 64 threads", [python, kinds, "threads", "{sheet}", url], 0.05),
        Client("requests in a loop", [python, kinds, "loop", "{sheet}", url], 0.05),
    ]
    csv2http = Path(python).with_name("csv2http")
    if csv2http.exists():
        options = ["-c", str(CONCURRENCY), "--method", "PUT", "-n"]
        found.append(Client("csv2http *", [str(csv2http), *options, "{sheet}", single], 0.05, whole=True))
    if shutil.which("curl"):
        options = ["-s", "--parallel", "--parallel-max", str(CONCURRENCY), "-K", "{sheet}.curl"]
        found.append(Client("curl --parallel (no results, no retry) *", ["curl", *options], 0.2, whole=True))
    if shutil.which("hey"):
        load = ["hey", "-n", "{rows}", "-c", str(CONCURRENCY), "-cpus", "1", "-m", "PUT", "-d", body, single]
        found.append(Client("hey (a load generator, one URL) *", load, 1, whole=True))
    if shutil.which("wrk"):
        (place / "put.lua").write_text(f"wrk.method = 'PUT'\nwrk.body = '{body}'\n", encoding="ascii")
        load = ["wrk", "-t1", f"-c{CONCURRENCY}", "-d3s", "-s", str(place / "put.lua"), single]
        found.append(Client("wrk (a load generator, one URL) *", load, 1, whole=True))
    return found


def write_curl(sheet: Path, url: str) -> None:
    """The sheet as a config file for curl: one PUT after another."""
    entries = []
    for line in sheet.read_text(encoding="ascii").splitlines()[1:]:
        order, status = line.split(",")
        data = json.dumps({"status_id": status}).replace('"', '\\"')
        entries.append(
            f'url = "{url}/engagement/orders/{order}/status"\nrequest = "PUT"\noutput = "/dev/null"\n'
            f'header = "Authorization: Bearer {TOKEN}"\nheader = "Content-Type: application/json"\ndata = "{data}"\n'
        )
    sheet.with_name(f"{sheet.name}.curl").write_text("next\n".join(entries), encoding="ascii")


def measure(client: Client, rows: int, url: str, core: set[int]) -> Sample:
    """Run a client once on a fresh sheet. Raises SystemExit when it fails."""
    count = max(round(rows * client.share), 100)
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("EVREKA360", "ACCESS_TOKEN", "BATCH_UPDATER"))}
    env = {**keep, "EVREKA360_BASE_URL": url, "EVREKA360_ACCESS_TOKEN": TOKEN}
    with tempfile.TemporaryDirectory() as place:
        sheet = write_sheet(Path(place) / "orders.csv", count)
        if "--parallel" in client.command:
            write_curl(sheet, url)
        command = [part.replace("{sheet}", str(sheet)).replace("{rows}", str(count)) for part in client.command]
        began = time.perf_counter()
        with (Path(place) / "out").open("w+", encoding="utf-8") as out:
            process = start(command, core, env=env, cwd=place, stdout=out, stderr=subprocess.STDOUT)
            _, code, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(code)
            wall = time.perf_counter() - began
            out.seek(0)
            printed = out.read()
    if code:
        raise SystemExit(f"{client.title} failed:\n{printed[-2000:]}")
    return _sample(client, printed, count, wall, used)


def _sample(client: Client, printed: str, count: int, wall: float, used: resource.struct_rusage) -> Sample:
    sent, cpu = count, used.ru_utime + used.ru_stime
    if found := re.search(r"(\d+) requests in ([\d.]+)s", printed):  # wrk runs for a time, not for a number
        sent, wall = int(found[1]), float(found[2])
    elif not client.whole:
        told = json.loads(printed.splitlines()[-1])
        wall, cpu = told["wall"], told["cpu"]
    return Sample(sent / wall, cpu / sent, used.ru_maxrss / 1024)


def table(samples: dict[str, list[Sample]]) -> Iterator[str]:
    """The medians, and ratios to the bare loop as the median over the turns."""
    yield "| client | rows/s | spread | of the bare loop's | CPU µs/row | of the bare loop's | peak MB |"
    yield "|---|---|---|---|---|---|---|"
    bare = next(found for title, found in samples.items() if title.startswith("bare"))
    for title, found in samples.items():
        speeds = [sample.speed for sample in found]
        speed = statistics.median(speeds)
        faster = statistics.median(mine.speed / other.speed for mine, other in zip(found, bare, strict=True))
        cpu = statistics.median(sample.cpu for sample in found)
        costs = statistics.median(mine.cpu / other.cpu for mine, other in zip(found, bare, strict=True))
        peak = statistics.median(sample.peak for sample in found)
        spread = (max(speeds) - min(speeds)) / speed
        yield (
            f"| {title} | {speed:,.0f} | {100 * spread:.0f} % | {faster:.2f} | {1e6 * cpu:,.0f} | {costs:.2f}"
            f" | {peak:,.0f} |"
        )


def main() -> None:
    """Measure all clients in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", help="part of a title; the bare loop always runs")
    asked = parser.parse_args()
    server_core, client_core = cores()
    with tempfile.TemporaryDirectory() as name, target(Path(name), server_core) as (url, kind):
        chosen = [c for c in clients(Path(name), url) if not asked.only or asked.only in c.title or "bare" in c.title]
        samples: dict[str, list[Sample]] = {client.title: [] for client in chosen}
        for turn in range(asked.repeat):
            for client in chosen:
                sample = measure(client, asked.rows, url, client_core)
                samples[client.title].append(sample)
                print(f"turn {turn + 1}: {client.title}: {sample.speed:,.0f} rows/s", file=sys.stderr, flush=True)
    pinned = "server and client on cores of their own" if server_core != client_core else "one core for both"
    print(f"{asked.rows:,} rows, {CONCURRENCY} connections, {asked.repeat} turns, target {kind}, {pinned}\n")
    print("\n".join(table(samples)))


if __name__ == "__main__":
    main()

"""Servers that many put before their programs, with limits of their own: nginx and uvicorn, each on a free port."""

import asyncio
import importlib.util
import os
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

NGINX = """daemon off; master_process off; pid {place}/pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{
  log_format brief "$request_method $status"; access_log {place}/access.log brief;
  client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place}; uwsgi_temp_path {place};
  scgi_temp_path {place};
  limit_req_zone $server_addr zone=rate:1m rate=200r/s; limit_conn_zone $server_addr zone=most:1m;
  server {{ listen 127.0.0.1:{port}; keepalive_requests 100000;
    location / {{ {rule} proxy_pass {behind}; proxy_http_version 1.1; }} }}
}}"""
UVICORN = """
import asyncio, sys, uvicorn
async def answer(scope, receive, send):
    await asyncio.sleep(0.02)
    found = scope["method"] == "PUT"
    body = b'{"detail":"Order status updated successfully"}' if found else b'{"detail":"Not Found"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})
log = {"version": 1, "formatters": {"brief": {"()": "uvicorn.logging.AccessFormatter", "use_colors": False,
       "fmt": "%(request_line)s %(status_code)s"}},
       "handlers": {"file": {"class": "logging.FileHandler", "filename": sys.argv[2], "formatter": "brief"}},
       "loggers": {"uvicorn.access": {"handlers": ["file"], "level": "INFO"}}}
uvicorn.run(answer, port=int(sys.argv[1]), limit_concurrency=8, log_config=log, lifespan="off")
"""


@dataclass(frozen=True)
class LimitedServer:
    """A server, its `limit` in requests per second, and its rule where it is nginx; else it is uvicorn."""

    title: str
    limit: float
    rule: str = ""

    @property
    def is_there(self) -> bool:
        """Whether it is installed."""
        return bool(shutil.which("nginx") if self.rule else importlib.util.find_spec("uvicorn"))


SERVERS = {
    "nginx-rate": LimitedServer("nginx limit_req 200/s without burst, 503", 200, "limit_req zone=rate;"),
    "nginx-429": LimitedServer(
        "nginx limit_req 200/s, burst 20, 429", 200, "limit_req zone=rate burst=20 nodelay; limit_req_status 429;"
    ),
    "nginx-conn": LimitedServer("nginx limit_conn 5, 503", 5 / 0.02, "limit_conn most 5;"),
    "uvicorn": LimitedServer("uvicorn --limit-concurrency 8, 503", 7 / 0.02),
}


@asynccontextmanager
async def started(server: LimitedServer, behind: str, place: Path, seen: Callable[[bool], None]) -> AsyncIterator[str]:
    """Run the server before `behind`; give its base URL, and tell of each PUT whether it was accepted."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = place / "access.log"
    os.mkfifo(log)
    if server.rule:
        config = place / "nginx.conf"
        config.write_text(NGINX.format(place=place, port=port, rule=server.rule, behind=behind), encoding="ascii")
        command = ["nginx", "-c", str(config)]
    else:
        command = [sys.executable, "-c", UVICORN, str(port), str(log)]
    process = await asyncio.create_subprocess_exec(*command)
    reader = asyncio.StreamReader()
    pipe = os.fdopen(os.open(log, os.O_RDONLY | os.O_NONBLOCK), "rb")
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)

    async def watch() -> None:
        async for line in reader:
            if line.startswith(b"PUT"):
                seen(b" 200" in line)

    watching = asyncio.create_task(watch())
    try:
        await _until_it_listens(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()
        watching.cancel()


async def _until_it_listens(port: int) -> None:
    give_up = time.monotonic() + 20
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return

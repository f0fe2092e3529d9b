"""A canary token through every command, a service that repeats it, crashes, and the environment of children."""

import asyncio
import contextlib
import inspect
import json
import pickle
import pkgutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.commands import proposed_in
from support.program import environment, good_rows, newest_run, puts, served, write_sheet
from support.secrecy import TOKEN, WATCH
from support.watched import Watched, grant_environment

from batch_updater.api.auth import Tokens
from batch_updater.api.client import OrderClient
from batch_updater.api.credentials import GRANT_NAMES, TOKEN_NAMES, Credentials
from batch_updater.api.transport import Request
from batch_updater.common.models import StatusUpdate
from batch_updater.common.secret import Secret
from batch_updater.common.settings import Settings
from batch_updater.sandbox import demo
from batch_updater.sandbox.server import Sandbox, order_id, status_id

LOUD = {"PYTHONASYNCIODEBUG": "1", "PYTHONFAULTHANDLER": "1"}
SHOUT = """
import asyncio.base_events, logging, sys
logging.basicConfig(level=logging.DEBUG)
made = asyncio.base_events.BaseEventLoop.__init__

def make_slow(self):
    made(self)
    self.slow_callback_duration = 0.0  # in debug mode each step is then logged as a slow one

asyncio.base_events.BaseEventLoop.__init__ = make_slow
sys.modules["uvloop"] = None

import batch_updater.app.execute
batch_updater.app.execute.PREPARED_FROM = 0  # as a large run is sent
"""
TELL_CHILDREN = """
import sys
STARTS = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"}
sys.addaudithook(lambda name, more: name in STARTS and sys.stderr.write(f"STARTED {more}"))
sys.stderr.write("TOLD")
"""
ESCAPED = "".join(f"\\u{ord(c):04x}" for c in TOKEN)
BODIES = {
    "plain": json.dumps({"detail": f"Bearer {TOKEN} may not"}),
    "cut by the limit": json.dumps({"detail": "x" * 290 + f" {TOKEN}"}),
    "slashes escaped": json.dumps({"detail": TOKEN}).replace("/", "\\/"),
    "all escaped": f'{{"detail": "{ESCAPED}"}}',
    "percent": json.dumps({"detail": TOKEN.replace("/", "%2f").replace("+", "%2B").replace("=", "%3D")}),
    "list": json.dumps({"detail": [{"loc": ["header", TOKEN], "msg": f"{TOKEN} is bad", "type": TOKEN}]}),
    "keys": json.dumps({TOKEN: TOKEN, "detail": {TOKEN: "a"}}),
    "html": f"<h1>{TOKEN}</h1>",
}


def repeating(monkeypatch: pytest.MonkeyPatch, status: int, bodies: list[str]) -> None:
    """Make a sandbox that is started later answer updates by the last body, and repeat the token in headers too."""

    async def answer(_self: Sandbox, _request: web.Request) -> web.Response:
        headers = {"Location": f"/?token={TOKEN}", "X-Echo": TOKEN, "Retry-After": TOKEN, "Set-Cookie": f"a={TOKEN}"}
        return web.Response(status=status, reason=f"No {TOKEN}", text=bodies[-1], headers=headers)

    monkeypatch.setattr(Sandbox, "_update", answer)


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 422, 503])
def test_a_service_that_repeats_the_token_makes_nobody_write_it(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """In bodies, escaped or cut, in keys, headers, cookies, the reason and the address of a redirect."""
    bodies: list[str] = []
    repeating(monkeypatch, status, bodies)
    with served() as sandbox:
        for place, body in enumerate(BODIES.values()):
            bodies.append(body)
            sheet = write_sheet(watched.folder / f"{place}.csv", good_rows(2))
            ended = watched.call(
                "run",
                sheet,
                "--yes",
                "-vv",
                "--retries",
                "0",
                "--outage-budget",
                "0",
                env=environment(sandbox.base_url),
            )
            assert ended.returncode in {3, 5, 6}, ended.stderr


def test_names_that_repeat_the_token_are_masked(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the name of a status and of an order."""
    sheet = watched.folder / "o.csv"
    sheet.write_text(f"order,status\nWO-00001,{status_id(TOKEN)}\nwo-00002,{status_id(TOKEN)}\n")
    with served(statuses=(TOKEN, "Planned"), loose_exact=True) as sandbox:
        sandbox.set_name(order_id(2), f"wo-00002 {TOKEN}")
        env = environment(sandbox.base_url)
        for words in (["run", sheet, "--yes", "--order-by", "name"], ["statuses"], ["verify", sheet.parent]):
            watched.call(*words, env=env)
        said = watched.call("statuses", env=env).stdout
    assert "***" in said


def site(folder: Path, text: str) -> dict[str, str]:
    """What makes a Python process run this text when it starts."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(text)
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize(("identify", "shout"), [(grant_environment, ""), (environment, SHOUT)])
def test_every_command_as_a_process_keeps_the_secrets(
    watched: Watched, identify: Callable[..., dict[str, str]], shout: str
) -> None:
    """run, plan, verify, undo, results, runs and statuses: in debug mode, with every line that any library logs."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(3))
    with served(**({} if shout else {"token_ttl": 60})) as sandbox:
        env = identify(sandbox.base_url, **LOUD, **site(watched.folder / "site", shout))
        ended = watched.process("run", sheet, "--yes", "-vv", "--compare", env=env)
        assert ended.returncode == 0, ended.stderr
        assert ("asyncio:Executing <Task" in ended.stderr) == bool(shout)
        run = newest_run(sheet)
        for words, code in {
            ("plan", sheet, "-vv"): 0,
            ("verify", run, "-vv"): 0,
            ("undo", run, "--yes", "-vv", "--json"): 0,
            ("results", run, "--json"): 0,
            ("runs", watched.folder, "--json"): 0,
            ("statuses",): 0,
        }.items():
            ended = watched.process(*words, env=env)
            assert ended.returncode == code, ended.stderr


def family(process: int) -> list[int]:
    """A process and all that descend from it."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


@pytest.mark.parametrize("identify", [environment, grant_environment])
def test_secrets_in_files_are_in_no_process(watched: Watched, identify: Callable[..., dict[str, str]]) -> None:
    """While it sends, neither the program's command line nor its environment holds one; it starts no other program."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(30))
    with served(latency=0.02, token_ttl=60) as sandbox:
        env = identify(sandbox.base_url, **site(watched.folder / "site", TELL_CHILDREN))
        for name in (*TOKEN_NAMES, *GRANT_NAMES):
            if secret := env.pop(name, ""):
                place = watched.folder / name
                place.write_text(secret)
                env[f"{name}_FILE"] = str(place)

        def look(process: subprocess.Popen[str]) -> None:
            while not puts(sandbox):
                assert process.poll() is None, process.communicate()
                time.sleep(0.005)
            for one in family(process.pid):
                for what in ("cmdline", "environ"):
                    WATCH.hear(what, Path(f"/proc/{one}/{what}").read_bytes())

        ended = watched.process("run", sheet, "--yes", "--concurrency", "2", env=env, meanwhile=look)
    assert ended.returncode == 0, ended.stderr
    assert "TOLD" in ended.stderr
    assert "STARTED" not in ended.stderr


@pytest.mark.parametrize(
    "place",
    [
        "api.auth:Tokens.current", "api.client:OrderClient.update_status", "api.client:OrderClient.read_order",
        "api.client:OrderClient.list_statuses", "api.connector:Connector._create_connection",
        "api.transport:SessionTransport.request", "api.pacing.pacer:Pacer.acquire", "app.execute:finish",
        "app.outputs:write_results", "cli.console:describe", "journal.journal:Journal.claim",
        "journal.journal:Journal.checkpoint", "journal.journal:Journal.record", "journal.journal:Journal.update_facts",
        "cli.progress:ProgressBar.update", "reports.html:write_report", "app.planner:make_plan",
        "api.pacing.rate_log:PaceLog.log_changes",
    ],
)  # fmt: skip
def test_a_bug_anywhere_shows_no_secret(watched: Watched, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """An error that holds the token, in its text, its cause and its notes: stars, in all that is said and written."""

    def broken(*_arguments: object, **_more: object) -> Any:
        error = RuntimeError(f"Authorization: Bearer {TOKEN}")
        error.add_note(f"with {TOKEN}")
        raise error from ValueError(TOKEN)

    async def broken_later(*_arguments: object, **_more: object) -> Any:
        broken()

    name = f"batch_updater.{place}"
    is_later = inspect.iscoroutinefunction(pkgutil.resolve_name(name))
    monkeypatch.setattr(name.replace(":", "."), broken_later if is_later else broken)
    sheet = write_sheet(watched.folder / "o.csv", good_rows(2))
    with served() as sandbox:
        ended = watched.call("run", sheet, "--yes", "-vv", "--compare", env=environment(sandbox.base_url))
    assert ended.returncode == {
        "reports.html:write_report": 0,
        "journal.journal:Journal.checkpoint": 6,
        "journal.journal:Journal.record": 6,
    }.get(place, 1)
    assert "Bearer ***" in ended.stderr


def test_a_bug_of_another_command_shows_no_secret(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """The traceback has stars."""

    async def broken(_self: OrderClient) -> Any:
        raise RuntimeError(f"Authorization: Bearer {TOKEN}")

    monkeypatch.setattr(OrderClient, "list_statuses", broken)
    with served() as sandbox:
        ended = watched.call("statuses", env=environment(sandbox.base_url))
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert "Bearer ***" in ended.stderr


def test_an_interrupted_run_does_not_show_where_notices_go(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command to go on with leaves --notify out, for its address may hold a token, but not what the call needs."""

    def interrupted(*_arguments: Any, **_more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("batch_updater.cli.console.find_service", interrupted)
    for option in (["--notify", f"json://{TOKEN}"], [f"--notify=json://{TOKEN}"]):
        ended = watched.call(
            "run", "o.csv", "--yes", "--restart", *option, "--rate", 3, env=environment("https://x.test")
        )
        assert ended.returncode == 130
        assert proposed_in(ended.stderr) == ["batch-updater run o.csv --base-url https://x.test --rate 3 --yes"]


def test_a_token_where_the_path_of_a_file_belongs_is_not_shown(watched: Watched) -> None:
    """EVREKA360_ACCESS_TOKEN_FILE set to the token itself: exit 2 names the variable alone."""
    env = environment("https://x.example", EVREKA360_ACCESS_TOKEN="", EVREKA360_ACCESS_TOKEN_FILE=TOKEN)
    ended = watched.call("statuses", env=env)
    assert (ended.returncode, "EVREKA360_ACCESS_TOKEN_FILE" in ended.stderr) == (2, True)


def test_the_demo_gives_its_children_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the local service nor the program that it runs gets what the person has in the environment."""
    started: list[dict[str, str]] = []
    real = subprocess.Popen

    def note(words: list[str], **more: Any) -> Any:
        started.append(more["env"])
        return real([sys.executable, "-c", "import sys; print('http://127.0.0.1:9 x', file=sys.stderr)"], **more)

    monkeypatch.setattr(subprocess, "Popen", note)
    for name, value in grant_environment("https://x.example", ACCESS_TOKEN=TOKEN).items():
        monkeypatch.setenv(name, value)
    demo.run_demo(20, tmp_path, lambda _text: None)
    assert len(started) == 2
    names = {name for env in started for name in env if name.startswith(("EVREKA360", "ACCESS_TOKEN", "BATCH_"))}
    assert names == {"EVREKA360_BASE_URL", "EVREKA360_ACCESS_TOKEN"}
    assert all(TOKEN not in env.values() for env in started)


async def test_objects_that_hold_the_token_do_not_show_it() -> None:
    """The client, its requests, tokens and credentials as repr; settings as a pickle; whatever asyncio shows."""
    tokens = Tokens(Credentials(Secret(TOKEN)))
    settings = Settings(base_url="https://x.example")
    async with OrderClient("http://127.0.0.1:9", tokens, timeout=1, concurrency=1) as client:
        task = asyncio.create_task(client.update_status(StatusUpdate(2, order_id(1), status_id("Completed"))))
        await asyncio.sleep(0)
        shown = [repr(client), repr(tokens), repr(vars(tokens)), repr(task), repr(settings), repr(client._transport)]
        await task
        shown.append(repr(Request("PUT", "http://x", client._headers)))
    shown += [repr(Credentials(Secret(TOKEN))), f"{Secret(TOKEN)!r:>20}"]
    WATCH.hear("repr", "\n".join(shown))
    WATCH.hear("pickle", pickle.dumps(settings))
    with pytest.raises(TypeError):
        pickle.dumps(tokens._access)

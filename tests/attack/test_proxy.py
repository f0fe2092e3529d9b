import base64
import json
from pathlib import Path
from typing import Any

import pytest
from support.network import ESTABLISHED, Front, Proxy, Town, credentials_in, refuse
from support.program import (
    TOKEN,
    environment,
    good_rows,
    judge,
    newest_run,
    puts,
    read_result,
    served,
    summary_of,
    write_sheet,
)
from support.secrecy import WATCH
from support.watched import Watched, grant_environment

from batch_updater.sandbox.server import CLIENT_SECRET, PASSWORD, Sandbox

ROWS = 30
USER, PROXY_PASSWORD = "pr0xy-clerk", "pr0xy-pass-w0rd"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PROXY_PASSWORD}".encode()).decode()


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_WAIT", "LONGEST_WAIT"):
        monkeypatch.setattr(f"batch_updater.api.retry.{name}", 0.01)


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "o.csv", good_rows(ROWS))


def fronted(town: Town, sandbox: Sandbox) -> Front:
    """The sandbox behind TLS."""
    front: Front = town.start(Front(town.context(), target=int(sandbox.base_url.rpartition(":")[2])))
    return front


def settings(town: Town, front: Front, proxy: Proxy, **more: str) -> dict[str, str]:
    """The environment of somebody behind a proxy."""
    return environment(
        f"https://127.0.0.1:{front.port}",
        BATCH_UPDATER_CA_FILE=str(town.ca_file), BATCH_UPDATER_PROXY=proxy.address, **more,
    )  # fmt: skip


def ends_well(ended: Any, sheet: Path, sandbox: Sandbox) -> None:
    assert ended.returncode == 0, ended.stderr
    rows = read_result(newest_run(sheet) / "results.csv")
    judge(rows, ROWS, sandbox)
    assert len(puts(sandbox)) == ROWS
    assert {row["result_attempts"] for row in rows} == {"1"}


@pytest.mark.parametrize("how", ["option", "environment", "config"])
@pytest.mark.parametrize("kind", ["http", "https"])
def test_all_goes_through_the_proxy_and_it_sees_no_secret(
    tmp_path: Path, sheet: Path, town: Town, watched: Watched, kind: str, how: str
) -> None:
    """Sign-in, statuses and updates are tunnelled; the proxy is told no token and passes on none."""
    config = tmp_path / "c.toml"
    with served(token_ttl=1e6) as sandbox:
        front = fronted(town, sandbox)
        proxy = town.start(Proxy(town.context() if kind == "https" else None))
        config.write_text(f"proxy = {json.dumps(proxy.address)}\n" if how == "config" else "")
        env = grant_environment(f"https://127.0.0.1:{front.port}", BATCH_UPDATER_CA_FILE=str(town.ca_file))
        env |= {"BATCH_UPDATER_PROXY": proxy.address} if how == "environment" else {}
        words = ["--proxy", proxy.address] if how == "option" else ["--config", config]
        ended = watched.call("run", sheet, "--yes", "--concurrency", "4", *words, env=env)
        ends_well(ended, sheet, sandbox)
        assert front.accepted == len(proxy.heard) > 0, "nobody has come another way"
        secrets = {PASSWORD, CLIENT_SECRET, *sandbox.tokens, *sandbox.refresh_tokens}
    told = "".join(proxy.heard)
    assert told.startswith(f"CONNECT 127.0.0.1:{front.port} HTTP/1.1\r\n")
    assert "uthorization" not in told
    assert not [secret for secret in secrets if secret in told or secret.encode() in proxy.passed]


@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_proxy_that_wants_credentials_gets_them_with_every_connection(
    tmp_path: Path, sheet: Path, town: Town, watched: Watched, place: str
) -> None:
    """They come from the environment or a file, and nothing that is said or written holds them."""
    WATCH.learn(PROXY_PASSWORD)
    given = {"BATCH_UPDATER_PROXY_USER": USER, "BATCH_UPDATER_PROXY_PASS": PROXY_PASSWORD}
    if place == "file":
        secret = tmp_path.parent / f"{tmp_path.name}.secret"
        secret.write_text(PROXY_PASSWORD + "\n")
        given = {"BATCH_UPDATER_PROXY_USER": USER, "BATCH_UPDATER_PROXY_PASS_FILE": str(secret)}
    with served() as sandbox:
        front = fronted(town, sandbox)
        proxy = town.start(Proxy(answer=lambda head: ESTABLISHED if credentials_in(head) == BASIC else refuse(407)))
        env = settings(town, front, proxy, **given)
        ends_well(watched.call("run", sheet, "--yes", "-vv", "--concurrency", "4", env=env), sheet, sandbox)
    assert {credentials_in(head) for head in proxy.heard} == {BASIC}
    assert TOKEN not in "".join(proxy.heard)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "requires a user and a password"),
        ({"BATCH_UPDATER_PROXY_USER": USER, "BATCH_UPDATER_PROXY_PASS": "wrong-w0rd"}, "does not accept"),
    ],
)
def test_a_407_stops_the_run_and_names_what_to_set(
    sheet: Path, town: Town, watched: Watched, given: dict[str, str], words: str
) -> None:
    """Exit 6, nothing sent and no row failed; with the right credentials the same command goes on."""
    WATCH.learn(PROXY_PASSWORD)
    WATCH.learn("wrong-w0rd")
    right = {"BATCH_UPDATER_PROXY_USER": USER, "BATCH_UPDATER_PROXY_PASS": PROXY_PASSWORD}
    with served() as sandbox:
        front = fronted(town, sandbox)
        challenge = refuse(407, 'Proxy-Authenticate: Basic realm="x"')
        proxy = town.start(Proxy(answer=lambda head: ESTABLISHED if credentials_in(head) == BASIC else challenge))
        ended = watched.call("run", sheet, "--yes", env=settings(town, front, proxy, **given))
        assert ended.returncode == 6
        assert words in ended.stderr
        assert "BATCH_UPDATER_PROXY_PASS" in ended.stderr
        assert summary_of(sheet)["results"] == {"not_sent": ROWS}
        assert summary_of(sheet)["resumable"]
        assert len(proxy.heard) == 1, "it is not asked again"
        ends_well(watched.call("run", sheet, "--yes", env=settings(town, front, proxy, **right)), sheet, sandbox)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (refuse(403), "refuses to connect to 127.0.0.1 (403)"),
        (refuse(405), "refuses to connect to 127.0.0.1 (405)"),
        (refuse(302, "Location: http://127.0.0.1:1/"), "refuses to connect to 127.0.0.1 (302)"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not answer like a proxy"),
    ],
)
@pytest.mark.parametrize("first", [1, 4])
def test_a_refused_connect_stops_the_run(
    sheet: Path, town: Town, watched: Watched, said: bytes, words: str, first: int
) -> None:
    """At the first connection or at a later one: exit 6, no failed row, and the rest is sent when it is allowed."""
    with served() as sandbox:
        front = fronted(town, sandbox)
        proxy = town.start(Proxy())
        proxy.answer = lambda _head: ESTABLISHED if len(proxy.heard) < first else said
        env = settings(town, front, proxy)
        ended = watched.call("run", sheet, "--yes", "--concurrency", "5", env=env)
        assert ended.returncode == 6, ended.stderr
        assert words in ended.stderr
        assert "Traceback" not in ended.stderr
        assert set(summary_of(sheet)["results"]) <= {"not_sent", "updated"}
        assert summary_of(sheet)["resumable"]
        judge(read_result(newest_run(sheet) / "results.csv"), ROWS, sandbox)
        proxy.answer = lambda _head: ESTABLISHED
        ends_well(watched.call("run", sheet, "--yes", env=env), sheet, sandbox)


@pytest.mark.parametrize("said", [refuse(502), refuse(503), refuse(429), b"", b"HTTP/1.1 200"])
def test_a_proxy_that_fails_for_a_while_costs_nothing(sheet: Path, town: Town, watched: Watched, said: bytes) -> None:
    """A gateway error or a broken connection before the tunnel stands is tried again; nothing has left then."""
    with served() as sandbox:
        front = fronted(town, sandbox)
        proxy = town.start(Proxy())
        proxy.answer = lambda _head: ESTABLISHED if len(proxy.heard) not in {1, 3, 4} else said
        ended = watched.call("run", sheet, "--yes", "--concurrency", "3", env=settings(town, front, proxy))
        ends_well(ended, sheet, sandbox)
    assert len(proxy.heard) > 4


def test_a_proxy_that_is_gone_is_an_outage(sheet: Path, town: Town, watched: Watched) -> None:
    """Nothing is sent and nothing is marked as sent; the same command goes on when it is back."""
    with served() as sandbox:
        front = fronted(town, sandbox)
        proxy = town.start(Proxy())
        env = settings(town, front, proxy)
        town.run(proxy.stop())
        ended = watched.call("run", sheet, "--yes", "--outage-budget", "0", env=env)
        assert ended.returncode == 6
        assert "has not worked for 0 s (the proxy can't be reached)." in ended.stderr
        rows = read_result(newest_run(sheet) / "results.csv")
        assert {row["result_attempts"] for row in rows} == {"0"}
        assert sandbox.ledger == []


def test_a_proxy_that_never_answers_leaves_no_row_in_doubt(sheet: Path, town: Town, watched: Watched) -> None:
    """Waiting for a tunnel ends with the attempt's time, the proxy counts as an outage, and no row has left."""
    with served() as sandbox:
        front = fronted(town, sandbox)
        silent = town.start(Front(target=front.port))
        silent.serve = lambda reader, _writer: reader.read()
        env = {**settings(town, front, Proxy()), "BATCH_UPDATER_PROXY": f"http://127.0.0.1:{silent.port}"}
        words = ["--timeout", "0.2", "--retries", "1", "--limit", "2", "--outage-budget", "1"]
        ended = watched.call("run", sheet, "--yes", *words, env=env)
        assert sandbox.ledger == []
    assert ended.returncode == 6
    assert "no connection in time" in ended.stderr
    rows = read_result(newest_run(sheet) / "results.csv")
    assert {(row["result"], row["result_attempts"]) for row in rows} == {("not_sent", "0")}


ECHO = f"{BASIC} {USER}:{PROXY_PASSWORD}@127.0.0.1"
REPEATS = [
    f"X-Echo: {ECHO}",
    f"Location: http://{USER}:{PROXY_PASSWORD}@h/",
    f'Proxy-Authenticate: Basic realm="{ECHO}"',
]


REFUSALS = (302, 403, 407, 502)
FAILURES = {
    **{str(status): refuse(status, *REPEATS).replace(b" No", f" {ECHO}".encode(), 1) for status in REFUSALS},
    "no status": f"HTTP/1.1 {ECHO}\r\n\r\n".encode(), "no protocol": f"{ECHO}\r\n\r\n".encode(),
    "half a head": f"HTTP/1.1 200 {ECHO}".encode(), "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("first", [1, 4])
def test_a_proxy_that_fails_makes_nobody_write_its_password(
    sheet: Path, town: Town, watched: Watched, failure: str, first: int
) -> None:
    """It refuses, repeats what it was told in every place, talks nonsense or breaks off, at once or in mid-run."""
    WATCH.learn(PROXY_PASSWORD)
    given = {"BATCH_UPDATER_PROXY_USER": USER, "BATCH_UPDATER_PROXY_PASS": PROXY_PASSWORD}
    with served() as sandbox:
        front = fronted(town, sandbox)
        proxy = town.start(Proxy())
        proxy.answer = lambda _head: ESTABLISHED if len(proxy.heard) < first else FAILURES[failure]
        words = ["-vv", "--json", "--retries", "1", "--outage-budget", "0", "--concurrency", "5"]
        ended = watched.call("run", sheet, "--yes", *words, env=settings(town, front, proxy, **given))
    assert ended.returncode in {3, 6}, ended.stderr
    assert credentials_in(proxy.heard[-1]) == BASIC
    assert TOKEN not in "".join(proxy.heard)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("untrusted", "not signed by an authority"), ("wrong host", "the proxy has a certificate that is not made out")],
)
def test_a_proxy_that_cannot_be_trusted_gets_nothing(
    sheet: Path, town: Town, watched: Watched, kind: str, words: str
) -> None:
    """Not even the credentials that are meant for it."""
    WATCH.learn(PROXY_PASSWORD)
    given = {"BATCH_UPDATER_PROXY_USER": USER, "BATCH_UPDATER_PROXY_PASS": PROXY_PASSWORD}
    with served() as sandbox:
        front = fronted(town, sandbox)
        proxy = town.start(Proxy(town.context(kind)))
        ended = watched.call("run", sheet, "--yes", env=settings(town, front, proxy, **given))
        assert proxy.heard == sandbox.ledger == []
    assert ended.returncode == 6
    assert words in ended.stderr


def test_a_tunnel_to_an_impostor_is_not_used(sheet: Path, town: Town, watched: Watched) -> None:
    """A proxy that connects to somebody else gets no request through: the certificate is the service's or nothing."""
    with served() as sandbox:
        impostor = town.start(Front(town.context("untrusted"), target=int(sandbox.base_url.rpartition(":")[2])))
        ended = watched.call("run", sheet, "--yes", env=settings(town, impostor, town.start(Proxy())))
        assert sandbox.ledger == []
    assert ended.returncode == 6
    assert "a proxy puts in" in ended.stderr or "--ca-file" in ended.stderr


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (f"http://{USER}:{PROXY_PASSWORD}@127.0.0.1:1", "BATCH_UPDATER_PROXY_PASS"),
        (f"{USER}:{PROXY_PASSWORD}@127.0.0.1:1", "BATCH_UPDATER_PROXY_PASS"),
        (f"http://[{PROXY_PASSWORD}", "can't be read"),
        ("127.0.0.1:3128", "http:// or https://"),
        ("socks5://127.0.0.1:1080", "http:// or https://"),
        ("http://", "http:// or https://"),
        ("http://a b:1", "http:// or https://"),
        ("http://host:99999", "can't be read"),
        ("http://host:0", "http:// or https://"),
        ("http://host:1/path", "end after its port"),
        ("http://host:1?x=1", "end after its port"),
    ],
)
@pytest.mark.parametrize("how", ["option", "environment", "config"])
def test_a_wrong_address_of_a_proxy_is_refused_and_not_repeated(
    tmp_path: Path, sheet: Path, watched: Watched, address: str, words: str, how: str
) -> None:
    """Exit 2; a password in it is told to be where it belongs, and never shown again."""
    config = tmp_path.parent / f"{tmp_path.name}.toml"
    config.write_text(f"proxy = {json.dumps(address)}\n" if how == "config" else "")
    WATCH.learn(PROXY_PASSWORD)
    env = environment("https://127.0.0.1:1", **({"BATCH_UPDATER_PROXY": address} if how == "environment" else {}))
    option = ["--proxy", address] if how == "option" else []
    ended = watched.call("run", sheet, "--yes", "--json", "--config", config, *option, env=env)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert not list(tmp_path.glob("*.runs"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"BATCH_UPDATER_PROXY_USER": USER}, "lack BATCH_UPDATER_PROXY_PASS"),
        ({"BATCH_UPDATER_PROXY_PASS": PROXY_PASSWORD}, "lack BATCH_UPDATER_PROXY_USER"),
        ({"BATCH_UPDATER_PROXY_USER": "pr0xy:clerk", "BATCH_UPDATER_PROXY_PASS": PROXY_PASSWORD}, "holds a ':'"),
        ({"BATCH_UPDATER_PROXY_USER": "pr0xy-\udcff", "BATCH_UPDATER_PROXY_PASS": PROXY_PASSWORD}, "that is no text"),
        ({"BATCH_UPDATER_PROXY_USER": USER, "BATCH_UPDATER_PROXY_PASS_FILE": "/none"}, "can't be read"),
    ],
)
def test_half_of_a_proxys_credentials_is_refused(
    sheet: Path, watched: Watched, given: dict[str, str], words: str
) -> None:
    """Exit 2 says which half is missing or wrong."""
    WATCH.learn(PROXY_PASSWORD)
    env = environment("https://127.0.0.1:1", BATCH_UPDATER_PROXY="http://127.0.0.1:1", **given)
    ended = watched.call("run", sheet, "--yes", env=env)
    assert ended.returncode == 2
    assert words in ended.stderr


def test_no_proxy_gets_what_is_sent_in_the_clear(sheet: Path, town: Town, watched: Watched) -> None:
    """http:// to this machine goes through no proxy: it is refused, and an empty --proxy takes it away."""
    with served() as sandbox:
        proxy = town.start(Proxy())
        env = environment(sandbox.base_url, BATCH_UPDATER_PROXY=proxy.address)
        ended = watched.call("run", sheet, "--yes", env=env)
        assert ended.returncode == 2
        assert "token in the clear" in ended.stderr
        ends_well(watched.call("run", sheet, "--yes", "--proxy", "", env=env), sheet, sandbox)
    assert proxy.heard == []

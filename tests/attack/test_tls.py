import asyncio
import json
from pathlib import Path

import pytest
from support.network import Breaker, Front, OldTls, Town
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
from support.watched import Watched, grant_environment

from batch_updater.app.batch import run_batch
from batch_updater.common.secret import Secret
from batch_updater.common.settings import Settings
from batch_updater.sandbox.server import Sandbox

ROWS = 40


def port_of(sandbox: Sandbox) -> int:
    return int(sandbox.base_url.rpartition(":")[2])


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_WAIT", "LONGEST_WAIT"):
        monkeypatch.setattr(f"batch_updater.api.retry.{name}", 0.01)


@pytest.mark.parametrize("how", ["option", "environment", "config"])
def test_a_certificate_authority_of_ones_own_is_trusted_when_it_is_named(
    tmp_path: Path, town: Town, watched: Watched, how: str
) -> None:
    """--ca-file, BATCH_UPDATER_CA_FILE and `ca-file` of the config file do the same."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(ROWS))
    config = tmp_path / "c.toml"
    config.write_text(f"ca-file = {json.dumps(str(town.ca_file))}\n" if how == "config" else "")
    with served() as sandbox:
        front = town.start(Front(town.context(), target=port_of(sandbox)))
        env = environment(f"https://127.0.0.1:{front.port}")
        if how == "environment":
            env["BATCH_UPDATER_CA_FILE"] = str(town.ca_file)
        words = ["--ca-file", town.ca_file] if how == "option" else ["--config", config]
        ended = watched.call("run", sheet, "--yes", *words, env=env)
        judge(read_result(newest_run(sheet) / "results.csv"), ROWS, sandbox)
    assert ended.returncode == 0, ended.stderr
    assert summary_of(sheet)["results"] == {"updated": ROWS}


NO_TLS = {
    "untrusted": ("is not signed by an authority", "--ca-file"),
    "expired": ("has expired", "clock"),
    "not yet valid": ("is not valid yet", "clock"),
    "wrong host": ("is not made out for 127.0.0.1", "base URL"),
    "old TLS": ("no version of TLS that is safe", "base URL"),
    "plain": ("does not speak TLS", "base URL"),
}


@pytest.mark.parametrize("command", ["run", "plan", "statuses"])
@pytest.mark.parametrize("kind", NO_TLS)
def test_a_service_that_cannot_be_trusted_gets_nothing(
    tmp_path: Path, town: Town, watched: Watched, kind: str, command: str
) -> None:
    """The run stops at once with 6, says what is wrong and what to do, and goes on when it has been mended."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(ROWS))
    with served() as sandbox:
        tls = None if kind in {"plain", "old TLS"} else town.context(kind)
        front = town.start((OldTls if kind == "old TLS" else Front)(tls, target=port_of(sandbox)))
        env = environment(f"https://127.0.0.1:{front.port}", BATCH_UPDATER_CA_FILE=str(town.ca_file))
        words = {"run": ["run", sheet, "--yes"], "plan": ["plan", sheet], "statuses": ["statuses"]}[command]
        ended = watched.call(*words, env=env)
        assert ended.returncode == 6
        assert all(word in ended.stderr for word in NO_TLS[kind]), ended.stderr
        assert "Traceback" not in ended.stderr
        assert sandbox.ledger == [], "nobody has got a request"
        if command != "run" or tls is None:
            return
        rows = read_result(newest_run(sheet) / "results.csv")
        assert {(row["result"], row["result_attempts"]) for row in rows} == {("not_sent", "0")}
        assert summary_of(sheet)["resumable"]
        town.change(tls, "good")
        assert watched.call("run", sheet, "--yes", env=env).returncode == 0
        judge(read_result(newest_run(sheet) / "results.csv"), ROWS, sandbox)
        assert len(puts(sandbox)) == ROWS


def test_without_the_option_only_the_systems_authorities_are_trusted(
    tmp_path: Path, town: Town, watched: Watched
) -> None:
    """A good certificate of an unknown authority is refused, and the message names the option that helps."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(3))
    with served() as sandbox:
        front = town.start(Front(town.context(), target=port_of(sandbox)))
        ended = watched.call("run", sheet, "--yes", env=environment(f"https://127.0.0.1:{front.port}"))
        assert sandbox.ledger == []
    assert ended.returncode == 6
    assert "an authority that this machine trusts" in ended.stderr
    assert "--ca-file" in ended.stderr


@pytest.mark.parametrize("kind", ["untrusted", "expired", "wrong host"])
def test_a_certificate_that_goes_bad_in_mid_run_stops_it(
    tmp_path: Path, town: Town, watched: Watched, kind: str
) -> None:
    """A connection made anew is checked like the first; what was not sent is sent by the same command later."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(ROWS))
    with served() as sandbox:
        tls = town.context()
        front = town.start(Front(tls, target=port_of(sandbox)))
        seen: list[str] = []

        def betray(order: str) -> None:
            seen.append(order)
            if len(seen) == ROWS // 2:
                town.change(tls, kind)
                town.run(front.cut())

        sandbox.on_update = betray
        env = environment(f"https://127.0.0.1:{front.port}", BATCH_UPDATER_CA_FILE=str(town.ca_file))
        ended = watched.call("run", sheet, "--yes", "--concurrency", "2", env=env)
        assert ended.returncode == 6
        assert NO_TLS[kind][0] in ended.stderr
        first = summary_of(sheet)
        assert first["resumable"]
        assert first["results"]["not_sent"] >= ROWS // 2 - 3
        assert "failed" not in first["results"]
        judge(read_result(newest_run(sheet) / "results.csv"), ROWS, sandbox)
        town.change(tls, "good")
        assert watched.call("run", sheet, "--yes", env=env).returncode == 0
        judge(read_result(newest_run(sheet) / "results.csv"), ROWS, sandbox)


@pytest.mark.parametrize("uvloop", [True, False])
@pytest.mark.parametrize("resets", [{1}, {1, 2, 3}, {2, 4, 6, 8}])
def test_a_reset_in_the_handshake_is_tried_again(
    tmp_path: Path, town: Town, watched: Watched, monkeypatch: pytest.MonkeyPatch, resets: set[int], uvloop: bool
) -> None:
    """Nothing has left then, so each row is sent once and none is in doubt."""
    hurry(monkeypatch)
    sheet = write_sheet(tmp_path / "o.csv", good_rows(ROWS))
    with served() as sandbox:
        front = town.start(Front(town.context(), target=port_of(sandbox)))
        breaker = town.start(Breaker(target=front.port, resets=resets))
        base_url = f"https://127.0.0.1:{breaker.port}"
        if uvloop:
            env = environment(base_url, BATCH_UPDATER_CA_FILE=str(town.ca_file))
            assert watched.call("run", sheet, "--yes", "--concurrency", "4", env=env).returncode == 0
        else:
            settings = Settings(base_url=base_url, ca_file=town.ca_file, concurrency=4)
            assert asyncio.run(run_batch(sheet, settings, token=Secret(TOKEN))).exit_code == 0
        rows = read_result(newest_run(sheet) / "results.csv")
        judge(rows, ROWS, sandbox)
        assert len(puts(sandbox)) == ROWS
    assert breaker.accepted > min(resets)
    assert {row["result_attempts"] for row in rows} == {"1"}


def test_signing_in_is_refused_to_a_service_that_cannot_be_trusted(
    tmp_path: Path, town: Town, watched: Watched
) -> None:
    """The password goes nowhere either."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(3))
    with served() as sandbox:
        front = town.start(Front(town.context("untrusted"), target=port_of(sandbox)))
        env = grant_environment(f"https://127.0.0.1:{front.port}", BATCH_UPDATER_CA_FILE=str(town.ca_file))
        ended = watched.call("run", sheet, "--yes", env=env)
        assert sandbox.ledger == []
    assert ended.returncode == 6
    assert "Signing in failed: the certificate of 127.0.0.1 is not signed by an authority" in ended.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        ("folder", "Is a directory"),
        (b"", "holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n", "holds no certificate"),
        (b"\x30\x82\x01\x0a binary", "openssl x509 -inform der"),
        ("key", "holds no certificate"),
    ],
)
def test_an_unusable_file_of_authorities_is_refused_before_anything_is_read(
    tmp_path: Path, town: Town, watched: Watched, content: object, words: str
) -> None:
    """Exit 2 names the file and what is wrong with it; no run folder is made."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(3))
    path = tmp_path / "authority.pem"
    if content == "folder":
        path.mkdir()
    elif content == "key":
        path.write_bytes(town.ca.private_key_pem.bytes())
    elif isinstance(content, bytes):
        path.write_bytes(content)
    env = environment("https://127.0.0.1:1")
    ended = watched.call("run", sheet, "--yes", "--ca-file", path, env=env)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert str(path) in ended.stderr
    assert not list(tmp_path.glob("*.runs"))

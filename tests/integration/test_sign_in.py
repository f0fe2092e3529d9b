"""Signing in while a run is under way, against a service whose tokens live shortly."""

import time

import pytest
from aiohttp import web
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

from batch_updater.sandbox.server import Sandbox


def token_requests(sandbox: Sandbox) -> list[str]:
    """The grants asked for, in order."""
    return [entry["grant"] for entry in sandbox.ledger if entry["path"] == "/auth/oauth/token"]


@pytest.mark.parametrize("tell_ttl", [True, False])
def test_tokens_that_live_shortly_fail_no_row(watched: Watched, full: bool, tell_ttl: bool) -> None:
    """Whether or not the life is told: every row is updated, with at most one token request per expiry and one more."""
    rows, life = (20_000, 2.0) if full else (3_000, 0.5)
    sheet = write_sheet(watched.folder / "o.csv", good_rows(rows))
    with served(token_ttl=life, tell_ttl=tell_ttl, orders=rows, latency=0.01) as sandbox:
        ended = watched.call("run", sheet, "--yes", env=grant_environment(sandbox.base_url))
        assert ended.returncode == 0, ended.stderr
        judge(read_result(newest_run(sheet) / "results.csv"), rows, sandbox)
        asked = token_requests(sandbox)
        assert len(puts(sandbox)) == summary_of(sheet)["requests"]["put"]
        expired = sum(until < time.monotonic() + life / 40 for until in sandbox.tokens.values())
        assert 3 <= len(asked) <= expired + 1
        assert asked == ["password"] + ["refresh_token"] * (len(asked) - 1)
        assert summary_of(sheet)["requests"]["token"] == len(asked)
        accepted = sum(entry["answer"] == 200 for entry in puts(sandbox))
        assert accepted == rows
        if tell_ttl:
            refused = [entry for entry in sandbox.ledger if entry["answer"] == 401]
            assert len(refused) <= 20 * len(asked), "401 is the exception, not the way to notice"


def test_a_refused_refresh_falls_back_to_the_password(watched: Watched) -> None:
    """A service that refuses every refresh token costs a second request, and no row."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(600))
    with served(token_ttl=0.5, refuse_refresh=True, latency=0.06) as sandbox:
        ended = watched.call("run", sheet, "--yes", env=grant_environment(sandbox.base_url))
        assert ended.returncode == 0, ended.stderr
        assert token_requests(sandbox)[:4] == ["password", "refresh_token", "password", "refresh_token"]


def test_a_refused_password_ends_with_5_and_what_to_check(watched: Watched) -> None:
    """Exit 5, the variables to check, every row not_sent, nothing sent; with the right password all are."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(5))
    with served() as sandbox:
        wrong = grant_environment(sandbox.base_url, EVREKA360_API_PASS="a-wrong-one")
        ended = watched.call("run", sheet, "--yes", env=wrong)
        assert ended.returncode == 5
        assert "EVREKA360_AUTH_CLIENT_ID" in ended.stderr
        assert "EVREKA360_API_PASS" in ended.stderr
        assert (puts(sandbox), summary_of(sheet)["results"]) == ([], {"not_sent": 5})
        right = watched.call("run", sheet, "--yes", env=grant_environment(sandbox.base_url))
        assert right.returncode == 0, right.stderr
        assert summary_of(sheet)["results"] == {"updated": 5}


@pytest.mark.parametrize("tell_ttl", [True, False])
def test_a_password_that_is_changed_during_the_run_stops_it_resumably(watched: Watched, tell_ttl: bool) -> None:
    """Refresh and password refused in the middle: exit 5, what is under way ends, the rest is for later."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(400))
    with served(token_ttl=0.6, tell_ttl=tell_ttl, latency=0.05) as sandbox:

        def shut(_process: object) -> None:
            while len(puts(sandbox)) < 40:
                time.sleep(0.005)
            sandbox.refuse_sign_in = True

        ended = watched.process("run", sheet, "--yes", env=grant_environment(sandbox.base_url), meanwhile=shut)
        assert ended.returncode == 5, ended.stderr
        summary = summary_of(sheet)
        assert summary["resumable"]
        assert set(summary["results"]) <= {"updated", "not_sent", "failed"}
        judge(read_result(newest_run(sheet) / "results.csv"), 400, sandbox)
        sandbox.refuse_sign_in = False
        assert watched.call("run", sheet, "--yes", env=grant_environment(sandbox.base_url)).returncode == 0


def test_a_given_token_is_used_first_and_the_grant_when_it_is_refused(watched: Watched) -> None:
    """A stale token besides the four values costs one refusal; alone it ends with 5."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(30))
    with served() as sandbox:
        alone = watched.call(
            "run",
            sheet,
            "--yes",
            env=environment(sandbox.base_url, ACCESS_TOKEN="", EVREKA360_ACCESS_TOKEN="stale-token-1"),
        )
        assert (alone.returncode, puts(sandbox)) == (5, [])
        env = grant_environment(sandbox.base_url, EVREKA360_ACCESS_TOKEN="stale-token-1")
        ended = watched.call("run", sheet, "--yes", "--restart", env=env)
        assert ended.returncode == 0, ended.stderr
        assert token_requests(sandbox) == ["password"]
        fresh = watched.call("run", sheet, "--yes", "--restart", env={**env, "EVREKA360_ACCESS_TOKEN": TOKEN})
        assert fresh.returncode == 0, fresh.stderr
        assert token_requests(sandbox) == ["password"]


def test_a_service_that_grants_a_token_too_short_to_be_masked_stops_the_run(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 6 with a sentence, and nothing is sent."""

    async def short(_self: Sandbox, _request: web.Request) -> web.Response:
        return web.json_response({"access_token": "seven-7", "refresh_token": "a-longer-one"})

    monkeypatch.setattr(Sandbox, "_token", short)
    sheet = write_sheet(watched.folder / "o.csv", good_rows(30))
    with served() as sandbox:
        ended = watched.call("run", sheet, "--yes", env=grant_environment(sandbox.base_url))
        assert ended.returncode == 6
        assert "returned a token of fewer than 8 characters" in ended.stderr
        assert "right service" in ended.stderr
        assert {entry["path"] for entry in sandbox.ledger} == {"/auth/oauth/token"}
    assert summary_of(sheet)["results"] == {"not_sent": 30}

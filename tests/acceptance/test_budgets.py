"""Three budgets: a row's own failures, a service that has too much to do, and a service that is not there."""

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.program import (
    environment,
    good_rows,
    newest_run,
    program,
    puts,
    read_result,
    served,
    summary_of,
    write_sheet,
)
from support.watched import grant_environment

from batch_updater.sandbox.server import Sandbox, order_id

Fault = Callable[[web.Request, int], web.Response | None]  # by the request and how many came before it
WRONG = {order_id(number) for number in range(1, 41)}


def error(status: int, detail: str = "no", **headers: str) -> web.Response:
    """An answer in the API's own form."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response({"detail": detail}, status=status, headers=named)


def page(status: int, title: str) -> web.Response:
    """An answer of something else than the API."""
    text = f"<html><head><title>{title}</title></head><body><h1>x</h1></body></html>"
    return web.Response(status=status, text=text, content_type="text/html")


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fault], None]:
    """Answer requests by a fault, where it has an answer; requests for a token go on as usual."""

    def become(fault: Fault) -> None:
        gate = Sandbox._gate

        def answer(sandbox: Sandbox, request: web.Request) -> web.Response | None:
            is_token = request.path == "/auth/oauth/token"
            return (None if is_token else fault(request, len(sandbox.ledger) - 1)) or gate(sandbox, request)

        monkeypatch.setattr(Sandbox, "_gate", answer)

    return become


def is_put(request: web.Request) -> bool:
    return request.method == "PUT"


def send(folder: Path, sandbox: Sandbox, rows: int, *words: str) -> tuple[int, str, list[dict[str, str]]]:
    """Run a sheet of good rows; return the exit code, what was said, and the result rows."""
    sheet = write_sheet(folder / "o.csv", good_rows(rows))
    ended = program("run", sheet, "--yes", *words, env=environment(sandbox.base_url))
    return ended.returncode, ended.stderr, read_result(newest_run(sheet) / "results.csv")


def results(rows: list[dict[str, str]]) -> dict[str, int]:
    return {word: sum(row["result"] == word for row in rows) for word in sorted({row["result"] for row in rows})}


@pytest.mark.parametrize("places", ["1", "20"])
def test_orders_that_always_fail_cost_nobody_else_anything(
    tmp_path: Path, faulty: Callable[[Fault], None], places: str
) -> None:
    """Forty at the head of a sheet: they fail after their own attempts, all others are updated."""
    faulty(lambda request, _n: error(500) if is_put(request) and request.match_info["order"] in WRONG else None)
    with served() as sandbox:
        code, said, rows = send(tmp_path, sandbox, 400, "--concurrency", places, "--retries", "2")
        sent = [sum(entry["order_id"] == order for entry in puts(sandbox)) for order in WRONG]
    assert code == 3, said
    assert results(rows) == {"failed": 40, "updated": 360}
    assert set(sent) == {3}


@pytest.mark.parametrize("status", [400, 403, 404, 429, 503])
def test_an_answer_that_asks_for_time_fails_no_row(
    tmp_path: Path, faulty: Callable[[Fault], None], status: int
) -> None:
    """Whatever its status is: nothing leaves for that time, then all goes on."""
    until = [0.0]

    def busy(request: web.Request, number: int) -> web.Response | None:
        if number > 20 and not until[0]:
            until[0] = time.monotonic() + 1.5
        return error(status, Retry_After="2") if is_put(request) and time.monotonic() < until[0] else None

    faulty(busy)
    with served() as sandbox:
        code, said, rows = send(tmp_path, sandbox, 100, "--retries", "0")
        refused = [entry["t"] for entry in puts(sandbox) if entry["answer"] == status]
        after = min(entry["t"] for entry in puts(sandbox) if entry["t"] > max(refused))
    assert (code, results(rows)) == (0, {"updated": 100}), said
    assert after - max(refused) > 1.9


def test_a_limit_of_concurrency_fails_no_row_and_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare 503 above eight at once: fewer are sent at once, and the summary says how many."""
    update, under_way, refused = Sandbox._update, [0], list[str]()

    async def limited(sandbox: Sandbox, request: web.Request) -> web.StreamResponse:
        if under_way[0] >= 8:
            refused.append(request.path)
            return web.Response(status=503, text="Service Unavailable")
        under_way[0] += 1
        try:
            await asyncio.sleep(0.02)
            return await update(sandbox, request)
        finally:
            under_way[0] -= 1

    monkeypatch.setattr(Sandbox, "_update", limited)
    with served() as sandbox:
        code, said, rows = send(tmp_path, sandbox, 600, "--retries", "1")
    assert (code, results(rows)) == (0, {"updated": 600}), said
    rate = summary_of(tmp_path / "o.csv")["rate"]
    assert refused
    assert rate["window"] or rate["final"], "a limit was found"


def test_too_long_a_wait_ends_the_run_and_the_next_start_keeps_to_it(
    tmp_path: Path, faulty: Callable[[Fault], None]
) -> None:
    """Exit 6 at once with the time; started again before it, nothing is sent at all."""
    faulty(lambda request, number: error(429, Retry_After="3600") if is_put(request) and number > 20 else None)
    with served() as sandbox:
        for _ in range(2):
            began = time.monotonic()
            code, said, rows = send(tmp_path, sandbox, 200)
            assert (code, time.monotonic() - began < 20) == (6, True)
            assert "The service asks to wait until " in said
            assert summary_of(tmp_path / "o.csv")["resumable"]
            sent = len(puts(sandbox))
        assert sent == len(puts(sandbox)) <= 60
        assert {"updated", "not_sent"} <= set(results(rows))


def test_too_long_a_wait_for_one_order_is_that_orders_matter(tmp_path: Path, faulty: Callable[[Fault], None]) -> None:
    """The row fails, and says why; all others are updated."""
    faulty(lambda r, _n: error(500, Retry_After="3600") if is_put(r) and r.match_info["order"] == order_id(9) else None)
    with served() as sandbox:
        code, said, rows = send(tmp_path, sandbox, 100)
    assert (code, results(rows)) == (3, {"failed": 1, "updated": 99}), said
    assert rows[8]["result_http_status"] == "500"
    assert rows[8]["result_detail"] == "no; it asks to wait for 1 h"


@pytest.mark.parametrize(
    ("answer", "code", "most", "words"),
    [
        (lambda: page(404, "Not Found - Web Server"), "wrong_address", 39, "'Not Found - Web Server'"),
        (lambda: page(400, "400 The plain HTTP request was sent to HTTPS port"), "wrong_address", 39, "HTTPS port"),
        (lambda: page(200, "Sign in"), "wrong_address", 39, "'Sign in'"),
        (lambda: web.Response(status=405), "wrong_address", 39, "EVREKA360_BASE_URL"),
        (lambda: error(403, "You may not"), "forbidden", 39, "You may not"),
        (lambda: error(422, "odd"), "validation_error", 119, "odd"),
        (lambda: error(500, "boom"), "server_error", 240, "boom"),
    ],
)
def test_a_run_that_is_refused_from_the_start_is_stopped(
    tmp_path: Path,
    faulty: Callable[[Fault], None],
    answer: Callable[[], web.Response],
    code: str,
    most: int,
    words: str,
) -> None:
    """It says what it saw and what to check; the same command sends nothing, the one that is proposed goes on."""
    faulty(lambda request, _n: None if request.path.endswith("/orders/status") else answer())
    with served() as sandbox:
        exit_code, said, rows = send(tmp_path, sandbox, 400, "--retries", "1")
        sent = len(puts(sandbox))
        assert exit_code == 6, said
        assert sent <= most
        assert code in said
        assert words in said
        if "failed" in results(rows):  # what may have been applied is read first, and counted anew
            again = program("run", tmp_path / "o.csv", "--yes", env=environment(sandbox.base_url))
            assert re.search(r"\n  batch-updater run .* --max-failures \d+ --yes\n", again.stdout)
            assert len(puts(sandbox)) == sent


def test_a_few_refusals_at_the_head_do_not_stop_a_run(tmp_path: Path, faulty: Callable[[Fault], None]) -> None:
    """Ninety unknown orders come first; those behind them are updated."""
    unknown = {order_id(number) for number in range(1, 91)}

    def refuse(request: web.Request, _number: int) -> web.Response | None:
        order = request.match_info.get("order")
        return error(400, f"Order ({order}) not found") if is_put(request) and order in unknown else None

    faulty(refuse)
    with served() as sandbox:
        code, said, rows = send(tmp_path, sandbox, 200)
    assert (code, results(rows)) == (3, {"failed": 90, "updated": 110}), said


@pytest.mark.parametrize("always", [True, False])
def test_a_token_that_one_order_refuses_is_good_for_the_others(
    tmp_path: Path, faulty: Callable[[Fault], None], always: bool
) -> None:
    """A single 401 is no reason to stop; an order that always answers so fails alone."""
    seen = list[str]()

    def refuse(request: web.Request, _number: int) -> web.Response | None:
        if not is_put(request) or request.match_info["order"] != order_id(9) or (seen and not always):
            return None
        seen.append("401")
        return error(401)

    faulty(refuse)
    with served() as sandbox:
        code, said, rows = send(tmp_path, sandbox, 100)
    wanted = {"failed": 1, "updated": 99} if always else {"updated": 100}
    assert (code, results(rows)) == (3 if always else 0, wanted), said
    assert rows[8]["result_code"] == ("unauthorized" if always else "ok")


def test_a_token_that_all_orders_refuse_costs_none_of_them(tmp_path: Path, faulty: Callable[[Fault], None]) -> None:
    """The first one, which might have been refused alone, is sent again with the others by the same command."""
    is_good: list[str] = []
    faulty(lambda request, _number: error(401) if is_put(request) and not is_good else None)
    with served() as sandbox:
        code, said, rows = send(tmp_path, sandbox, 20, "--concurrency", "1")
        assert (code, results(rows)) == (5, {"failed": 2, "not_sent": 18}), said
        is_good.append("the token")
        code, said, rows = send(tmp_path, sandbox, 20)
    assert (code, results(rows)) == (0, {"updated": 20}), said


@pytest.mark.parametrize("headers", [{"Retry_After": "1"}, {}])
def test_maintenance_ends_a_run_that_can_be_resumed(
    tmp_path: Path, faulty: Callable[[Fault], None], headers: dict[str, Any]
) -> None:
    """With a time that it names or without: exit 6 after the outage budget, no row has failed for good."""
    down = [True]
    faulty(lambda request, number: error(503, **headers) if number > 30 and down[0] else None)
    with served() as sandbox:
        code, said, rows = send(tmp_path, sandbox, 100, "--outage-budget", "3")
        assert (code, summary_of(tmp_path / "o.csv")["resumable"]) == (6, True), said
        down[0] = False
        code, said, rows = send(tmp_path, sandbox, 100)
    assert (code, results(rows)) == (0, {"updated": 100}), said


@pytest.mark.parametrize("status", [500, 503])
def test_a_service_that_is_away_for_a_while_is_waited_for(
    tmp_path: Path, faulty: Callable[[Fault], None], status: int
) -> None:
    """No row fails. What answers 500 is asked for its statuses alone; what refuses with 503, by a row now and then."""
    until = [0.0]

    def away(_request: web.Request, number: int) -> web.Response | None:
        if number > 60 and not until[0]:
            until[0] = time.monotonic() + 4
        return error(status) if time.monotonic() < until[0] else None

    faulty(away)
    with served() as sandbox:
        code, said, rows = send(tmp_path, sandbox, 300, "--retries", "1")
        late = [e for e in sandbox.ledger if until[0] - 2.5 < e["t"] < until[0] - 0.1]
    assert (code, results(rows)) == (0, {"updated": 300}), said
    assert len(late) < 20
    assert status == 503 or {entry["path"] for entry in late} <= {"/engagement/orders/status"}


def test_a_token_endpoint_that_is_away_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four seconds of errors when the token is to be renewed end nothing."""
    token, until = Sandbox._token, [0.0]

    async def away(sandbox: Sandbox, request: web.Request) -> web.StreamResponse:
        if puts(sandbox) and not until[0]:
            until[0] = time.monotonic() + 4
        return error(500) if time.monotonic() < until[0] else await token(sandbox, request)

    monkeypatch.setattr(Sandbox, "_token", away)
    with served(token_ttl=1.0, latency=0.05) as sandbox:
        sheet = write_sheet(tmp_path / "o.csv", good_rows(600))
        ended = program("run", sheet, "--yes", env=grant_environment(sandbox.base_url))
    assert ended.returncode == 0, ended.stderr
    assert until[0] > 0


def test_a_refused_sign_in_is_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty workers want a token when it has expired: asking twenty times might lock the account."""
    token, asked = Sandbox._token, list[float]()

    async def refuse(sandbox: Sandbox, request: web.Request) -> web.StreamResponse:
        if not puts(sandbox):
            return await token(sandbox, request)
        asked.append(time.monotonic())
        return error(401)

    monkeypatch.setattr(Sandbox, "_token", refuse)
    with served(token_ttl=1.0, latency=0.05) as sandbox:
        sheet = write_sheet(tmp_path / "o.csv", good_rows(1200))
        ended = program("run", sheet, "--yes", env=grant_environment(sandbox.base_url))
    assert ended.returncode == 5, ended.stderr
    assert len(asked) <= 2  # the refresh token, then the password


def test_a_host_that_is_not_there_is_said_at_once(tmp_path: Path, unused_tcp_port: int) -> None:
    """What was seen and until when the run waits, not only after ten seconds."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(50))
    address = f"http://127.0.0.1:{unused_tcp_port}"
    ended = program("run", sheet, "--yes", "--outage-budget", "3", env=environment(address))
    assert ended.returncode == 6, ended.stderr
    assert "0 of 50, 0 failed, 0 in flight, down since " in ended.stderr
    assert ", the service can't be reached, " in ended.stderr
    assert summary_of(sheet)["results"] == {"not_sent": 50}

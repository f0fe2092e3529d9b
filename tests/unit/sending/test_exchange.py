from typing import Any

import pytest
from support.scripted_service import ScriptedService

from batch_updater.api.retry import STOPPED
from batch_updater.common.errors import BatchUpdaterError, CredentialsError, StoppedError
from batch_updater.common.models import Answer, StatusUpdate, Verdict
from batch_updater.sending.exchange import describe_wording
from batch_updater.sending.row_attempts import RowAttempts

UPDATE = StatusUpdate(2, "order", "status")
DONE = Answer(Verdict.DONE, "ok", "", 200)
BUSY = Answer(Verdict.RETRY, "server_error", "busy", 500)
SLOW_DOWN = Answer(Verdict.THROTTLED, "rate_limited", "slower", 429)
UNAVAILABLE = Answer(Verdict.THROTTLED, "server_error", "answered 503", 503)
LOST = Answer(Verdict.UNKNOWN, "timeout", "no answer in time")
STRANGER = Answer(Verdict.UNAUTHORIZED, "unauthorized", "who", 401, token_generation=3)
ELSEWHERE = Answer(Verdict.STOP, "redirect", "elsewhere", 302)
pytestmark = pytest.mark.usefixtures("no_waiting")


async def test_a_stop_is_no_failure() -> None:
    """A row that the stop came before is not sent, and gives the run no reason of its own to end."""
    exchange = ScriptedService().exchange()
    exchange.control.stop()
    assert await RowAttempts(UPDATE, exchange).put() is STOPPED
    assert exchange.control.failure is None


async def test_readings_are_counted_and_make_nothing_durable() -> None:
    """A read order costs no update and no write."""
    service = ScriptedService(BUSY, DONE, DONE)
    exchange = service.exchange()
    assert await exchange.read("order") is DONE
    assert await exchange.read_page(1) is DONE
    assert (service.events, exchange.counters.get, exchange.counters.put) == (["get", "get", "page"], 3, 0)


@pytest.mark.parametrize(
    ("answers", "newer", "answer", "failure", "words"),
    [
        ([STRANGER, STRANGER], False, STRANGER, CredentialsError, "did not accept the token"),
        ([STRANGER], CredentialsError("refused to sign in"), STRANGER, CredentialsError, "refused to sign in"),
        ([CredentialsError("no token")], True, STOPPED, CredentialsError, "no token"),
        ([SLOW_DOWN, StoppedError("no token now")], True, SLOW_DOWN, StoppedError, "no token now"),
        ([ELSEWHERE], True, ELSEWHERE, StoppedError, "Stopped: elsewhere"),
    ],
)
async def test_what_no_row_can_be_sent_after_stops_the_run(
    answers: list[Any], newer: bool | BatchUpdaterError, answer: Answer[Any], failure: type[Exception], words: str
) -> None:
    """A refused token that can't be renewed, no token at all, a redirect: the first reason is the run's failure."""
    exchange = ScriptedService(*answers, newer=newer).exchange()
    assert await RowAttempts(UPDATE, exchange).put() is answer
    assert exchange.control.stopping.is_set()
    assert isinstance(exchange.control.failure, failure)
    assert words in exchange.control.failure.message


@pytest.mark.parametrize(
    ("http_status", "wording", "proposed"),
    [
        (200, "Durum güncellendi", 'confirmations = ["Durum güncellendi"]'),
        (201, '{"success":true}', 'confirmations = ["{\\"success\\":true}"]'),
        (202, "queued", ""),
        (204, "", ""),
    ],
)
def test_other_words_are_named_with_the_setting_that_accepts_them(
    http_status: int, wording: str, proposed: str
) -> None:
    """A 200 or 201 can be accepted by its words; a 202 or an empty answer can't, and is only told."""
    said, *setting = describe_wording(http_status, wording, 1_234)
    assert said.startswith(f"1,234 updates were answered {http_status}")
    assert wording in said
    assert setting == ([proposed] if proposed else [])
    assert ("config file" in said) is bool(proposed)


def test_only_a_few_wordings_are_told_however_many_there_are() -> None:
    """A service that says something new each time fills neither the memory nor the summary."""
    exchange = ScriptedService().exchange()
    for number in range(10_000):
        exchange.count_wording(Answer(Verdict.UNKNOWN, "unexpected_response", "x", 200, wording=f"words {number}"))
    assert len(exchange.wordings) < 200
    assert len(exchange.notes()) == 6

"""What stops a run before it does harm: the canary, the limit of failures, the question for production."""

import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest
from support.program import (
    DONE,
    PLANNED,
    PROGRAM,
    environment,
    good_rows,
    newest_run,
    puts,
    read_result,
    served,
    summary_of,
    write_sheet,
)
from support.secrecy import WATCH
from support.watched import Watched

from batch_updater.sandbox.server import STATUSES, order_id, status_id

MISSING = [(order_id(n), DONE) for n in range(90_000_000, 90_000_400)]


def canary_puts(entries: list[dict[str, object]], count: int) -> list[str]:
    """The statuses of the first updates."""
    return [str(entry["status_id"]) for entry in entries[:count]]


def test_a_canary_is_spread_over_the_statuses_and_read_back_first(watched: Watched) -> None:
    """One row of each status goes first; each is read back before any other row is sent."""
    rows = [(order_id(n), status_id(STATUSES[1 if n <= 50 else 2 + n % 2])) for n in range(1, 101)]
    sheet = write_sheet(watched.folder / "o.csv", rows)
    with served() as sandbox:
        ended = watched.call("run", sheet, "--yes", "--canary", "6", env=environment(sandbox.base_url))
        assert ended.returncode == 0, ended.stderr
        sent = puts(sandbox)
        assert sorted(canary_puts(sent, 6)) == sorted([status_id(name) for name in STATUSES[1:4]] * 2)
        first = [entry["order_id"] for entry in sent[:6]]
        seventh = sandbox.ledger.index(sent[6])
        read = [entry["order_id"] for entry in sandbox.ledger[:seventh] if entry["method"] == "GET"]
        assert set(first) <= set(read)
        assert len(sent) == 100


def test_a_wrong_canary_stops_the_run(watched: Watched) -> None:
    """A service that confirms and does not do it: exit 6 with what was seen, the rest not_sent, the next time too."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(60))
    with served(deaf=1.0) as sandbox:
        env = environment(sandbox.base_url)
        ended = watched.call("run", sheet, "--yes", "--canary", "3", env=env)
        assert ended.returncode == 6
        assert "The canary failed" in ended.stderr
        assert "confirmed, but read back it is 'Planned'" in ended.stderr
        assert len(puts(sandbox)) == 3
        summary = summary_of(sheet)
        assert summary["results"] == {"failed": 3, "not_sent": 57}
        assert summary["codes"]["not_applied"] == 3
        again = watched.call("run", sheet, "--yes", "--canary", "3", env=env)
        assert (again.returncode, len(puts(sandbox))) == (6, 6), "picked up, the canary is still to be passed"
    found = read_result(newest_run(sheet) / "results.csv")
    assert sum(row["result"] == "failed" for row in found) == 6


@pytest.mark.parametrize("fault", ["missing", "unreadable"])
def test_a_canary_that_fails_or_can_not_be_read_back_stops_too(watched: Watched, fault: str) -> None:
    """Refused by the service, or confirmed and not to be read back: exit 6, nothing more is sent."""
    rows = [MISSING[0] if fault == "missing" else (order_id(500), DONE), *good_rows(40)]
    sheet = write_sheet(watched.folder / "o.csv", rows)
    with served() as sandbox:
        sandbox.unreadable = {order_id(500): 403}
        ended = watched.call("run", sheet, "--yes", "--canary", "1", env=environment(sandbox.base_url))
        assert ended.returncode == 6
        words = "not found" if fault == "missing" else "could not be read back"
        assert words in ended.stderr
        assert len(puts(sandbox)) == 1
    assert summary_of(sheet)["results"]["not_sent"] == 40


def test_a_canary_of_orders_that_are_so_already_passes(watched: Watched) -> None:
    """With --compare nothing needs to be sent to pass, and a canary larger than the sheet is the sheet."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(5, status=PLANNED))
    with served() as sandbox:
        ended = watched.call("run", sheet, "--yes", "--compare", "--canary", "10", env=environment(sandbox.base_url))
        assert (ended.returncode, puts(sandbox)) == (0, [])


@pytest.mark.parametrize(("limit", "most"), [("10", 10), ("5%", 17)])
def test_a_run_stops_when_more_rows_than_that_have_failed(watched: Watched, limit: str, most: int) -> None:
    """Exit 6 after the limit and what was under way; the rest not_sent, to be picked up."""
    sheet = write_sheet(watched.folder / "o.csv", [*MISSING[:350]])
    with served(latency=0.005) as sandbox:
        words = ("run", sheet, "--yes", "--max-failures", limit, "--concurrency", "4")
        ended = watched.call(*words, env=environment(sandbox.base_url))
        assert ended.returncode == 6
        assert f"More than {most} rows have failed" in ended.stderr
        assert most < len(puts(sandbox)) <= most + 4
        summary = summary_of(sheet)
        assert summary["resumable"]
        assert summary["results"]["not_sent"] == 350 - len(puts(sandbox))


def test_a_limit_that_is_passed_with_the_last_row_has_nothing_to_stop(watched: Watched) -> None:
    """All rows have ended: exit 3, nothing to be picked up, and the reason is told all the same."""
    sheet = write_sheet(watched.folder / "o.csv", [*good_rows(3), MISSING[0]])
    with served() as sandbox:
        ended = watched.call("run", sheet, "--yes", "--max-failures", "2%", env=environment(sandbox.base_url))
    assert ended.returncode == 3
    assert "More than 0 rows have failed" in ended.stderr
    assert summary_of(sheet)["resumable"] is False


def test_as_many_failures_as_allowed_are_no_reason_to_stop(watched: Watched) -> None:
    """Exactly the limit: the run goes on to its end, with 3."""
    sheet = write_sheet(watched.folder / "o.csv", [*MISSING[:10], *good_rows(50)])
    with served() as sandbox:
        ended = watched.call("run", sheet, "--yes", "--max-failures", "10", env=environment(sandbox.base_url))
        assert ended.returncode == 3, ended.stderr
    assert summary_of(sheet)["results"] == {"failed": 10, "updated": 50}


def test_strict_refuses_a_run_that_was_begun_without_it(watched: Watched) -> None:
    """Picked up with --strict, a run with an invalid row sends nothing more; without it, it is finished."""
    sheet = write_sheet(watched.folder / "o.csv", [MISSING[0], *good_rows(20), ("broken", DONE)])
    words = ("run", sheet, "--yes", "--max-failures", "0", "--concurrency", "1")
    with served() as sandbox:
        env = environment(sandbox.base_url)
        assert watched.call(*words, env=env).returncode == 6
        sent = len(puts(sandbox))
        refused = watched.call(*words, "--strict", env=env)
        assert (refused.returncode, len(puts(sandbox))) == (4, sent)
        assert "row 23, invalid" in refused.stderr
        assert watched.call(*words, env=env).returncode == 3
        assert len(puts(sandbox)) == 21


def test_strict_is_about_the_sheet_and_not_about_orders_that_have_moved(watched: Watched) -> None:
    """An order found with another status than expected does not keep a strict run from being picked up."""
    sheet = watched.folder / "o.csv"
    moved = f"{order_id(500)},{DONE},{status_id('Assigned')}\n{MISSING[0][0]},{DONE},\n"
    sheet.write_text(f"order,status,expected status\n{moved}" + "".join(f"{o},{s},\n" for o, s in good_rows(20)))
    words = ("run", sheet, "--yes", "--strict", "--compare", "--max-failures", "0", "--concurrency", "1")
    with served() as sandbox:
        env = environment(sandbox.base_url)
        assert watched.call(*words, env=env).returncode == 6
        assert watched.call(*words, env=env).returncode == 3
    assert summary_of(sheet)["results"] == {"conflict": 1, "failed": 1, "updated": 20}


def typed(words: list[object], env: dict[str, str], answer: str) -> tuple[int, str]:
    """The program on a terminal of its own, with this answer typed when it asks; exit status and what it showed."""
    leader, follower = pty.openpty()
    process = subprocess.Popen([*PROGRAM, *map(str, words)], stdin=follower, stdout=follower, stderr=follower, env=env)
    os.close(follower)
    shown, asked, until = b"", False, time.monotonic() + 60
    while time.monotonic() < until:
        if select.select([leader], [], [], 0.2)[0]:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # the program has ended
                break
            shown += piece
        if not asked and (b"]: " in shown or b"updates []" in shown or b"updates: " in shown):
            asked = True
            os.write(leader, answer.encode() + b"\n")
    code = process.wait(30)
    os.close(leader)
    return code, shown.decode(errors="replace")


@pytest.mark.parametrize(
    ("production", "answer", "code"),
    [(True, "y", 2), (True, "1,200", 0), (False, "y", 0), (False, "n", 2)],
)
def test_a_person_is_asked_before_anything_is_sent(watched: Watched, production: bool, answer: str, code: int) -> None:
    """`y` will do elsewhere; for production only the number of updates does, and nothing is sent without it."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(1200))
    config = watched.folder / "c.toml"
    config.write_text("[profiles.live]\nproduction = true\n[profiles.test]\n")
    with served() as sandbox:
        words = ["run", sheet, "--config", config, "--profile", "live" if production else "test"]
        ended, shown = typed(words, environment(sandbox.base_url, NO_COLOR="1"), answer)
        WATCH.hear("the terminal", shown)
        assert ended == code, shown
        assert len(puts(sandbox)) == (1200 if code == 0 else 0)
        assert ("** PRODUCTION **" in shown) is production
        assert ("Type 1200" in shown) is production
        assert sandbox.base_url in shown
    assert bool(list(Path(watched.folder / "o.runs").glob("2*"))) is (code == 0)

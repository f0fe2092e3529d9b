"""What stops a run before it does harm: the canary, the limit of failures, the question for production."""

import html
import os
import pty
import select
import shlex
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

from batch_updater.journal.facts import Phase
from batch_updater.journal.journal import Journal
from batch_updater.journal.run_folder import JOURNAL
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


@pytest.mark.parametrize(("limit", "most"), [("5", 5), ("10%", 12)])
def test_failures_are_counted_over_all_starts(watched: Watched, limit: str, most: int) -> None:
    """Above the limit a start sends nothing, and every command that is proposed goes on, by a higher one."""
    sheet = write_sheet(watched.folder / "o.csv", [*MISSING[:100], *good_rows(20)])
    with served() as sandbox:
        env = environment(sandbox.base_url)
        words = ["run", str(sheet), "--yes", "--concurrency", "1"]
        first = watched.call(*words, "--max-failures", limit, env=env)
        assert (first.returncode, len(puts(sandbox))) == (6, most + 1)
        sent = len(sandbox.ledger)
        for way in (["--max-failures", limit], []):
            again = watched.call(*words, *way, env={**env, "BATCH_UPDATER_MAX_FAILURES": limit})
            assert (again.returncode, len(sandbox.ledger)) == (6, sent), "no request at all"
            assert f"More than {most} rows of this run have failed, {most + 1} in all" in again.stderr
            assert summary_of(sheet)["results"] == {"failed": most + 1, "not_sent": 120 - most - 1}
        page = (newest_run(sheet) / "report.html").read_text(encoding="utf-8")
        reported = shlex.split(html.unescape(page.split("<pre>")[1].split("</pre>")[0]))
        for proposed in (*(shlex.split(said.stdout.splitlines()[-1]) for said in (first, again)), reported):
            assert proposed[proposed.index("--max-failures") + 1] == str(most + 1 + most)
        assert watched.call(*reported[1:], "--yes", "--concurrency", "1", env=env).returncode == 6
        assert len(puts(sandbox)) == 2 * most + 2, "as many again could fail"


def test_a_run_stops_at_its_limit_in_a_later_start_too(watched: Watched) -> None:
    """What had failed before counts: with four failures, a limit of five leaves room for one."""
    sheet = write_sheet(watched.folder / "o.csv", MISSING[:50])
    words = ("run", sheet, "--yes", "--concurrency", "1", "--max-failures")
    with served() as sandbox:
        for limit, failed in (("3", 4), ("5", 6)):
            ended = watched.call(*words, limit, env=environment(sandbox.base_url))
            assert (ended.returncode, len(puts(sandbox))) == (6, failed), ended.stderr
            assert f"More than {limit} rows have failed" in ended.stderr


def test_a_share_of_failures_is_one_of_all_rows_that_were_to_be_sent(watched: Watched) -> None:
    """Not of those that are left: half of the rows done, as many may fail as before."""
    sheet = write_sheet(watched.folder / "o.csv", [*MISSING[:3], *good_rows(40), *MISSING[3:7], ("broken", DONE)])
    words = ("run", sheet, "--yes", "--concurrency", "1")
    with served() as sandbox:
        env = environment(sandbox.base_url)
        assert watched.call(*words, "--max-failures", "2", env=env).returncode == 6
        ended = watched.call(*words, "--max-failures", "15%", env=env)  # of 47 rows: 7
    assert ended.returncode == 3, ended.stderr
    assert summary_of(sheet)["results"] == {"failed": 7, "updated": 40, "invalid": 1}


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
        assert watched.call(*words, "--max-failures", "1", env=env).returncode == 3
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
        assert watched.call(*words, "--max-failures", "1", env=env).returncode == 3
    assert summary_of(sheet)["results"] == {"conflict": 1, "failed": 1, "updated": 20}


def typed(words: list[object], env: dict[str, str], *answers: str) -> tuple[int, str]:
    """The program on a terminal of its own, with an answer typed whenever it asks; exit status and what it showed."""
    leader, follower = pty.openpty()
    process = subprocess.Popen([*PROGRAM, *map(str, words)], stdin=follower, stdout=follower, stderr=follower, env=env)
    os.close(follower)
    shown, heard, left, until = b"", 0, list(answers), time.monotonic() + 60
    while time.monotonic() < until:
        if select.select([leader], [], [], 0.2)[0]:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # the program has ended
                break
            shown += piece
        if left and any(end in shown[heard:] for end in (b"]: ", b"updates []", b"updates: ")):
            heard = len(shown)
            os.write(leader, left.pop(0).encode() + b"\n")
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


@pytest.mark.parametrize(("answer", "done"), [("y", 30), ("n", 0)])
def test_a_person_may_let_a_run_go_on_that_is_refused_from_the_start(watched: Watched, answer: str, done: int) -> None:
    """Every order at the head is unknown: after a hundred the program asks; `y` sends the rest."""
    sheet = write_sheet(
        watched.folder / "o.csv", [*[(order_id(90_000_000 + n), DONE) for n in range(130)], *good_rows(30)]
    )
    with served() as sandbox:
        env = environment(sandbox.base_url, NO_COLOR="1")
        code, shown = typed(["run", sheet, "--concurrency", "1"], env, "y", answer)
        assert "The first 100 rows were all refused for one reason, order_not_found (400)" in shown
        assert "Go on all the same, until more than 200 have failed?" in shown
        assert (code, summary_of(sheet)["results"].get("updated", 0)) == (3 if done else 6, done), shown


def test_a_person_is_asked_whether_to_wait_for_a_service_that_is_not_there(
    watched: Watched, unused_tcp_port: int
) -> None:
    """At the first look nobody answered: the question says so, and for how long the program would wait."""
    sheet = write_sheet(watched.folder / "o.csv", good_rows(30))
    env = environment(f"http://127.0.0.1:{unused_tcp_port}", NO_COLOR="1")
    code, shown = typed(["run", sheet, "--outage-budget", "90"], env, "n")
    asked = "Nobody answers there. Wait for up to 1 min 30 s, and send 30 updates to http://127.0.0.1:"
    assert asked in " ".join(shown.split())
    assert code == 2


def test_a_person_is_not_asked_when_nothing_would_be_sent(watched: Watched) -> None:
    """Above the limit of failures, and when only the result file is missing, the run ends without a question."""
    sheet = write_sheet(watched.folder / "o.csv", [*MISSING[:2], *good_rows(3)])
    with served() as sandbox:
        env = environment(sandbox.base_url, NO_COLOR="1")
        words = ["run", sheet, "--concurrency", "1", "--max-failures"]
        assert watched.call(*words, "0", "--yes", env=env).returncode == 6
        code, shown = typed([*words, "0"], env, "y")
        assert (code, "Send " in shown, len(puts(sandbox))) == (6, False, 1), shown
        code, shown = typed([*words, "2"], env, "y")
        assert (code, "Send 4 updates" in shown, len(puts(sandbox))) == (3, True, 5), shown
        with Journal.open(newest_run(sheet) / JOURNAL) as journal:
            journal.update_facts(phase=Phase.STOPPED)
        (newest_run(sheet) / "results.csv").unlink()
        code, shown = typed([*words, "2"], env, "n")
        assert (code, "Send " in shown, len(puts(sandbox))) == (3, False, 5), shown
    assert (newest_run(sheet) / "results.csv").exists()

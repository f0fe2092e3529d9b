import asyncio
import json
import logging
import re
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest

from batch_updater.api.pacing.rate_log import PaceLog
from batch_updater.common import log
from batch_updater.common.log import LOGGER, event, log_to_file, log_to_stderr
from batch_updater.common.secret import Secret

EVIL = 'x\n2026-11-23T10:15:00.000Z error "forged"\x1b[31m\u202e\x07'


def written(path: Path, form: str, **fields: object) -> list[str]:
    with log_to_file(path, form):
        event("retry", **fields)
    return path.read_text(encoding="utf-8").splitlines()


def test_a_text_line_has_time_level_event_and_fields(tmp_path: Path) -> None:
    """Fields stand as name=value in the order given; empty ones are left out."""
    fields = {"row": 17, "reason": "timeout", "detail": "no answer", "seconds": 0.12345, "rate": None}
    (line,) = written(tmp_path / "run.log", "text", **fields)
    time, rest = line.split(" ", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    assert rest == 'info    retry row=17 reason=timeout detail="no answer" seconds=0.123'


def test_a_json_line_is_one_object(tmp_path: Path) -> None:
    """time, level and event are there always, numbers are numbers."""
    (line,) = written(tmp_path / "run.log", "json", row=17, reason="timeout", rate=3.5)
    found = json.loads(line)
    assert list(found) == ["time", "level", "event", "row", "reason", "rate"]
    assert (found["level"], found["row"], found["rate"]) == ("info", 17, 3.5)


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_from_outside_breaks_a_line(tmp_path: Path, form: str) -> None:
    """A cell or an answer can't forge a line, colour a terminal or turn the reading direction."""
    (line,) = written(tmp_path / "run.log", form, detail=EVIL, reason=EVIL)
    assert line.isprintable()
    if form == "json":
        assert json.loads(line)["detail"] == EVIL


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_exception_is_one_line(tmp_path: Path, form: str) -> None:
    """A traceback is a field, not further lines."""
    try:
        raise ValueError(EVIL)
    except ValueError:
        (line,) = written(tmp_path / "run.log", form, error=traceback.format_exc())
    assert "ValueError" in line
    assert line.isprintable()


def test_a_secret_is_never_written(tmp_path: Path) -> None:
    """A secret that gets into a field by mistake shows nothing."""
    lines = written(tmp_path / "run.log", "text", reason=Secret("hunter2"), error=ValueError(Secret("hunter2")))
    assert "hunter2" not in "".join(lines)


def test_the_log_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its size the log begins anew and one older file stays."""
    monkeypatch.setattr(log, "LARGEST", 2000)
    with log_to_file(tmp_path / "run.log"):
        for row in range(500):
            event("retry", row=row, reason="server_error")
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["run.log", "run.log.1"]
    assert sum(file.stat().st_size for file in files) <= 4000
    assert "row=499" in files[0].read_text()


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No folder, or a full disk: the events are lost and nobody is told twice."""
    with log_to_file(tmp_path / "gone" / "run.log"):
        event("retry", row=1)
    (tmp_path / "run.log").symlink_to("/dev/full")
    with log_to_file(tmp_path / "run.log"):
        for row in range(3):
            event("retry", row=row)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("verbosity", "words"), [(0, ""), (1, "pause"), (2, "pause answer"), (5, "pause answer")])
def test_stderr_shows_as_much_as_was_asked(capsys: pytest.CaptureFixture[str], verbosity: int, words: str) -> None:
    """Nothing without -v, events with -v, every answer with -vv."""
    with log_to_stderr(verbosity):
        event("pause", seconds=3.0)
        event("answer", logging.DEBUG, row=1)
    assert [line.split()[2] for line in capsys.readouterr().err.splitlines()] == words.split()
    assert LOGGER.handlers == []


def test_file_and_stderr_have_levels_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """-vv does not fill the file, and the file does not make stderr talk."""
    with log_to_stderr(2), log_to_file(tmp_path / "run.log"):
        event("answer", logging.DEBUG, row=1)
        event("pause")
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert len((tmp_path / "run.log").read_text().splitlines()) == 1


async def test_runs_at_once_have_logs_of_their_own(tmp_path: Path) -> None:
    """Tasks and threads of each write into its own file, and one that ends first takes nothing from the other."""
    ended, level = asyncio.Event(), LOGGER.level

    async def run(name: str, *, waits: bool) -> None:
        with log_to_file(tmp_path / name):
            event(name, row=1)
            if waits:
                await ended.wait()
            await asyncio.create_task(asyncio.to_thread(event, name, row=2))
        ended.set()

    await asyncio.gather(run("long", waits=True), run("short", waits=False))
    for name in ("long", "short"):
        assert heard(tmp_path / name) == [f"{name} row=1", f"{name} row=2"]
    assert (LOGGER.level, LOGGER.handlers) == (level, [])


class Pacing:
    paused_for = 0.0
    outage_for = 0.0
    rate: float | None = None
    outage = SimpleNamespace(last_seen="nobody")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def heard(path: Path) -> list[str]:
    return [line.split(" ", 1)[1].split(None, 1)[1] for line in path.read_text().splitlines()]


def test_a_pause_is_logged_once_and_again_when_it_grows(tmp_path: Path) -> None:
    """Calls within one pause add nothing; a longer wish of the service does."""
    pacing, clock = Pacing(), Clock()
    watch = PaceLog(pacing, clock)
    with log_to_file(tmp_path / "run.log"):
        for left in (3.0, 2.0, 1.0):
            pacing.paused_for = left
            watch.log_changes("rate_limited", 7)
            clock.now += 1.0
        pacing.paused_for = 5.0
        watch.log_changes("server_error", 9)
        pacing.paused_for = 0.0
        watch.log_changes()
    assert heard(tmp_path / "run.log") == [
        "pause seconds=3.0 reason=rate_limited row=7", "pause seconds=5.0 reason=server_error row=9",
    ]  # fmt: skip


def test_a_rate_is_logged_when_it_falls_and_when_it_has_climbed(tmp_path: Path) -> None:
    """Each fall has a line with its cause; the slow climb has one per quarter."""
    pacing = Pacing()
    watch = PaceLog(pacing, Clock())
    with log_to_file(tmp_path / "run.log"):
        for rate in (70.0, 71.0, 80.0, 90.0, 63.0, None):
            pacing.rate = rate
            watch.log_changes("rate_limited", 7)
    assert heard(tmp_path / "run.log") == [
        "rate rate=70.0 reason=rate_limited row=7", "rate rate=90.0 reason=recovering",
        "rate rate=63.0 reason=rate_limited row=7", "rate reason=recovering",
    ]  # fmt: skip


def test_an_outage_is_logged_with_its_length(tmp_path: Path) -> None:
    """The service going down and coming back are one line each."""
    pacing, clock = Pacing(), Clock()
    watch = PaceLog(pacing, clock)
    with log_to_file(tmp_path / "run.log"):
        for seconds in (0.1, 5.0, 12.0, 0.0):
            pacing.outage_for = seconds
            watch.log_changes("timeout", 3)
            clock.now += 6.0
    assert heard(tmp_path / "run.log") == [
        "service_down reason=timeout row=3 detail=nobody",
        "service_back seconds=18.1",
    ]

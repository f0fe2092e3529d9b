import errno
import json
import os
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_updater.api.pacing import learned_rate as remembered
from batch_updater.api.pacing.learned_rate import FASTEST, SLOWEST, forget, recall, remember, start_rate
from batch_updater.common.settings import SendOptions

URL = "https://api.example.com/v1"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
GOOD = {"base_url": URL, "rate": 480.5, "when": NOW.isoformat()}


def rate_of(base_url: str = URL, account: str | None = None, now: datetime = NOW) -> float | None:
    found = recall(base_url, account, now)
    return found and found.rate


def kept_file(state_folder: Path) -> Path:
    """The one file, made by remembering something."""
    remember(URL, None, 100.0, NOW)
    (path,) = state_folder.rglob("*.json")
    return path


def test_what_was_remembered_is_recalled_with_its_day() -> None:
    """The next run gets the rate and when it was learned; the newest word counts."""
    assert recall(URL, None, NOW) is None
    remember(URL, None, 480.5, NOW - timedelta(hours=1))
    remember(URL, None, 512.25, NOW)
    found = recall(URL, None, NOW)
    assert found is not None
    assert (found.rate, found.when) == (512.25, NOW)
    assert found.describe().startswith("starts at 512 requests/s, learned on 2026-11-2")
    assert "--forget-rate" in found.describe()


def test_services_and_accounts_are_kept_apart() -> None:
    """What one account learned on one service says nothing about another service or account."""
    remember(URL, "a1b2", 50.0, NOW)
    others = [(URL, None), (URL, "a1b3"), (f"{URL}/x", "a1b2"), (f"{URL}\na1b2", None)]
    assert (rate_of(URL, "a1b2"), [rate_of(*other) for other in others]) == (50.0, [None] * 4)


@pytest.mark.parametrize(
    ("age", "rate"),
    [
        (timedelta(0), 480.0),
        (timedelta(days=7), 480.0),
        (timedelta(days=7, seconds=1), None),
        (timedelta(days=4000), None),
        (timedelta(hours=-1), None),
    ],
)
def test_a_rate_is_trusted_for_seven_days(age: timedelta, rate: float | None) -> None:
    """Neither an old one nor one from the future is used."""
    remember(URL, None, 480.0, NOW - age)
    assert rate_of() == rate


DAMAGE: dict[str, bytes] = {
    "empty": b"",
    "cut off": json.dumps(GOOD).encode()[:-9],
    "no JSON": b"\x00\xff\xfe rate",
    "deep": b"[" * 4000,
    "endless": b" " * 10_000_000 + json.dumps(GOOD).encode(),
    "a list": b"[480]",
    "a number": b"480",
    "null": b"null",
    "no rate": json.dumps({"base_url": URL, "when": NOW.isoformat()}).encode(),
    "no time": json.dumps({"base_url": URL, "rate": 480}).encode(),
    "another service": json.dumps({**GOOD, "base_url": "https://evil.example"}).encode(),
    **{
        f"rate {rate!r}": json.dumps({**GOOD, "rate": rate}).encode()
        for rate in (0, -5, 0.4, 1e7, float("nan"), float("inf"), "480", True, None, [480], 10**400)
    },
    **{
        f"time {when!r}": json.dumps({**GOOD, "when": when}).encode()
        for when in ("", "today", "2026-11-24T12:00:00", 1795521600, None, "0001-01-01T00:00:00+23:59")
    },
}


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_nothing_remembered(state_folder: Path, content: bytes) -> None:
    """Nothing but a believable rate of this service with its time is used, and the next run mends the file."""
    path = kept_file(state_folder)
    path.write_bytes(json.dumps(GOOD).encode())
    assert rate_of() == 480.5
    path.write_bytes(content)
    assert rate_of() is None
    remember(URL, None, 77.0, NOW)
    assert rate_of() == 77.0


def refuse(*_arguments: Any, **_options: Any) -> None:
    """A system that refuses everything."""
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("call", ["open", "is_file", "mkdir", "replace", "unlink", "iterdir", "stat", "write_text"])
def test_no_refusal_of_the_system_is_an_error(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Whatever call is refused, reading, keeping and forgetting end quietly."""
    remember(URL, None, 9.0, NOW)
    monkeypatch.setattr(Path, call, refuse)
    recall(URL, None, NOW)
    remember(URL, None, 10.0, NOW)
    forget(URL, None)


@pytest.mark.parametrize("place", ["a file", "", "relative/state"])
def test_without_a_usable_folder_nothing_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A file in its place, no home, or a relative name: nothing is kept, and nothing is made where one stands."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").write_text("mine")
    folder = tmp_path / place if place == "a file" else Path(place or "~/.local/state")
    monkeypatch.setattr(remembered, "PlatformDirs", lambda *_a, **_k: type("Dirs", (), {"user_state_path": folder}))
    remember(URL, None, 480.0, NOW)
    assert rate_of() is None
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


@pytest.mark.parametrize("error", [ValueError("Unset: LOCALAPPDATA"), RuntimeError("no home"), OSError("no profile")])
def test_a_system_that_names_no_folder_is_no_error(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Where the platform can't say where state belongs, as for a user without a home, nothing is remembered."""

    def nowhere(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(remembered, "PlatformDirs", nowhere)
    remember(URL, None, 480.0, NOW)
    forget(URL, None)
    assert rate_of() is None


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes in folders")
def test_a_pipe_in_its_place_is_not_waited_for(state_folder: Path) -> None:
    """Something that is no file is not opened."""
    path = kept_file(state_folder)
    path.unlink()
    os.mkfifo(path)
    assert rate_of() is None


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such permissions")
def test_the_file_is_whole_alone_and_holds_no_more_than_it_needs(state_folder: Path) -> None:
    """Service, rate and time; the folder is for its owner alone; no half-written file stays."""
    path = kept_file(state_folder)
    assert set(json.loads(path.read_text())) == {"base_url", "rate", "when"}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_what_was_there(state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk costs the new rate, never the old one, and leaves no rest behind."""
    path = kept_file(state_folder)

    def full(self: Path, *_arguments: object, **_options: object) -> None:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    remember(URL, None, 999.0, NOW)
    assert rate_of() == 100.0
    assert list(path.parent.iterdir()) == [path]


def test_files_that_nobody_trusts_any_more_are_removed(state_folder: Path) -> None:
    """The folder does not grow for ever: what is older than seven days goes when something is kept."""
    path = kept_file(state_folder)
    old, young = path.with_name("0ld.json"), path.with_name("y0ung.json")
    old.touch()
    young.touch()
    ago = datetime.now(UTC).timestamp() - 8 * 86_400
    os.utime(old, (ago, ago))
    remember(URL, None, 5.0, NOW)
    assert sorted(path.parent.iterdir()) == sorted([path, young])


def test_forgetting_leaves_the_others_alone() -> None:
    """Only what this account learned on this service goes; twice is no error."""
    remember(URL, None, 480.0, NOW)
    remember(URL, "a1b2", 50.0, NOW)
    forget(URL, None)
    forget(URL, None)
    assert (rate_of(), rate_of(URL, "a1b2")) == (None, 50.0)


@given(st.floats(SLOWEST, FASTEST), st.text(max_size=40), st.none() | st.text(max_size=12))
def test_any_rate_comes_back(rate: float, base_url: str, account: str | None) -> None:
    """Whatever rate of whatever service is kept is recalled to three digits after the point, or not at all."""
    remember(base_url, account, rate, NOW)
    found = rate_of(base_url, account)
    assert found == pytest.approx(rate, abs=0.0005)
    forget(base_url, account)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes().map(str),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
TIMES = st.datetimes(timezones=st.timezones() | st.none()).map(datetime.isoformat)


@given(
    JSON | st.fixed_dictionaries({"base_url": st.just(URL) | JSON, "rate": JSON | st.floats(), "when": JSON | TIMES})
)
def test_no_content_becomes_a_nonsense_rate(content: object) -> None:
    """Any JSON in the file gives a rate within bounds and a time within seven days, or nothing."""
    remember(URL, None, 100.0, NOW)
    path = remembered._path(URL, None)
    path.write_text(json.dumps(content))
    found = recall(URL, None, NOW)
    assert found is None or (SLOWEST <= found.rate <= FASTEST and timedelta(0) <= NOW - found.when <= timedelta(days=7))


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ({}, 480.0),
        ({"rate": 500}, 480.0),
        ({"rate": 480}, None),
        ({"rate": 50}, None),
        ({"adapt": False}, None),
        ({"forget_rate": True}, None),
    ],
)
def test_settings_decide_whether_a_run_starts_with_it(options: dict[str, Any], rate: float | None) -> None:
    """--no-adapt and --forget-rate start without it, and so does a --rate that is no higher."""
    remember(URL, None, 480.0)
    found = start_rate(SendOptions(**options), URL, None)
    assert (found and found.rate) == rate

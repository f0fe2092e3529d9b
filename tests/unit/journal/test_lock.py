import os
import re
import threading
from pathlib import Path

import pytest

from batch_updater.common.errors import LockedError
from batch_updater.journal import lock
from batch_updater.journal.lock import lock_input
from batch_updater.journal.run_folder import new_run


def test_runs_of_one_second_sort_in_the_order_they_were_made(tmp_path: Path) -> None:
    """The newest run is the last by name, however quickly runs follow each other."""
    made = [new_run(tmp_path).run_id for _ in range(12)]
    assert made == sorted(made)
    assert len(set(made)) == 12


def test_somebody_who_only_looks_keeps_no_run_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`runs` takes a lock for a moment to see whether it is free: that is waited for, a run under way is not."""
    sheet = tmp_path / "o.csv"
    looker = lock.FileLock(tmp_path / f".{sheet.name}.lock", thread_local=False)
    looker.acquire()
    threading.Timer(0.02, looker.release).start()
    with lock_input(tmp_path, sheet):
        monkeypatch.setattr(lock, "PATIENCE", 0.01)
        with pytest.raises(LockedError), lock_input(tmp_path, sheet):
            pass


def test_whoever_waits_is_told_who_holds_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user, the machine, the process and the start of the run: on a shared folder a number alone says nothing."""
    monkeypatch.setattr(lock, "PATIENCE", 0.01)
    monkeypatch.setattr(lock, "who", lambda: "ops@host-7")
    with lock_input(tmp_path, tmp_path / "o.csv"):
        with pytest.raises(LockedError) as caught, lock_input(tmp_path, tmp_path / "o.csv"):
            pass
        said = rf"Another run of o\.csv is under way \(process {os.getpid()} of ops@host-7, started \d{{4}}-.* UTC"
        assert re.match(said, caught.value.message)
        owner = tmp_path / ".o.csv.owner"
        owner.write_text('{"pid": 7, "started": "2026-11-23T10:15:00+00:00"}')
        with pytest.raises(LockedError) as caught, lock_input(tmp_path, tmp_path / "o.csv"):
            pass
        assert "process 7 of an earlier version" in caught.value.message

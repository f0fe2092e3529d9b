import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def test_changed_sheets_become_rows_or_are_refused(
    pytestconfig: pytest.Config, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Whatever bytes change in a sheet of any kind, it is read or refused with a hint, in bounded memory and time."""
    many, given = int(pytestconfig.getoption("sheets")), pytestconfig.getoption("seed")
    seed = secrets.randbelow(1 << 32) if given is None else int(given)
    command = [sys.executable, "-m", "support.mutated", "--seed", str(seed), "--count", str(many)]
    with (tmp_path / "told").open("w+") as told, (tmp_path / "errors").open("w") as errors:
        ended = subprocess.run(
            command, stdout=told, stderr=errors, check=False, timeout=120 + many,
            env={**os.environ, "RUST_BACKTRACE": "0"}, cwd=TESTS,
        )  # fmt: skip
        told.seek(0)
        entries = [json.loads(line) for line in told]
    last = entries[-1] if entries else {"how": "it did not start"}
    how = last.get("how", (tmp_path / "errors").read_text(errors="replace")[-2000:])
    assert ended.returncode == 0, f"--seed {seed}, exit {ended.returncode}, {last}: {how}"
    assert last["done"] == many == last["rows"] + last["refused"]
    assert min(last["rows"], last["refused"]) > 0
    record_property("said", f"changed sheets, --seed {seed}: {last['rows']:,} read, {last['refused']:,} refused")

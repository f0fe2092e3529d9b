"""The look-out for secrets that every test of the program has: it must be able to fail."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from support import secrecy

LEAKS = {
    "file": "(tmp_path / 'a').write_text('x' + TOKEN)",
    "database": "sqlite3.connect(tmp_path / 'a').executescript(f\"CREATE TABLE t AS SELECT '{TOKEN}' AS a\")",
    "workbook": "zipped(tmp_path / 'a.xlsx', 'x' + TOKEN)",
    "run_folder": "(tmp_path / 'o.runs').mkdir(); (tmp_path / 'o.runs' / 'token').write_text(TOKEN)",
    "memory": "leave_in_memory(tmp_path, 'x' + TOKEN)",
    "stdout": "print('x', TOKEN)",
    "stderr": "print('x', TOKEN, file=sys.stderr)",
    "log": "logging.getLogger('any').warning('x %s', TOKEN)",
    "capsys": "print('x', TOKEN); capsys.readouterr()",
    "said": "run('import os; print(os.environ[\"ACCESS_TOKEN\"])', env={**os.environ, 'ACCESS_TOKEN': 'another-one'})",
    "argument": "run('pass', TOKEN)",
    "made_here": "(tmp_path / 'a').write_text(f\"x{Secret('some-other-secret').reveal()}\")",
    "issued": "print('refresh-0b1f8e26-2c7e-4e34-9d1b-6b5f3e8a2d11')",
    "basic": "print(base64.b64encode(f'client-17:{CLIENT_SECRET}'.encode()).decode())",
}
HARMLESS = {
    "quiet": "print(Secret(TOKEN)); run('pass', env={**os.environ, 'ACCESS_TOKEN': TOKEN})",
    "token_file": "(tmp_path / 'token').write_text(TOKEN + '\\n')",
}
HEAD = """
import base64, logging, os, sqlite3, subprocess, sys, zipfile
from pathlib import Path
from support.secrecy import TOKEN
from support.program import quick_folder
from batch_updater.common.secret import Secret
from batch_updater.sandbox.server import CLIENT_SECRET

def run(code, *words, **more):
    subprocess.run([sys.executable, "-S", "-c", code, *words], capture_output=True, text=True, check=True, **more)

def zipped(path, text):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sheet1.xml", text * 50)

def leave_in_memory(tmp_path, text):
    with quick_folder(tmp_path) as folder:
        (folder / "a").write_text(text)
"""


def test_a_secret_anywhere_fails_the_test_that_left_it(tmp_path: Path) -> None:
    """In files, databases, workbooks, memory, outputs, logs and arguments; nothing else fails."""
    cases = {**LEAKS, **HARMLESS}
    tests = "".join(
        f"\ndef test_{name}(tmp_path{', capsys' * ('capsys' in line)}):\n    {line}\n" for name, line in cases.items()
    )
    here = Path(secrecy.__file__).parents[1]
    place = tmp_path / "integration" / "test_leaks.py"
    place.parent.mkdir()
    place.write_text(HEAD + tests)
    assert {path.name for path in here.iterdir() if path.name in secrecy.FOLDERS} == secrecy.FOLDERS
    (tmp_path / "conftest.py").write_text(
        "from support.secrecy import pytest_runtest_makereport, watched_for_secrets\n"
    )
    words = ["-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-c", "/dev/null", f"--rootdir={tmp_path}", place]
    ended = subprocess.run(
        [sys.executable, *map(str, words), f"--basetemp={tmp_path / 'base'}", "-o", f"pythonpath={here}"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    lines = [line.split() for line in ended.stdout.splitlines() if line.startswith(("ERROR ", "FAILED "))]
    assert {line[1].partition("::test_")[2] for line in lines} == set(LEAKS), ended.stdout
    assert ended.stdout.count("holds a secret") >= len(LEAKS)


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "client:"])
def test_every_spelling_is_found_within_other_text(before: str) -> None:
    """Plain, percent-encoded, as JSON, hexadecimal and in base64 at each of its three places."""
    secret = "s3cr3t/with+signs~and==more"
    text = f"{before}{secret}{before}"
    spelled = [
        text, quote(text), quote(text, safe=""), json.dumps({"a": text}), json.dumps(text).replace("/", "\\/"),
        "".join(f"%{byte:02X}" for byte in text.encode()), "".join(f"\\u{ord(c):04x}" for c in text),
        text.encode().hex(), base64.b64encode(text.encode()).decode(), base64.urlsafe_b64encode(text.encode()).decode(),
    ]  # fmt: skip
    found = secrecy.pattern(frozenset({secret}))
    assert [one for one in spelled if not found.search(f"<{one}>".encode())] == []
    assert not found.search(b"s3cr3t/with+signs~and")

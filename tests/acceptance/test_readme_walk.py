"""What the README tells a newcomer to type, typed as it stands."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from support.program import environment, read_result

ROOT = Path(__file__).parents[2]


def first_sheet() -> str:
    """All commands of the section, in their order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## First sheet\n", 1)[1].split("\n## ", 1)[0]
    return "".join(re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def free_port() -> int:
    """A port that nobody uses; other tests may have the usual one."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_the_first_sheet_is_sent_corrected_and_done(tmp_path: Path) -> None:
    """From the sample to a result file in which every row is done, without a command of one's own."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "batch-updater"
    program.write_text(f"#!{sys.executable}\nfrom batch_updater.cli.main import main\n\nmain()\n")
    program.chmod(0o755)
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    port = free_port()
    script = first_sheet().replace("8360", f"{port}").replace("=sandbox-token", "=$SANDBOX_TOKEN")
    script = script.replace("batch-updater sandbox", f"batch-updater sandbox --port {port} 2> /dev/null")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    env = environment(PATH=path, SANDBOX_TOKEN="sandbox-token")
    ended = subprocess.run(
        ["bash", "-mc", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "12 of 12 done, over 2 rounds" in ended.stdout
    first, second = sorted((tmp_path / "orders.runs").glob("2*/results.csv"))
    assert [row["result_row"] for row in read_result(first) if row["result"] == "invalid"] == ["7"]
    assert [(row["result_row"], row["result"]) for row in read_result(second)] == [("7", "updated")]

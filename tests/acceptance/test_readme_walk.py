"""What the README tells a newcomer to type, typed as it stands."""

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from support.program import environment, read_result

ROOT = Path(__file__).parents[2]


SECTION = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## First sheet\n", 1)[1].split("\n## ", 1)[0]
BLOCKS = re.findall(r"^```\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
EXAMPLES = [block for block in BLOCKS if block.startswith("Plan for ")]


def free_port() -> int:
    """A port that nobody uses; other tests may have the usual one."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def without_times(text: str) -> str:
    """What a run says, but for what differs from one run to the next."""
    text = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{4}", "RUN", text)
    text = re.sub(r"in [\d.]+ s \(\d+ rows/s\)", "in TIME", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "SERVICE", text)
    return re.sub(r"Ended    .*", "Ended", text)


def test_the_first_sheet_is_sent_corrected_and_done(tmp_path: Path) -> None:
    """From the sample to a result file in which every row is done, as it is shown, without a command of one's own."""
    scripts = tmp_path / ".venv" / "bin"
    scripts.mkdir(parents=True)
    program = scripts / "batch-updater"
    program.write_text(f"#!{sys.executable}\nfrom batch_updater.cli.main import main\n\nmain()\n")
    program.chmod(0o755)
    (scripts / "activate").write_text(f"PATH={scripts}:$PATH\n")
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    port = free_port()
    script = "".join(block for block in BLOCKS if block not in EXAMPLES)
    script = script.replace("8360", f"{port}").replace("=sandbox-token", "=$SANDBOX_TOKEN")
    script = script.replace("batch-updater sandbox", f"batch-updater sandbox --port {port} 2> /dev/null")
    ended = subprocess.run(
        ["bash", "-mc", script], cwd=tmp_path, env=environment(SANDBOX_TOKEN="sandbox-token"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
    assert "12 of 12 done, over 2 rounds" in ended.stdout
    assert len(EXAMPLES) == 1
    assert without_times(EXAMPLES[0]) in without_times(ended.stdout)
    first, second = sorted((tmp_path / "orders.runs").glob("2*/results.csv"))
    assert [row["result_row"] for row in read_result(first) if row["result"] == "invalid"] == ["7"]
    assert [(row["result_row"], row["result"]) for row in read_result(second)] == [("7", "updated")]

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.program import DONE, TOKEN, environment, program, puts, read_result, served, write_sheet

from batch_updater.cli.help import page
from batch_updater.sandbox.server import order_id


def test_a_whole_run_says_what_happened_to_every_row(tmp_path: Path) -> None:
    """Good, bad, repeated and missing orders each get their word, once, in order."""
    rows = [(order_id(1), DONE), ("x", DONE), (order_id(1), DONE), (order_id(99_999_999), DONE)]
    with served() as sandbox:
        ended = program(
            "run", write_sheet(tmp_path / "o.csv", rows), "--yes", "--json", "-vv", env=environment(sandbox.base_url)
        )
        assert ended.returncode == 3, ended.stderr
        summary = json.loads(ended.stdout)
        found = read_result(Path(summary["results_file"]))
        assert [row["result"] for row in found] == ["updated", "invalid", "duplicate", "failed"]
        assert [row["result_row"] for row in found] == ["2", "3", "4", "5"]
        assert sandbox.orders[order_id(1)]["status"]["id"] == DONE
        assert len(puts(sandbox)) == 2
        listed = json.loads(program("runs", tmp_path, "--json", env=environment()).stdout)
        assert [listed[name] for name in ("rows", "done", "open", "not_done")] == [4, 2, 0, 2]
    assert "answer" in ended.stderr
    assert TOKEN not in ended.stdout + ended.stderr
    for path in Path(summary["run_dir"]).iterdir():
        assert TOKEN.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "url", "token", "code", "words"),
    [
        ("gone.csv", None, "http://127.0.0.1:9", TOKEN, 4, "gone.csv"),
        ("empty.csv", "", "http://127.0.0.1:9", TOKEN, 4, "empty.csv"),
        ("cols.csv", f"a,b\n{DONE},{DONE}\n", "http://127.0.0.1:9", TOKEN, 4, "--order-column"),
        ("ok.csv", f"order_id,status_id\n{DONE},{DONE}\n", "http://127.0.0.1:9", "", 2, "EVREKA360_ACCESS_TOKEN"),
        ("ok.csv", f"order_id,status_id\n{DONE},{DONE}\n", "http://example.com", TOKEN, 2, "https://"),
    ],
)
def test_bad_use_ends_with_one_clear_message(
    tmp_path: Path, name: str, content: str | None, url: str, token: str, code: int, words: str
) -> None:
    """The contract's exit status, a hint, no traceback."""
    file = tmp_path / name
    if content is not None:
        file.write_text(content, encoding="utf-8")
    ended = program("run", file, "--yes", env=environment(url, EVREKA360_ACCESS_TOKEN=token))
    assert ended.returncode == code, ended.stderr
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_a_terminal_nothing_is_sent_unless_yes(tmp_path: Path) -> None:
    """No terminal and no --yes: exit 2 and the way out."""
    file = write_sheet(tmp_path / "o.csv", [(order_id(1), DONE)])
    ended = program("run", file, env=environment("http://127.0.0.1:9"))
    assert (ended.returncode, "--yes" in ended.stderr) == (2, True)


def test_plan_sends_nothing_and_needs_no_token(tmp_path: Path) -> None:
    """The plan of a good sheet ends 0 with its counts on stdout."""
    file = write_sheet(tmp_path / "o.csv", [(order_id(1), DONE)])
    ended = program("plan", file, env=environment(EVREKA360_BASE_URL="http://127.0.0.1:9"))
    assert ended.returncode == 0, ended.stderr
    assert "to send   1" in ended.stdout


@pytest.mark.parametrize("command", [[], ["run"], ["plan"], ["sandbox"], ["demo"]])
def test_help_imports_nothing_heavy(command: list[str]) -> None:
    """--help answers without pandas, aiohttp or pydantic."""
    code = (
        "import sys; from batch_updater.cli.commands import commands; "
        f"commands.main({[*command, '--help']!r}, standalone_mode=False); "
        "sys.exit(any(m in sys.modules for m in ('pandas', 'aiohttp', 'pydantic')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_the_demo_runs_by_itself(tmp_path: Path) -> None:
    """The demo needs no credentials and ends 0 with a result file."""
    ended = program("demo", "--rows", "60", "--dir", tmp_path, env=environment())
    assert ended.returncode == 0, ended.stderr
    assert list(tmp_path.glob("orders.runs/*/results.csv"))


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("r", {"run", "resume", "results", "runs"}), ("help comp", {"completion"}), ("run --carry", {"--carry-over"})],
)
def test_a_tab_offers_words_and_says_nothing(typed: str, offered: set[str]) -> None:
    """Shell completion prints what can stand at the cursor, nothing on stderr, and ends with 0."""
    words = ["batch-updater", *typed.split()]
    asked = {"_BATCH_UPDATER_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words)}
    code = "import sys; sys.argv[0] = 'batch-updater'; from batch_updater.cli.main import main; main()"
    env = environment(**asked, COMP_CWORD=str(len(words) - 1))
    ended = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert {line.partition(",")[2] for line in ended.stdout.splitlines()} == offered


@pytest.mark.parametrize("line", re.findall(r"^    (.*_COMPLETE=bash.*)$", page("completion"), re.MULTILINE))
def test_the_lines_for_bash_turn_completion_on(tmp_path: Path, line: str) -> None:
    """What `help completion` says to type works in bash as it stands."""
    program_file = tmp_path / "batch-updater"
    code = f"import sys; sys.argv[0] = {str(program_file)!r}; from batch_updater.cli.main import main; main()"
    program_file.write_text(f"#!{sys.executable}\n{code}\n")
    program_file.chmod(0o755)
    read_again = f"\n. {tmp_path}/.batch-updater-completion.bash" if ">" in line else ""
    env = environment(PATH=f"{tmp_path}:{os.environ['PATH']}", HOME=str(tmp_path))
    script = f"{line}{read_again}\ncomplete -p batch-updater"
    ended = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "completion" in ended.stdout


def test_an_output_that_knows_few_characters_is_no_bug(tmp_path: Path) -> None:
    """Into a file Windows writes cp1252: what that does not know is written as an escape."""
    file = write_sheet(tmp_path / "sipariş.csv", [(order_id(1), DONE)])
    env = environment(EVREKA360_BASE_URL="http://127.0.0.1:9", PYTHONIOENCODING="cp1252")
    ended = program("plan", file, env=env)
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)
    assert "sipari\\u015f.csv" in ended.stdout

"""Every command that a document, a help page, a sample or the program's source spells is typed as it stands."""

import contextlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import pytest
from support.commands import proposed_in, texts_of, written_in
from support.program import PROGRAM, environment, good_rows, newest_run, program, served, write_sheet
from support.watched import Watched

import batch_updater
from batch_updater.cli.commands import commands
from batch_updater.cli.help import TOPICS, contents, page
from batch_updater.sandbox.server import order_id

ROOT = Path(batch_updater.__file__).parents[1]
PLACES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "samples").rglob("*")),
          *sorted((ROOT / "batch_updater").rglob("*"))]  # fmt: skip
READ = {".py", ".md", ".toml", ".j2", ".yaml", ".service", ".timer", ""}
ESCAPED = {"crontab": ("\\%", "%"), "batch-updater.service": ("%%", "%")}  # % in the languages of schedulers
PLACEHOLDERS = (  # what stands for a name or an address that every reader has one of his own of
    (r"\bFILE\b", "orders.csv"), (r"\bTOPIC\b", "results"), (r"orders\.runs/RUN\b", "RUN"),
    (r"orders\.runs/[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}\b", "RUN"), (r"/srv/orders/tonight\.csv", "orders.csv"),
    (r"/srv/orders\b", "."),
    (r"https://your-tenant\.example/v1", "SERVICE"),
)  # fmt: skip
NOT_TYPED = {
    "batch-updater login": "asks for secrets, and keeps them; tests/integration/test_login.py types it",
    "batch-updater logout": "changes the keyring; tests/integration/test_login.py types it",
    "batch-updater demo": "has a service of its own, and a test of its own below",
    "batch-updater sandbox": "serves until it is interrupted; typed after the demo",
    "batch-updater sandbox &": "needs a shell; tests/acceptance/test_readme_walk.py types it",
    "batch-updater run orders.runs/*/results.csv --only invalid --compare --yes": "needs a shell, as the line above",
}
PROSE = {
    "batch-updater summary": "the name of a sheet in a workbook",
    "batch-updater --from-file=token=./token": "the name of a secret, and an option of kubectl",
}


def written() -> Iterator[str]:
    """All of them, once each, with the placeholders replaced."""
    texts = [(path.name, text) for path in PLACES if path.is_file() and path.suffix in READ for text in texts_of(path)]
    texts += [("help", text) for text in (contents(), *map(page, TOPICS), *(command.help or "" for command in ALL))]
    found = (line.replace(*ESCAPED.get(name, ("", ""))) for name, text in texts for line in written_in(text))
    for line in dict.fromkeys(found):
        yield reduce(lambda typed, one: re.sub(*one, typed), PLACEHOLDERS, line)


ALL = list(commands.commands.values())
COMMANDS = list(dict.fromkeys(written()))


def test_commands_are_found() -> None:
    """The walk over the documents sees those that are there, and the tables name no other."""
    assert len(COMMANDS) > 15
    assert {"batch-updater demo", "batch-updater plan orders.csv", "batch-updater resume RUN"} < set(COMMANDS)
    assert (NOT_TYPED.keys() | PROSE.keys()) <= {*COMMANDS, "batch-updater sandbox"}


def prepare(watched: Watched, line: str, env: dict[str, str]) -> None:
    """Run the sheet as a reader of this line has: to its end, or not, or until he has changed the sheet."""
    missing = (order_id(99_999_999), "Completed")
    is_unfinished = " resume " in line or "--carry-over" in line
    rows = [missing, *good_rows(3)] if is_unfinished else [*good_rows(3), ("typing error", "Completed"), missing]
    limit = ["--max-failures", "0", "--concurrency", "1"] if is_unfinished else []
    sheet = write_sheet(watched.folder / "orders.csv", rows)
    ended = watched.call("run", "orders.csv", "--compare", *limit, env=env)
    assert ended.returncode == (6 if is_unfinished else 3), ended.stderr
    if "--carry-over" in line:
        write_sheet(sheet, good_rows(4))
    Path("RUN").symlink_to(newest_run(sheet))


@pytest.mark.parametrize("line", [line for line in COMMANDS if line not in NOT_TYPED and line not in PROSE])
def test_what_is_written_does_what_it_says(watched: Watched, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Typed by a reader who has such a sheet and such a run it succeeds, or says which rows are not done."""
    monkeypatch.chdir(watched.folder)
    with served() as sandbox:
        env = environment(sandbox.base_url, BATCH_UPDATER_YES="1")
        sample = (ROOT / "samples" / "batch-updater.toml").read_text(encoding="utf-8")
        Path("batch-updater.toml").write_text(re.sub(r'"https://[^"]*"', f'"{sandbox.base_url}"', sample), "utf-8")
        prepare(watched, line, env)
        _program, *words = shlex.split(line.replace("SERVICE", sandbox.base_url))
        ended = watched.call(*words, env=env)
    assert ended.returncode in {0, 3}, ended.stderr
    assert "Traceback" not in ended.stderr


@contextlib.contextmanager
def sandbox_by(*words: str) -> Iterator[str]:
    """What a sandbox says that was typed so, while it serves."""
    with subprocess.Popen([*PROGRAM, *words], stderr=subprocess.PIPE, text=True, env=environment()) as process:
        try:
            assert process.stderr
            yield "".join(process.stderr.readline() for _ in range(3))
        finally:
            process.terminate()


def settings_in(said: str) -> dict[str, str]:
    """The variables that a shell is told to export."""
    (line,) = [line.strip() for line in said.splitlines() if line.strip().startswith("export ")]
    return dict(word.split("=", 1) for word in shlex.split(line)[1:])


def test_the_demo_can_be_gone_on_with(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox that it proposes serves at the same address, and with what that prints every other command works."""
    folder = watched.folder / "a demo"
    said = program("demo", "--rows", 40, "--dir", folder, env=environment()).stdout
    lines = [re.sub(r"^\$ ", "", line.strip()) for line in said.splitlines()]
    assert f"cd '{folder}'" in lines
    (again,) = [shlex.split(line)[1:] for line in lines if line.startswith("batch-updater sandbox")]
    monkeypatch.chdir(folder)
    typed = [line for line in dict.fromkeys(lines) if proposed_in(line) and " sandbox " not in line]
    assert len(typed) >= 4
    with sandbox_by(*again) as announced:
        env = environment(**settings_in(announced), BATCH_UPDATER_YES="1")
        for line in [*proposed_in(announced), *typed]:
            ended = watched.call(*shlex.split(line)[1:], env=env)
            assert ended.returncode in {0, 3}, f"{line}\n{ended.stderr}"

import json
from pathlib import Path
from unittest import mock

import pytest
from support.program import environment
from support.watched import Watched

from batch_updater.cli import console
from batch_updater.common.errors import ExitCode, InputError


@pytest.mark.parametrize("command", [("run", "--yes"), ("plan",), ("verify",), ("undo", "--yes")])
@pytest.mark.parametrize(
    ("error", "code", "reason", "resumable"),
    [
        (InputError("Bad sheet."), ExitCode.BAD_INPUT, "Bad sheet.", False),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, "Interrupted", True),
        (SystemExit(143), ExitCode.TERMINATED, "Interrupted", True),
        (MemoryError(), ExitCode.STOPPED, "memory", True),
        (ZeroDivisionError("x"), ExitCode.BUG, "ZeroDivisionError", True),
    ],
)
def test_with_json_every_end_is_an_object_on_stdout(
    watched: Watched, command: tuple[str, ...], error: BaseException, code: ExitCode, reason: str, resumable: bool
) -> None:
    """Whatever breaks in before the summary, a bug too, is told with its exit status."""
    works = {"run": "run_sheet", "plan": "run_sheet", "verify": "verify_run", "undo": "undo_run"}
    name, *words = command
    with mock.patch.object(console, works[name], side_effect=error):
        ended = watched.call(name, Path("o.csv"), *words, "--json", env=environment("http://127.0.0.1:9"))
    said = json.loads(ended.stdout)
    assert ended.returncode == said["exit_code"] == code
    assert reason in said["reason"]
    assert said["resumable"] is resumable


def test_a_run_that_finds_no_token_is_notified_of_too(watched: Watched) -> None:
    """Whoever waits for the notice of a scheduled run learns that it could not begin."""
    env = environment("http://127.0.0.1:9", BATCH_UPDATER_NOTIFY="json://127.0.0.1:9/a-path")
    env.pop("EVREKA360_ACCESS_TOKEN")
    with mock.patch.object(console, "Notices") as notices:
        ended = watched.call("run", Path("o.csv"), "--yes", env=env)
    assert ended.returncode == ExitCode.USAGE
    title, body = notices.return_value.send.call_args.args
    assert title == "batch-updater: nothing sent"
    assert "No access token" in body

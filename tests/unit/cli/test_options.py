from pathlib import Path

import pytest

from batch_updater.cli.commands import commands
from batch_updater.common.settings import load_settings


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("words", "compare", "file"),
    [
        (["o.csv"], None, "o.csv"),
        (["--compare", "o.csv"], "each", "o.csv"),
        (["o.csv", "--compare"], "each", "o.csv"),
        (["o.csv", "--compare=list"], "list", "o.csv"),
        (["--compare=each", "o.csv"], "each", "o.csv"),
        (["o.csv", "--compare", "list"], "list", "o.csv"),
        (["--compare", "list", "o.csv"], "list", "o.csv"),
        (["o.csv", "--compare", "--rate", "5"], "each", "o.csv"),
        (["--compare", "--rate", "5", "o.csv"], "each", "o.csv"),
        (["--compare", "-"], "each", "-"),
        (["--compare", "--", "--odd.csv"], "each", "--odd.csv"),
        (["--", "--compare"], None, "--compare"),
    ],
)
def test_compare_stands_alone_or_with_its_word(command: str, words: list[str], compare: str | None, file: str) -> None:
    """Before or after FILE, with =, with a blank, or alone: only the word `list` or `each` belongs to it."""
    context = commands.commands[command].make_context(command, list(words))
    assert (context.params["compare"], context.params["file"]) == (compare, Path(file))


@pytest.mark.parametrize(
    ("value", "compare"),
    [("1", "each"), ("true", "each"), ("list", "list"), ("0", "no"), ("each", "each"), ("False", "no")],
)
def test_compare_in_the_environment_and_the_config_file(tmp_path: Path, value: str, compare: str) -> None:
    """A flag there is a truth value or the same words; an option goes before it."""
    assert load_settings({}, {"BATCH_UPDATER_COMPARE": value}).compare == compare
    config = tmp_path / "c.toml"
    config.write_text(f"compare = {value.lower() if value.lower() in {'true', 'false', '1', '0'} else repr(value)}\n")
    assert load_settings({}, {}, config).compare == compare
    assert load_settings({"compare": "list"}, {"BATCH_UPDATER_COMPARE": value}, config).compare == "list"


@pytest.mark.parametrize(
    ("limit", "rows", "most"),
    [("0", 100, 0), ("25", 100, 25), ("2%", 1000, 20), ("5%", 10, 0), ("100%", 7, 7), (3, 10, 3)],
)
def test_a_limit_of_failures_is_a_number_or_a_share(tmp_path: Path, limit: object, rows: int, most: int) -> None:
    """As an option, and as a number in the config file too; a share is of the rows to send, rounded down."""
    config = tmp_path / "c.toml"
    config.write_text(f"max-failures = {limit!r}\n")
    assert load_settings({}, {}, config).failure_limit(rows) == most
    assert load_settings({"max_failures": str(limit)}, {}).failure_limit(rows) == most


def test_any_value_of_no_color_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """https://no-color.org asks for whatever is not empty; it is no truth value that could be a wrong one."""
    monkeypatch.setenv("NO_COLOR", "please")
    assert commands.commands["run"].make_context("run", ["o.csv"]).params["no_color"] is False

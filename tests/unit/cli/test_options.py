from pathlib import Path

import click
import pytest

from batch_updater.cli.commands import commands
from batch_updater.common.settings import load_settings


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("words", "compare", "compare_list", "file"),
    [
        (["o.csv"], None, None, "o.csv"),
        (["--compare", "o.csv"], True, None, "o.csv"),
        (["o.csv", "--compare-list"], None, True, "o.csv"),
        (["o.csv", "--compare", "--compare-list", "--rate", "5"], True, True, "o.csv"),
        (["--compare", "-"], True, None, "-"),
        (["--compare", "--", "--odd.csv"], True, None, "--odd.csv"),
        (["--", "--compare"], None, None, "--compare"),
        (["--compare", "list"], True, None, "list"),
        (["list", "--compare"], True, None, "list"),
    ],
)
def test_the_two_ways_to_compare_are_plain_flags(
    command: str, words: list[str], compare: bool | None, compare_list: bool | None, file: str
) -> None:
    """Before or after FILE, each alone or both; a file may be called `list`."""
    params = commands.commands[command].make_context(command, list(words)).params
    assert (params["compare"], params["compare_list"], params["file"]) == (compare, compare_list, Path(file))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["o.csv", "--compare", "list"], "--compare takes no word; --compare-list reads the paged list."),
        (["--compare", "list", "o.csv"], "--compare takes no word; --compare-list reads the paged list."),
        (["--compare", "each", "o.csv"], "--compare takes no word; --compare-list reads the paged list."),
        (["o.csv", "--compare=list"], "--compare takes no word; --compare-list reads the paged list."),
        (["o.csv", "--wire", "session"], "--wire is gone: the program chooses by itself how it sends requests."),
        (["o.csv", "p.csv"], "Got unexpected extra argument (p.csv)"),
        (["--compare", "list", "--rate", "x"], "Invalid value for '--rate': 'x' is not a valid float."),
    ],
)
def test_the_words_of_earlier_versions_are_refused_with_a_sentence(words: list[str], said: str) -> None:
    """What has changed is said; every other mistake is told as before."""
    with pytest.raises(click.UsageError) as caught:
        commands.commands["run"].make_context("run", words)
    assert caught.value.format_message() == said


@pytest.mark.parametrize(("value", "compare"), [("1", True), ("true", True), ("no", False), ("0", False)])
def test_compare_in_the_environment_and_the_config_file(tmp_path: Path, value: str, compare: bool) -> None:
    """A flag there is a truth value; an option goes before it."""
    environment = {"BATCH_UPDATER_COMPARE": value, "BATCH_UPDATER_COMPARE_LIST": value}
    settings = load_settings({}, environment)
    assert (settings.compare, settings.compare_list) == (compare, compare)
    config = tmp_path / "c.toml"
    config.write_text(f"compare-list = {str(compare).lower()}\n")
    assert load_settings({}, {}, config).compare_list == compare
    assert load_settings({"compare_list": True}, environment, config).compare_list is True


@pytest.mark.parametrize("option", ["compare", "compare_list", "expect_column"])
def test_orders_are_read_first_for_each_of_three_reasons(option: str) -> None:
    """One by one, by the list, or because a column says what they must have now; else they are not."""
    assert load_settings({option: "1"}, {}).compares
    assert not load_settings({}, {}).compares


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

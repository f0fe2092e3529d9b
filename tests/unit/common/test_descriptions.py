import re

import click
import pytest

from batch_updater.cli.commands import commands
from batch_updater.common.descriptions import describe_setting
from batch_updater.common.remedies import as_argument, as_option
from batch_updater.common.setting_errors import NO_OPTIONS
from batch_updater.common.settings import Settings


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_described_once_for_all_faces(name: str) -> None:
    """The field, the class's help and each command's --help have the same sentence, in the words of the face."""
    meaning = describe_setting(name, as_argument)
    assert Settings.model_fields[name].description == meaning
    assert f"{name} [" in str(Settings.__doc__)
    assert f": {meaning}" in str(Settings.__doc__)
    assert Settings.model_json_schema()["properties"][name]["description"] == meaning
    assert "--" not in meaning
    options = [param for command in commands.commands.values() if command.name not in {"sandbox", "demo"}
               for param in command.params if isinstance(param, click.Option) and param.name == name]  # fmt: skip
    helps = [param.help for param in options]
    assert {str(text).split("  [")[0] for text in helps} == (set() if name in NO_OPTIONS else {as_said(name)})


def as_said(name: str) -> str:
    """What --help says of a setting, without its default."""
    return describe_setting(name, as_option)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_help_names_the_defaults_that_there_are(name: str) -> None:
    """A number or a choice in brackets is the default of the setting."""
    default = Settings.model_fields[name].default
    for param in commands.commands["run"].params:
        shown = re.search(r"  \[(.+)\]$", getattr(param, "help", None) or "")
        if param.name == name and shown and isinstance(default, int | float) and not isinstance(default, bool):
            assert float(shown[1]) == default
        elif param.name == name and shown and isinstance(param.type, click.Choice):
            assert shown[1] == default

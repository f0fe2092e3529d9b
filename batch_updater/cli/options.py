"""The options of the commands, in groups. Nothing heavy is imported, so that --help is quick."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from batch_updater.common.config_file import ABOUT_THE_CALL, read_config
from batch_updater.common.descriptions import describe_setting
from batch_updater.common.errors import SettingsError
from batch_updater.common.remedies import as_option

PATH = click.Path(path_type=Path)
Decorator = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Group:
    """Options that stand together under a title in --help."""

    title: str
    options: tuple[Decorator, ...]


def _help(setting: str, default: str = "") -> str:
    """Return what --help says of the option for a setting."""
    meaning = describe_setting(setting, as_option)
    return f"{meaning}  [{default}]" if default else meaning


READ_OPTIONS = Group("Reading the sheet", (
    click.option("--order-column", help=_help("order_column", "found by name")),
    click.option("--order-by", type=click.Choice(["id", "name"]), help=_help("order_by", "id")),
    click.option("--status-column", help=_help("status_column", "found by name")),
    click.option("--set-status", metavar="STATUS", help=_help("set_status")),
    click.option("--sheet", help=_help("sheet", "the only one with both columns")),
    click.option("--encoding", help=_help("encoding")),
    click.option("--delimiter", help=_help("delimiter", "detected")),
    click.option("--header-row", type=int, metavar="N", help=_help("header_row", "found by itself")),
    click.option("--include-hidden", is_flag=True, default=None, help=_help("include_hidden")),
    click.option("--max-cells", type=int, metavar="N", help=_help("max_cells", "25000000")),
    click.option("--password-file", type=PATH, help=_help("password_file")),
    click.option("--where", multiple=True, metavar="COLUMN[!]=VALUE",
                 callback=lambda _context, _name, given: given or None, help=_help("where")),
    click.option("--rows", metavar="N-M", help=_help("rows")),
    click.option("--limit", type=int, metavar="N", help=_help("limit")),
    click.option("--only", metavar="WORD[,WORD]", help=_help("only")),
))  # fmt: skip
PLAN_OPTIONS = Group("Deciding what to send", (
    click.option("--on-conflict", type=click.Choice(["hold", "first", "last", "sequence"]),
                 help=_help("on_conflict", "hold")),
    click.option("--strict", is_flag=True, default=None, help=_help("strict")),
    click.option("--compare", is_flag=True, default=None, help=_help("compare")),
    click.option("--compare-list", is_flag=True, default=None, help=_help("compare_list")),
    click.option("--carry-over", is_flag=True, default=None, help=_help("carry_over")),
    click.option("--expect-column", help=_help("expect_column")),
))  # fmt: skip
PACE_OPTIONS = Group("Sending", (
    click.option("--concurrency", type=int, metavar="N", help=_help("concurrency", "20")),
    click.option("--rate", type=float, metavar="N", help=_help("rate", "none")),
    click.option("--adapt/--no-adapt", default=None, help=_help("adapt", "adapt")),
    click.option("--timeout", type=float, metavar="S", help=_help("timeout", "30")),
    click.option("--retries", type=int, metavar="N", help=_help("retries", "5")),
    click.option("--max-failures", metavar="N|P%", help=_help("max_failures", "none")),
    click.option("--outage-budget", type=float, metavar="S", help=_help("outage_budget", "300")),
))  # fmt: skip
SEND_OPTIONS = Group(PACE_OPTIONS.title, (
    click.option("--canary", type=int, metavar="N", help=_help("canary", "0")),
    *PACE_OPTIONS.options,
))  # fmt: skip
RESULT_OPTIONS = Group("Writing", (
    click.option("-o", "--output", type=PATH,
                 help=f"{_help('output', 'in the run folder')}  Of `plan`: the rows that will not be sent."),
    click.option("--overwrite", is_flag=True, default=None, help=_help("overwrite")),
))  # fmt: skip
WRITE_OPTIONS = Group(RESULT_OPTIONS.title, (
    *RESULT_OPTIONS.options,
    click.option("--runs-dir", type=PATH, help=_help("runs_dir", "FILE's folder/<stem>.runs")),
    click.option("--restart", is_flag=True, default=None, help=_help("restart")),
))  # fmt: skip
SERVICE_OPTIONS = Group("The service", (
    click.option("--base-url", help=_help("base_url")),
    click.option("--ca-file", type=PATH, help=_help("ca_file")),
    click.option("--proxy", metavar="URL", help=_help("proxy")),
    click.option("--profile", envvar="BATCH_UPDATER_PROFILE", help=_help("profile")),
    click.option("--config", type=PATH, envvar="BATCH_UPDATER_CONFIG", help=_help("config", "batch-updater.toml")),
))  # fmt: skip
DISPLAY_OPTIONS = Group("Showing", (
    click.option("--json", "as_json", is_flag=True, envvar="BATCH_UPDATER_JSON", help="The summary as JSON on stdout."),
    click.option("-v", "--verbose", count=True, envvar="BATCH_UPDATER_VERBOSE",
                 help="Show retries, pauses and changes of the rate; -vv every answer."),
    click.option("--log-format", type=click.Choice(["text", "json"]), help=_help("log_format", "text")),
    click.option("-q", "--quiet", is_flag=True, envvar="BATCH_UPDATER_QUIET",
                 help="No plan, no progress; at the end only what went wrong."),
    click.option("--no-color", is_flag=True, envvar="BATCH_UPDATER_NO_COLOR", help="No colours."),
))  # fmt: skip
WATCH_OPTIONS = Group("Watching from elsewhere", (
    click.option("--metrics-file", type=PATH, help=_help("metrics_file")),
    click.option("--metrics-port", metavar="[HOST:]N", help=_help("metrics_port", "127.0.0.1")),
    click.option("--notify", metavar="URL", envvar="BATCH_UPDATER_NOTIFY",
                 help="Tell this apprise address how the run ended. It may hold a token, which everybody on this"
                      " machine can see in an option; BATCH_UPDATER_NOTIFY is for those."),
))  # fmt: skip
CONFIRM_OPTIONS = Group("Asking", (
    click.option(
        "--yes", "-y", is_flag=True, envvar="BATCH_UPDATER_YES", help="No question; needed without a terminal."
    ),
    click.option("--dry-run", is_flag=True, envvar="BATCH_UPDATER_DRY_RUN", help="Check and show; send no update."),
))  # fmt: skip


def with_options(*groups: Group) -> Decorator:
    """Give a command these groups of options, in this order."""

    def decorate(command: Any) -> Any:
        for group in reversed(groups):
            for option in reversed(group.options):
                command = option(command)
                command.__click_params__[-1].group = group.title
        return command

    return decorate


def _outdated(error: click.UsageError, words: Sequence[str]) -> str:
    """Return what to say when these words were right in an earlier version; empty when they were not."""
    if isinstance(error, click.NoSuchOption):
        from batch_updater.common.settings import GONE

        why = GONE.get(error.option_name.removeprefix("--").replace("-", "_"))
        return f"{error.option_name} is gone: {why}." if why else ""
    has_value = isinstance(error, click.BadOptionUsage) and error.option_name == "--compare"
    has_word = type(error) is click.UsageError and {("--compare", "list"), ("--compare", "each")} & {*pairwise(words)}
    return "--compare takes no word; --compare-list reads the paged list." if has_value or has_word else ""


class GroupedCommand(click.Command):
    """A command whose --help shows its options under the titles of their groups."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does; what an earlier version took is refused with a sentence of its own."""
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if said := _outdated(error, words):
                raise click.UsageError(said, ctx) from None
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Take from the config file what it says about the call and neither option nor environment says."""
        with contextlib.suppress(SettingsError):  # raised again, and told, when the settings are loaded
            self._fill_in(ctx)
        return super().invoke(ctx)

    def _fill_in(self, ctx: click.Context) -> None:
        if "quiet" not in ctx.params:
            return
        given = read_config(ctx.params["config"], ctx.params["profile"])
        params = {param.name: param for param in self.params}
        for word, name in ABOUT_THE_CALL.items():
            if word in given and name in params and ctx.get_parameter_source(name) is ParameterSource.DEFAULT:
                ctx.params[name] = params[name].process_value(ctx, given[word])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                sections.setdefault(getattr(param, "group", "Options"), []).append(record)
        for title, records in sorted(sections.items(), key=lambda section: section[0] == "Options"):
            with formatter.section(title):
                formatter.write_dl(records)


class CommandGroup(click.Group):
    """Commands in the order in which a person meets them."""

    command_class = GroupedCommand

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of definition."""
        return list(self.commands)

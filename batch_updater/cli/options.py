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
from batch_updater.common.errors import SettingsError

PATH = click.Path(path_type=Path)
Decorator = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Group:
    """Options that stand together under a title in --help."""

    title: str
    options: tuple[Decorator, ...]


READ_OPTIONS = Group("Reading the sheet", (
    click.option("--order-column", help="Header of the column with order ids.  [found by name]"),
    click.option("--order-by", type=click.Choice(["id", "name"]), help="What the order column holds.  [id]"),
    click.option("--status-column", help="Header of the column with statuses to set, ids or names.  [found by name]"),
    click.option("--set-status", metavar="STATUS", help="Every row gets this status, id or name; no column is needed."),
    click.option("--sheet", help="Excel sheet by name or 1-based number.  [the only one with both columns]"),
    click.option("--encoding", help="Encoding of a CSV file that is not UTF-8, e.g. cp1254."),
    click.option("--delimiter", help="Delimiter of a CSV file: , ; | or tab.  [detected]"),
    click.option("--header-row", type=int, metavar="N", help="Row of the column headers.  [found by itself]"),
    click.option("--include-hidden", is_flag=True, default=None, help="Hidden and filtered rows are sent as well."),
    click.option("--max-cells", type=int, metavar="N", help="Refuse an Excel sheet of more cells.  [25000000]"),
    click.option("--password-file", type=PATH, help="File with the password of an Excel workbook."),
    click.option("--where", multiple=True, metavar="COLUMN[!]=VALUE",
                 callback=lambda _context, _name, given: given or None,
                 help="Take only rows with (!=: without) this value, in any letter case; repeatable."),
    click.option("--rows", metavar="N-M", help="Take only these rows, e.g. 2-500 or 2-500,700."),
    click.option("--limit", type=int, metavar="N", help="Take only the first N rows of those chosen."),
    click.option("--only", metavar="WORD[,WORD]", help="FILE is a result file: take only rows with these results."),
))  # fmt: skip
PLAN_OPTIONS = Group("Deciding what to send", (
    click.option("--on-conflict", type=click.Choice(["hold", "first", "last", "sequence"]),
                 help="One order with several statuses: send none, the first, the last, or each in turn.  [hold]"),
    click.option("--strict", is_flag=True, default=None, help="Any invalid or conflicting row: send nothing, exit 4."),
    click.option("--compare", is_flag=True, default=None,
                 help="Read each order just before; leave it alone when it has the status already. Needed for `undo`."),
    click.option("--compare-list", is_flag=True, default=None,
                 help="As --compare, but read the paged list once where that is fewer requests."),
    click.option("--carry-over", is_flag=True, default=None,
                 help="FILE has changed since its unfinished run: keep what is done there, send the rest."),
    click.option("--expect-column", help="Column with the status an order must have now, else it is not sent."),
))  # fmt: skip
PACE_OPTIONS = Group("Sending", (
    click.option("--concurrency", type=int, metavar="N", help="Most requests in flight.  [20]"),
    click.option("--rate", type=float, metavar="N", help="Most requests per second, all kinds together.  [none]"),
    click.option("--adapt/--no-adapt", default=None,
                 help="Search the highest rate that the service accepts, once it has refused something.  [adapt]"),
    click.option("--timeout", type=float, metavar="S", help="Seconds for one attempt, in all.  [30]"),
    click.option("--retries", type=int, metavar="N", help="Further attempts for one row.  [5]"),
    click.option("--max-failures", metavar="N|P%", help="Stop when more rows of the run have failed.  [none]"),
    click.option("--outage-budget", type=float, metavar="S", help="Seconds to wait for a silent service.  [300]"),
))  # fmt: skip
SEND_OPTIONS = Group(PACE_OPTIONS.title, (
    click.option("--canary", type=int, metavar="N", help="Send N rows first, read them back, go on if right.  [0]"),
    *PACE_OPTIONS.options,
))  # fmt: skip
RESULT_OPTIONS = Group("Writing", (
    click.option("-o", "--output", type=PATH, help="The result file: .csv, .xlsx, .xlsm or .jsonl.  [in the run folder]"
                 "  Of `plan`: the rows that will not be sent."),
    click.option("--overwrite", is_flag=True, default=None, help="Replace an existing --output file."),
))  # fmt: skip
WRITE_OPTIONS = Group(RESULT_OPTIONS.title, (
    *RESULT_OPTIONS.options,
    click.option("--runs-dir", type=PATH, help="Where run folders are made.  [FILE's folder/<stem>.runs]"),
    click.option("--restart", is_flag=True, default=None, help="Leave this file's unfinished run, start a new one."),
))  # fmt: skip
SERVICE_OPTIONS = Group("The service", (
    click.option("--base-url", help="The service's address; usually from EVREKA360_BASE_URL."),
    click.option("--ca-file", type=PATH, help="Certificate authorities to trust (PEM), in place of the system's."),
    click.option("--proxy", metavar="URL", help="http:// or https:// proxy to the service, without credentials: they"
                 " come from BATCH_UPDATER_PROXY_USER and BATCH_UPDATER_PROXY_PASS."),
    click.option("--profile", envvar="BATCH_UPDATER_PROFILE", help="Named settings of the config file."),
    click.option("--config", type=PATH, envvar="BATCH_UPDATER_CONFIG", help="Config file.  [batch-updater.toml]"),
))  # fmt: skip
DISPLAY_OPTIONS = Group("Showing", (
    click.option("--json", "as_json", is_flag=True, envvar="BATCH_UPDATER_JSON", help="The summary as JSON on stdout."),
    click.option("-v", "--verbose", count=True, envvar="BATCH_UPDATER_VERBOSE",
                 help="Show retries, pauses and changes of the rate; -vv every answer."),
    click.option("--log-format", type=click.Choice(["text", "json"]), help="How run.log and -v write.  [text]"),
    click.option("-q", "--quiet", is_flag=True, envvar="BATCH_UPDATER_QUIET",
                 help="No plan, no progress; at the end only what went wrong."),
    click.option("--no-color", is_flag=True, envvar="BATCH_UPDATER_NO_COLOR", help="No colours."),
))  # fmt: skip
WATCH_OPTIONS = Group("Watching from elsewhere", (
    click.option("--metrics-file", type=PATH, help="Write Prometheus metrics there, every 10 s and at the end."),
    click.option("--metrics-port", metavar="[HOST:]N", help="Serve Prometheus metrics during the run.  [127.0.0.1]"),
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

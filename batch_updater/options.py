"""The options of the commands, in groups. Click and the standard library only, so that --help is quick."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path)
COMPARE = ("each", "list")
Decorator = Callable[[Any], Any]

READING: tuple[Decorator, ...] = (
    click.argument("file", type=PATH),
    click.option("--order-column", help="Header of the column with order ids.  [found by name]"),
    click.option("--order-by", type=click.Choice(["id", "name"]), help="What the order column holds.  [id]"),
    click.option("--status-column", help="Header of the column with statuses, ids or names.  [found by name]"),
    click.option("--sheet", help="Excel sheet by name or 1-based number.  [the only visible one]"),
    click.option("--encoding", help="Encoding of a CSV file that is not UTF-8, e.g. cp1254."),
    click.option("--delimiter", help="Delimiter of a CSV file: , ; | or tab.  [detected]"),
    click.option("--only", metavar="WORD[,WORD]", help="FILE is a result file: take only rows with these results."),
)  # fmt: skip

DECIDING: tuple[Decorator, ...] = (
    click.option("--on-conflict", type=click.Choice(["hold", "first", "last", "sequence"]),
                 help="One order with several statuses: send none, the first, the last, or each in turn.  [hold]"),
    click.option("--strict", is_flag=True, default=None, help="Any invalid or conflicting row: send nothing, exit 4."),
    click.option("--compare", type=click.Choice(COMPARE), metavar="[list]",
                 help="Read each order just before; leave it alone when it is so already. Needed for `undo`."
                      " `--compare list` reads the paged list once where that is fewer requests."),
    click.option("--expect-column", help="Column with the status an order must have now, else it is not sent."),
)  # fmt: skip

SENDING: tuple[Decorator, ...] = (
    click.option("--canary", type=int, metavar="N", help="Send N rows first, read them back, go on if right.  [0]"),
    click.option("--concurrency", type=int, metavar="N", help="Most requests in flight.  [20]"),
    click.option("--rate", type=float, metavar="N", help="Most requests per second, all kinds together.  [none]"),
    click.option("--timeout", type=float, metavar="S", help="Seconds for one attempt, in all.  [30]"),
    click.option("--retries", type=int, metavar="N", help="Further attempts for one row.  [5]"),
    click.option("--max-failures", metavar="N|P%", help="Stop when more rows than this have failed.  [none]"),
    click.option("--outage-budget", type=float, metavar="S", help="Seconds to wait for a silent service.  [300]"),
)  # fmt: skip

WRITING: tuple[Decorator, ...] = (
    click.option("-o", "--output", type=PATH, help="The result file: .csv, .xlsx or .jsonl.  [in the run folder]"),
    click.option("--overwrite", is_flag=True, default=None, help="Replace an existing --output file."),
    click.option("--runs-dir", type=PATH, help="Where run folders are made.  [FILE's folder/<stem>.runs]"),
    click.option("--restart", is_flag=True, default=None, help="Leave this file's unfinished run, start a new one."),
)  # fmt: skip

SERVICE: tuple[Decorator, ...] = (
    click.option("--base-url", help="The service's address; usually from EVREKA360_BASE_URL."),
    click.option("--profile", envvar="BATCH_UPDATER_PROFILE", help="Named settings of the config file."),
    click.option("--config", type=PATH, envvar="BATCH_UPDATER_CONFIG", help="Config file.  [batch-updater.toml]"),
)

SHOWING: tuple[Decorator, ...] = (
    click.option("--json", "as_json", is_flag=True, envvar="BATCH_UPDATER_JSON", help="The summary as JSON on stdout."),
    click.option("-q", "--quiet", is_flag=True, envvar="BATCH_UPDATER_QUIET", help="No plan, no progress."),
    click.option("--no-color", is_flag=True, envvar=["NO_COLOR", "BATCH_UPDATER_NO_COLOR"], help="No colours."),
)

ASKING: tuple[Decorator, ...] = (
    click.option(
        "--yes", "-y", is_flag=True, envvar="BATCH_UPDATER_YES", help="No question; needed without a terminal."
    ),
    click.option("--dry-run", is_flag=True, envvar="BATCH_UPDATER_DRY_RUN", help="Check and show; send no update."),
)


def with_options(*groups: tuple[Decorator, ...]) -> Decorator:
    """Give a command these groups of options, in this order."""

    def decorate(command: Any) -> Any:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return decorate


class SheetCommand(click.Command):
    """A command whose `--compare` may stand alone, before FILE too: only the word `list` belongs to it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give a bare `--compare` its word before click looks for one."""
        end = args.index("--") if "--" in args else len(args)
        given = []
        rest = iter(args[:end])
        for word in rest:
            following = next(rest, None) if word == "--compare" else None
            if word != "--compare":
                given.append(word)
            elif following in COMPARE:
                given.append(f"--compare={following}")
            else:
                given += ["--compare=each", *([] if following is None else [following])]
        return super().parse_args(ctx, [*given, *args[end:]])

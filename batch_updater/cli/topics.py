"""The command that shows the topic pages."""

import sys

import click

from batch_updater.cli.options import GroupedCommand
from batch_updater.common.errors import ExitCode


def _complete_topic(_context: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    from batch_updater.cli.help import TOPICS

    return [topic for topic in TOPICS if topic.startswith(begun)]


@click.command(name="help", cls=GroupedCommand, short_help="Explain a topic, or list the topics.")
@click.argument("topic", required=False, metavar="[TOPIC]", shell_complete=_complete_topic)
def explain(topic: str | None) -> int:
    """Explain a topic: inputs, results, resume, exit-codes, load, scheduling, security, completion, api."""
    from batch_updater.cli.help import TOPICS, contents, page, render_page
    from batch_updater.cli.terminal import detect_terminal

    if topic is None:
        click.echo(contents())
    elif topic in TOPICS:
        click.echo(render_page(page(topic), detect_terminal(sys.stdout)))
    else:
        raise click.UsageError(f"There is no topic {topic!r}; there are {', '.join(TOPICS)}.")
    return ExitCode.DONE

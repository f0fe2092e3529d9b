"""The topic pages of `batch-updater help`. Standard library only, until a page is rendered with colours."""

import io
from importlib.resources import files
from textwrap import fill

from batch_updater.cli.terminal import TerminalStyle
from batch_updater.reports.reasons import MEANINGS, Meaning

TOPICS = ("inputs", "results", "resume", "exit-codes", "load", "scheduling", "security", "completion", "api")
WIDEST = 100  # longer lines of prose are hard to read


def page(topic: str) -> str:
    """Return the Markdown of a topic, with the tables that are made from the program itself."""
    text = files("batch_updater.cli.help").joinpath(f"{topic}.md").read_text(encoding="utf-8")
    return text.replace("@reasons", _reasons())


def contents() -> str:
    """Return the topics, each with the first sentence of its page."""
    width = max(map(len, TOPICS))
    lines = [f"  {topic:<{width}}  {page(topic).split(chr(10) * 2)[1]}" for topic in TOPICS]
    return "\n".join(
        ["Topics:", *lines, "", "`batch-updater help TOPIC` shows one; --help lists commands and options."]
    )


def render_page(text: str, terminal: TerminalStyle) -> str:
    """Markdown as it is where there are no colours; else laid out for the terminal."""
    if not terminal.color:
        return text.rstrip("\n")
    from rich.console import Console
    from rich.markdown import Markdown

    out = io.StringIO()
    width = min(terminal.width, WIDEST)
    Console(file=out, force_terminal=True, color_system="standard", legacy_windows=False, width=width).print(
        Markdown(text, code_theme="ansi_dark")
    )
    return out.getvalue().rstrip("\n")


def _reasons() -> str:
    """Return the codes as a list; a table of these sentences would be too wide for a plain terminal."""
    items = (f"- `{code}`: {_sentences(meaning)}" for code, meaning in MEANINGS.items())
    return "\n".join(fill(item, WIDEST, subsequent_indent="  ", break_on_hyphens=False) for item in items)


def _sentences(meaning: Meaning) -> str:
    advice = meaning.what_to_do
    if meaning.command:
        advice = f"{advice.removesuffix('.')} (`batch-updater {meaning.command}`)."
    return f"{meaning.explanation} {advice}"

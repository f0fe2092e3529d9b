"""What a stream can show, and styled lines for it. rich is loaded only where there is a terminal with colours."""

import io
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TextIO

from batch_updater.common.text import escape_controls

Line = list[tuple[str, str]]  # pieces of one line: text and rich style


@dataclass(frozen=True, slots=True)
class TerminalStyle:
    """How to write for a stream: columns, whether it shows colours, and whether it takes more than ASCII."""

    width: int = 80
    color: bool = False
    unicode: bool = True


def detect_terminal(
    stream: TextIO, *, no_color: bool = False, environment: Mapping[str, str] = os.environ
) -> TerminalStyle:
    """Return what this stream can show. Colours need a terminal that is not dumb, no NO_COLOR."""
    tty = stream.isatty()
    color = tty and not no_color and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
    width = shutil.get_terminal_size().columns if tty else 80
    encoding = (getattr(stream, "encoding", None) or "ascii").lower()
    return TerminalStyle(max(width, 40), color, encoding.startswith("utf"))


def render(lines: Iterable[Line], terminal: TerminalStyle) -> str:
    """Return the lines as one text without a final line end, with ANSI colours where the terminal shows them.

    Whatever else is in the pieces is written visibly.
    """
    lines = [[(escape_controls(piece), style) for piece, style in line] for line in lines]
    if not terminal.color:
        text = "\n".join("".join(piece for piece, _ in line).rstrip() for line in lines)
        return text if terminal.unicode else text.encode("ascii", "backslashreplace").decode("ascii")
    from rich.console import Console
    from rich.text import Text

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard", legacy_windows=False, width=10_000)
    for line in lines:
        styled = Text()
        for piece, style in line:
            styled.append(piece, style or None)
        styled.rstrip()
        console.print(styled, soft_wrap=True, highlight=False)
    return out.getvalue().removesuffix("\n")

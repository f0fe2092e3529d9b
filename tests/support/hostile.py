"""Hostile texts, sheets and a service full of them, and what must be true of what is shown of them."""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import xlsxwriter
from support.program import DONE, PROGRAM, environment, write_sheet

from batch_updater.common.text import FORMULA
from batch_updater.reports.workbook.plain import _Texts as Texts
from batch_updater.sandbox.server import Sandbox, order_id

FORGED = "FORGED"  # follows whatever may begin a line; no line begins with it
LONG = ("a" * 40_000, "x" + "\U0001f600" * 16_383, "\U0001f600" * 16_384, "_x0041_" * 5_000)
FORMULAS = [f"{start}cmd|' /C calc'!A0" for start in (*FORMULA, "'=", "''+", " =", '"=', ";=", ",=")]
MARKUP = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", "</td></tr></table><h1>x",
    "]]><!--", "&lt;b&gt;&#10;&#x202e;", "<r><t>x</t></r>", "<r></t></is></c><f>1+1</f></r>", "javascript:alert(1)",
    "http://x.example/", "[bold red]x[/]", "[link=file:///etc/passwd]x[/link]", "[/]", "{{ 7*7 }}{% raw %}", "`code`",
    "%s%n{0}{input}", "\\N{BELL}\\x1b[2J",
]  # fmt: skip
TERMINAL = [
    "\x1b[2J\x1b[8mgone", "\x1b[38;5;213mpink", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
    "\x1bc", "\x9b8m", "\x9d0;t\x9c", "a\x07b", "abc\b\b\bxyz", "\x7f", "\x0e\x0f", "\x00", "a\x00b",
]  # fmt: skip
LINES = [f"a{end}{FORGED} info end exit_code=0" for end in ("\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028")]
INVISIBLE = [
    "\u202egnp.exe", "\u2066a\u2069", "\u200fa", "\u200bz", "\u2060", "\ufeff=1", "\u00ad", "\ufffe", "\uffff",
    "\ud800", "a\udfffb", "\U000e0041", "\u00a0=1",
]  # fmt: skip
EXCEL = ["_x000D_", "_x0041_", "a_x005F_x000D_b", "__x000d___x0001_", "_xD800_", "x\x01", "\t", " lead and trail "]
HOSTILE = [*FORMULAS, *MARKUP, *TERMINAL, *LINES, *INVISIBLE, *EXCEL, *LONG]
HARMLESS = [f"word {number}" for number in range(len(HOSTILE))]
HALF = b"\xff" if sys.platform == "linux" else b""  # other file systems take UTF-8 alone
NAME = os.fsdecode(f"=1\n{FORGED} \x1b[8m\a\r\u202e<img src=x>\"'&[bold]{{{{7*7}}}}".encode() + HALF)

OWN = re.compile(r"\x1b\[(?:(?:[0-2]|3[1-6]|9[0-7]|;)*m|\?25[hl]|2K|1A)")  # colours and a bar's movements
LOG_LINE = re.compile(r'[0-9T:.-]+Z (?:info|warning|error) +[a-z_]+(?: [a-z_]+=(?:[^\s"=\\]+|"(?:[^"\\]|\\.)*"))*')


def id_of(word: str) -> str:
    """The id of the status that has this name."""
    return str(uuid5(NAMESPACE_URL, repr(word)))


def rows_of(words: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Header and rows with each word as a header, an order, a status, an unused cell, and answers that name it."""
    rows = [[word, DONE, word] for word in words]
    rows += [[order_id(1000 + number), word, word] for number, word in enumerate(words)]
    rows += [[order_id(1 + number), id_of(word), word] for number, word in enumerate(words)]
    headers = [word for word in words if word not in LONG]
    return ["order_id", "status_id", "note", *headers], [[*row, *[""] * len(headers)] for row in rows]


def write_csv(path: Path, words: Sequence[str]) -> Path:
    """The sheet as CSV, which can't hold halves of characters."""
    header, rows = rows_of([*filter(holdable, words)])
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    return path


def write_jsonl(path: Path, words: Sequence[str]) -> Path:
    """The sheet as JSON lines in ASCII, halves of characters too."""
    header, rows = rows_of(words)
    path.write_text("".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows))
    return path


def write_xlsx(path: Path, words: Sequence[str]) -> Path:
    """The sheet as a workbook, with a hostile name for it as far as Excel allows one."""
    header, rows = rows_of([*filter(holdable, words)])
    with xlsxwriter.Workbook(path, {"constant_memory": True}) as book:
        sheet = book.add_worksheet('=1 \u202e<b>"&', Texts)
        for line, row in enumerate([header, *rows]):
            for place, cell in enumerate(row):
                sheet.write_string(line, place, cell)
    return path


@dataclass
class Seen:
    """What one run has shown and left, and its folder."""

    sheet: Path
    code: int
    out: str
    err: str
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = max(self.sheet.with_name(f"{self.sheet.stem}.runs").glob("2*"))


class Service:
    """A sandbox whose statuses have these words as names, and which refuses the first orders with them."""

    def __init__(self, sandbox: Sandbox, words: Sequence[str]) -> None:
        self.sandbox = sandbox
        self.env = environment(sandbox.base_url, PYTHONIOENCODING="utf-8", TERM="xterm", COLUMNS="120")
        self.details: dict[str, Any] = {order_id(1 + n): [word, [{"loc": [word], "msg": word}]][n % 2]
                                        for n, word in enumerate(words)}  # fmt: skip
        sandbox.statuses |= {id_of(word): word[:5000] for word in words}  # longer answers are not read

    def run(self, sheet: Path, *options: object) -> Seen:
        """Run the sheet as a process."""
        return self._call(sheet, "run", sheet, "--yes", *options)

    def undo(self, run: Path, *options: object) -> Seen:
        """Undo a run as a process."""
        return self._call(run / "undo.csv", "undo", run, "--yes", *options)

    def _call(self, sheet: Path, *words: object) -> Seen:
        ended = subprocess.run(
            [*PROGRAM, *map(str, words)],
            capture_output=True, stdin=subprocess.DEVNULL, timeout=120, check=False, env=self.env,
        )  # fmt: skip
        return Seen(sheet, ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def to_undo(self, sheet: Path, words: Sequence[str]) -> Path:
        """A finished run of three orders for each word, which had the status of that name.

        The way back of the first is free, that of the second is refused in the word, and the third has another
        status of these by now.
        """
        orders = [order_id(3000 + number) for number in range(3 * len(words))]
        for number, order in enumerate(orders):
            self.sandbox.set_status(order, id_of(words[number // 3]))
        ended = self.run(write_sheet(sheet, [(order, DONE) for order in orders]), "--compare")
        assert ended.code == 0, ended.err
        self.details |= dict(zip(orders[1::3], words, strict=True))
        for order, word in zip(orders[2::3], [*words[1:], words[0]], strict=True):
            self.sandbox.set_status(order, id_of(word))
        return ended.folder


def on_pty(words: list[str], env: dict[str, str]) -> tuple[int, str]:
    """Run a command on a terminal of its own; its exit status and what was to be seen."""
    ours, theirs = os.openpty()
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        pieces = []
        try:
            while piece := os.read(ours, 65536):
                pieces.append(piece)
        except OSError:  # Linux says so when the other side has been closed
            pass
        finally:
            os.close(ours)
        code = process.wait(60)
    return code, b"".join(pieces).decode()


def check_shown(text: str) -> None:
    """Nothing but printable characters, line ends and the program's own colours; no line is another's."""
    for line in text.split("\n"):
        assert line.isprintable(), ascii(line)
        assert not line.startswith(FORGED), line


def held(text: str, suffix: str) -> str:
    """The text as this kind of file can hold it."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if suffix != ".xlsx":
        return text
    text = text.encode("utf-16-le")[: 2 * 32_767].decode("utf-16-le", "ignore")
    return text.replace("\ufffe", "_xFFFE_").replace("\uffff", "_xFFFF_")  # as Excel escapes; calamine leaves it so


def holdable(text: str) -> bool:
    """Whether UTF-8 can hold the text."""
    return text == text.encode("utf-8", "replace").decode()


class Page(HTMLParser):
    """The kinds of elements of a page with the names of their attributes, its scripts and styles, its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: set[tuple[str, ...]] = set()
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self._inside = ""
        text = path.read_text("utf-8")
        self.feed(re.sub(r"<h2>Over time</h2>.*?</section>", "", text, count=1, flags=re.DOTALL))  # numbers alone

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self._inside = tag
        self.elements.add((tag, *(name for name, _ in attrs)))
        self.texts += [value for name, value in attrs if value and name != "content"]

    def handle_data(self, data: str) -> None:
        """Note it."""
        if self._inside in {"script", "style"}:
            self.scripts.append(data)
        else:
            self.texts.append(data)

    def handle_endtag(self, _tag: str) -> None:
        """Text that follows is no script's."""
        self._inside = ""

    def handle_decl(self, decl: str) -> None:
        """The page's type alone."""
        assert decl == "doctype html"

    def handle_comment(self, data: str) -> None:
        """There is none."""
        raise AssertionError(data)

"""Hostile text from the sheet, its name and the service, in every place where the program shows or writes text."""

import csv
import json
import re
import zipfile
from pathlib import Path
from xml.parsers import expat

import pandas as pd
import pytest
import xlsxwriter
from prometheus_client.parser import text_string_to_metric_families
from support.hostile import (
    HARMLESS,
    HOSTILE,
    LINES,
    LOG_LINE,
    LONG,
    NAME,
    OWN,
    TERMINAL,
    Page,
    Seen,
    Service,
    check_shown,
    held,
    holdable,
    on_pty,
    rows_of,
    write_csv,
    write_jsonl,
    write_xlsx,
)
from support.program import DONE, PROGRAM, newest_run
from support.watched import Watched

from batch_updater.app.reconcile import SYMBOLS
from batch_updater.cli.notify import of_error, of_summary
from batch_updater.common.errors import InputError
from batch_updater.common.summary import RunSummary
from batch_updater.common.text import FORMULA
from batch_updater.inputs.pandas_io import dataframe_to_csv
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.source import open_source
from batch_updater.planning.identifiers import BLANKS
from batch_updater.sandbox import demo
from batch_updater.sandbox.server import order_id


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sheets are."""
    return tmp_path_factory.mktemp("injection")


@pytest.fixture(scope="module")
def in_text(services: tuple[Service, Service], folder: Path) -> Seen:
    """A CSV sheet with a hostile name, shown as text, with its results in Excel."""
    sheet = write_csv(folder / f"{NAME}.csv", HOSTILE)
    return services[0].run(sheet, "-v", "-o", folder / "csv.xlsx", "--metrics-file", folder / "metrics")


@pytest.fixture(scope="module")
def in_json(services: tuple[Service, Service], folder: Path) -> Seen:
    """A sheet of JSON lines, shown as JSON, with its results in CSV."""
    return services[0].run(write_jsonl(folder / f"{NAME}.jsonl", HOSTILE), "-v", "--json", "--log-format", "json")


@pytest.fixture(scope="module")
def on_terminal(services: tuple[Service, Service], folder: Path) -> Seen:
    """A workbook run on a terminal with colours, with its results in JSON lines."""
    sheet = write_xlsx(folder / f"{NAME}.xlsx", HOSTILE)
    words = [*PROGRAM, "run", str(sheet), "--yes", "-v", "-o", str(folder / "xlsx.jsonl")]
    return Seen(sheet, *on_pty(words, services[0].env), "")


def test_text_on_pipes_and_in_the_log_is_plain(in_text: Seen) -> None:
    """`run` shows every hostile text in words, one event or sentence to a line."""
    assert in_text.code == 3, in_text.err
    assert in_text.err.count("\n") > 10
    check_shown(in_text.out)
    check_shown(in_text.err)
    log = (in_text.folder / "run.log").read_text("utf-8")
    check_shown(log)
    assert [line for line in log.splitlines() if not LOG_LINE.fullmatch(line)] == []


def test_a_terminal_gets_the_colours_of_the_program_alone(on_terminal: Seen) -> None:
    """Nothing clears it, conceals text, sets its title, makes a link, or turns the direction."""
    assert on_terminal.code == 3, on_terminal.out
    assert OWN.search(on_terminal.out)
    check_shown(OWN.sub("", on_terminal.out).replace("\r", ""))


def test_json_is_json(in_json: Seen) -> None:
    """The summary on stdout, in its file, and each line of the log; stderr is plain beside the log."""
    assert in_json.code == 3, in_json.err
    summary = json.loads(in_json.out)
    assert summary == json.loads((in_json.folder / "summary.json").read_bytes())
    assert (summary["input"], summary["rows"]) == (str(in_json.sheet), 3 * len(HOSTILE))
    log = (in_json.folder / "run.log").read_text("ascii").splitlines()
    assert {"time", "level", "event"} <= set.intersection(*(set(json.loads(line)) for line in log))
    check_shown(in_json.err)


@pytest.mark.parametrize("kind", ["in_text", "in_json", "on_terminal"])
def test_result_files_give_the_sheet_back(kind: str, folder: Path, request: pytest.FixtureRequest) -> None:
    """CSV to Excel, JSON lines to CSV, Excel to JSON lines: all rows and cells, but what the format can't hold."""
    seen: Seen = request.getfixturevalue(kind)
    path = {"in_text": folder / "csv.xlsx", "on_terminal": folder / "xlsx.jsonl"}.get(kind, seen.folder / "results.csv")
    before, after = open_source(seen.sheet, ReadOptions()), open_source(path, ReadOptions())
    assert [*after.header] == [held(name, path.suffix) for name in before.header]
    wanted = [[held(cell, path.suffix) for cell in row.cells] for row in before.rows()]
    assert [[*row.cells] for row in after.rows()] == wanted


def test_what_excel_cuts_is_told(in_text: Seen, in_json: Seen, on_terminal: Seen) -> None:
    """On the terminal, with the first row; nothing is said where nothing was cut."""
    assert "15 texts are cut in the Excel result file, the first in row" in in_text.err
    assert "are cut" not in in_json.err + on_terminal.out


def test_no_cell_is_calculated_or_linked(in_text: Seen, in_json: Seen) -> None:
    """No cell of a CSV begins like a formula; a workbook has texts and the numbers of our own columns."""
    with (in_json.folder / "results.csv").open(encoding="utf-8-sig", newline="") as stream:
        assert [cell for row in csv.reader(stream) for cell in row if cell.startswith(FORMULA)] == []
    own = len(rows_of([*filter(holdable, HOSTILE)])[0])
    with zipfile.ZipFile(in_text.sheet.parent / "csv.xlsx") as archive:
        assert [name for name in archive.namelist() if "_rels/sheet" in name] == []
        page = archive.read("xl/worksheets/sheet1.xml")
    elements: set[str] = set()
    cells: list[dict[str, str]] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        elements.add(name)
        if name == "c":
            cells.append(attributes)

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.Parse(page, True)
    assert elements & {"f", "r", "hyperlink", "hyperlinks"} == set()
    assert {cell.get("t", "n") for cell in cells if column(cell["r"]) < own} == {"inlineStr"}


def column(place: str) -> int:
    """The number of a cell's column, from 0."""
    number = 0
    for letter in place.rstrip("0123456789"):
        number = number * 26 + ord(letter) - 64
    return number - 1


@pytest.mark.parametrize("kind", ["in_text", "in_json", "on_terminal"])
def test_the_report_has_no_element_that_a_harmless_one_lacks(
    kind: str, services: tuple[Service, Service], folder: Path, request: pytest.FixtureRequest
) -> None:
    """No attribute, script or style either; every text in it is visible."""
    sheet = folder / "harmless.csv"
    if not sheet.exists():
        assert services[1].run(write_csv(sheet, HARMLESS)).code == 3
    harmless = Page(max((folder / "harmless.runs").glob("2*")) / "report.html")
    hostile = Page(request.getfixturevalue(kind).folder / "report.html")
    assert hostile.elements <= harmless.elements
    assert hostile.scripts == harmless.scripts
    assert [text for text in hostile.texts for line in text.split("\n") if not line.isprintable()] == []
    assert any("<script>" in text for text in hostile.texts)


def test_metrics_hold_words_of_the_program_alone(in_text: Seen) -> None:
    """Whatever the sheet and the service say, no label and no line is made of it."""
    text = (in_text.sheet.parent / "metrics").read_text("ascii")
    check_shown(text)
    labels = {
        value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for value in sample.labels.values()
    }
    assert {value for value in labels if not re.fullmatch(r"[a-z0-9_.+-]+|\+Inf", value)} == set()


@pytest.mark.parametrize("options", [["--no-color"], ["--json"]])
def test_other_commands_show_it_in_words(
    options: list[str], in_text: Seen, services: tuple[Service, Service], watched: Watched
) -> None:
    """plan, verify, results, runs and statuses; the cells of verify.csv do not begin like formulas."""
    env, as_json = services[0].env, [word for word in options if word == "--json"]
    commands = {("plan", in_text.sheet, *options): 0, ("verify", in_text.folder, *options): 3}
    commands |= {("results", in_text.folder, *as_json): 0, ("runs", in_text.sheet.parent, *as_json): 0}
    commands |= {("statuses", *as_json): 0}
    for words, code in commands.items():
        ended = watched.call(*words, env=env)
        assert ended.returncode == code, ended.stderr
        check_shown(ended.stdout)
        check_shown(ended.stderr)
        if as_json:
            [json.loads(line) for line in ended.stdout.splitlines()]
    with (in_text.folder / "verify.csv").open(encoding="utf-8-sig", newline="") as stream:
        assert [
            cell for row in csv.reader(stream) for cell in row if cell.startswith(FORMULA) and cell not in SYMBOLS
        ] == []


def test_messages_of_errors_keep_to_their_lines(
    in_text: Seen, services: tuple[Service, Service], watched: Watched
) -> None:
    """A missing file, a sheet that is none, names of sheets, a hostile folder, output and header."""
    env, place = services[0].env, watched.folder / NAME
    place.mkdir()
    (place / f"{NAME}.xlsx").write_bytes(b"PK\x03\x04 no")
    (place / "b.csv").write_text(f"order_id,order-id,{NAME}\n".replace("\n", "", 1), encoding="utf-8", errors="replace")
    two = place / "two.xlsx"
    with xlsxwriter.Workbook(two) as book:
        for name in ("=1\u202e", "<b>\u200b"):
            book.add_worksheet(name).write_row(0, 0, ["order_id", "status_id"])
    for words in (
        ("run", place / f"{NAME}.csv"), ("run", place), ("run", place / f"{NAME}.xlsx"), ("run", place / "b.csv"),
        ("plan", two), ("plan", two, "--sheet", NAME), ("run", in_text.sheet, "--output", in_text.sheet),
        ("plan", in_text.sheet, "--order-column", NAME), ("plan", in_text.sheet, "--profile", NAME),
        ("plan", in_text.sheet, "--config", place / "no.toml"), ("verify", place), ("runs", place / "no"),
    ):  # fmt: skip
        for json_too in ([], ["--json"]):
            ended = watched.call(*words, *(["--yes"] if words[0] == "run" else []), *json_too, env=env)
            assert ended.returncode in {2, 4}, ended
            assert "Traceback" not in ended.stderr
            check_shown(ended.stderr)


@pytest.mark.parametrize("word", [*HOSTILE[:-4], NAME])
def test_a_notice_is_one_visible_line(word: str) -> None:
    """With the word as the sheet's name, and as the reason why it ended."""
    summary = RunSummary(
        run_id="r", input=word, base_url="https://x.example", started_at="", ended_at="", exit_code=6, resumable=True,
        rows=1, result_counts={}, code_counts={}, requests={}, seconds=1.0, rows_per_second=1.0, run_dir="",
        results_file="",
        reason=f"x {word}",
    )  # fmt: skip
    for title, body, _good in (of_summary(summary), of_error(word, InputError(f"x {word}"))):
        assert title.isprintable()
        assert body.isprintable()


def test_orders_with_hostile_names_are_asked_for_by_those_names(
    services: tuple[Service, Service], watched: Watched
) -> None:
    """Each is found by its own name; one that no address can hold is invalid, and holds nobody up."""
    service, words = services[0], [word for word in HOSTILE if word.strip(BLANKS) == word]
    sheet = watched.folder / "names.jsonl"
    lines = [json.dumps({"order": word, "status": DONE, "number": number}) for number, word in enumerate(words)]
    sheet.write_text("\n".join(lines))
    for number, word in enumerate(words):
        service.sandbox.set_name(order_id(2000 + number), word)
    ended = watched.call("run", sheet, "--yes", "--order-by", "name", "--json", env=service.env)
    assert ended.returncode == 3, ended.stderr
    check_shown(ended.stderr)
    assert json.loads(ended.stdout)["results"] == {"updated": len(words) - 6, "invalid": 6}, ended.stderr
    with (newest_run(sheet) / "results.csv").open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream):
            number = int(row["number"])
            asked = holdable(words[number]) and words[number] not in LONG
            assert row["result_order_id"] == (order_id(2000 + number) if asked else "")


def test_a_dataframe_keeps_its_rows_and_cells(tmp_path: Path) -> None:
    """Line ends in a cell begin no row, and half a character stops nothing."""
    header, rows = ["order_id", "status_id", "note"], [[order_id(n), DONE, word] for n, word in enumerate(HOSTILE)]
    frame = pd.DataFrame(
        {name: pd.Series(cells, dtype=object) for name, cells in zip(header, zip(*rows, strict=True), strict=True)}
    )
    dataframe_to_csv(frame, tmp_path / "f.csv")
    found = [row.cells for row in open_source(tmp_path / "f.csv", ReadOptions()).rows()]
    assert found == [(*row[:2], held(row[2], ".csv")) for row in rows]


def test_the_demo_shows_details_in_words(tmp_path: Path) -> None:
    """Whatever they hold, each is one line, without the apostrophe of its cell."""
    columns, said = ("result_row", "result", "result_detail"), list[str]()
    with (tmp_path / "r.csv").open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream).writerows([columns, *((2, "failed", f"'=1{word}") for word in TERMINAL[:6] + LINES[:6])])
    demo._show_not_done(tmp_path / "r.csv", said.append)
    assert len(said) == 12
    for line in said:
        check_shown(line)
        assert " =1" in line

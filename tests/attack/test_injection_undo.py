"""Hostile names of statuses, refusals and paths, as `undo` and the commands about its run show and write them."""

import csv
import json
import zipfile
from pathlib import Path

import pytest
from support.hostile import (
    HARMLESS,
    HOSTILE,
    LOG_LINE,
    NAME,
    OWN,
    Page,
    Seen,
    Service,
    check_shown,
    on_pty,
)
from support.program import PROGRAM
from support.watched import Watched

from batch_updater.app.reconcile import SYMBOLS
from batch_updater.common.text import FORMULA, unescape_formula
from batch_updater.inputs.pandas_io import read_results

KINDS = ("in_text", "in_json", "on_terminal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sheets are."""
    return tmp_path_factory.mktemp("undo")


@pytest.fixture(scope="module")
def run(services: tuple[Service, Service], folder: Path) -> Path:
    """The run that is undone."""
    return services[0].to_undo(folder / f"{NAME}.csv", HOSTILE)


@pytest.fixture(scope="module")
def harmless(services: tuple[Service, Service], folder: Path) -> Page:
    """The report of an undo with harmless words."""
    service = services[1]
    return Page(service.undo(service.to_undo(folder / "harmless.csv", HARMLESS)).folder / "report.html")


@pytest.fixture(scope="module")
def in_text(services: tuple[Service, Service], run: Path, folder: Path) -> Seen:
    """Shown as text, with its results in Excel."""
    return services[0].undo(run, "-v", "-o", folder / "undo.xlsx")


@pytest.fixture(scope="module")
def in_json(services: tuple[Service, Service], run: Path, in_text: Seen) -> Seen:
    """Once more, for orders that are put back already or can't be: shown as JSON, with its results in CSV."""
    assert in_text.code == 3, in_text.err
    return services[0].undo(run, "-v", "--json", "--log-format", "json")


@pytest.fixture(scope="module")
def on_terminal(services: tuple[Service, Service], run: Path, in_json: Seen) -> Seen:
    """Once more, on a terminal with colours."""
    assert in_json.code == 3, in_json.err
    return Seen(run / "undo.csv", *on_pty([*PROGRAM, "undo", str(run), "--yes", "-v"], services[0].env), "")


@pytest.mark.parametrize("kind", KINDS)
def test_every_output_and_the_log_are_in_words(kind: str, request: pytest.FixtureRequest) -> None:
    """What the statuses are called, what the service says to a refused way back, and where the run is."""
    seen: Seen = request.getfixturevalue(kind)
    assert seen.code == 3, seen.out
    check_shown(OWN.sub("", seen.out).replace("\r", "") if kind == "on_terminal" else seen.out)
    check_shown(seen.err)
    log = (seen.folder / "run.log").read_text("utf-8")
    check_shown(log)
    assert "<script>" in log
    if kind == "in_json":
        assert json.loads(seen.out)["results"] == {word: len(HOSTILE) for word in ("conflict", "failed", "unchanged")}
        assert all(json.loads(line)["event"] for line in log.splitlines())
    else:
        assert [line for line in log.splitlines() if not LOG_LINE.fullmatch(line)] == []


def test_the_plan_fits_the_terminal(run: Path, services: tuple[Service, Service], watched: Watched) -> None:
    """However long the names of statuses are."""
    ended = watched.call("undo", run, "--dry-run", env=services[0].env)
    assert ended.returncode == 0, ended.stderr
    title, *lines = ended.stdout.splitlines()
    assert title.startswith("Plan for ")
    assert [line for line in lines if len(line) > 80] == []
    check_shown(ended.stdout)


def test_results_hold_the_refusals_in_words(in_json: Seen, folder: Path) -> None:
    """Excel and CSV alike; nothing in them is calculated or linked."""
    excel, text = folder / "undo.xlsx", in_json.folder / "results.csv"
    details, in_csv = (
        [*rows["result_detail"][rows["result"] == "failed"]] for rows in map(read_results, (excel, text))
    )
    assert details == [unescape_formula(detail) for detail in in_csv]
    assert {word for word in HOSTILE if word.isprintable() and word == word.strip() and len(word) < 300} <= {*details}
    assert [detail for detail in details if not detail.isprintable()] == []
    with text.open(encoding="utf-8-sig", newline="") as stream:
        assert [cell for row in csv.reader(stream) for cell in row if cell.startswith(FORMULA)] == []
    with zipfile.ZipFile(excel) as archive:
        page = archive.read("xl/worksheets/sheet1.xml")
    assert [word for word in (b"<f>", b"<f ", b"<hyperlink") if word in page] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_report_has_no_element_that_a_harmless_one_lacks(
    kind: str, harmless: Page, request: pytest.FixtureRequest
) -> None:
    """No attribute, script or style either; every text in it is visible."""
    hostile = Page(request.getfixturevalue(kind).folder / "report.html")
    assert hostile.elements <= harmless.elements
    assert hostile.scripts == harmless.scripts
    assert [text for text in hostile.texts for line in text.split("\n") if not line.isprintable()] == []
    assert any("<script>" in text for text in hostile.texts)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_commands_about_its_run_show_it_in_words(
    options: list[str], in_text: Seen, run: Path, services: tuple[Service, Service], watched: Watched
) -> None:
    """verify of both runs, results and runs, and a way back of the way back; verify.csv holds no formula."""
    env, undo = services[0].env, in_text.folder
    commands: dict[tuple[object, ...], int] = {("verify", run): 3, ("verify", undo): 3, ("results", undo): 0}
    commands |= {("runs", run): 0, ("undo", undo, "--dry-run"): 0}
    for words, code in commands.items():
        ended = watched.call(*words, *options, env=env)
        assert ended.returncode == code, ended.stderr
        check_shown(ended.stdout)
        check_shown(ended.stderr)
        assert not options or [json.loads(line) for line in ended.stdout.splitlines()]
    for place in (run, undo):
        with (place / "verify.csv").open(encoding="utf-8-sig", newline="") as stream:
            cells = [cell for row in csv.reader(stream) for cell in row]
        assert [cell for cell in cells if cell.startswith(FORMULA) and cell not in SYMBOLS] == []

import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.journals import result_row, sealed, some_facts

from batch_updater.common.errors import ExitCode
from batch_updater.common.models import RejectedRow, Result, ResultRow
from batch_updater.common.settings import Settings
from batch_updater.common.summary import Reason, RunSummary, Step
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.source import open_source
from batch_updater.journal.draft import Draft
from batch_updater.journal.facts import Rates, RunFacts, Start
from batch_updater.reports.activity import Activity, gather
from batch_updater.reports.html import headline, render_report, write_report
from batch_updater.reports.provenance import add_rates, last_rate, rate_lines, start_facts
from batch_updater.reports.rows import ResultRows

EVIL = '</td><script>alert(1)</script><img src=x onerror="alert(1)">\x1b[31m\u202e&lt;'
SUMMARY = RunSummary(
    run_id="20261123T101500Z-3f9a", input="orders.csv", base_url="https://api.example.com/v1",
    started_at="2026-11-23T10:15:00.000Z", ended_at="2026-11-23T10:16:00.000Z", exit_code=3, resumable=False, rows=100,
    result_counts={"updated": 98, "failed": 2}, code_counts={}, requests={"put": 98}, seconds=60.0,
    rows_per_second=1.7, run_dir="orders.runs/20261123T101500Z-3f9a", results_file="results.csv",
    reasons=(Reason(Result.FAILED, "order_not_found", 2, "Says.", "Do.", ((1_700, "row 1700", EVIL),)),),
    steps=(Step("Next", ("run", "results.csv", "--only", "failed")),),
)  # fmt: skip
FACTS = some_facts(
    name="orders.csv", sha256="ab" * 32, compare=True,
    reading={"order_column": None, "sheet": "Sheet 2", "only": [], "expect_column": None},
)  # fmt: skip
ENDS = [(17_000_000_000 + tick, tick % 9 > 0, 40 + tick % 50, 3) for tick in range(300)]


class Rows(ResultRows):
    """Rows that were streamed already."""

    def __init__(self, not_done: list[ResultRow]) -> None:
        self.not_done = not_done


def row(number: int, detail: str = "d", code: str = "order_not_found") -> ResultRow:
    return result_row(number, code=code, detail=detail)


def page(
    summary: RunSummary = SUMMARY, rows: list[ResultRow] | None = None, facts: RunFacts = FACTS,
    activity: Activity | None = None,
) -> str:  # fmt: skip
    shown = [row(17, EVIL), row(40)] if rows is None else rows
    return "".join(render_report(summary, Rows(shown), facts, activity or gather(ENDS)))


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and the text of the page's own style and script."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, str] = {}
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"style", "script"}:
            self.texts[self.open[-1]] = self.texts.get(self.open[-1], "") + data
        else:
            self.words += data


def test_nothing_of_the_sheet_is_markup() -> None:
    """A hostile cell or answer is shown as the text it is; it adds no tag and no attribute."""
    starts = (Start(at=0.0, by=EVIL, version="1"),)
    facts = FACTS.with_changes(name=EVIL, starts=starts, settings={"sheet": EVIL}, chosen=("sheet",))
    summary = replace(
        SUMMARY, base_url=EVIL, run_dir=EVIL, results_file=EVIL, reason=EVIL, run_id=EVIL,
        steps=(Step("Next", ("run", EVIL)),),
        reasons=(replace(SUMMARY.reasons[0], code=EVIL),),
    )  # fmt: skip
    hostile = row(17, EVIL, EVIL)._replace(order_id=EVIL, status_id=EVIL)
    tags = Tags(page(summary, [hostile, hostile._replace(status_name=EVIL)], facts))
    names = [name for name, _ in tags.tags]
    assert names.count("script") == 1
    assert "img" not in names
    assert not [name for _, attributes in tags.tags for name in attributes if name.startswith("on") or name == "style"]
    assert "\x1b" not in tags.words
    assert "\u202e" not in tags.words
    assert tags.words.count("<script>alert(1)</script>") >= 10


def test_the_page_asks_for_nothing_and_runs_only_its_own_script() -> None:
    """No address is loaded, and the policy names exactly the page's one style and one script."""
    text = page()
    tags = Tags(text)
    loads = {"src", "srcset", "data", "action", "formaction", "xlink:href", "background", "poster"}
    assert not [attributes for _, attributes in tags.tags if loads & set(attributes)]
    assert not [name for name, _ in tags.tags if name in {"link", "iframe", "object", "base", "form"}]
    assert "url(" not in tags.texts["style"]
    assert "@import" not in tags.texts["style"]
    policy = next(a["content"] or "" for _, a in tags.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "http" not in policy
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(tags.texts[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert text.count("<style") == text.count("<script>") == 1


def test_the_page_says_what_was_run_by_whom_where_and_how() -> None:
    """Tenant, sheet, person, settings, counts, reasons with advice, examples and the next commands are on it."""
    settings = Settings(base_url="https://api.example.com/v1", rate=200, compare=True)
    facts = FACTS.with_changes(**start_facts(FACTS, settings))
    words = Tags(page(facts=facts)).words
    for part in ("2 of 100 rows are not done", "orders.csv", "https://api.example.com/v1", "updated 98.0 %",
                 facts.starts[0].by, "2026-11-23 10:16:00 UTC", "Says.", "Do.", "row 1700", "rate", "200",
                 "batch-updater run results.csv --only failed"):  # fmt: skip
        assert part in words


def test_undo_is_offered_only_where_it_is_possible() -> None:
    """Without --compare nobody knows the status before, and the page says so."""
    assert "Undo: not possible" in Tags(page(facts=FACTS.with_changes(compare=False))).words
    assert "Undo: not possible" not in Tags(page()).words


def test_the_page_of_a_run_without_rows_or_sends_is_whole() -> None:
    """No rows, no charts, no reasons: still a page."""
    summary = replace(SUMMARY, rows=0, result_counts={}, reasons=(), exit_code=0, requests={}, started_at="")
    words = Tags(page(summary, [], FACTS, gather([]))).words
    assert "Nothing to do" in words
    assert "Over time" not in words


def test_rows_beyond_the_table_are_pointed_to() -> None:
    """When there are more rows than the table holds, the page says how many and where they are."""
    summary = replace(SUMMARY, reasons=(replace(SUMMARY.reasons[0], rows=12_000),))
    words = Tags(page(summary, [row(number) for number in range(2, 10_002)])).words
    assert "the other 2,000 are in results.csv" in " ".join(words.split())


@pytest.mark.parametrize("code", list(ExitCode))
def test_every_exit_status_has_its_words(code: ExitCode) -> None:
    """The page can be written for every way a run can end."""
    assert "badge" in page(replace(SUMMARY, exit_code=code, reason="It stopped.\n  hint: run again"))


def test_the_headline_counts_what_is_not_done() -> None:
    """All done, some not done, nothing to do."""
    assert headline(SUMMARY) == "2 of 100 rows are not done"
    done = headline(replace(SUMMARY, reasons=(), result_counts={"unchanged": 40}))
    assert done.endswith("40 already had this status")
    assert headline(replace(SUMMARY, rows=0, reasons=())) == "Nothing to do"


def test_the_first_command_is_the_way_on() -> None:
    """What can be done next stands whole and quoted, each below what it is for, in its order."""
    steps = (Step("To go on", ("run", "my orders.csv")), Step("To read back", ("verify", "r")))
    words = Tags(page(replace(SUMMARY, steps=steps))).words
    assert words.index("To go on:") < words.index("batch-updater run 'my orders.csv'") < words.index("To read back:")


def test_the_command_that_helps_with_a_reason_stands_below_its_advice() -> None:
    """It is whole, as every command."""
    reason = replace(SUMMARY.reasons[0], command=("statuses", "--profile", "my own"))
    assert "batch-updater statuses --profile 'my own'" in Tags(page(replace(SUMMARY, reasons=(reason,)))).words


def test_starts_are_kept_and_settings_are_those_of_the_last() -> None:
    """A run that was picked up lists all its starts; what it notes can be written as JSON."""
    first = FACTS.with_changes(**start_facts(FACTS, Settings(status_map={"a": "b"})))
    second = first.with_changes(**start_facts(first, Settings(concurrency=3)))
    assert len(second.starts) == 2
    assert (second.settings["concurrency"], second.chosen) == (3, ("concurrency",))
    assert first.settings["status_map"] == 1
    json.dumps(second.to_json())


def test_a_report_is_written_with_every_run(tmp_path: Path) -> None:
    """The page is in the run folder and named by the summary, and the style sheet is in the package."""
    sheet = tmp_path / "input.csv"
    sheet.write_text("order_id,status_id\nx,y\n", encoding="utf-8")
    with Draft.create(tmp_path / "journal.sqlite") as draft:
        draft.add([RejectedRow(2, "bad_order_id", EVIL)])
        journal = sealed(draft, name="input.csv")
        rows = ResultRows(open_source(sheet, ReadOptions()), journal, "run")
        assert len(list(rows)) == 1
        write_report(tmp_path / "report.html", SUMMARY, rows, journal, journal.facts())
    assert "bad_order_id" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not list(tmp_path.glob(".report*"))


def test_only_so_many_rows_not_done_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the rows that are not done; their counts still hold all, and a second pass the same."""
    monkeypatch.setattr("batch_updater.reports.rows.KEPT_NOT_DONE", 3)
    sheet = tmp_path / "input.csv"
    sheet.write_text("order_id,status_id\n" + "x,y\n" * 10, encoding="utf-8")
    with Draft.create(tmp_path / "journal.sqlite") as draft:
        draft.add([RejectedRow(number, "bad_order_id", "no id") for number in range(2, 12)])
        journal = sealed(draft, name="input.csv")
        rows = ResultRows(open_source(sheet, ReadOptions()), journal, "run")
        for _ in range(2):
            assert len(list(rows)) == 10
            assert [row.row for row in rows.not_done] == [2, 3, 4]
            assert [reason.rows for reason in rows.reasons.top()] == [10]
            assert rows.not_done[0].cells == ()


def test_the_charts_leave_imports_alone() -> None:
    """The library's import hook, which makes Python warn, is not left behind."""
    assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("pygal")]


def chart_paths(text: str) -> Iterator[str]:
    return (found for found in re.findall(r'<path d="([^"]+)"', text))


@dataclass
class Found:
    """What the pace of a start ended with."""

    rate: float
    history: Sequence[tuple[float, float]] = ()
    window: int = 20
    is_narrowed: bool = False


NOTHING_FOUND = {"final": None, "history": [], "window": None, "parked": 0}


def test_the_limit_is_drawn_where_one_was_found() -> None:
    """Each start that met a limit has a line from its first refusal to its end, on the axis of the other charts."""
    assert "Limit of requests" not in page()
    first = add_rates((), 1_700_000_000.0, 1_700_000_010.0, Found(50.0))
    second = add_rates(first, 1_700_000_010.0, 1_700_000_020.0, Found(90.0, [(2.0, 40.0), (4.0, 90.0)]))
    facts = FACTS.with_changes(rates=second)
    assert rate_lines(facts) == [[(1_700_000_012.0, 40.0), (1_700_000_014.0, 90.0), (1_700_000_020.0, 90.0)]]
    text = page(facts=facts)
    assert text.count('role="img" aria-label="Limit of requests per second"') == 2
    assert "limit, at the end 90<" in text
    assert [gather(ENDS).place(1_700_000_000 + seconds) for seconds in (-5, 12, 14, 99)] == [0, 12, 14, 30]


def test_the_summary_has_the_rate_of_its_own_start() -> None:
    """A start that sent nothing has no rate, whatever an earlier one has found; only the last ones are kept."""
    rates: tuple[Rates, ...] = ()
    for n in range(30):
        rates = add_rates(rates, 100.0 * n, 100.0 * n + 50, Found(123.456, [(1.234, 5.678)], is_narrowed=True), 7)
    facts = FACTS.with_changes(rates=rates)
    assert last_rate(facts, 2900.0) == {"final": 123.5, "history": [[1.23, 5.68]], "window": 20, "parked": 7}
    assert last_rate(facts, 2901.0) == last_rate(FACTS, 0.0) == NOTHING_FOUND
    assert len(facts.rates) == 20


def test_charts_hold_only_drawing() -> None:
    """The charts bring no style, script or id of their own into the page, and draw numbers only."""
    text = page()
    assert text.count('role="img" aria-label="Rows that ended per second"') == 2
    assert 'type="text/javascript"' not in text
    assert all(re.fullmatch(r"[MLhvZ0-9. -]+", path) for path in chart_paths(text))


@pytest.mark.parametrize(
    ("file", "link"),
    [
        ("orders.runs/20261123T101500Z-3f9a/results.csv", "results.csv"),
        ("out/my results#1.csv", "../../out/my%20results%231.csv"),
        ("", None),
    ],
)
def test_the_report_leads_to_the_result_file(file: str, link: str | None) -> None:
    """By a path that still leads there when sheet, runs and results are moved or mailed together."""
    text = page(replace(SUMMARY, results_file=file))
    assert re.findall(r'<a href="([^"]*)">', text) == ([link] if link else [])


def test_the_report_says_who_ran_it_where_and_when() -> None:
    """The person and machine of each start, and the times in UTC."""
    starts = (Start(at=1_795_474_800.0, by="ops@host-7", version="0.1.0"),)
    text = page(facts=FACTS.with_changes(starts=starts))
    assert re.search(r"Run by</dt><dd>ops@host-7<", text)
    assert re.search(r"Began</dt><dd>2026-11-23 23:00:00 UTC", text)


def test_the_report_says_what_load_the_service_took() -> None:
    """The limits that were found and the waits of rows for them; nothing where none was found."""
    found = page(replace(SUMMARY, rate={"final": 140.0, "history": [], "window": 8, "parked": 1200}))
    assert "140 requests/s, 8 at once" in found
    assert "Waits for a later attempt" in found
    assert "1,200" in found
    assert "The service takes" not in page()

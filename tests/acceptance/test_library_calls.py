"""Each call of the library on a DataFrame or a sheet: what it gives back, and what it says when it can't."""

import re
import shutil
import subprocess
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
from support.program import DONE, PLANNED, TOKEN, puts, served, write_sheet

import batch_updater
from batch_updater import (
    BatchUpdaterError,
    Edit,
    LockedError,
    Progress,
    ResumeError,
    RunSummary,
    Secret,
    Settings,
    SettingsError,
    Stop,
    plan_sync,
    results,
    resume_sync,
    retry_sync,
    run_batch_sync,
    runs,
    statuses,
    statuses_sync,
    undo_sync,
    verify_sync,
)
from batch_updater.cli.help import page
from batch_updater.sandbox.server import Sandbox, order_id

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with served() as found:
        yield found


@pytest.fixture
def settings(sandbox: Sandbox, tmp_path: Path) -> Settings:
    return Settings(base_url=sandbox.base_url, runs_dir=tmp_path)


def tickets(status: str = "Completed") -> pd.DataFrame:
    """Four rows under labels of their own, one of them twice; two can't be sent as they are."""
    return pd.DataFrame(
        {
            "order_id": [order_id(1), "x", order_id(2), order_id(10**8)],
            "status": status,
            "weight": [1.5, 2.5, None, 4.0],
            "opened": pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03", None]),
            "kind": pd.Categorical(["a", "b", "a", "b"]),
        },
        index=pd.Index(["t1", "t2", "t1", "t4"], name="ticket"),
    )


def test_results_keep_the_index_and_the_columns_of_the_caller(settings: Settings) -> None:
    """A label twice, dates, categories and missing figures come back as they were; nothing goes by way of text."""
    frame = tickets()
    summary = run_batch_sync(frame, settings, token=TOKEN)
    frame["weight"] = 0.0  # the summary keeps what was sent
    found = summary.results()
    pd.testing.assert_frame_equal(found[tickets().columns], tickets())
    assert found["result"].tolist() == ["updated", "invalid", "updated", "failed"]
    assert str(summary) == "the DataFrame: 4 rows, 2 updated, 1 invalid, 1 failed."


def test_results_have_real_types(settings: Settings) -> None:
    """Figures can be summed, times compared; what there is not is missing."""
    found = run_batch_sync(tickets(), settings, token=TOKEN).results()
    assert found["result_http_status"].fillna(0).tolist() == [200, 0, 200, 400]
    assert found["result_attempts"].sum() == 3
    assert found["result_row"].tolist() == [2, 3, 4, 5]
    assert (found["result_sent_at"].max() - found["result_sent_at"].min()).total_seconds() < 60
    assert found["result_duration_ms"].dtype == "Int64"
    assert (found["result_detail"].iloc[0], found["result_previous_status_id"].iloc[0]) == (
        "Order status updated successfully", "",
    )  # fmt: skip


@pytest.mark.parametrize("ending", [".csv", ".xlsx", ".jsonl"])
def test_results_are_the_same_in_every_format(settings: Settings, tmp_path: Path, ending: str) -> None:
    """Index and types do not depend on the file that holds them."""
    chosen = settings.with_changes(output=tmp_path / f"r{ending}")
    found = run_batch_sync(tickets(), chosen, token=TOKEN).results()
    expected = results(next(tmp_path.glob("2*"))).results()
    types = {name: kind for name, kind in expected.dtypes.items() if name.startswith("result")}
    assert {name: found.dtypes[name] for name in types} == types
    pd.testing.assert_frame_equal(found[tickets().columns], tickets())
    assert found["result"].tolist() == ["updated", "invalid", "updated", "failed"]


def test_results_of_chosen_rows_have_their_labels(settings: Settings) -> None:
    """Rows that were not chosen are not there; rows with line breaks in a cell are not counted twice."""
    frame = tickets().assign(note="two\nlines")
    chosen = settings.with_changes(where=("kind=b",))
    found = run_batch_sync(frame, chosen, token=TOKEN).results()
    assert (found.index.tolist(), found["kind"].tolist()) == (["t2", "t4"], ["b", "b"])
    assert found["result_row"].tolist() == [3, 5]


def test_results_sent_again_replace_the_earlier_ones(settings: Settings) -> None:
    """A frame of results, corrected in pandas, is a frame to send; it has each column of results once."""
    found = run_batch_sync(tickets(), settings, token=TOKEN).results()
    found.loc["t2", "order_id"] = order_id(3)
    again = run_batch_sync(found, settings.with_changes(only="invalid"), token=TOKEN).results()
    assert list(again.columns) == list(found.columns)
    assert (again.index.tolist(), again["result"].tolist()) == (["t2"], ["updated"])


def test_a_sheet_s_results_have_types_and_its_cells_stay_texts(settings: Settings, tmp_path: Path) -> None:
    """A leading zero is no matter of taste."""
    sheet = tmp_path / "o.csv"
    sheet.write_text(f"order_id,status_id,code\n{order_id(1)},{DONE},007\n")
    found = run_batch_sync(sheet, settings, token=TOKEN).results()
    assert (found["code"].tolist(), found["result_attempts"].tolist()) == (["007"], [1])
    assert str(found["result_sent_at"].dtype).endswith("UTC]")


def test_two_frames_at_once_get_two_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one folder, given or not, none waits for another; each goes on with its own run; the same one is refused."""
    monkeypatch.chdir(tmp_path)
    frames = [
        pd.DataFrame({"order_id": [order_id(n) for n in range(k, k + 16)], "status": DONE}) for k in (1, 101, 201)
    ]
    ended: dict[int, RunSummary | BaseException] = {}
    for place in (None, tmp_path / "mine"):
        with served(latency=0.3) as sandbox:
            chosen, stop = Settings(base_url=sandbox.base_url, runs_dir=place, concurrency=3), Stop()

            def send(number: int, chosen: Settings = chosen, stop: Stop = stop) -> None:
                try:
                    ended[number] = run_batch_sync(frames[number % 3], chosen, token=TOKEN, stop=stop)
                except BatchUpdaterError as error:
                    ended[number] = error

            threads = [threading.Thread(target=send, args=(number,)) for number in range(3)]
            for thread in threads:
                thread.start()
            while len(puts(sandbox)) < 9:
                time.sleep(0.01)
            send(3)
            stop.request()
            for thread in threads:
                thread.join()
            assert isinstance(ended[3], LockedError)
            assert "the DataFrame is under way" in str(ended[3])
            stopped = [ended[number] for number in range(3)]
            assert [one.exit_code for one in stopped if isinstance(one, RunSummary)] == [130] * 3, stopped
            again = [run_batch_sync(frame, chosen, token=TOKEN) for frame in frames]
            assert [one.run_dir for one in again] == [one.run_dir for one in stopped if isinstance(one, RunSummary)]
            assert len(puts(sandbox)) == 48, "none was sent twice"
            listed = runs(tmp_path if place is None else place)
            assert {info.folder.run_id for info in listed} >= {one.run_id for one in again}


def test_a_plan_says_what_would_be_sent_and_sends_nothing(settings: Settings, sandbox: Sandbox) -> None:
    """Counts by status, the rows that can't be sent under the caller's labels, and what the orders have now."""
    plan = plan_sync(tickets(), settings.with_changes(compare=True), token=TOKEN)
    assert (plan.rows, plan.to_send, plan.invalid, plan.conflicts) == (4, 3, 1, 0)
    assert (plan.statuses, plan.columns) == ({"Completed": 3}, {"order": "order_id", "status": "status"})
    assert plan.preview is not None
    assert (plan.preview.statuses, plan.preview.unknown_orders) == ({(PLANNED, DONE): 2}, 1)
    problems = plan.problems()
    assert (problems.index.tolist(), problems["result"].tolist(), problems["result_row"].tolist()) == (
        ["t2"], ["invalid"], [3],
    )  # fmt: skip
    assert str(plan).splitlines() == [
        "the DataFrame: 4 rows, 3 to send, 1 invalid", "  3 Completed", "  0 have it already, 1 unknown orders",
    ]  # fmt: skip
    assert plan.to_dict()["results"] == {"not_sent": 3, "invalid": 1}
    assert puts(sandbox) == []


def test_a_plan_needs_no_token(settings: Settings, sandbox: Sandbox, tmp_path: Path) -> None:
    """Ids can be checked without the service, and a sheet as well as a frame."""
    sheet = write_sheet(tmp_path / "o.csv", [(order_id(1), DONE), ("x", DONE)])
    plan = plan_sync(sheet, settings)
    assert (plan.to_send, plan.invalid, plan.problems().index.tolist()) == (1, 1, [0])
    assert sandbox.ledger == []


def test_a_run_is_verified_undone_and_followed_up(settings: Settings, sandbox: Sandbox) -> None:
    """Each takes the summary of the run, or its folder, and gives back a summary with results."""
    compared = settings.with_changes(compare=True)
    summary = run_batch_sync(tickets(), compared, token=TOKEN)
    verified = verify_sync(summary, token=TOKEN)
    assert (verified.exit_code, verified.symbols) == (3, {"=": 2, "-": 1})
    assert verified.results().set_index("row")["symbol"].to_dict() == {2: "=", 4: "=", 5: "-"}
    retried = retry_sync(summary.run_dir, ["invalid"], {3: Edit(order=order_id(3))}, settings, token=TOKEN)
    assert retried.results()["result_row"].tolist() == [3]
    assert retried.result_counts == {"updated": 1}
    undone = undo_sync(Path(summary.run_dir), settings, token=TOKEN)
    assert undone.result_counts == {"updated": 2}
    now = {order: found["status"]["id"] for order, found in sandbox.orders.items()}
    assert [now[order_id(n)] for n in (1, 2, 3)] == [PLANNED, PLANNED, DONE]


async def test_the_plain_and_the_awaited_calls_are_twins(settings: Settings) -> None:
    """Both list the statuses; all names of the package are there."""
    found = await statuses(settings, token=TOKEN)
    assert found == statuses_sync(settings, token=Secret(TOKEN))
    assert "Completed" in {status.name for status in found}
    assert batch_updater.__version__ == version("batch-updater")
    assert [name for name in batch_updater.__all__ if getattr(batch_updater, name).__doc__ is None] == []
    assert set(dir(batch_updater)) == set(batch_updater.__all__)
    for name in ("run_batch", "plan", "resume", "retry", "verify", "undo", "statuses"):
        assert getattr(batch_updater, f"{name}_sync").__doc__.startswith(getattr(batch_updater, name).__doc__)


def test_what_is_not_given_comes_from_the_environment(
    settings: Settings, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address too when settings are given without one; what is given wins."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVREKA360_BASE_URL", sandbox.base_url)
    monkeypatch.setenv("EVREKA360_ACCESS_TOKEN", TOKEN)
    assert run_batch_sync(tickets()[:1]).exit_code == 0
    assert run_batch_sync(tickets()[:1], Settings(compare=True)).result_counts == {"unchanged": 1}
    monkeypatch.setenv("EVREKA360_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("EVREKA360_ACCESS_TOKEN", "another-token-that-is-wrong")
    assert run_batch_sync(tickets()[:1], settings, token=TOKEN).exit_code == 0


def said(error: type[BatchUpdaterError], source: object, settings: Settings | None, **more: object) -> str:
    """What a call says that can't be made."""
    with pytest.raises(error) as caught:
        run_batch_sync(source, settings, **{"token": TOKEN, **more})  # type: ignore[arg-type]
    assert "/tmp" not in str(caught.value)
    told = [line for line in str(caught.value).splitlines() if not line.strip().startswith("batch-updater ")]
    assert [line for line in told if "--" in line] == [], "only a command for a shell has options"
    return str(caught.value)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (tickets().drop(columns="order_id"), ["the DataFrame: no order column", "'status'"]),
        (tickets().set_index("order_id"), ["the DataFrame: no order column", "index ('order_id') is not read"]),
        (pd.concat([tickets(), tickets()], axis=1, keys=["a", "b"]), ["several rows of column names"]),
        ([{"order_id": "x"}], ["list is no source", "DataFrame"]),
        ("nowhere.csv", ["nowhere.csv does not exist"]),
    ],
)
def test_what_is_no_sheet_is_told_in_the_words_of_pandas(settings: Settings, frame: object, words: list[str]) -> None:
    """It names the DataFrame, its columns and its index; no file that is gone, and no option of a command line."""
    told = said(batch_updater.InputError, frame, settings)
    assert [word for word in words if word not in told] == []
    assert "header_row" not in told


def test_wrong_settings_and_tokens_raise_settings_errors(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each says which argument is wrong, and what to give."""
    for name in ("EVREKA360_BASE_URL", "EVREKA360_ACCESS_TOKEN", "ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert "give token=" in said(SettingsError, tickets(), settings, token=None)
    assert "fewer than 8" in said(SettingsError, tickets(), settings, token="")
    assert "no token has" in said(SettingsError, tickets(), settings, token="in four separate words")
    assert "begins with 'Bearer'" in said(SettingsError, tickets(), settings, token="Bearer x y z")
    assert "`base_url`" in said(SettingsError, tickets(), None)
    assert 'or "bar"' in said(SettingsError, tickets(), settings, on_progress="baar")
    assert "`strict` refuses it" in said(batch_updater.InputError, tickets(), settings.with_changes(strict=True))
    assert "`metrics_port`" in said(SettingsError, tickets(), settings.with_changes(metrics_port="x"))


def test_an_unfinished_run_of_other_cells_is_told_of(settings: Settings, sandbox: Sandbox) -> None:
    """A frame that was changed after an interruption is not sent past what had been done; the ways on are arguments."""
    stop, frame = Stop(), pd.DataFrame({"order_id": [order_id(n) for n in range(1, 200)], "status": "completed"})

    def stop_after_some(news: Progress) -> None:
        if news.ended:
            stop.request()

    slow = settings.with_changes(rate=50)
    run_batch_sync(frame, slow, token=TOKEN, stop=stop, on_progress=stop_after_some)
    assert 0 < len(puts(sandbox)) < 199
    with pytest.raises(ResumeError) as caught:
        run_batch_sync(frame.assign(status="cancelled"), settings, token=TOKEN)
    assert "its cells differ" in str(caught.value)
    assert "`carry_over`" in str(caught.value)
    assert resume_sync(next(Path(str(settings.runs_dir)).glob("2*")), settings, token=TOKEN).exit_code == 0


def test_no_traceback_shows_the_token(settings: Settings) -> None:
    """Not even one that shows the variables of the package's functions, as notebooks can."""
    try:
        run_batch_sync(tickets().drop(columns="order_id"), settings, token=TOKEN)
    except BatchUpdaterError as error:
        found = traceback.TracebackException.from_exception(error, capture_locals=True)
        frames = [frame for frame in found.stack if "batch_updater" in frame.filename and "tests" not in frame.filename]
        assert len(frames) > 5
        assert [frame.name for frame in frames if TOKEN in str(frame.locals)] == []


def examples() -> list[str]:
    """The Python of the README and of `help api`; what is awaited there stands in a coroutine here."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    indented = [line[4:] for line in page("api").splitlines() if line.startswith("    ")]
    plain, awaited = "\n".join(indented).split("from batch_updater import run_batch\n")
    run_it = f"import asyncio\nfrom batch_updater import run_batch\nasync def main():\n    {awaited.strip()}\n"
    return [readme, f"{plain}\nframe = frame.iloc[:, :6]\n{run_it}\nasyncio.run(main())\n"]


@pytest.mark.parametrize("example", examples())
def test_the_examples_do_what_they_show(
    example: str, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed as they stand, with another address and token, they plan, send, verify and undo."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVREKA360_ACCESS_TOKEN", TOKEN)
    shutil.copy(ROOT / "samples" / "orders.xlsx", tmp_path)
    code = re.sub(r"https://[\w.-]+/v1", sandbox.base_url, example).replace('"..."', repr(TOKEN))
    exec(compile(code, "example", "exec"), {})
    assert len(puts(sandbox)) > 5


def test_every_row_of_a_frame_is_in_the_result(settings: Settings) -> None:
    """Cells that hold nothing, whatever pandas calls it, and rows of such cells alone, are rows; ids may be UUIDs."""
    cells = [uuid.UUID(order_id(1)), None, "", pd.NA, float("nan"), pd.NaT, "  "]
    frame = pd.DataFrame({"order_id": cells, "status": ["completed", *cells[1:]]}, index=list("abcdefg"))
    found = run_batch_sync(frame, settings, token=TOKEN).results()
    assert (found.index.tolist(), found["result"].tolist()) == (list("abcdefg"), ["updated", *["invalid"] * 6])
    assert {text.split("'")[1] for text in found["result_detail"][1:]} == {"nan"}


def test_importing_the_package_loads_nothing_heavy() -> None:
    """A script that only needs a name of it starts at once."""
    code = "import sys, batch_updater; batch_updater.__version__; batch_updater.Stop; batch_updater.Progress; print(*(m"
    code += " for m in ('pandas', 'aiohttp', 'pydantic', 'rich', 'IPython') if m in sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "\n"


def test_results_of_a_workbook_have_types_too(settings: Settings, tmp_path: Path) -> None:
    """They are read from the person's own workbook, in which every result is a text."""
    shutil.copy(ROOT / "samples" / "orders.xlsx", tmp_path)
    found = run_batch_sync(tmp_path / "orders.xlsx", settings, token=TOKEN).results()
    assert (found["result_attempts"].dtype, found["result_row"].dtype) == ("Int64", "Int64")
    assert found["result_sent_at"].notna().any()

"""The use cases as a page or a program calls them: in any thread, without a terminal, without signals."""

import threading
from collections.abc import Iterator
from pathlib import Path
from zipfile import is_zipfile

import pytest
from support.program import DONE, PLANNED, environment, good_rows, puts, read_result, served, write_sheet
from support.sheets import locked

from batch_updater.app.batch import run_loop
from batch_updater.app.execute import send
from batch_updater.app.history import runs
from batch_updater.app.outputs import results
from batch_updater.app.planning import plan, try_plan
from batch_updater.app.preview import Preview, preview
from batch_updater.app.resume import resume
from batch_updater.app.retry import Edit, retry
from batch_updater.app.service import find_service, statuses
from batch_updater.app.undo import undo
from batch_updater.app.verify import verify
from batch_updater.common.errors import ResumeError, SettingsError
from batch_updater.common.progress import Progress, Stop
from batch_updater.common.settings import Settings
from batch_updater.common.summary import RunSummary
from batch_updater.journal.facts import Phase
from batch_updater.journal.journal import Journal
from batch_updater.journal.run_folder import JOURNAL
from batch_updater.planning.preflight import Tenant
from batch_updater.sandbox.server import Sandbox, order_id, status_id

MISSING = order_id(99_999_999)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with served() as found:
        yield found


@pytest.fixture
def settings(sandbox: Sandbox) -> Settings:
    return Settings(base_url=sandbox.base_url, concurrency=4)


@pytest.fixture
def tenant(settings: Settings, sandbox: Sandbox) -> Tenant:
    return find_service(settings, environment(sandbox.base_url))


def sent(sheet: Path, settings: Settings, tenant: Tenant, stop: Stop | None = None) -> RunSummary:
    with plan(sheet, settings, tenant) as run:
        return run_loop(send(run, stop))


def numbers(summary: RunSummary) -> list[tuple[str, str, str]]:
    """Row number, result and status of every row of a result file."""
    rows = read_result(Path(summary.results_file))
    return [(row["result_row"], row["result"], row["result_status_id"]) for row in rows]


def test_a_preview_says_what_the_orders_have_now_and_sends_nothing(
    tmp_path: Path, sandbox: Sandbox, settings: Settings, tenant: Tenant
) -> None:
    """By the status that each has and would get, those that are so already, and those that the service lacks."""
    sandbox.set_status(order_id(1), DONE)
    for number in (2, 3):
        sandbox.set_status(order_id(number), PLANNED)
    sheet = write_sheet(tmp_path / "o.csv", [*good_rows(3), (MISSING, DONE)])
    seen: list[Progress] = []
    with try_plan(sheet, settings, tenant) as run:
        found = run_loop(preview(run, on_progress=seen.append))
        assert run_loop(preview(run)) == found, "asked again it says the same"
    assert found == Preview(
        statuses={(PLANNED, DONE): 2, (DONE, DONE): 1}, unknown=((5, MISSING),), unknown_orders=1, unreadable=0
    )
    assert found.already == 1
    assert seen[-1].stage == "verifying"
    assert puts(sandbox) == []


def test_a_preview_that_is_stopped_says_so(tmp_path: Path, settings: Settings, tenant: Tenant) -> None:
    """What was read until then is told, with the reason why it is not all."""
    stop = Stop()
    stop.request()
    with try_plan(write_sheet(tmp_path / "o.csv", good_rows(3)), settings, tenant) as run:
        found = run_loop(preview(run, stop))
    assert found.statuses == {}
    assert found.reason.startswith("Interrupted")
    assert found.exit_code == 130


def test_a_run_is_resumed_from_its_frozen_input(
    tmp_path: Path, sandbox: Sandbox, settings: Settings, tenant: Tenant
) -> None:
    """The sheet is gone and the settings have changed: it goes on by what it was planned by, each row once."""
    stop = Stop()
    stop.request()
    sheet = write_sheet(tmp_path / "o.csv", good_rows(5))
    stopped = sent(sheet, settings.model_copy(update={"on_conflict": "last"}), tenant, stop)
    sheet.unlink()
    assert stopped.resumable
    with resume(Path(stopped.run_dir), settings.model_copy(update={"concurrency": 2}), tenant) as run:
        assert (run.resumed, run.settings.on_conflict, run.settings.concurrency) == (True, "last", 2)
        summary = run_loop(send(run))
    assert summary.result_counts == {"updated": 5}
    assert len(puts(sandbox)) == 5
    with pytest.raises(ResumeError, match="is finished"), resume(Path(stopped.run_dir), settings, tenant):
        pass
    with pytest.raises(SettingsError, match="is no run folder"), resume(tmp_path, settings, tenant):
        pass


@pytest.mark.parametrize("phase", [Phase.SENDING, Phase.STOPPED])
def test_a_run_that_was_killed_while_it_wrote_its_results_is_finished_by_them(
    tmp_path: Path, sandbox: Sandbox, settings: Settings, tenant: Tenant, phase: Phase
) -> None:
    """Every row has ended: `results` writes the file, says what the rows say, and nothing is left to be resumed."""
    sheet = write_sheet(tmp_path / "o.csv", [*good_rows(3), (MISSING, DONE)])
    folder = Path(sent(sheet, settings, tenant).run_dir)
    (folder / "results.csv").unlink()
    with Journal.open(folder / JOURNAL) as journal:
        journal.update_facts(phase=phase)
    assert runs(sheet)[0].resumable
    for _ in range(2):
        summary = results(folder)
        assert (summary.exit_code, summary.resumable, summary.reason) == (3, False, "")
        assert (runs(sheet)[0].state, runs(sheet)[0].resumable) == ("finished", False)
    assert (folder / "results.csv").exists()
    assert len(puts(sandbox)) == 4


def test_a_follow_up_sends_corrected_rows_under_the_numbers_of_the_first_sheet(
    tmp_path: Path, sandbox: Sandbox, settings: Settings, tenant: Tenant
) -> None:
    """Over two rounds: only the chosen rows, with what was written into them, and one root run for all."""
    rows = [(order_id(1), "Completed"), ("not-an-id", "Completed"), (order_id(3), "Complted"), (MISSING, "Completed")]
    first = sent(write_sheet(tmp_path / "o.csv", rows), settings, tenant)
    assert [result for _, result, _ in numbers(first)] == ["updated", "invalid", "invalid", "failed"]

    edits = {3: Edit(order=order_id(2)), 4: Edit(status="Complete")}
    with retry(Path(first.run_dir), ["invalid", "failed"], edits, settings, tenant) as run:
        assert (run.facts.root, run.plan.rows, run.folder.path.parent) == (first.run_id, 3, Path(first.run_dir).parent)
        second = run_loop(send(run))
    assert [row[:2] for row in numbers(second)] == [("3", "updated"), ("4", "invalid"), ("5", "failed")]

    with retry(Path(second.run_dir), ["invalid"], {4: Edit(status="Completed")}, settings, tenant) as run:
        assert run.facts.root == first.run_id, "the root is the first run, however many lie between"
        third = run_loop(send(run))
    assert numbers(third) == [("4", "updated", DONE)]
    sent_orders = [put["order_id"] for put in puts(sandbox)]
    rounds = [sorted(sent_orders[:2]), sorted(sent_orders[2:4]), sent_orders[4:]]
    assert rounds == [sorted([order_id(1), MISSING]), sorted([order_id(2), MISSING]), [order_id(3)]]


def test_a_follow_up_keeps_the_delimiter_of_the_first_sheet(tmp_path: Path, settings: Settings, tenant: Tenant) -> None:
    """Over two rounds, whatever is written into a cell: each result file opens as the sheet does."""
    sheet = tmp_path / "o.csv"
    sheet.write_text(f"order_id;status_id;note\nx;{DONE};a,b\n")
    run_dir = Path(sent(sheet, settings, tenant).run_dir)
    for order in ("a;b,c", order_id(1)):
        with retry(run_dir, ["invalid"], {2: Edit(order=order)}, settings, tenant) as run:
            run_dir = Path(run_loop(send(run)).run_dir)
        header, row = (run_dir / "results.csv").read_text("utf-8-sig").splitlines()
        assert header.startswith("order_id;status_id;note;result;")
        assert f";{DONE};a,b;" in row
    assert row.startswith(order_id(1))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the library that encrypts the sample
def test_a_workbook_with_a_password_leaves_none_of_its_other_cells_open(
    tmp_path: Path, settings: Settings, tenant: Tenant
) -> None:
    """A run, its follow-up and their frames: no file of theirs has a text that neither order nor status is."""
    grid = [["order_id", "status_id", "customer"], [order_id(1), DONE, "Ayşe Yılmaz"], ["x", DONE, "Ayşe Yılmaz"]]
    sheet, opened = locked(tmp_path, grid), settings.model_copy(update={"password_file": tmp_path / "password"})
    first = sent(sheet, opened, tenant)
    assert list(first.results()["customer"]) == ["Ayşe Yılmaz"] * 2
    with retry(Path(first.run_dir), ["invalid"], {3: Edit(order=order_id(2))}, opened, tenant) as run:
        second = run_loop(send(run))
    (tmp_path / "password").unlink()  # nothing else has it
    assert numbers(second) == [("3", "updated", DONE)]
    written = [file for folder in (first.run_dir, second.run_dir) for file in Path(folder).rglob("*") if file.is_file()]
    assert {file.name for file in written} >= {"results.xlsx", "results.csv", f"retry-of-{first.run_id}.csv"}
    assert [file.name for file in written if "Yılmaz".encode() in file.read_bytes() or is_zipfile(file)] == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the library that encrypts the sample
def test_a_text_file_of_a_workbook_with_a_password_is_said_to_have_none(
    tmp_path: Path, settings: Settings, tenant: Tenant
) -> None:
    """Who asks for CSV gets it, and reads at the end of the run that everybody can read it."""
    grid = [["order_id", "status_id"], [order_id(1), DONE]]
    more = {"password_file": tmp_path / "password", "output": tmp_path / "r.csv"}
    summary = sent(locked(tmp_path, grid), settings.model_copy(update=more), tenant)
    (tmp_path / "password").unlink()  # nothing else has it
    assert "the result file has no password" in " ".join(summary.notes)


def test_a_row_that_is_not_sent_again_is_not_corrected(tmp_path: Path, settings: Settings, tenant: Tenant) -> None:
    """An edit of a row that is done is refused, and no follow-up is made."""
    first = sent(write_sheet(tmp_path / "o.csv", [*good_rows(2), (MISSING, DONE)]), settings, tenant)
    with (
        pytest.raises(SettingsError, match="Row 2 is not among"),
        retry(Path(first.run_dir), ["failed"], {2: Edit(status=PLANNED)}, settings, tenant),
    ):
        pass
    assert len(runs(tmp_path / "o.csv")) == 1


def test_an_unfinished_run_is_not_followed_up(tmp_path: Path, settings: Settings, tenant: Tenant) -> None:
    """Its rows may be in doubt: it has to come to its end first."""
    stop = Stop()
    stop.request()
    stopped = sent(write_sheet(tmp_path / "o.csv", good_rows(3)), settings, tenant, stop)
    with (
        pytest.raises(SettingsError, match="is not finished"),
        retry(Path(stopped.run_dir), ["not_sent"], {}, settings, tenant),
    ):
        pass


def test_rejected_rows_keep_the_text_of_their_cells(tmp_path: Path, settings: Settings, tenant: Tenant) -> None:
    """The journal alone has what a person would correct."""
    sheet = write_sheet(tmp_path / "o.csv", [("not-an-id", "Completed"), (order_id(1), "Complted"), (order_id(2), "")])
    with try_plan(sheet, settings, tenant) as run:
        kept = list(run.journal._db.execute("SELECT row, order_text, status_text FROM rows ORDER BY row"))
    assert kept == [(2, "not-an-id", "Completed"), (3, order_id(1), "Complted"), (4, order_id(2), "")]


def test_the_use_cases_need_no_main_thread(tmp_path: Path, settings: Settings, tenant: Tenant) -> None:
    """Planned, sent, verified, undone, listed and written again in another thread than the main one."""
    sheet = write_sheet(tmp_path / "o.csv", good_rows(3, status=status_id("Cancelled")))
    said: list[object] = []

    def work() -> None:
        summary = sent(sheet, settings.model_copy(update={"compare": True}), tenant)
        folder = Path(summary.run_dir)
        said.append(run_loop(verify(folder, settings, tenant)).symbols)
        with undo(folder, settings, tenant) as run:
            said.append(run_loop(send(run)).result_counts)
        said.append([info.state for info in runs(sheet)])
        said.append(results(folder).result_counts)
        said.append(len(statuses(settings, tenant)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert said == [{"=": 3}, {"updated": 3}, [Phase.FINISHED], {"updated": 3}, 6]

"""Every command that the program proposes is typed as it stands, and goes where the call went that proposed it.

The working folder has a config file of which the plain settings name one service and a profile another; all is done
under that profile, so that a command that lost it would reach the first service.
"""

import html
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import xlsxwriter
from support.commands import proposed_in
from support.program import DONE, TOKEN, environment, good_rows, newest_run, puts, served, write_sheet
from support.watched import Ended, Watched

from batch_updater.sandbox.server import Sandbox, order_id

MISSING = (order_id(99_999_999), "Completed")
MIXED = [*good_rows(3), ("typing error", DONE), MISSING, (order_id(7), DONE), (order_id(7), "Cancelled")]
STOPPED = ("--max-failures", "0", "--concurrency", "1")
ASKS = {"login"}  # for secrets


@dataclass
class Person:
    """Somebody at a terminal, in a folder of his own; all that was said to him, and where it would have gone wrong."""

    watched: Watched
    sandbox: Sandbox
    other: Sandbox
    folder: Path
    said: list[str] = field(default_factory=list)

    def types(self, *words: object, code: int | None = None, **more: str) -> Ended:
        """Type a command, perhaps with other variables in the environment than the token."""
        env = environment(**{"EVREKA360_ACCESS_TOKEN": TOKEN, "BATCH_UPDATER_YES": "1", **more})
        ended = self.watched.call(*words, env=env)
        assert "Traceback" not in ended.stderr
        assert code in {None, ended.returncode}, ended.stderr
        self.said += [ended.stdout, ended.stderr]
        return ended

    def works(self, *words: object, code: int | None = None) -> Ended:
        """Type a command under the profile, with settings that are not the default."""
        command, *others = words
        return self.types(command, "--profile", "st aging", "--concurrency", 3, "--retries", 1, *others, code=code)

    def reads(self, report: Path) -> None:
        """Look at the commands of a report."""
        text = report.read_text(encoding="utf-8")
        found = re.findall(r"<(?:pre|code)>(batch-updater [^<]*)</", text)
        assert found
        self.said.append("\n".join(map(html.unescape, found)))


State = Callable[[Person], None]
STATES: dict[str, State] = {}


def state(make: State) -> State:
    """One way to come to proposed commands."""
    STATES[make.__name__] = make
    return make


def sheet(*rows: tuple[str, str]) -> Path:
    return write_sheet(Path("my 'own' orders.csv"), list(rows))


@state
def mixed_ends(person: Person) -> None:
    """Some rows are to be corrected; the report has verify and undo, too."""
    person.works("run", sheet(*MIXED), "--compare", code=3)
    person.reads(newest_run(Path("my 'own' orders.csv")) / "report.html")


@state
def unknown_statuses(person: Person) -> None:
    """The advice of a reason has a command of its own."""
    person.works("run", sheet(*good_rows(1), (order_id(2), "Complted")), code=3)
    person.reads(newest_run(Path("my 'own' orders.csv")) / "report.html")


@state
def errors_of_the_service(person: Person) -> None:
    """The same rows are tried again; they succeed when the service is well."""
    well = person.sandbox.options
    person.sandbox.options = replace(well, error_rate=1.0)
    person.works("run", sheet(*good_rows(3)), "--order-by", "id", "--timeout", "5", "--outage-budget", "9", code=None)
    person.sandbox.options = well


@state
def a_workbook_with_choices(person: Person) -> None:
    """What chose the rows of the sheet, and the columns that were named, fit the result file too."""
    book = xlsxwriter.Workbook("two sheets.xlsx")
    for name in ("first", "that's it"):
        page = book.add_worksheet(name)
        for number, row in enumerate(
            [("Title",), ("Ticket", "Soll", "Depot"), *((*row, "a b") for row in MIXED[::-1])]
        ):
            page.write_row(number, 0, row)
    book.close()
    chosen = ("--sheet", "that's it", "--order-column", "Ticket", "--status-column", "Soll", "--where", "Depot=a b",
              "--header-row", "2", "--rows", "3-9")  # fmt: skip
    person.works("run", "two sheets.xlsx", *chosen, "--output", "all.xlsx", code=3)
    person.works("run", "two sheets.xlsx", *chosen, "--on-conflict", "last", *STOPPED, code=6)
    person.types("runs", ".", code=0)


@state
def one_status_for_all(person: Person) -> None:
    """The status and the order's name are typed again where no column has them."""
    Path("names.csv").write_text("order_id\n" + "".join(f"{order}\n" for order, _ in [*good_rows(2), MISSING]))
    person.works("run", "names.csv", "--set-status", "Completed", "--runs-dir", "other runs", code=3)


@state
def stopped(person: Person) -> None:
    """By too many failures: the terminal, the list of runs and the report know the way on."""
    person.works("run", sheet(MISSING, *good_rows(5)), *STOPPED, "--canary", "1", code=6)
    person.types("runs", ".", code=0)
    person.types("results", newest_run(Path("my 'own' orders.csv")), code=0)
    person.works("run", newest_run(Path("my 'own' orders.csv")), code=4)
    person.reads(newest_run(Path("my 'own' orders.csv")) / "report.html")


@state
def changed_since(person: Person) -> None:
    """The sheet, since its run was stopped: each way on is one command."""
    person.works("run", sheet(MISSING, *good_rows(5)), *STOPPED, code=6)
    person.said.clear()
    person.works("run", sheet(MISSING, *good_rows(6)), code=2)


@state
def other_choices(person: Person) -> None:
    """An unfinished run is asked for otherwise than it was planned."""
    person.works("run", sheet(MISSING, *good_rows(5)), *STOPPED, code=6)
    person.works("run", sheet(MISSING, *good_rows(5)), "--compare", code=2)


@state
def superseded(person: Person) -> None:
    """A run whose rows another one has carried over."""
    person.works("run", sheet(*good_rows(1), MISSING, *good_rows(50, first=2)), *STOPPED, code=6)
    old = newest_run(Path("my 'own' orders.csv"))
    changed = sheet(*good_rows(1), MISSING, *good_rows(60, first=2))
    person.works("run", changed, *STOPPED, "--carry-over", code=6)
    person.works("resume", old, code=2)


@state
def another_service(person: Person) -> None:
    """Results, verify and undo of a run on this service, asked under settings that name another one."""
    person.works("run", sheet(*MIXED), "--compare", code=3)
    run = newest_run(Path("my 'own' orders.csv"))
    moved = shutil.copy(run / "results.csv", "moved.csv")
    person.types("run", run / "results.csv", "--only", "failed", code=2)
    person.types("run", moved, code=2)
    person.types("plan", moved, "--only", "invalid", code=2)
    for command in ("verify", "undo", "resume"):
        person.types(command, run, code=2)


@state
def run_folders(person: Person) -> None:
    """A run in place of a sheet: what is not done, or that all is."""
    person.works("run", sheet(*MIXED), code=3)
    person.works("run", newest_run(Path("my 'own' orders.csv")), code=4)
    person.works("plan", newest_run(Path("my 'own' orders.csv")) / "input.csv", code=4)
    person.works("run", write_sheet(Path("good.csv"), good_rows(2)), code=0)
    person.works("run", newest_run(Path("good.csv")), code=4)
    (newest_run(Path("good.csv")) / "results.csv").unlink()
    person.works("run", newest_run(Path("good.csv")), code=4)


@state
def refused_before_sending(person: Person) -> None:
    """Hints of errors: strict, a wrong status, no terminal, no token."""
    person.works("run", sheet(*MIXED), "--strict", code=4)
    person.works("run", sheet(*MIXED), "--set-status", "Complted", code=2)
    person.types("run", sheet(*good_rows(1)), "--profile", "st aging", code=2, BATCH_UPDATER_YES="")
    person.types("run", sheet(*good_rows(1)), "--profile", "st aging", code=2, EVREKA360_ACCESS_TOKEN="")


@state
def from_the_environment(person: Person) -> None:
    """A profile and settings that stood in the environment of that one call are in its commands."""
    names = {"BATCH_UPDATER_PROFILE": "st aging", "BATCH_UPDATER_ENCODING": "cp1254", "BATCH_UPDATER_DELIMITER": ","}
    person.types("run", sheet(*MIXED), code=3, **names)


@state
def from_another_folder(person: Person) -> None:
    """The run of a sheet that lies elsewhere, with a config file that is named."""
    config = Path("batch-updater.toml").rename("else where.toml")
    Path("a b").mkdir()
    write_sheet(Path("a b/o.csv"), [MISSING, *good_rows(5)])
    person.works("run", "a b/o.csv", "--config", config, *STOPPED, code=6)
    person.works("run", "a b/o.csv", "--config", config, "--restart", code=3)
    person.reads(newest_run(Path("a b/o.csv")) / "report.html")


@pytest.fixture
def person(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    folder = watched.folder / "it's my folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with served() as sandbox, served() as other:
        config = f'base-url = "{other.base_url}"\n[profiles."st aging"]\nbase-url = "{sandbox.base_url}"\n'
        Path("batch-updater.toml").write_text(
            f"{config}on-conflict = 'hold'\n[profiles.'st aging'.status_map]\nx = 'y'\n"
        )
        yield Person(watched, sandbox, other, folder)


@pytest.mark.parametrize("name", STATES)
def test_what_is_proposed_does_what_it_says(person: Person, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each command, typed alone in the folder as it was then, ends well, and only the run's own service hears of it."""
    STATES[name](person)
    lines = list(dict.fromkeys(line for said in person.said for line in proposed_in(said)))
    assert lines
    kept = shutil.copytree(person.folder, person.watched.folder / "kept", symlinks=True)
    person.other.ledger.clear()
    for line in lines:
        shutil.rmtree(person.folder)
        shutil.copytree(kept, person.folder, symlinks=True)
        monkeypatch.chdir(person.folder)
        _program, command, *words = shlex.split(line)
        sent = len(puts(person.sandbox))
        if command in ASKS:
            continue
        ended = person.types(command, *words)
        assert ended.returncode in {0, 3}, f"{line}\n{ended.stdout}{ended.stderr}"
        assert command in {"run", "resume", "undo"} or len(puts(person.sandbox)) == sent
    assert person.other.ledger == []

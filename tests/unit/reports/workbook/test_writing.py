"""What is left of a workbook whose writing is cut off, and whether another program opens one that was written."""

import csv
import multiprocessing
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.own_workbooks import OWN, TOP, column, own
from support.sheets import DONE, order, raw_excel, read
from support.sheets import xml_row as row
from support.workbooks import WORDS, add_results, write_and_die

from batch_updater.common.models import RESULT_COLUMNS
from batch_updater.reports.workbook.layout import lay_out

SAMPLE = Path(__file__).parents[4] / "samples" / "orders.xlsx"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no process can be killed so here")
@pytest.mark.parametrize("moment", ["at the first row", "within the rows", "before the flush", "after the replacement"])
def test_a_kill_while_writing_leaves_the_old_file_or_the_new_one(tmp_path: Path, moment: str) -> None:
    """Never a part of it; what else was left is gone when it is written again."""
    lines = "".join(row(number, order(number), DONE) for number in range(2, 302))
    sheet, path = raw_excel(tmp_path, TOP + lines), tmp_path / "out" / "r.xlsx"
    path.parent.mkdir()
    add_results(read(sheet), path)
    old = path.read_bytes()
    process = multiprocessing.get_context("spawn").Process(target=write_and_die, args=(sheet, path, moment))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    run_ids = set(column(path, "result_run_id"))
    assert run_ids == {"newer"} if moment == "after the replacement" else path.read_bytes() == old
    add_results(read(sheet), path)
    assert (list(path.parent.iterdir()), path.read_bytes()) == ([path], old)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is not told here")
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, full: bool) -> None:
    """Scanned and written row by row: 30,000 of them, or with --full a million, take no more than a few MB."""
    command = [sys.executable, "-m", "support.long_workbooks", str(tmp_path), str(1_000_000 if full else 30_000)]
    ended = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True)
    assert int(ended.stdout) < 16 * 1024, "kB"


def opened(folder: Path, files: list[Path]) -> list[list[list[str]]]:
    """The first sheet of each workbook as LibreOffice shows it."""
    utf_8 = "csv:Text - txt - csv (StarCalc):44,34,76,1"
    command = ["soffice", f"-env:UserInstallation={(folder / 'user').as_uri()}", "--headless", "--convert-to", utf_8]
    subprocess.run([*command, "--outdir", str(folder), *map(str, files)], check=True, capture_output=True, timeout=120)
    return [list(csv.reader(file.with_suffix(".csv").read_text("utf-8").splitlines(keepends=True))) for file in files]


def filled(line: list[str]) -> list[str]:
    """A line without the blank cells at its end."""
    return line[: max((place for place, text in enumerate(line, 1) if text), default=0)]


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_shows_the_same_sheet_with_results(tmp_path: Path) -> None:
    """Every cell of a person's is shown as before, and each row has its result beside it."""
    sheets = [(read(SAMPLE), SAMPLE, tmp_path / "r.xlsx")]
    add_results(sheets[0][0], tmp_path / "r.xlsx")
    for number, case in enumerate(OWN):
        (tmp_path / f"{number}").mkdir()
        before, after = own(tmp_path / f"{number}", case)
        sheets.append((read(before, header_row=2 if "title" in case else 1), before, after))
    for number, (_source, before, after) in enumerate(sheets):
        shutil.copy(before, tmp_path / f"{number} before.xlsx")
        shutil.copy(after, tmp_path / f"{number} after.xlsx")
    names = [tmp_path / f"{number} {which}.xlsx" for number in range(len(sheets)) for which in ("before", "after")]
    shown = iter(opened(tmp_path, names))
    for (source, before, _after), old, new in zip(sheets, shown, shown, strict=True):
        assert source.user_sheet is not None
        layout = lay_out(source.user_sheet)
        assert [filled(line[: layout.first]) for line in new] == list(map(filled, old)), before
        found = {number: line[layout.places[0]] for number, line in enumerate(new, 1) if line[layout.first :]}
        words = {row.number: str(WORDS[place % 8]) for place, row in enumerate(source.rows())}
        words[source.user_sheet.header_row] = "result"
        assert {number: word for number, word in found.items() if word} == words
        assert filled(new[source.user_sheet.header_row - 1])[-len(RESULT_COLUMNS) :] == list(RESULT_COLUMNS)

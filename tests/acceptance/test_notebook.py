"""The library in Jupyter, with a kernel of its own, as a person uses it."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from support.notebooks import Notebook, kernel_manager, notebook
from support.program import TOKEN, environment, puts, served

from batch_updater.sandbox.server import Sandbox, status_id

SAMPLES = Path(__file__).parents[2] / "samples"
BEGIN = """
import pandas as pd
from batch_updater import Settings, resume_sync, run_batch, run_batch_sync
from batch_updater.sandbox.server import order_id
frame = pd.DataFrame({"order_id": [order_id(n) for n in range(1, 3001)], "status": "completed"})
frame.index = [f"ticket {n}" for n in range(1, 3001)]
"""
ROWS, BEFORE = 3000, 200  # updates that have been sent when the cell is interrupted


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with served(latency=0.02) as found:
        yield found


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    with notebook(tmp_path_factory.mktemp("kernel"), environment()) as found:
        yield found


@pytest.fixture
def jupyter(tmp_path: Path, sandbox: Sandbox, kernel: Notebook) -> Notebook:
    """A kernel that works in a folder of the test's own, with its sandbox."""
    names = {"EVREKA360_BASE_URL": sandbox.base_url, "EVREKA360_ACCESS_TOKEN": TOKEN}
    kernel.run(f"import os; os.chdir({str(tmp_path)!r}); os.environ.update({names!r})")
    kernel.run(BEGIN)
    return kernel


def test_the_sample_notebook_runs_from_its_first_cell_to_its_last(tmp_path: Path) -> None:
    """It plans, sends with a bar, shows the results under the caller's index, verifies, and undoes."""
    for name in ("notebook.ipynb", "orders.csv"):
        shutil.copy(SAMPLES / name, tmp_path)
    book = nbformat.read(tmp_path / "notebook.ipynb", as_version=4)
    with served() as sandbox:
        with kernel_manager() as manager:
            client = NotebookClient(book, km=manager, resources={"metadata": {"path": str(tmp_path)}})
            env = {**environment(sandbox.base_url), "IPYTHONDIR": str(tmp_path / "ipython")}
            client.execute(env=env, cleanup_kc=True)
        assert {entry["status_id"] for entry in puts(sandbox)} == {status_id("Cancelled"), status_id("Planned")}
    outputs = ["".join(json.dumps(output) for output in cell.get("outputs", [])) for cell in book.cells]
    sent = next(output for cell, output in zip(book.cells, outputs, strict=True) if "run_batch_sync(" in cell.source)
    assert "100 %" in sent
    assert "2 rows, 2 updated" in sent
    assert "WO-0000" in "".join(outputs)
    assert "'=': " in "".join(outputs)


def sent_when_the_cell_came_back(jupyter: Notebook, sandbox: Sandbox, code: str) -> tuple[str, int]:
    """Interrupt a cell in the middle; return what it wrote, and how many updates had been sent when it came back."""
    cell = jupyter.start(code)
    while len(puts(sandbox)) < BEFORE:
        time.sleep(0.01)
    jupyter.interrupt()
    assert cell.wait()["ename"] in {"KeyboardInterrupt", "CancelledError"}
    return cell.text, len(puts(sandbox))


@pytest.mark.parametrize(
    "call",
    [
        "run_batch_sync(frame)",
        'run_batch_sync(frame, on_progress="bar")',
        "run_batch_sync(frame, on_progress=print)",
        "await run_batch(frame)",
    ],
)
def test_nothing_is_sent_after_an_interrupted_cell_has_come_back(
    jupyter: Notebook, sandbox: Sandbox, call: str
) -> None:
    """What is in flight may finish; then the cell comes back, nothing more leaves, and the same cell goes on."""
    text, sent = sent_when_the_cell_came_back(jupyter, sandbox, f"summary = {call}")
    assert BEFORE <= sent < ROWS
    time.sleep(0.5)
    assert len(puts(sandbox)) == sent
    assert f"{ROWS - sent:,} of 3,000 rows were not sent; the same call goes on" in text
    jupyter.run(f"again = {call}; assert again.result_counts == {{'updated': 3000}}, again.result_counts")
    assert len(puts(sandbox)) == ROWS, "none was sent twice"


def test_the_interruption_carries_the_summary(jupyter: Notebook, sandbox: Sandbox) -> None:
    """Its counts are those of the service, its results have the caller's index, and its run can be resumed."""
    code = """
try:
    run_batch_sync(frame)
except KeyboardInterrupt as interrupted:
    summary = interrupted.summary
    raise
"""
    _text, sent = sent_when_the_cell_came_back(jupyter, sandbox, code)
    jupyter.run(f"""
assert summary.resumable and summary.exit_code == 130
assert summary.result_counts == {{"updated": {sent}, "not_sent": {ROWS - sent}}}, summary.result_counts
assert summary.results().index.equals(frame.index)
assert resume_sync(summary).result_counts == {{"updated": 3000}}
""")
    assert len(puts(sandbox)) == ROWS


def test_the_bar_is_one_picture_that_changes(jupyter: Notebook) -> None:
    """It is drawn by rich in the cell's own output, again and again in its place, to the end."""
    cell = jupyter.start('summary = run_batch_sync(frame, on_progress="bar")')
    assert cell.wait()["status"] == "ok"
    assert cell.pictures > 3
    assert "3,000 of 3,000" in cell.html
    assert "100 %" in cell.html
    assert cell.text == ""

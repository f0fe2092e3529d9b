import inspect
import os
import signal
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import aiohttp
import aioresponses.core
import pytest
from support.program import WIRES, quick_folder
from support.secrecy import pytest_runtest_makereport, watched_for_secrets
from support.watched import Watched

from batch_updater.api.client import OrderClient

__all__ = ["pytest_runtest_makereport", "watched_for_secrets"]  # pytest finds them here


def pytest_addoption(parser: pytest.Parser) -> None:
    """Long versions of the slow tests, by option."""
    parser.addoption("--kills", type=int, default=40, help="how often the crash tests kill the program")
    parser.addoption("--fuzz", type=int, default=20_000, help="how many hostile ids and answers are tried")
    parser.addoption("--sheets", type=int, default=600, help="how many changed sheets the reader is given")
    parser.addoption("--seed", type=int, help="the seed of the changed sheets, as a failed test has said it")
    parser.addoption("--attack-full", action="store_true", help="every fault, place, connection, pair and schedule")
    parser.addoption("--attack-seed", type=int, default=1, help="chooses the attacks of a run without --attack-full")
    parser.addoption("--attack-wire", choices=WIRES, help="attack this way of sending only")
    parser.addoption("--full", action="store_true", help="as many rows as the promises name, where fewer prove it too")


# aioresponses 0.7.9 builds ClientResponse without `stream_writer`, which aiohttp requires since 3.14.
if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
    aioresponses.core.ClientResponse = partial(aiohttp.ClientResponse, stream_writer=Mock(output_size=0))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Several workers per core for the whole suite, which waits more than it computes; none for chosen tests."""
    return min(4 * (os.cpu_count() or 1), 16) if config.args == config.getini("testpaths") else 0


def pytest_configure() -> None:
    """Make the tests' process one in which programs can be interrupted and are compiled once."""
    # A shell's job in the background ignores Ctrl-C, and so would the programs that the tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored below nohup, and so by them
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes would compile the program, each for itself


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One crash test of each of two kinds for every ten kills that are asked for."""
    if "kill_seed" in metafunc.fixturenames:
        metafunc.parametrize("kill_seed", range((metafunc.config.getoption("kills") + 9) // 10))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: journals mean thousands of fsyncs."""
    with quick_folder(tmp_path) as found:
        yield found


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """Calls the program in this test's folder."""
    return Watched(tmp_path)


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to send, one after the other: whatever is true of one is true of the other."""
    monkeypatch.setitem(OrderClient.__init__.__kwdefaults__, "prepared", request.param == "prepared")
    monkeypatch.setattr("batch_updater.app.execute.PREPARED_FROM", WIRES[request.param])
    return str(request.param)


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether `--full` was given."""
    return bool(request.config.getoption("full"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many kills the crash tests have survived, and what else tests recorded to be said."""
    kills: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        recorded = dict(report.user_properties)
        kills[recorded.get("killed_by", "")] += recorded.get("kills", 0)
        if "said" in recorded:
            terminalreporter.write_line(recorded["said"])
    for kind, number in (+kills).items():
        terminalreporter.write_line(f"{kind}: {number} kills")

import inspect
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import aiohttp
import aioresponses.core
import pytest
from watched import Watched


def pytest_addoption(parser: pytest.Parser) -> None:
    """Long versions of the slow tests, by option."""
    parser.addoption("--kills", type=int, default=40, help="how often the crash tests kill the program")
    parser.addoption("--full", action="store_true", help="as many rows as the promises name, where fewer prove it too")


# aioresponses 0.7.9 builds ClientResponse without `stream_writer`, which aiohttp requires since 3.14.
if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
    aioresponses.core.ClientResponse = partial(aiohttp.ClientResponse, stream_writer=Mock(output_size=0))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One crash test for every five kills that are asked for."""
    if "kill_seed" in metafunc.fixturenames:
        metafunc.parametrize("kill_seed", range((metafunc.config.getoption("kills") + 4) // 5))


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Runs the program, and at the end looks for secrets in all that it said, wrote and was started with."""
    program = Watched(tmp_path)
    yield program
    program.check_secrecy()


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether `--full` was given."""
    return bool(request.config.getoption("full"))

import inspect
from functools import partial
from unittest.mock import Mock

import aiohttp
import aioresponses.core
import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Long versions of the slow tests, by option."""
    parser.addoption("--kills", type=int, default=40, help="how often the crash tests kill the program")


# aioresponses 0.7.9 builds ClientResponse without `stream_writer`, which aiohttp requires since 3.14.
if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
    aioresponses.core.ClientResponse = partial(aiohttp.ClientResponse, stream_writer=Mock(output_size=0))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One crash test for every five kills that are asked for."""
    if "kill_seed" in metafunc.fixturenames:
        metafunc.parametrize("kill_seed", range((metafunc.config.getoption("kills") + 4) // 5))

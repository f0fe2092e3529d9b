import random
from collections.abc import Iterator

import pytest
import trustme
from aiohttp import web
from support.fault_list import ALL_CODES, FAULTS
from support.fault_runs import QUICK
from support.hostile import HARMLESS, HOSTILE, Service
from support.network import Town, loop_aside
from support.program import WIRES, served

from batch_updater.sandbox.server import Sandbox


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, chance: random.Random) -> None:
    """Waits between attempts of some milliseconds, and the way of sending by `--attack-wire`, else by dice."""
    wire = request.config.getoption("attack_wire") or chance.choice(list(WIRES))
    monkeypatch.setattr("batch_updater.app.execute.PREPARED_FROM", WIRES[wire])
    for name, value in QUICK.items():
        monkeypatch.setattr(f"batch_updater.{name}", value)


@pytest.fixture
def attack_full(pytestconfig: pytest.Config) -> bool:
    """Whether `--attack-full` was given."""
    return bool(pytestconfig.getoption("attack_full"))


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Dice that fall the same for the same test and `--attack-seed`."""
    return random.Random(f"{request.config.getoption('attack_seed')} {request.node.name}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each fault, and each schedule; more of both with `--attack-full`."""
    config = metafunc.config
    full, seed = config.getoption("attack_full"), config.getoption("attack_seed")
    if "fault_name" in metafunc.fixturenames:
        metafunc.parametrize("fault_name", [*FAULTS, *(ALL_CODES if full else [])])
    if "schedule_seed" in metafunc.fixturenames:
        metafunc.parametrize("schedule_seed", range(seed, seed + (400 if full else 8)))


def pytest_report_header(config: pytest.Config) -> str:
    """Say from which seed the attacks are chosen."""
    return f"attacks: --attack-seed {config.getoption('attack_seed')}"


@pytest.fixture
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Certificates and listeners for one test."""
    ca = trustme.CA()
    ca_file = tmp_path_factory.mktemp("authority") / "ca.pem"
    ca.cert_pem.write_to_path(str(ca_file))
    with loop_aside() as run:
        made = Town(ca, trustme.CA(), ca_file, run)
        yield made
        for listener in made.listeners:
            run(listener.stop())


@pytest.fixture(scope="module")
def services() -> Iterator[tuple[Service, Service]]:
    """A hostile and a harmless one."""
    real = Sandbox._update

    async def update(self: Sandbox, request: web.Request) -> web.StreamResponse:
        await request.read()
        detail = details.get(id(self), {}).get(request.match_info["order"])
        return web.json_response({"detail": detail}, status=400) if detail else await real(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sandbox, "_update", update)
        with served() as one, served() as other:
            both = Service(one, HOSTILE), Service(other, HARMLESS)
            details = {id(service.sandbox): service.details for service in both}
            yield both

from collections.abc import Iterator

import pytest
import trustme
from wire import Town, loop_aside


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

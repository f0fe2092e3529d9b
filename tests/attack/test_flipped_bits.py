import random
import uuid
from pathlib import Path

import pytest
from support.journals import sealed
from support.program import quick_folder

from batch_updater.common.errors import JournalError
from batch_updater.common.models import StatusUpdate
from batch_updater.journal.draft import Draft
from batch_updater.journal.journal import Journal


@pytest.mark.parametrize("seed", range(10))
def test_a_flipped_bit_never_makes_another_update(tmp_path: Path, seed: int) -> None:
    """Whatever bit of a journal flips, every update that is claimed from it is one that was planned."""
    chance = random.Random(seed)
    planned = [StatusUpdate(n + 2, str(uuid.UUID(int=n)), str(uuid.UUID(int=n * n))) for n in range(60)]
    with quick_folder(tmp_path) as folder:
        path = folder / "journal.sqlite"
        with Draft.create(path) as draft:
            draft.add(planned)
            journal = sealed(draft, "hold")
        whole = path.read_bytes()
        for number in range(10):
            data = bytearray(whole)
            place = chance.randrange(len(data))
            data[place] ^= 1 << chance.randrange(8)
            path.write_bytes(data)
            try:
                with Journal.open(path) as journal:
                    claimed = journal.claim(500)
            except JournalError:
                continue
            assert set(claimed) <= set(planned), (seed, number, place)

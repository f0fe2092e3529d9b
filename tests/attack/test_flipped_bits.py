import random
import uuid
from pathlib import Path

import pytest
from support.journals import ended, rows_of, sealed
from support.program import quick_folder

from batch_updater.common.errors import JournalError
from batch_updater.common.models import StatusUpdate
from batch_updater.journal.draft import Draft
from batch_updater.journal.journal import Journal


@pytest.mark.parametrize("seed", range(10))
def test_a_flipped_bit_never_makes_another_update(tmp_path: Path, seed: int) -> None:
    """Whatever bit of a journal flips, what is claimed from it are updates that were planned and have not ended."""
    chance = random.Random(seed)
    planned = [StatusUpdate(n + 2, str(uuid.UUID(int=n)), str(uuid.UUID(int=n * n))) for n in range(60)]
    with quick_folder(tmp_path) as folder:
        path = folder / "journal.sqlite"
        with Draft.create(path) as draft:
            draft.add(planned)
            with sealed(draft, "hold") as journal:
                done = rows_of(journal.claim(30))
                journal.record(ended(row) for row in done)
        still_planned = {(u.row, u.order_id, u.status_id, u.expected_id) for u in planned if u.row not in done}
        whole, claims = path.read_bytes(), path.with_suffix(".claims").read_bytes()
        for number in range(10):
            data = bytearray(whole)
            place = chance.randrange(len(data))
            data[place] ^= 1 << chance.randrange(8)
            path.write_bytes(data)
            path.with_suffix(".claims").write_bytes(claims)
            try:
                with Journal.open(path) as journal:
                    claimed = journal.claim(500)
            except JournalError:
                continue
            sent = [(update.row, update.order_id, update.status_id, update.expected_id) for update in claimed]
            assert set(sent) <= still_planned, (seed, number, place)
            assert len(set(sent)) == len(sent), (seed, number, place)

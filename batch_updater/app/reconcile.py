"""Compare a run with what the service has now: the verify file, and the sheet that undoes a run."""

import csv
from collections import Counter
from contextlib import closing
from itertools import chain
from pathlib import Path

from batch_updater.common.errors import SettingsError
from batch_updater.common.files import replaced
from batch_updater.common.models import RejectedRow, SourceRow, StatusUpdate
from batch_updater.common.remedies import Remedy
from batch_updater.common.text import escape_formula
from batch_updater.journal.reader import JournalReader

SYMBOLS = {"=": "as planned", "*": "another status", "-": "no such order", "!": "could not be read"}
VERIFY_COLUMNS = ("row", "symbol", "order_id", "status_id", "status_name", "found_id", "found_name", "detail")
UNDO_COLUMNS = ("order_id", "status_id", "expected_status_id")
NO_PREVIOUS = "the status before was not recorded; a run with --compare records it"


def write_verification(journal: JournalReader, path: Path) -> Counter[str]:
    """Write `verify.csv` from a journal's readings, one line per order; return how many there are of each symbol.

    Raises OSError.
    """
    names = journal.facts().status_names
    counts: Counter[str] = Counter()
    with replaced(path) as part, part.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(VERIFY_COLUMNS)
        for reading, order_id, status_id in journal.readings():
            counts[reading.symbol] += 1
            found = reading.status_id
            writer.writerow(
                (reading.row, reading.symbol, order_id, status_id, escape_formula(names.get(status_id, "")), found,
                 escape_formula(names.get(found, "")), escape_formula(reading.detail))
            )  # fmt: skip
    return counts


def write_undo_sheet(journal: JournalReader, path: Path) -> None:
    """Write the sheet that puts back what a run has changed.

    The same journal gives the same bytes, so that an interrupted undo is picked up.
    Raises SettingsError when there is nothing to undo, or nothing to put back, OSError.
    """
    with closing(journal.to_undo()) as rows:
        if (first := next(rows, None)) is None:
            raise SettingsError("This run has changed nothing; there is nothing to undo.")
        if not journal.has_previous():
            what = "This run can't be undone: it has not recorded which status the orders had before; nothing was sent."
            raise SettingsError(what, Remedy("set them by a sheet of their own; a run with {compare} can be undone"))
        # A sheet of the same bytes stays: another undo may be reading it now, and holds its lock.
        with replaced(path, unless_same=True) as part, part.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(chain((UNDO_COLUMNS, first), rows))


def validate_undo_row(row: SourceRow) -> StatusUpdate | RejectedRow:
    """Return the update that puts a status back, if the order still has the one that was set; else the rejection."""
    order_id, previous, set_by_us = row.cells[:3]
    if not previous:
        return RejectedRow(row.number, "no_previous_status", NO_PREVIOUS)
    return StatusUpdate(row.number, order_id, previous, expected_id=set_by_us)

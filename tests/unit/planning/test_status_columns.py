from support.sheets import BOOK, DONE, OPEN

from batch_updater.common.models import SourceRow
from batch_updater.planning.status_columns import Disagreement, find_id_column


def rows(*cells: tuple[str, str]) -> list[SourceRow]:
    """Rows from number 2 on."""
    return [SourceRow(number, pair, None, None) for number, pair in enumerate(cells, 2)]


def test_ids_beside_their_names_are_taken() -> None:
    """On either side, in any letter case, and with rows that hold neither."""
    assert find_id_column(rows((DONE, "completed"), ("", ""), (OPEN.upper(), "Planned")), [0, 1], BOOK) == 0
    assert find_id_column(rows(("Completed", DONE)), [0, 1], BOOK) == 1


def test_a_row_in_which_they_disagree_is_found() -> None:
    """Another status, a missing one, two ids, and ids on the other side are no id and its name."""
    for pair in ((DONE, "Planned"), (DONE, ""), ("", "Completed"), (DONE, DONE), ("Completed", DONE)):
        assert find_id_column(rows((DONE, "Completed"), pair), [0, 1], BOOK) == Disagreement(3), pair

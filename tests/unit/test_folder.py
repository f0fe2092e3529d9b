from pathlib import Path

from batch_updater.folder import new_run


def test_runs_of_one_second_sort_in_the_order_they_were_made(tmp_path: Path) -> None:
    """The newest run is the last by name, however quickly runs follow each other."""
    made = [new_run(tmp_path).run_id for _ in range(12)]
    assert made == sorted(made)
    assert len(set(made)) == 12

from pathlib import Path

import pytest
from support.journals import some_facts

from batch_updater.journal.facts import Ended, Phase, RunFacts
from batch_updater.journal.run_folder import FRAME, STDIN, path_from

END = {"started": 1.0, "ended": 2.0, "seconds": 1.0, "reason": "", "rows_per_second": 1.0}


def test_facts_come_back_from_json_as_they_were() -> None:
    """Numbers, lists and nested facts keep their types; what another version has written beside them is left out."""
    facts = some_facts(phase=Phase.STOPPED, end=Ended(exit_code=6, **END), notes=("a", "b"), status_names={"x": "Ö"})
    assert RunFacts.model_validate({**facts.to_json(), "a fact of tomorrow": 1}) == facts


def test_a_new_start_is_told_what_it_asks_otherwise() -> None:
    """The bytes, the service and every choice that decides what is read or sent; other choices may differ."""
    was = some_facts(reading={"sheet": None, "where": []}, sha256="a", output="x.csv")
    now = some_facts(reading={"sheet": "2", "where": []}, sha256="b", on_conflict="last", base_url="http://y")
    assert was.differences(was.with_changes(output="y.csv", notes=("n",))) == []
    assert list(map(str, was.differences(now))) == [
        "the file's bytes differ",
        "--sheet differs: was not set, now 2",
        "--base-url differs: was http://x, now http://y",
        "--on-conflict differs: was hold, now last",
    ]


@pytest.mark.parametrize(("code", "early"), [(0, False), (3, False), (6, True), (130, True), (None, True)])
def test_a_run_has_ended_early_unless_all_rows_had_their_turn(code: int | None, early: bool) -> None:
    """Done and not all done are ends of their own; a start without an end was killed."""
    facts = some_facts(end=None if code is None else Ended(exit_code=code, **END))
    assert facts.ended_early is early


def test_a_misspelt_fact_is_no_fact() -> None:
    """Changing a fact that there is not is an error, not a new fact."""
    with pytest.raises(TypeError, match="outptu"):
        some_facts().with_changes(outptu="x.csv")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"name": "o.csv", "path": "../o.csv"}, {"name": "o.csv", "path": "../o.csv"}, True),
        ({"name": "o.csv", "path": "../a/o.csv"}, {"name": "o.csv", "path": "../b/o.csv"}, False),
        ({"name": "o.csv"}, {"name": "o.csv", "path": "../b/o.csv"}, True),
        ({"name": "o.csv"}, {"name": "p.csv", "path": "../p.csv"}, False),
        ({"name": "-"}, {"name": "-"}, True),
        ({"name": "-"}, {"name": "the DataFrame"}, True),
        ({"name": "-"}, {"name": "o.csv", "path": "../o.csv"}, False),
        ({"name": "results.csv", "parent": "a"}, {"name": "mine.csv", "path": "../mine.csv", "parent": "a"}, True),
        ({"name": "results.csv", "parent": "a"}, {"name": "results.csv", "parent": "b"}, False),
        ({"name": "results.csv", "parent": "a"}, {"name": "results.csv"}, False),
    ],
)
def test_an_input_is_its_path_and_what_has_none_its_place(
    one: dict[str, str], other: dict[str, str], same: bool
) -> None:
    """A journal of an earlier version has no path: there the name decides. Follow-ups of one run are one input."""
    facts = some_facts(**one), some_facts(**other)
    assert [facts[0].has_input_of(facts[1]), facts[1].has_input_of(facts[0])] == [same, same]


def test_a_sheet_and_its_runs_can_be_moved_together(tmp_path: Path) -> None:
    """Its path is seen from the runs folder, however either is written; stdin and a DataFrame have none."""
    for parent in ("here", "there"):
        (tmp_path / parent / "o.runs").mkdir(parents=True)
        assert path_from(tmp_path / parent / "o.runs", tmp_path / parent / "o.csv") == "../o.csv"
    (tmp_path / "link").symlink_to(tmp_path / "here")
    assert path_from(tmp_path / "here" / "o.runs", tmp_path / "link" / "." / "o.csv") == "../o.csv"
    assert path_from(tmp_path / "there", tmp_path / "here" / "o.csv") == "../here/o.csv"
    assert (path_from(tmp_path, STDIN), path_from(tmp_path, tmp_path / FRAME)) == ("", "")


def test_a_row_is_called_as_the_first_sheet_numbers_it() -> None:
    """And as this one does, where that is another number; the first sheet may be unknown."""
    facts = some_facts(root_name="orders.csv")
    assert facts.name_row(2, None) == facts.name_row(2, 2) == "row 2"
    assert facts.name_row(2, 5) == "row 5 of orders.csv (row 2 here)"
    assert some_facts().name_row(2, 5) == "row 5 of the first sheet (row 2 here)"

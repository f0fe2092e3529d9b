import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.journals import NAME, A, B, C, S, T, U, ended, plan, rows_of, sealed, some_facts

from batch_updater.common.errors import JournalError
from batch_updater.common.models import Checkpoint, RejectedRow, Result, RowOutcome, State, StatusUpdate
from batch_updater.journal.draft import Draft
from batch_updater.journal.journal import Journal
from batch_updater.sending.outcome import already_set


@pytest.mark.parametrize(("on_conflict", "sent"), [("hold", []), ("first", [(2, A, S)]), ("last", [(3, A, T)])])
def test_conflicting_rows_are_decided_by_choice(folder: Path, on_conflict: str, sent: list[object]) -> None:
    """hold sends nothing for an order with two statuses, first and last choose one of them."""
    journal = plan(folder, [(2, A, S), (3, A, T)], on_conflict)
    assert [(u.row, u.order_id, u.status_id) for u in journal.claim(9)] == sent
    journal.close()


def test_a_held_row_names_one_that_disagrees_with_it(folder: Path) -> None:
    """The first such row, never one of the same status, by the number that it has in the first sheet."""
    draft = Draft.create(folder / NAME)
    wanted = ((2, S, 12), (3, S, 13), (4, T, 14), (5, U, None), (6, S, 16))
    draft.add([StatusUpdate(row, A, status, root_row=root) for row, status, root in wanted])
    journal = sealed(draft)
    assert [entry.detail.partition(" gives")[0] for entry in journal.entries()] == [
        "row 14", "row 14", "row 12", "row 12", "row 14",
    ]  # fmt: skip
    journal.close()


def test_a_repeated_row_waits_for_its_leader(folder: Path) -> None:
    """The same order and status is sent once, by the first row, whose result the repeat shows."""
    journal = plan(folder, [(2, A, S), (3, B, S), (4, A, S)])
    assert [u.row for u in journal.claim(9)] == [2, 3]
    journal.record([RowOutcome(2, State.ENDED, Result.UPDATED, "ok", "", 200, 1, 1.0, 5)])
    entry = list(journal.entries())[2]
    assert (entry.state, entry.leader, entry.leader_result) == ("waiting", 2, "updated")
    journal.close()


def test_claims_are_durable_before_they_are_given(folder: Path) -> None:
    """A second reader of the file sees the claim as soon as claim() has returned."""
    journal = plan(folder, [(2, A, S), (3, B, S)])
    journal.claim(1)
    other = Journal.open(folder / "j.sqlite")
    assert other.states() == {"claimed": 1, "planned": 1}
    other.close()
    journal.close()


def test_a_row_that_was_not_sent_is_planned_again(folder: Path) -> None:
    """not_sent keeps its attempts and stays open for the next start."""
    journal = plan(folder, [(2, A, S)])
    journal.claim(1)
    journal.record([RowOutcome(2, State.PLANNED, Result.NOT_SENT, "unauthorized", "no", 401, 1, 1.0, 5)])
    assert [u.row for u in journal.claim(1)] == [2]
    journal.close()


def test_an_order_that_was_right_before_it_was_sent_again_is_unchanged(folder: Path) -> None:
    """Its first update was refused, so somebody else has set the status: the run has changed nothing to undo."""
    journal = plan(folder, [(2, A, S)])
    journal.claim(1)
    journal.checkpoint([Checkpoint(2, 1, 1.0, previous_status_id=T)])
    journal.record([RowOutcome(2, State.PLANNED, Result.FAILED, "unauthorized", "no")])
    journal.record([already_set(*journal.claim(1))])
    entry = next(journal.entries())
    assert (entry.result, entry.attempts, list(journal.to_undo())) == ("unchanged", 1, [])
    journal.check()
    journal.close()


def test_a_rejected_row_is_never_claimed(folder: Path) -> None:
    """Rejected rows are in the journal but never given out."""
    draft = Draft.create(folder / "j.sqlite")
    draft.add([RejectedRow(2, "bad_order_id", "no")])
    journal = sealed(draft, "hold")
    assert journal.claim(5) == []
    assert journal.states() == {"ended": 1}
    assert journal.problems(5) == [(2, None, "invalid", "no")]
    journal.close()


def test_a_sequence_sends_each_status_after_the_one_before(folder: Path) -> None:
    """Rows of one order are claimed one at a time, repeats within the sequence are led by their neighbour."""
    journal = plan(folder, [(2, A, S), (3, A, S), (4, A, T), (5, A, T), (6, A, S), (7, B, S)], "sequence")
    ended = []
    while block := journal.claim(9):
        ended.append([u.row for u in block])
        journal.record([RowOutcome(u.row, State.ENDED, Result.UPDATED, "ok", "") for u in block])
    assert ended == [[2, 7], [4], [6]]
    assert [(e.row, e.leader) for e in journal.entries() if e.state == "waiting"] == [(3, 2), (5, 4)]
    journal.close()


def test_a_journal_that_lost_its_newest_commits_is_refused(folder: Path) -> None:
    """Without its -wal file the journal would forget claims; opening it raises instead."""
    journal = plan(folder, [(row, str(uuid.UUID(int=row)), S) for row in range(2, 50)])
    journal.claim(10)
    for name in ("j.sqlite", "j.claims"):
        (folder / f"copy-{name}").write_bytes((folder / name).read_bytes())
    journal.close()
    with pytest.raises(JournalError, match="-wal"):
        Journal.open(folder / "copy-j.sqlite")


def test_a_journal_changes_its_mode_before_it_gets_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill during the change to WAL leaves a rollback journal, which nobody may apply who only wants to read."""
    seen: list[bytes] = []
    rename = Path.rename

    def watched(self: Path, target: Path) -> Path:
        seen.append(self.read_bytes()[18:20])
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", watched)
    plan(folder, [(2, A, S)]).close()
    assert seen == [b"\x02\x02"], "the file format's versions of a journal in WAL mode"
    assert {file.name for file in folder.iterdir()} == {"j.sqlite", "j.claims"}


def orders(rows: range, statuses: str = S) -> list[tuple[int, str, str]]:
    """Each row an order of its own."""
    return [(row, str(uuid.UUID(int=row + 1000)), statuses) for row in rows]


def kept(journal: Journal, *columns: str) -> list[tuple[object, ...]]:
    """Some columns of every row."""
    return list(journal._db.execute(f"SELECT {', '.join(columns)} FROM rows ORDER BY row"))


def test_rows_are_claimed_in_order_and_once(folder: Path) -> None:
    """Block by block as they stand in the sheet, whole, however often the journal is opened anew."""
    updates = [StatusUpdate(row, A if row == 1 else f"order {row}", S, expected_id=T) for row in range(1, 8)]
    with plan(folder, updates) as journal:
        assert journal.claim(2) == updates[:2]
        assert journal.claim(2) == updates[2:4]
    with Journal.open(folder / NAME) as journal:
        assert journal.claim(2) == updates[4:6]
        assert journal.claim(9) == updates[6:]
        assert journal.claim(9) == []


def test_claims_are_counted_over_all_starts(folder: Path) -> None:
    """Each block is one claim, and its number stands in its rows and beside the journal; nothing else is one."""
    with plan(folder, orders(range(1, 9))) as journal:
        assert journal.claims == 0
        journal.claim(2)
        journal.claim_canary(1)
        journal.checkpoint([Checkpoint(1, 1)])
        journal.record([ended(1)])
        journal.unclaim([2])
        assert journal.claims == 2
    with Journal.open(folder / NAME) as journal:
        journal.claim(3)
        assert journal.claims == 3
        assert kept(journal, "claim") == [(1,), (3,), (2,), (3,), (3,), (0,), (0,), (0,)]
    assert (folder / "j.claims").read_bytes() == b"00000000000000000003"


def test_a_canary_is_spread_over_the_statuses(folder: Path) -> None:
    """The first row of every status, then the second ones; afterwards the rows between are claimed in order."""
    updates = [*orders(range(1, 5), S), *orders(range(5, 8), T), *orders(range(8, 9), U)]
    with plan(folder, updates) as journal:
        assert rows_of(journal.claim_canary(5)) == [1, 5, 8, 2, 6]
        assert rows_of(journal.in_doubt(0, 9)) == [1, 2, 5, 6, 8]
        assert rows_of(journal.claim(2)) == [3, 4]
        assert rows_of(journal.claim_canary(9)) == [7]
        assert journal.claim_canary(9) == []


@pytest.mark.parametrize(
    ("give_back", "again"),
    [
        (lambda journal: journal.unclaim([1, 2]), [1, 2, 4]),
        (lambda journal: journal.unclaim(iter([1])), [1, 4]),
        (lambda journal: journal.unclaim([3, 4]), [4]),
        (lambda journal: journal.record([RowOutcome(1, State.PLANNED, Result.NOT_SENT, "stopped", "")]), [1, 4]),
        (lambda journal: journal.record([ended(1)]), [4]),
    ],
)
def test_rows_that_were_given_back_are_claimed_next(
    folder: Path, give_back: Callable[[Journal], None], again: list[int]
) -> None:
    """From the very first one; a row that has ended, or was not claimed, is not given back."""
    with plan(folder, orders(range(1, 5))) as journal:
        journal.claim(3)
        journal.record([ended(3)])
        give_back(journal)
        assert rows_of(journal.claim(9)) == again


def test_a_row_that_its_leader_releases_is_claimed_next(folder: Path) -> None:
    """However it stands in the sheet, and only once its leader has ended; other queued rows stay."""
    with plan(folder, [(1, A, S), (2, A, T), (3, B, S), (4, B, T), (5, C, S)], "sequence") as journal:
        assert rows_of(journal.claim(9)) == [1, 3, 5]
        journal.record([RowOutcome(3, State.CLAIMED, Result.UNKNOWN, "timeout", "")])
        assert journal.claim(9) == []
        journal.record([ended(1, Result.FAILED)])
        assert rows_of(journal.claim(9)) == [2]
        assert journal.states() == {"claimed": 3, "ended": 1, "queued": 1}


@pytest.mark.parametrize(("compares", "planned", "uncounted"), [(True, [2, 4], [3]), (False, [4], [2, 3])])
def test_a_claim_is_taken_back_when_its_order_was_to_be_read_and_was_not(
    folder: Path, compares: bool, planned: list[int], uncounted: list[int]
) -> None:
    """With --compare every claimed row that has no reading, without it those that expect a status.

    Of the others an update may have left without being counted, unless an outcome says how many there were.
    """
    with plan(folder, [(2, A, S), (3, B, S), (4, C, S, False, T), (5, U, S), (6, T, S)]) as journal:
        journal.update_facts(compare=compares)
        journal.claim(5)
        journal.checkpoint([Checkpoint(3, previous_status_id=T)])
        journal.record([ended(5), RowOutcome(6, State.CLAIMED, Result.UNKNOWN, "timeout", "", 504, 1, 1.5, 7, T)])
        journal.mark_interrupted()
        assert [row for row, state in kept(journal, "row", "state") if state == "planned"] == planned
        assert [row for row, flag in kept(journal, "row", "uncounted") if flag] == uncounted
        journal.checkpoint([Checkpoint(6)])  # it is about to be sent again
        journal.mark_interrupted()
        assert [row for row, flag in kept(journal, "row", "uncounted") if flag] == [*uncounted, 6]


SAYS = ("state", "result", "code", "detail", "http_status", "attempts", "sent_at", "duration_ms")


def test_an_outcome_is_kept_whole(folder: Path) -> None:
    """Every word of it, on its row and no other."""
    with plan(folder, orders(range(2, 4))) as journal:
        journal.claim(1)
        journal.record(
            [RowOutcome(2, State.ENDED, Result.FAILED, "not_found", "no such order", 404, 3, 1.5, 7, U, "twice")]
        )
        assert kept(journal, *SAYS, "previous_status_id", "remark") == [
            ("ended", "failed", "not_found", "no such order", 404, 3, 1.5, 7, U, "twice"),
            ("planned", None, "", "", None, 0, None, None, None, ""),
        ]


def test_what_is_said_later_adds_to_what_is_known(folder: Path) -> None:
    """Attempts add up, the first send stays, the last answer and reading count; silence erases nothing."""
    with plan(folder, orders(range(2, 4))) as journal:
        journal.claim(1)
        journal.checkpoint([Checkpoint(2, 1, 1.5, T, "read")])
        journal.checkpoint([Checkpoint(2, 1, 2.5, None, "")])
        assert kept(journal, "state", "attempts", "sent_at", "previous_status_id", "remark") == [
            ("claimed", 2, 1.5, T, "read"), ("planned", 0, None, None, ""),
        ]  # fmt: skip
        journal.record([RowOutcome(2, State.PLANNED, Result.NOT_SENT, "busy", "a", 503, 1, 3.5, 8, U, "twice")])
        journal.claim(1)
        journal.record([RowOutcome(2, State.CLAIMED, Result.UNKNOWN, "bad_gateway", "a", 502, 1, 4.5, 9)])
        journal.record([RowOutcome(2, State.ENDED, Result.UNKNOWN, "timeout", "b")])
        assert kept(journal, *SAYS, "previous_status_id", "remark")[0] == (
            "ended", "unknown", "timeout", "b", 502, 4, 1.5, 9, U, "twice",
        )  # fmt: skip
        journal.checkpoint([Checkpoint(2, previous_status_id=S, remark="thrice")])  # what the row itself wants
        journal.record([RowOutcome(2, State.ENDED, Result.UNKNOWN, "", "")])
        assert kept(journal, "remark", "previous_status_id", "code", "detail")[0] == ("thrice", U, "timeout", "b")


@pytest.mark.parametrize(
    ("read", "previous"),
    [
        ([S], S), ([T], T), ([T, S], T), ([S, T], T), ([T, U], U), ([T, U, S], U), ([T, None], T), ([S, None], S),
        ([None, S], S),
    ],
)  # fmt: skip
def test_the_previous_status_is_the_last_reading_that_shows_another_one(
    folder: Path, read: list[str | None], previous: str
) -> None:
    """What the row asks for counts only until an order is read with another status: that is what undo puts back."""
    with plan(folder, [(2, A, S)]) as journal:
        for found in read[:-1]:
            journal.claim(1)
            journal.checkpoint([Checkpoint(2, previous_status_id=found)])
            journal.record([RowOutcome(2, State.PLANNED, Result.NOT_SENT, "stopped", "")])
        journal.claim(1)
        journal.record([ended(2, previous_status_id=read[-1])])
        assert kept(journal, "previous_status_id") == [(previous,)]


@pytest.mark.parametrize(("attempts", "said"), [(1, ("failed", "redirect", "elsewhere")), (0, ("not_sent", "x", "y"))])
def test_a_row_that_was_sent_once_is_never_said_to_be_unsent(
    folder: Path, attempts: int, said: tuple[str, ...]
) -> None:
    """A later start that stops before it leaves what the earlier one has said of it."""
    with plan(folder, [(2, A, S)]) as journal:
        journal.claim(1)
        journal.record([RowOutcome(2, State.PLANNED, Result.FAILED, "redirect", "elsewhere", 302, attempts)])
        journal.claim(1)
        journal.record([RowOutcome(2, State.PLANNED, Result.NOT_SENT, "x", "y")])
        assert kept(journal, "state", "result", "code", "detail") == [("planned", *said)]


def test_facts_are_kept_and_replaced(folder: Path) -> None:
    """As they were given, over a restart; a later one replaces its namesake only."""
    with plan(folder, [], "first") as journal:
        journal.update_facts(status_names={S: "Ö"}, canary_passed=False)
        journal.update_facts(canary_passed=True)
    with Journal.open(folder / NAME) as journal:
        assert journal.facts() == some_facts(on_conflict="first", status_names={S: "Ö"}, canary_passed=True)
        with pytest.raises(TypeError, match="nam"):
            journal.update_facts(nam="p.csv")


def test_a_plan_says_which_ids_were_rewritten(folder: Path) -> None:
    """Rows stay in their places, whatever became of them."""
    with plan(folder, [(2, A, S, True, ""), (3, B, S, False, T)], rejected=[RejectedRow(4, "bad", "no")]) as journal:
        found = kept(journal, "row", "order_id", "status_id", "normalised", "expected_id", "result", "code", "detail")
    assert found == [
        (2, A, S, 1, "", None, "", ""), (3, B, S, 0, T, None, "", ""), (4, "", "", 0, "", "invalid", "bad", "no"),
    ]  # fmt: skip


def test_a_journal_is_at_its_place_when_it_is_whole_and_not_before(folder: Path) -> None:
    """While it is planned nothing can be taken for a journal; then nothing else is left."""
    with Draft.create(folder / NAME) as draft:
        settled = draft.settle("hold")
        assert not (folder / NAME).exists()
        settled.seal(some_facts()).close()
    assert sorted(file.name for file in folder.iterdir()) == ["j.claims", NAME]


def test_a_journal_is_flushed_before_it_is_at_its_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the plan and the claims file, then, once it has its name, the folder that holds the name."""
    flushed: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        "batch_updater.journal.draft.sync", lambda path: flushed.append((path.name, (folder / NAME).exists()))
    )
    plan(folder, [(2, A, S)]).close()
    assert flushed == [("planning.sqlite", False), ("j.claims", False), (folder.name, True)]


def test_a_sealed_journal_survives_a_power_cut(folder: Path) -> None:
    """Sealed and opened it writes ahead and flushes every commit."""
    with plan(folder, []) as sealed, Journal.open(folder / NAME) as opened:
        for journal in (sealed, opened):
            assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_threads_may_use_a_journal_one_after_the_other(folder: Path) -> None:
    """Created, sealed and opened in one thread, it is used and closed in another."""
    with ThreadPoolExecutor(1) as pool:
        draft = pool.submit(Draft.create, folder / NAME).result()
        journal = pool.submit(sealed, draft).result()
        journal.update_facts(name="p.csv")
        journal.close()
        with pool.submit(Journal.open, folder / NAME).result() as journal:
            assert journal.facts().name == "p.csv"

"""Statuses by name, from a sheet as people write it to what the service received."""

import json
from pathlib import Path

import pytest
from support.program import DONE, environment, newest_run, puts, read_result, served, summary_of
from support.watched import Watched

from batch_updater.sandbox.server import order_id, status_id

STATUSES = ("Planned", "In Progress", "Completed", "İptal Edildi", "Boşaltıldı", "Ertelendi", "ERTELENDİ")


def sheet_of(path: Path, statuses: list[str]) -> Path:
    """A sheet with one order for each of these status cells."""
    rows = [f'{order_id(n)},"{status}"' for n, status in enumerate(statuses, 1)]
    path.write_text("Order ID,Status\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_sheet_of_names_as_people_write_them(watched: Watched) -> None:
    """Mixed case, NBSP, Turkish letters and ids get the right id; a typo and an ambiguous name the right reason."""
    good = {
        "completed": "Completed", "IN\u00a0PROGRESS ": "In Progress", "inprogress": "In Progress",
        "İPTAL EDİLDİ": "İptal Edildi", "IPTAL EDILDI": "İptal Edildi", "iptal edildi": "İptal Edildi",
        "boşaltıldı": "Boşaltıldı", "BOŞALTILDI": "Boşaltıldı", "bos\u0327altıldı": "Boşaltıldı",
        status_id("Completed").upper(): "Completed",
    }  # fmt: skip
    bad = ["Complted", "Bosaltildi", "ertelendi", status_id("Nowhere")]
    sheet = sheet_of(watched.folder / "o.csv", [*good, *bad])
    with served(statuses=STATUSES) as sandbox:
        ended = watched.call("run", sheet, "--yes", env=environment(sandbox.base_url))
        assert ended.returncode == 3, ended.stderr
        found = read_result(newest_run(sheet) / "results.csv")
        assert [row["result"] for row in found] == ["updated"] * len(good) + ["invalid"] * len(bad)
        assert [row["result_status_id"] for row in found[: len(good)]] == [status_id(name) for name in good.values()]
        assert [row["result_status_name"] for row in found[: len(good)]] == list(good.values())
        for number, name in enumerate(good.values(), 1):
            assert sandbox.orders[order_id(number)]["status"]["id"] == status_id(name)
        assert {row["result_code"] for row in found[len(good) :]} == {"unknown_status"}
        details = [row["result_detail"] for row in found[len(good) :]]
        assert "did you mean 'Completed'" in details[0]
        assert "did you mean 'Boşaltıldı'" in details[1]
        assert "2 statuses are called" in details[2]
        assert status_id("Ertelendi") in details[2]
        assert "no status with the id" in details[3]
        assert len(puts(sandbox)) == len(good)


def test_the_plan_shows_each_status_with_its_count(watched: Watched) -> None:
    """Names and how many updates each gets, the most frequent first."""
    sheet = sheet_of(watched.folder / "o.csv", ["completed"] * 3 + ["PLANNED"] * 12 + [status_id("Cancelled")])
    with served() as sandbox:
        ended = watched.call("plan", sheet, env=environment(sandbox.base_url))
    assert ended.returncode == 0, ended.stderr
    lines = [line.removeprefix("  statuses").strip() for line in ended.stdout.splitlines()]
    start = lines.index("12  Planned")
    assert lines[start : start + 3] == ["12  Planned", "3  Completed", "1  Cancelled"]
    assert sandbox.base_url in ended.stdout


@pytest.mark.parametrize("answer", [403, 404, 405])
def test_without_a_list_ids_are_sent_unchecked(watched: Watched, answer: int) -> None:
    """A service that does not serve its statuses: ids are sent, and the plan says that they are not checked."""
    sheet = sheet_of(watched.folder / "o.csv", [status_id("Completed"), status_id("Planned")])
    with served(refuse_statuses=answer) as sandbox:
        ended = watched.call("run", sheet, "--yes", env=environment(sandbox.base_url))
        assert ended.returncode == 0, ended.stderr
        assert f"statuses are not checked: the service does not list them (answered {answer})" in " ".join(
            ended.stderr.split()
        )
        assert len(puts(sandbox)) == 2


@pytest.mark.parametrize("answer", [403, 404, 405])
def test_without_a_list_names_are_refused_plainly(watched: Watched, answer: int) -> None:
    """One name in the sheet: exit 4, the row, the reason and the way out; nothing is sent and no run stays."""
    sheet = sheet_of(watched.folder / "o.csv", [status_id("Completed"), "Completed"])
    with served(refuse_statuses=answer) as sandbox:
        ended = watched.call("run", sheet, "--yes", env=environment(sandbox.base_url))
        assert ended.returncode == 4
        for words in ("row 3", "'Completed' is a name", f"answered {answer}", "write status ids"):
            assert words in ended.stderr
        assert puts(sandbox) == []
    assert list(watched.folder.glob("o.runs/2*")) == []


def test_a_list_in_trouble_is_no_missing_list(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 for the statuses: a sheet of names ends with 6, to be run again, and does not blame the sheet."""
    monkeypatch.setattr("batch_updater.planning.preflight.ATTEMPTS", 1)
    sheet = sheet_of(watched.folder / "o.csv", ["Completed"])
    with served(refuse_statuses=503) as sandbox:
        ended = watched.call("run", sheet, "--yes", env=environment(sandbox.base_url))
        assert ended.returncode == 6
        assert "run again later" in ended.stderr
        listed = watched.call("statuses", env=environment(sandbox.base_url))
        assert listed.returncode == 6


def test_statuses_that_could_not_be_looked_up_are_looked_up_by_the_next_start(watched: Watched) -> None:
    """Begun with a token that was refused, the run knows the statuses once there is a right one, and checks them."""
    sheet = sheet_of(watched.folder / "o.csv", [DONE, status_id("Nowhere")])
    with served() as sandbox:
        refused = environment(sandbox.base_url, EVREKA360_ACCESS_TOKEN="no-token-of-ours")
        assert watched.call("run", sheet, "--yes", env=refused).returncode == 5
        assert watched.call("run", sheet, "--yes", env=environment(sandbox.base_url)).returncode == 3
        found = read_result(newest_run(sheet) / "results.csv")
        assert [(row["result"], row["result_status_name"]) for row in found] == [
            ("updated", "Completed"),
            ("invalid", ""),
        ]
        assert len(puts(sandbox)) == 1


def test_the_status_map_of_the_config_file(watched: Watched) -> None:
    """Words of the sheet stand for names of the service; another map is another run."""
    config = watched.folder / "c.toml"
    config.write_text('[status-map]\n"Teslim edildi" = "completed"\n"ABGEHOLT" = "Complted"\n')
    sheet = sheet_of(watched.folder / "o.csv", ["TESLİM EDİLDİ", "abgeholt"])
    with served() as sandbox:
        ended = watched.call("run", sheet, "--yes", "--config", config, env=environment(sandbox.base_url))
        assert ended.returncode == 3, ended.stderr
        found = read_result(newest_run(sheet) / "results.csv")
        assert (found[0]["result"], found[0]["result_status_id"]) == ("updated", DONE)
        assert (
            "the status map makes it 'Complted': the service has no such status; did you mean 'Completed'"
            in (found[1]["result_detail"])
        )


def test_the_statuses_are_listed_for_people_and_programs(watched: Watched) -> None:
    """An aligned table in the service's order; --json has id, name and colour; no list is exit 4 and said."""
    with served(statuses=STATUSES) as sandbox:
        env = environment(sandbox.base_url)
        table = watched.call("statuses", env=env).stdout.splitlines()
        listed = json.loads(watched.call("statuses", "--json", env=env).stdout)
    assert [line.split()[0] for line in table] == [
        "NAME",
        "Planned",
        "In",
        "Completed",
        "İptal",
        "Boşaltıldı",
        "Ertelendi",
        "ERTELENDİ",
    ]
    assert {line.index(status_id(name)) for line, name in zip(table[1:], STATUSES, strict=True)} == {14}
    assert listed == [{"id": status_id(name), "name": name, "color": "#808080"} for name in STATUSES]
    with served(refuse_statuses=404) as sandbox:
        ended = watched.call("statuses", env=environment(sandbox.base_url))
        assert ended.returncode == 4
        assert "does not list them (answered 404)" in ended.stderr


def test_names_and_ids_of_one_status_are_duplicates(watched: Watched) -> None:
    """The same order once by name and once by id of one status is one update."""
    sheet = watched.folder / "o.csv"
    sheet.write_text(f"order_id,status\n{order_id(1)},Completed\n{order_id(1)},{DONE}\n")
    with served() as sandbox:
        assert watched.call("run", sheet, "--yes", env=environment(sandbox.base_url)).returncode == 0
        assert len(puts(sandbox)) == 1
    assert summary_of(sheet)["results"] == {"updated": 1, "duplicate": 1}

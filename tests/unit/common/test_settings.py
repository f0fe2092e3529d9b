from pathlib import Path
from typing import Any

import pytest

from batch_updater.cli import commands
from batch_updater.common.errors import SettingsError
from batch_updater.common.models import NOT_DONE
from batch_updater.common.settings import Settings, as_facts, load_settings, overlaid

SAMPLE = Path(__file__).parents[3] / "samples" / "batch-updater.toml"


def test_options_go_before_environment_before_file(tmp_path: Path) -> None:
    """The nearest word wins; names may have - or _ in the file."""
    config = tmp_path / "c.toml"
    config.write_text('concurrency = 3\non-conflict = "first"\ntimeout = 5\n[profiles.p]\ntimeout = 7\n')
    environment = {"BATCH_UPDATER_CONCURRENCY": "4", "BATCH_UPDATER_RETRIES": "1", "EVREKA360_BASE_URL": "https://x"}
    settings = load_settings({"retries": 2, "rate": None}, environment, config, "p")
    assert (settings.concurrency, settings.retries, settings.timeout) == (4, 2, 7)
    assert (settings.on_conflict, settings.base_url) == ("first", "https://x")
    config.write_text("sheet = 2\n")
    assert load_settings({}, {}, config).sheet == "2"


def test_settings_know_where_they_come_from_and_what_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File and profile, also where the environment names them; and which of the settings the caller named himself."""
    monkeypatch.chdir(tmp_path)
    assert (load_settings({}, {}).config, load_settings({}, {}).profile) == (None, None)
    Path("batch-updater.toml").write_text("[profiles.p]\nrate = 3\n")
    named = {"BATCH_UPDATER_PROFILE": "p", "BATCH_UPDATER_CONFIG": "", "EVREKA360_BASE_URL": "https://x"}
    settings = load_settings({"concurrency": 20, "sheet": None}, named)
    assert (settings.config, settings.profile, settings.rate) == (tmp_path / "batch-updater.toml", "p", 3)
    assert settings.model_fields_set == {"concurrency"}
    assert overlaid(settings, {"retries": 1}).model_fields_set == {"concurrency"}
    Path("other.toml").write_text("rate = 4\n")
    assert load_settings({}, {"BATCH_UPDATER_CONFIG": "other.toml"}).rate == 4
    Path("other.toml").write_text("profile = 'p'\n")
    with pytest.raises(SettingsError, match="unknown setting 'profile'"):
        load_settings({}, {}, Path("other.toml"))
    Path("other.toml").write_text("")
    assert as_facts(load_settings({}, {}, Path("other.toml")))["config"] == str(tmp_path / "other.toml")


def test_one_word_stands_for_all_that_is_not_done() -> None:
    """Alone or among others, each result once."""
    assert load_settings({"only": "failed,not-done"}, {}).only == tuple(map(str, NOT_DONE))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"concurrency": 0}, "--concurrency"),
        ({"rate": -1}, "--rate"),
        ({"on_conflict": "x"}, "--on-conflict"),
        ({"output": Path("r.pdf")}, "--output can't be 'r.pdf'"),
        ({"max_failures": "some"}, "--max-failures can't be 'some': use a number"),
        ({"max_failures": "200%"}, "--max-failures can't be '200%'"),
        ({"where": ("a=1", "x")}, "--where can't be 'a=1', 'x': use 'Column=value'"),
        ({"only": "failed,faild"}, "--only can't be 'failed,faild': the results are updated,"),
        ({"delimiter": "x"}, "--delimiter"),
        ({"compare": "list"}, "--compare can't be 'list': it is on or off; --compare-list reads the paged list."),
    ],
)
def test_a_wrong_value_names_its_option(options: dict[str, object], words: str) -> None:
    """The message says which option can't be what."""
    with pytest.raises(SettingsError, match=words):
        load_settings(options, {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("concurency = 3", "did you mean 'concurrency'"),
        ('access_token = "x"', "environment"),
        ("a = ", "not valid TOML"),
        ("timeout = 3", "no profile 'p'"),
        ("compare = 'list'", "--compare-list"),
        ("compare = 'each'", "--compare-list"),
        ("wire = 'session'", "The setting 'wire' is gone: the program chooses by itself"),
        ("forget-rate = true", "The setting 'forget_rate' is gone: no run remembers"),
    ],
)
def test_a_wrong_config_file_is_refused(tmp_path: Path, content: str, words: str) -> None:
    """Unknown names get a suggestion, those of earlier versions a reason; secrets are refused."""
    config = tmp_path / "c.toml"
    config.write_text(content)
    with pytest.raises(SettingsError) as caught:
        load_settings({}, {}, config, "p" if "profile" in words else None)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("WIRE", "auto", "'wire' is gone"), ("COMPARE", "list", "--compare-list"), ("COMPARE", "sometimes", "--compare")],
)
def test_a_wrong_environment_is_refused(name: str, value: str, words: str) -> None:
    """What an earlier version took is not passed over in silence."""
    with pytest.raises(SettingsError, match=words):
        load_settings({}, {f"BATCH_UPDATER_{name}": value})


def test_the_sample_config_is_valid() -> None:
    """The commented sample loads with each of its profiles."""
    assert load_settings({}, {}, SAMPLE, "staging").base_url == "https://staging.example.com/v1"
    assert load_settings({}, {}, SAMPLE, "production").failure_limit(1000) == 20


def test_the_config_file_may_speak_about_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words stand in for options that are not given; the environment and a profile go before it."""
    seen: list[dict[str, object]] = []
    monkeypatch.setattr(commands.commands.commands["run"], "callback", lambda **options: seen.append(options))
    config = tmp_path / "c.toml"
    config.write_text("yes = true\njson = true\nquiet = true\nverbose = 2\ntimeout = 3\n[profiles.p]\nquiet = false\n")
    monkeypatch.setenv("BATCH_UPDATER_JSON", "0")
    commands.commands.main(["run", "o.csv", "--config", str(config), "--profile", "p"], standalone_mode=False)
    names = ("yes", "as_json", "quiet", "verbose", "no_color", "dry_run")
    assert [seen[0][name] for name in names] == [True, False, False, 2, False, False]
    assert load_settings({}, {}, config).timeout == 3


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"concurrency": 0},
            "`concurrency` can't be 0: Input should be greater than or equal to 1.\n  hint: see help(",
        ),
        ({"concurency": 3}, "There is no setting 'concurency'.\n  hint: did you mean 'concurrency'?"),
        ({"compare": "list"}, "`compare` can't be 'list': it is on or off; `compare_list` reads the paged list."),
        ({"carry_over": True, "restart": True}, "`carry_over` can't be True: `restart` leaves what is done;"),
        ({"columns": {"order": 3}}, "`columns` can't be used: order must be a list of headers."),
    ],
)
@pytest.mark.parametrize("make", [Settings, Settings.model_validate, Settings().with_changes])
def test_a_python_program_gets_the_package_s_own_error(make: Any, values: dict[str, object], words: str) -> None:
    """However settings are made, what is wrong raises SettingsError, in the words of arguments, not of options."""
    with pytest.raises(SettingsError) as caught:
        make(values) if make == Settings.model_validate else make(**values)
    assert words in str(caught.value)
    assert "--" not in str(caught.value)


def test_settings_are_changed_by_making_new_ones() -> None:
    """An assignment raises SettingsError and says what to do; the copy keeps what was given."""
    settings = Settings(timeout=7)
    with pytest.raises(SettingsError, match="with_changes"):
        settings.rate = 5  # type: ignore[misc]
    changed = settings.with_changes(rate=5)
    assert (changed.timeout, changed.rate, settings.rate) == (7, 5, None)
    assert changed.model_fields_set == {"timeout", "rate"}

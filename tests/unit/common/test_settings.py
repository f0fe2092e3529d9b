from pathlib import Path

import pytest

from batch_updater.cli import commands
from batch_updater.common.errors import SettingsError
from batch_updater.common.settings import load_settings

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

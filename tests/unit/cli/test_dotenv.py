import os
from pathlib import Path

import pytest

from batch_updater.cli.dotenv import with_dotenv
from batch_updater.common.errors import SettingsError

CONTENT = """\
# the tenant
EVREKA360_BASE_URL = https://api.example.com/v1   # ours
export EVREKA360_ACCESS_TOKEN='t0k-canary#1'
BATCH_UPDATER_RATE="50"
ACCESS_TOKEN_FILE=/run/token
PATH=/evil
LD_PRELOAD=/evil.so
no assignment
"""
READ = {
    "EVREKA360_BASE_URL": "https://api.example.com/v1", "EVREKA360_ACCESS_TOKEN": "t0k-canary#1",
    "BATCH_UPDATER_RATE": "50", "ACCESS_TOKEN_FILE": "/run/token",
}  # fmt: skip


def written(folder: Path, content: str = CONTENT, mode: int = 0o600) -> Path:
    """A `.env` beside a config file that need not exist; the path of the latter."""
    (folder / ".env").write_text(content, encoding="utf-8")
    (folder / ".env").chmod(mode)
    return folder / "batch-updater.toml"


def test_names_of_this_program_are_read_from_a_private_file(tmp_path: Path) -> None:
    """Quotation marks, `export` and comments are no part of a value; names of other programs are left out."""
    assert with_dotenv({"HOME": "/home/ops"}, written(tmp_path)) == ({"HOME": "/home/ops", **READ}, "")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """What is set for one call is meant for it; an empty value counts as none."""
    found, _said = with_dotenv({"BATCH_UPDATER_RATE": "5", "EVREKA360_BASE_URL": ""}, written(tmp_path))
    assert (found["BATCH_UPDATER_RATE"], found["EVREKA360_BASE_URL"]) == ("5", READ["EVREKA360_BASE_URL"])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_may_read_is_named_and_not_read(tmp_path: Path, mode: int) -> None:
    """A secret that everybody can see is no secret; the sentence has the command that mends it."""
    config = written(tmp_path, mode=mode)
    assert with_dotenv({}, config) == (
        {}, f"{tmp_path / '.env'} is not read, for others may read it too: chmod 600 {tmp_path / '.env'}"
    )  # fmt: skip


def test_the_file_lies_beside_the_config_file_or_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --config it is the one of this folder; where there is none nothing is said."""
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert with_dotenv({}, None) == (READ, "")
    assert with_dotenv({}, tmp_path / "other" / "my.toml") == ({}, "")


def test_names_that_have_no_effect_there_are_named(tmp_path: Path) -> None:
    """What decides about the call is read before the file is found."""
    _found, said = with_dotenv({}, written(tmp_path, "BATCH_UPDATER_PROFILE=staging\nBATCH_UPDATER_YES=1\n"))
    assert said.endswith("BATCH_UPDATER_PROFILE, BATCH_UPDATER_YES has no effect there; set it in the environment")


def test_a_file_of_another_person_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever made it could send the token to a service of their own."""
    config = written(tmp_path)
    owner = (tmp_path / ".env").stat().st_uid
    os.chown(tmp_path / ".env", 4321, -1) if owner == 0 else monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert with_dotenv({}, config)[0] == {}


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    """Half a file must not pass for all of it."""
    config = written(tmp_path)
    (tmp_path / ".env").write_bytes(b"ACCESS_TOKEN=\xff\xfe")
    with pytest.raises(SettingsError, match=r"\.env can't be read"):
        with_dotenv({}, config)

"""The config file: named settings, one tenant each. Standard library only, so that options can be filled in from it."""

from pathlib import Path
from typing import Any

from batch_updater.common.errors import SettingsError
from batch_updater.common.files import whole_path
from batch_updater.common.remedies import Remedy

CONFIG_NAME = "batch-updater.toml"
ABOUT_THE_CALL = {"yes": "yes", "json": "as_json", "quiet": "quiet", "no_color": "no_color", "verbose": "verbose",
                  "dry_run": "dry_run"}  # fmt: skip
_SECRET_WORDS = ("token", "secret", "pass", "password", "client_id")


def find_config(config: Path | None) -> Path | None:
    """Return the whole path of the file that is named, else of the one in the working folder; None when it has none."""
    path = config or Path(CONFIG_NAME)
    return whole_path(path) if config or path.is_file() else None


def read_config(config: Path | None, profile: str | None) -> dict[str, Any]:
    """Return what the file and the profile hold, names with `_` for `-`. Raises SettingsError; a secret is refused."""
    path = config or Path(CONFIG_NAME)
    if config is None and not path.is_file():
        if profile:
            raise SettingsError(
                f"There is no {CONFIG_NAME} here for --profile {profile}.", Remedy("name it with {config}")
            )
        return {}
    import tomllib  # noqa: PLC0415 - most calls have no such file

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}.", Remedy("check {config}")) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.") from None
    profiles = content.pop("profiles", {})
    if profile and profile not in profiles:
        raise SettingsError(f"{path} has no profile {profile!r}.", f"it has {', '.join(profiles) or 'none'}")
    merged = {**content, **(profiles[profile] if profile else {})}
    for name in merged:
        if any(word in name.lower() for word in _SECRET_WORDS) and not name.endswith("file"):
            raise SettingsError(f"{path} holds {name!r}.", "secrets belong in the environment or a _FILE, not here")
    return {name.replace("-", "_"): value for name, value in merged.items()}

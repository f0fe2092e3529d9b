"""The rate that the last run on a service learned, stored for the next one in the user's state directory.

One small JSON file for each service and account, without any secret. Nothing here raises: without a readable,
writable, plausible file nothing is remembered.
"""

import contextlib
import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from platformdirs import PlatformDirs

from batch_updater.common.settings import SendOptions

TRUSTED = timedelta(days=7)
SLOWEST, FASTEST = 0.5, 1e6  # requests per second; anything else is no rate
LONGEST = 4096  # bytes of a file of ours, at most
UNBELIEVABLE = (OSError, ValueError, KeyError, TypeError, OverflowError, RuntimeError)  # the last: too deep, or no home


@dataclass(frozen=True, slots=True)
class LearnedRate:
    """Requests per second, and when (UTC) the run that learned them ended."""

    rate: float
    when: datetime

    def describe(self) -> str:
        """Return one sentence on what it means for a run."""
        number = f"{self.rate:,.0f}" if self.rate >= 10 else f"{self.rate:.2g}"
        learned = f"{self.when.astimezone():%Y-%m-%d}"
        return f"starts at {number} requests/s, learned on {learned}; --forget-rate starts without it"


def start_rate(options: SendOptions, base_url: str, account: str | None) -> LearnedRate | None:
    """Return the rate that a run with these options begins with; None for none, or when `--rate` is no higher."""
    if not options.adapt or options.forget_rate:
        return None
    found = recall(base_url, account)
    return None if found is None or (options.rate is not None and options.rate <= found.rate) else found


def recall(base_url: str, account: str | None, now: datetime | None = None) -> LearnedRate | None:
    """Return what was learned in the last seven days; None for nothing."""
    with contextlib.suppress(*UNBELIEVABLE):
        return _read(_path(base_url, account), base_url, now or datetime.now(UTC))
    return None


def remember(base_url: str, account: str | None, rate: float, now: datetime | None = None) -> None:
    """Store a rate in place of the earlier one; outdated ones of other services are removed."""
    when = (now or datetime.now(UTC)).replace(microsecond=0)
    stored = {"base_url": base_url, "rate": round(rate, 3), "when": when.isoformat()}
    with contextlib.suppress(*UNBELIEVABLE):
        path = _path(base_url, account)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_name(f"{path.stem}-{secrets.token_hex(4)}.part")
        try:
            part.write_text(json.dumps(stored) + "\n", encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        _remove_old(path.parent)


def forget(base_url: str, account: str | None) -> None:
    """Remove what was learned of this service and account."""
    with contextlib.suppress(*UNBELIEVABLE):
        _path(base_url, account).unlink(missing_ok=True)


def _path(base_url: str, account: str | None) -> Path:
    """Return the file of a service and account. Raises OSError when there is no state directory."""
    folder = PlatformDirs("batch-updater", appauthor=False).user_state_path
    if not folder.is_absolute():  # there is no home
        raise FileNotFoundError("no state directory")
    digest = hashlib.sha256(f"{base_url}\n{account or ''}".encode()).hexdigest()
    return folder / "rates" / f"{digest}.json"


def _read(path: Path, base_url: str, now: datetime) -> LearnedRate | None:
    if not path.is_file():  # a pipe would be waited for
        return None
    with path.open("rb") as stream:
        stored = json.loads(stream.read(LONGEST))
    rate, when = stored["rate"], datetime.fromisoformat(stored["when"])
    believable = type(rate) in {int, float} and SLOWEST <= rate <= FASTEST and stored["base_url"] == base_url
    return LearnedRate(float(rate), when) if believable and timedelta(0) <= now - when <= TRUSTED else None


def _remove_old(folder: Path) -> None:
    oldest = time.time() - TRUSTED.total_seconds()
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()
